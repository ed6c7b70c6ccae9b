"""Which blocks of a group have to meet behind a wave: those that touch the same memory.

A block owns columns at certain points of the loops on which weights depend. Where such points tell
memory apart, blocks need not wait for each other: in a wavefront over layers

    h[l, t] = cell(h[l-1, t], h[l, t-1])        blocks of layer 0 | of layer 1 | of layer 2 | ...

a block waits for those of its own layer and of the two beside it: for what it reads, and for those
that read what it is about to overwrite. Meetings are counted by all blocks alike, so that two that
touch the same memory are never a wave apart, as if all had met.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rnnc.ir.poly import Poly
from rnnc.plan import expression as ex
from rnnc.plan.plan import Buffer, Kernel, Levels, Plan, Waves, kernels_of

from .capacity import Panels, Residence
from .steps import loops_of
from .tiles import LANES

Point = tuple[str, int]  # of the loops of the weights of a kernel


@dataclass(frozen=True, slots=True)
class Access:
    """Of a buffer, at an index of which the dims that are not None are known."""

    buffer: str
    index: tuple[int | None, ...]
    writes: bool


def neighbours(
    step: Waves | Levels, residence: Residence, plan: Plan
) -> tuple[tuple[int, ...], ...] | None:
    """For each block of a group those that it has to meet, sorted; None if all meet all."""
    if any(isinstance(loop, Levels) or loop.until is not None for loop in loops_of((step,))):
        return None
    kernels = tuple(kernels_of((step,)))
    buffers = {buffer.name: buffer for buffer in plan.buffers}
    written = {store.buffer for kernel in kernels for store in (*kernel.stores, *kernel.last)}
    touched: dict[Point, list[Access]] = {}
    owners: dict[Point, set[int]] = {}
    for kernel in kernels:
        placed = residence.of(kernel)
        if placed is None or placed.panels is None or not placed.is_resident:
            return None
        for number in range(placed.panels.count // placed.panels.columns):
            env = at_point(placed.panels, number)
            found = accesses(kernel, env)
            touched[kernel.name, number] = [one for one in found if one.buffer in written]
        each_block = residence.threads // LANES // placed.panels.warps
        for panel in range(placed.panels.count):
            block = (placed.first + panel // placed.each) // each_block
            owners.setdefault((kernel.name, panel // placed.panels.columns), set()).add(block)
    meeting: list[set[int]] = [set() for _ in range(residence.blocks)]
    for one, own in touched.items():
        for other, their in touched.items():
            if any(may_meet(a, b, buffers[a.buffer]) for a in own for b in their):
                for block in owners[one]:
                    meeting[block] |= owners[other]
    if all(len(found) == residence.blocks for found in meeting):
        return None
    return tuple(tuple(sorted(found)) for found in meeting)


def at_point(panels: Panels, number: int) -> dict[str, Poly]:
    """The values of the loops on which weights depend."""
    env: dict[str, Poly] = {}
    for loop in reversed(panels.loops):
        number, digit = divmod(number, loop.upper - loop.lower)
        env[loop.name] = Poly.of(loop.lower + digit)
    return env


def accesses(kernel: Kernel, env: Mapping[str, Poly]) -> Iterator[Access]:
    """All that a kernel reads and writes at a point."""
    for expression in kernel.expressions:
        for inner in ex.walk(expression):
            if isinstance(inner, ex.Load):
                clamped = inner.clamped or (False,) * len(inner.index)
                index = zip(inner.index, clamped, strict=True)
                known = (None if loose else constant(entry, env) for entry, loose in index)
                yield Access(inner.buffer, tuple(known), False)
    for store in (*kernel.stores, *kernel.last):
        yield Access(store.buffer, tuple(constant(entry, env) for entry in store.index), True)


def constant(entry: Poly | ex.Expression, env: Mapping[str, Poly]) -> int | None:
    return entry.substitute(env).constant if isinstance(entry, Poly) else None


def may_meet(one: Access, other: Access, buffer: Buffer) -> bool:
    """Whether both may touch the same element, and one of them writes it."""
    if one.buffer != other.buffer or not (one.writes or other.writes):
        return False
    for dim, a, b in zip(buffer.dims, one.index, other.index, strict=True):
        apart = 0 if a is None or b is None else a - b
        if apart % dim.slots if dim.slots is not None else apart:
            return False
    return True


def table(name: str, found: tuple[tuple[int, ...], ...]) -> str:
    """The device function `NAME_meet(flags, epoch, first)`: a block meets its neighbours."""
    starts = [0]
    for own in found:
        starts.append(starts[-1] + len(own))
    others = [block for own in found for block in own]
    return _TABLE.format(
        name=name, starts=", ".join(map(str, starts)), others=", ".join(map(str, others))
    )


_TABLE = """\
// Whom each block of a group meets: others[starts[block]], ... up to the start of the next block's.
static __device__ const short {name}_starts[] = {{{starts}}};
static __device__ const short {name}_others[] = {{{others}}};
static __device__ __forceinline__ void {name}_meet(unsigned *flags, unsigned *epoch,
                                                   int64_t first) {{
  rnnc_meet_some(flags, epoch, first, {name}_starts, {name}_others);
}}

"""
