"""What a manifest says, as constant tables in C: the structs of runtime/description.h."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

from rnnc.runtime.manifest import Affine, Block, Manifest, Pack, ParameterSpec, Port, Prepared
from rnnc.runtime.parameters import stacked_path, stacked_positions

from .program import BEGIN, STEP
from .programs import Program, Steps, forward, preparation

_DTYPES = {"real": "RNNC_REAL", "int": "RNNC_INT", "bool": "RNNC_BOOL"}
_INTS = (-(2**31), 2**31)  # what an int32 holds


def description(manifest: Manifest, streamed: Steps | None, embedded: str | None) -> str:
    """`static const rnnc_description description`; `embedded` names an array of the library."""
    programs = [forward(manifest)]
    first = preparation(manifest)
    if first is not None:
        programs.append(first)
    if streamed is not None:
        programs += [p for p in (streamed.step, streamed.begin) if p is not None]
    packs = {repr(made): made for p in programs for made in p.packs}
    numbers = {text: number for number, text in enumerate(packs)}
    paths = [path for spec in manifest.parameters for path in spec.paths]
    slots = () if streamed is None else streamed.states
    lines = [
        *parameters(manifest),
        _table("rnnc_stored", "stored", stored(manifest)),
        _table("rnnc_pack", "packs", map(pack, packs.values())),
        _table("rnnc_state", "states", (_record((s.before, s.after, s.begin)) for s in slots)),
    ]
    results = 0 if manifest.preparation is None else len(manifest.preparation.results)
    for made in programs:
        lines += program(made, [numbers[repr(p)] for p in made.packs], results)
    known = {made.name for made in programs}
    fields = [
        c_text(manifest.model),
        f"{manifest.interface:#x}u",
        *(len(paths), len(manifest.stored), len(packs), len(slots)),
        *("parameters", "stored", "packs", "states"),
        *(f"&{n}" if n in known else "0" for n in ("forward", "prepare", BEGIN, STEP)),
        embedded or "0",
        f"sizeof {embedded}" if embedded else "0",
    ]
    lines.append(f"static const rnnc_description description = {_record(fields)};\n")
    return "\n".join(lines)


def program(made: Program, packs: Sequence[int], results: int) -> list[str]:
    """Its ports and the row of its own; a preparation has no ports but `results` outputs."""
    inputs, outputs = f"{made.name}_inputs", f"{made.name}_outputs"
    fields = [
        f"rnnc_{made.name}",
        f"rnnc_{made.name}_workspace",
        *(len(made.extents), len(made.inputs)),
        results if made.name == "prepare" else len(made.outputs),
        *(len(made.weights), len(packs)),
        _pointer("char *const", map(c_text, made.extents)),
        _pointer("int32_t", (int(name in made.shared) for name in made.extents)),
        *(inputs, outputs),
        _pointer("int32_t", made.weights),
        _pointer("int32_t", packs),
    ]
    return [
        _table("rnnc_port", inputs, (port(p, made.extents) for p in made.inputs)),
        _table("rnnc_port", outputs, (port(p, made.extents) for p in made.outputs)),
        f"static const rnnc_program {made.name} = {_record(fields)};\n",
    ]


# ---- parameters ---------------------------------------------------------------------------------


def parameters(manifest: Manifest) -> tuple[str, str]:
    """One row for each path, in the order of the specs, behind the sizes that rows point to.

    There may be thousands of paths: C compilers take long over an unnamed array for each.
    """
    starts: dict[tuple[int, ...], int] = {}
    sizes: list[int] = []

    def shape(found: tuple[int, ...]) -> str:
        if found not in starts:
            starts[found] = len(sizes)
            sizes.extend(found)
        return f"sizes + {starts[found]}" if found else "0"

    rows = list(parameter_rows(manifest, shape))
    return _table("int64_t", "sizes", map(str, sizes)), _table("rnnc_parameter", "parameters", rows)


def parameter_rows(manifest: Manifest, shape: Callable[[tuple[int, ...]], str]) -> Iterable[str]:
    """The rows; `shape` says where some sizes stand."""
    stacks = stacked_positions(manifest)
    for spec in manifest.parameters:
        for point, path in zip(spec.points, spec.paths, strict=True):
            stack = stacked_path(spec.template)
            sizes = [upper - lower for lower, upper in stacks[stack]]
            part = 0
            for index, (lower, upper) in zip(point, stacks[stack], strict=True):
                part = part * (upper - lower) + index - lower
            whole = (*sizes, *spec.shape)
            yield _record(
                [
                    c_text(path),
                    c_text(stack) if spec.dims else "0",
                    *(part, math.prod(sizes), len(whole), shape(whole)),
                    *(_DTYPES[spec.dtype], len(spec.shape), shape(tuple(spec.shape))),
                    _record(_limits(spec, point)),
                ]
            )


def _limits(spec: ParameterSpec, point: tuple[int, ...]) -> tuple[int, int]:
    """The ints that a parameter may hold."""
    if spec.range is None:
        return _INTS
    values = dict(zip((name for name, _, _ in spec.dims), point, strict=True))
    lower, upper = (
        sum(factor * (values[name] if name else 1) for name, factor in form.items())
        for form in spec.range
    )
    return max(lower, _INTS[0]), min(upper, _INTS[1])


def stored(manifest: Manifest) -> Iterable[str]:
    start = 0
    for spec in manifest.stored:
        sources: list[int] = []
        if isinstance(spec, ParameterSpec):
            box = itertools.product(*(range(lower, upper) for _, lower, upper in spec.dims))
            known = {point: start + number for number, point in enumerate(spec.points)}
            sources = [known.get(point, -1) for point in box]
            start += len(spec.points)
        yield _stored(spec, sources)


def _stored(spec: ParameterSpec | Prepared, sources: Sequence[int]) -> str:
    dims = [_record((lower, upper)) for _, lower, upper in spec.dims]
    return _record(
        [
            *(_DTYPES[spec.dtype], len(dims), _pointer("rnnc_range", dims)),
            _pointer("int32_t", sources),
            *(len(spec.shape), _pointer("int64_t", spec.shape), spec.padded),
        ]
    )


def pack(made: Pack) -> str:
    names = [name for name, _, _ in made.loops]
    loops = [_record((lower, upper)) for _, lower, upper in made.loops]
    gates = [_block(block, names) for block in made.gates]
    return _record(
        [
            *(len(loops), len(gates)),
            *(_pointer("rnnc_range", loops), _pointer("rnnc_block", gates)),
            *(made.tiles, made.depth, made.lanes, made.group),
            f"RNNC_WEIGHTS_{made.type.upper()}",
            *(made.vector, made.window, made.listed),
        ]
    )


def _block(block: Block, loops: Sequence[str]) -> str:
    index = [n for form in (*block.index, *block.leading) for n in _coefficients(form, loops)]
    return _record(
        [
            *(block.stored, len(block.leading), int(block.transposed)),
            _pointer("int64_t", index),
            *(block.row, block.rows, block.column, block.columns),
        ]
    )


def _coefficients(form: Affine, names: Sequence[str]) -> list[int]:
    """The constant, then the factor of each name."""
    return [form.get("", 0), *(form.get(name, 0) for name in names)]


# ---- inputs and outputs -------------------------------------------------------------------------


def port(found: Port, extents: Sequence[str]) -> str:
    ends: tuple[Affine, Affine] = found.range or ({}, {})
    axes = [
        _record(
            [
                *(lower, dim.size or 0, dim.offset),
                _record([form.get(dim.name, 0) for form in ends]),
                -1 if dim.extent is None else extents.index(dim.extent),
            ]
        )
        for dim, lower in zip(found.dims, found.lowers, strict=True)
    ]
    own = [[form.get(name, 0) for name in extents] for form in ends]
    return _record(
        [
            *(c_text(found.name), _DTYPES[found.dtype], len(axes)),
            *(_pointer("rnnc_axis", axes), math.prod(found.shape)),
            *(int(found.default is not None), int(found.range is not None)),
            f"{float(found.default or 0)!r}f",
            _record([form.get("", 0) for form in ends]),
            _record([_pointer("int64_t", factors) for factors in own]),
        ]
    )


# ---- C ------------------------------------------------------------------------------------------


def _table(kind: str, name: str, rows: Iterable[str]) -> str:
    """A named array; never an empty one, which C does not have."""
    text = ",\n  ".join(rows) or "{0}"
    return f"static const {kind} {name}[] = {{\n  {text}\n}};\n"


def _pointer(kind: str, values: Iterable[object]) -> str:
    """An unnamed constant array, or a null pointer."""
    text = ", ".join(map(str, values))
    return f"(const {kind}[]){{{text}}}" if text else "0"


def _record(fields: Iterable[object]) -> str:
    return "{" + ", ".join(map(str, fields)) + "}"


def c_text(text: str) -> str:
    """A C string."""
    plain = (32 <= byte < 127 and byte not in b'"\\' for byte in text.encode())
    pairs = zip(text.encode(), plain, strict=True)
    return '"' + "".join(chr(b) if ok else f"\\{b:03o}" for b, ok in pairs) + '"'
