"""The body of a kernel at one point: values are defined one after another, then stored."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from tvm import tirx

from rnnc.plan import expression as ex
from rnnc.plan.plan import Kernel, Store

from .elements import Emitter
from .tir import Expr


def emit_body(
    kernel: Kernel, at: Emitter, skipped: frozenset[str] = frozenset()
) -> Mapping[str, Expr]:
    """All defines and stores where `at` stands; the defined values.

    What `at` knows already is not defined again, and `skipped` is never needed.
    """
    values: dict[str, Expr] = dict(at.locals)
    at = replace(at, locals=values)
    for define in kernel.defines:
        if define.name not in values and define.name not in skipped:
            values[define.name] = at.cast(at.value(define.value), define.dtype)
    for store in kernel.stores:
        emit_store(at, store, values[store.value])
    return values


def emit_store(at: Emitter, store: Store, value: Expr) -> None:
    """Stores a value in all lanes, where the row that it belongs to has the point."""
    place = at.layout.places[store.buffer]
    lanes = at.lanes
    env = at.env if lanes is None else {**at.env, lanes.axis: lanes.base}
    first = replace(at, env=env, lanes=None, locals={})
    access = ex.Load(store.buffer, store.index, store.element, place.plan.dtype)
    offset = first.offset(place, access)
    if place.plan.dtype == "bool":
        value = tirx.Cast("uint8" if at.width == 1 else f"uint8x{at.width}", value)
    with ExitStack() as stack:
        for test in first.inside_row(place, access):
            stack.enter_context(at.b.when(test))
        if lanes is not None and lanes.is_ragged and place.is_external:
            at.b.masked_store(place.memory, offset, value, lanes.mask())
        else:
            at.b.store(place.memory, offset, value)
