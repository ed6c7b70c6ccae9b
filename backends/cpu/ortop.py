"""A compiled model as an operator of ONNX Runtime: one shared library, which registers itself.

ONNX Runtime calls its function RegisterCustomOps. What it says of its inputs and outputs is in
rnnc/runtime/operator.py; what it does is in ort/operator.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from rnnc.plan.plan import Plan
from rnnc.runtime.artifact import Origin
from rnnc.runtime.manifest import Manifest, Port
from rnnc.runtime.operator import domain, free_extents, shape

from .entry import entry_source
from .interface import compiling
from .library import emit_objects, join, link_whole
from .manifest import manifest
from .program import functions
from .tables import c_text, description
from .target import CpuTarget

_ENTRY = "RegisterCustomOps"


def ort_operator(plan: Plan, target: CpuTarget, origin: Origin) -> bytes:
    """The library. Raises RNN702 for what the C compiler says."""
    about = manifest(plan, target, origin)
    with TemporaryDirectory(prefix="rnnc-") as place:
        folder = Path(place)
        for entry in (files(__package__) / "ort").iterdir():
            (folder / entry.name).write_bytes(entry.read_bytes())
        source = folder / "interface.c"
        source.write_text(entry_source(plan, target) + operator_source(about))
        with compiling(source, target, folder) as compiled:
            objects = emit_objects(functions(plan, target), target, folder)
            objects += compiled()
        join(objects, [_ENTRY], target, folder / "whole.o")
        library = folder / f"{about.prefix}.ort.so"
        link_whole(folder / "whole.o", target, library)
        return library.read_bytes()


def operator_source(about: Manifest) -> str:
    """Tables of the operator and its entry point."""
    free = [about.extents.index(name) for name in free_extents(about)]
    return _SOURCE.format(
        description=description(about, None, None),
        entry=_ENTRY,
        domain=c_text(domain(about)),
        name=c_text(about.prefix),
        inputs=_values(about.inputs),
        outputs=_values(about.outputs),
        num_free=len(free),
        free=", ".join(map(str, free)) or "0",
    )


def _values(ports: Sequence[Port]) -> str:
    rows = []
    for port in ports:
        sizes = ", ".join(map(str, port.shape)) or "1"
        written = f"[{', '.join(map(str, shape(port)))}]"
        rows.append(f"{{{len(port.shape)}, (const int64_t[]){{{sizes}}}, {c_text(written)}}}")
    return ", ".join(rows) or "{0}"


_SOURCE = """\
#include "operator.c"

{description}
static const rnnc_values operator_inputs[] = {{{inputs}}};
static const rnnc_values operator_outputs[] = {{{outputs}}};
static const int32_t operator_free[] = {{{free}}};
static rnnc_operator operator = {{
  .domain = {domain}, .name = {name}, .description = &description,
  .inputs = operator_inputs, .outputs = operator_outputs,
  .num_free = {num_free}, .free = operator_free,
}};

RNNC_EXPORT OrtStatus *{entry}(OrtSessionOptions *options, const OrtApiBase *base) {{
  return rnnc_register(&operator, options, base);
}}
"""
