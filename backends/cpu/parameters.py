"""The parameters of the functions that a plan becomes."""

from __future__ import annotations

from collections.abc import Mapping

from rnnc.plan.plan import Plan

from ..tensorir.layout import MEMORY, Layout, Place, inner_shape, passed, polynomial, volume
from ..tensorir.tir import Builder, Expr, int64
from ..tensorir.words import Word, word


def declare(b: Builder, plan: Plan, packs: Mapping[str, Word], lanes: int, single: bool) -> Layout:
    """Declares pointers (buffers, packs, lengths), then extents, batch and outer strides.

    With `single` the batch is one row, whatever is passed.
    """
    memory = {
        buffer.name: b.pointer(f"p{number}", MEMORY[buffer.dtype])
        for number, buffer in enumerate(passed(plan))
    }
    packed = {name: b.pointer(f"w{n}", packs[name].dtype) for n, name in enumerate(packs)}
    lengths = {name: b.pointer(f"len_{name}", "int32") for name in plan.extents}
    extents = {name: b.scalar(name) for name in plan.extents}
    given = b.scalar("batch")
    batch = int64(1) if single else given
    places: dict[str, Place] = {}
    for buffer in passed(plan):
        shape = inner_shape(buffer, lanes)
        inner = tuple(volume(shape[axis + 1 :]) for axis in range(len(shape)))
        if buffer.role in ("input", "output"):
            strides = tuple(b.scalar(f"s{number}") for number in range(len(buffer.dims)))
            rows = b.scalar("sb")
        else:
            step: Expr = int64(volume(shape))
            rows = step
            if buffer.batched:
                step = step if single else b.let(step * batch)
            found: list[Expr] = []
            for dim in reversed(buffer.dims):
                found.insert(0, step)
                stored = polynomial(dim.stored, extents)
                step = b.let(step * stored)
            strides = tuple(found)
        places[buffer.name] = Place(buffer, memory[buffer.name], strides, rows, inner)
    buffers = {buffer.name: buffer for buffer in plan.buffers}
    return Layout(buffers, places, packed, word(plan.weights), lengths, extents, batch, lanes)
