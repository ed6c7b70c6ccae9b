"""Which buffers may share memory: those that never hold anything needed at the same time.

    phase:  a = W @ x            a:  steps 0..1
    loop:   h = f(a, h)          h:  steps 1..2         a and y may lie in the same place
    phase:  y = V @ h            y:  steps 2..3
    phase:  z = y / sum(y)

A buffer is alive from the first step that touches it to the last one, both included: what a step
reads and what it writes never share. A loop of waves is one step, and so is a phase with those that
follow it: rows may be far apart in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rnnc.plan.expression import Expression, Load, walk
from rnnc.plan.plan import Buffer, Kernel, Levels, Phase, Plan, Step


@dataclass(slots=True)
class Room:
    """Buffers that follow one another in one place; free behind step `last`."""

    buffers: list[Buffer]
    last: int


def rooms(plan: Plan) -> tuple[tuple[Buffer, ...], ...]:
    """All state buffers, those that share a place together.

    A place goes to a buffer of the same run-time extents if one comes along, so that large ones
    follow large ones; sharing any place costs less than a place of its own.
    """
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    number = 0
    for step in plan.steps:
        number += not (isinstance(step, Phase) and step.follows)
        for name in touched(step):
            first.setdefault(name, number)
            last[name] = number
    states = [buffer for buffer in plan.buffers if buffer.role == "state"]
    found: list[Room] = []
    for buffer in sorted(states, key=lambda buffer: first.get(buffer.name, -1)):
        begin, end = first.get(buffer.name, -1), last.get(buffer.name, -1)
        free = [room for room in found if room.last < begin]
        if not free:
            found.append(Room([buffer], end))
            continue
        room = min(free, key=lambda room: extents(room.buffers[0]) != extents(buffer))
        room.buffers.append(buffer)
        room.last = end
    return tuple(tuple(room.buffers) for room in found)


def extents(buffer: Buffer) -> tuple[str, ...]:
    """What of a buffer's size is known only when it is called."""
    dims = [str(dim.stored) for dim in buffer.dims if dim.stored.constant is None]
    return (*sorted(dims), *(("batch",) if buffer.batched else ()))


def touched(step: Step) -> Iterator[str]:
    """The buffers that a step reads or writes."""
    if not isinstance(step, Phase):
        for inner in step.body:
            yield from touched(inner)
        if isinstance(step, Levels):
            yield from (step.level, step.points, step.rows, step.ends)
        elif step.until is not None:
            yield step.until.buffer
            yield from touched(step.until.rest)
        return
    for kernel in step.kernels:
        yield from (store.buffer for store in (*kernel.stores, *kernel.last))
        for value in values(kernel):
            yield from (part.buffer for part in walk(value) if isinstance(part, Load))


def values(kernel: Kernel) -> Iterator[Expression]:
    yield from (define.value for define in kernel.defines)
    yield from (carry.first for carry in kernel.carries)
