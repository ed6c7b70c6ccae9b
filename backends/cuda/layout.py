"""The memory that one device function uses: its parameters, and how the host fills them in.

A function takes only what it touches: pointers, row lengths, strides of the caller's arrays, then
extents, batch and the waves around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rnnc.plan.plan import Buffer as PlanBuffer

from ..tensorir.arguments import c_extent
from ..tensorir.layout import MEMORY, Layout, Place, inner_shape, polynomial, volume
from ..tensorir.tir import Buffer, Builder, Expr, int64
from ..tensorir.words import Word
from .tiles import LANES

Kind = Literal["buffer", "pack", "lengths", "stride", "number", "ends", "flags"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: a buffer, pack or row lengths by name; stride `axis` of a buffer (the last is
    that of the batch); an extent, the batch or a wave; or where loops that may end say so,
    and where blocks say that they have met."""

    kind: Kind
    name: str
    axis: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """A function under construction: its layout, what it was given, and its parameters."""

    layout: Layout
    numbers: Mapping[str, Expr]
    ends: Buffer
    parameters: tuple[Parameter, ...]


def identifier(name: str) -> str:
    """A name of the plan as a name in C."""
    return re.sub(r"\W+", "_", c_extent(name)) or "unnamed"


def declare(
    b: Builder,
    buffers: Sequence[PlanBuffer],
    packs: Iterable[str],
    extents: Sequence[str],
    waves: Iterable[str],
    all_buffers: Sequence[PlanBuffer],
    word: Word,
) -> Device:
    """Declares what a function takes that touches these buffers and packs inside these waves."""
    parameters: list[Parameter] = []
    memory: dict[str, Buffer] = {}
    for buffer in buffers:
        parameters.append(Parameter("buffer", buffer.name))
        memory[buffer.name] = b.pointer(identifier(buffer.name), MEMORY[buffer.dtype])
    packed: dict[str, Buffer] = {}
    for number, name in enumerate(packs):
        parameters.append(Parameter("pack", name))
        packed[name] = b.pointer(f"weights{number}", word.dtype)
    lengths: dict[str, Buffer] = {}
    for name in extents:
        parameters.append(Parameter("lengths", name))
        lengths[name] = b.pointer(f"lengths_{identifier(name)}", "int32")
    parameters.append(Parameter("ends", "ends"))
    ends = b.pointer("ends", "int64")
    numbers: dict[str, Expr] = {}
    for name in (*extents, "batch", *waves):
        parameters.append(Parameter("number", name))
        numbers[name] = b.scalar(identifier(name))
    sizes = {name: numbers[name] for name in extents}
    places: dict[str, Place] = {}
    for buffer in buffers:
        shape = inner_shape(buffer, LANES)
        inner = tuple(volume(shape[axis + 1 :]) for axis in range(len(shape)))
        if buffer.role in ("input", "output"):
            strides: list[Expr] = []
            for axis in range(len(buffer.dims) + 1):
                parameters.append(Parameter("stride", buffer.name, axis))
                strides.append(b.scalar(f"{identifier(buffer.name)}_stride{axis}"))
            places[buffer.name] = Place(
                buffer, memory[buffer.name], tuple(strides[:-1]), strides[-1], inner
            )
            continue
        step: Expr = int64(volume(shape))
        rows = step
        if buffer.batched:
            step = step * numbers["batch"]
        found: list[Expr] = []
        for dim in reversed(buffer.dims):
            found.insert(0, step)
            step = step * polynomial(dim.stored, sizes)
        places[buffer.name] = Place(buffer, memory[buffer.name], tuple(found), rows, inner)
    named = {buffer.name: buffer for buffer in all_buffers}
    layout = Layout(named, places, packed, word, lengths, sizes, numbers["batch"])
    return Device(layout, numbers, ends, tuple(parameters))
