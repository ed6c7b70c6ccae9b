"""A compiled model as a C library: header, shared and static library, pkg-config, CMake.

    include/<model>.h
    lib/lib<model>.so, lib/lib<model>.a
    lib/pkgconfig/<model>.pc
    lib/cmake/<model>/<model>-config.cmake, <model>-config-version.cmake
    share/rnnc/<model>/manifest.json, source.rnn, SHA256SUMS

What is in share/ is for `rnnc.load`.

All symbols but the header's are local, so any number of models link into one program. What is left
undefined is of libc, libm and pthread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.numpy import save

from rnnc.passes.stream_steps import Refusal
from rnnc.plan.plan import Plan
from rnnc.plan.stream import Stream
from rnnc.runtime.artifact import Artifact, Origin, members
from rnnc.runtime.manifest import Manifest, StepPorts
from rnnc.runtime.memory import Array
from rnnc.runtime.parameters import arrays, checked

from .entry import entry_source
from .header import exported, functions, header
from .interface import compiling
from .library import emit_objects, join, link_whole, run_tool
from .manifest import manifest
from .program import functions as kernels
from .programs import Steps, steps
from .tables import description
from .target import CpuTarget


def c_library(
    plan: Plan,
    stream: Stream | Refusal,
    target: CpuTarget,
    origin: Origin,
    params: Mapping[str, Array] | None,
) -> dict[str, bytes]:
    """The files of the library by their path; with `params` the weights are in it.

    Raises RNN72x for parameters that do not fit and RNN702 for what the C compiler says.
    """
    plans = stream if isinstance(stream, Stream) else None
    streamed = None if plans is None else steps(plan, plans, target)
    about = replace(
        manifest(plan, target, origin),
        steps=None
        if streamed is None
        else StepPorts(streamed.start, streamed.inputs, streamed.outputs),
        no_steps=stream.reason if isinstance(stream, Refusal) else "",
        embedded=params is not None,
    )
    name = about.prefix
    with TemporaryDirectory(prefix="rnnc-") as place:
        folder = Path(place)
        weights = None
        if params is not None:
            weights = folder / "weights.safetensors"
            weights.write_bytes(stored_weights(about, params))
        source = entry_source(plan, target, plans) + interface_source(about, streamed, weights)
        interface = folder / "interface.c"
        interface.write_text(source)
        with compiling(interface, target, folder) as compiled:
            objects = emit_objects(kernels(plan, target, plans), target, folder)
            objects += compiled()
        whole = folder / f"{name}.o"
        shared, static = folder / f"lib{name}.so", folder / f"lib{name}.a"
        join(objects, exported(source), target, whole)
        run_tool(target, "ar", "rcsD", static, whole)
        link_whole(whole, target, shared)
        libraries = {f"lib/{p.name}": p.read_bytes() for p in (shared, static)}
    texts = {
        f"include/{name}.h": header(about, streamed),
        f"lib/pkgconfig/{name}.pc": _PKG_CONFIG.format(
            name=name, model=about.model, version=about.rnnc
        ),
        f"lib/cmake/{name}/{name}-config.cmake": _CMAKE.format(name=name),
        f"lib/cmake/{name}/{name}-config-version.cmake": _CMAKE_VERSION.format(version=about.rnnc),
    }
    made = Artifact(about, libraries[f"lib/{shared.name}"], origin.source)
    described = {
        f"share/rnnc/{name}/{path}": data
        for path, data in members(made, f"../../../lib/{shared.name}").items()
        if path != f"../../../lib/{shared.name}"
    }
    encoded = {path: text.encode() for path, text in texts.items()}
    return {**libraries, **encoded, **described}


def interface_source(about: Manifest, streamed: Steps | None, weights: Path | None) -> str:
    """Tables and the functions of the header, to stand behind the entry points."""
    parts = ['#include "stream.h"\n']
    if weights is not None:
        parts.append(_EMBEDDED.format(path=weights, size=weights.stat().st_size))
    parts.append(description(about, streamed, None if weights is None else "rnnc_embedded"))
    parts.append(functions(about, streamed is not None, weights is not None))
    return "\n".join(parts)


def stored_weights(about: Manifest, params: Mapping[str, Array]) -> bytes:
    """Parameters as the library reads them: a safetensors file with one array a path."""
    paths = (path for spec in about.parameters for path in spec.paths)
    return save(dict(zip(paths, arrays(about, checked(about, params)), strict=True)))


_EMBEDDED = """\
__asm__(".section .rodata\\n.balign 64\\n.globl rnnc_embedded\\nrnnc_embedded:\\n"
        ".incbin \\"{path}\\"\\n.previous\\n");
extern const unsigned char rnnc_embedded[{size}];
"""

_PKG_CONFIG = """\
prefix=${{pcfiledir}}/../..
includedir=${{prefix}}/include
libdir=${{prefix}}/lib

Name: {name}
Description: the recurrent network {model}, compiled by rnnc
Version: {version}
Cflags: -I${{includedir}}
Libs: -L${{libdir}} -l{name}
Libs.private: -lpthread -lm
"""

_CMAKE = """\
# Targets: {name}::{name} is the shared library, {name}::static the static one.
get_filename_component(_prefix "${{CMAKE_CURRENT_LIST_DIR}}/../../.." ABSOLUTE)
if(NOT TARGET {name}::{name})
  add_library({name}::{name} SHARED IMPORTED)
  set_target_properties({name}::{name} PROPERTIES
    IMPORTED_LOCATION "${{_prefix}}/lib/lib{name}.so"
    IMPORTED_SONAME "lib{name}.so"
    INTERFACE_INCLUDE_DIRECTORIES "${{_prefix}}/include")
  add_library({name}::static STATIC IMPORTED)
  set_target_properties({name}::static PROPERTIES
    IMPORTED_LOCATION "${{_prefix}}/lib/lib{name}.a"
    INTERFACE_INCLUDE_DIRECTORIES "${{_prefix}}/include"
    INTERFACE_LINK_LIBRARIES "pthread;m")
endif()
unset(_prefix)
"""

_CMAKE_VERSION = """\
set(PACKAGE_VERSION "{version}")
if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
if(NOT PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()
"""
