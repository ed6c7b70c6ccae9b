"""Phases that need no barrier between them if every thread keeps to rows of its own.

    phase: sum for t, rows      = sum(k: a[t][k])          who has row r of `sum` has row r of `a`:
    phase: y for t, rows, [H]   = a[t][e0] - sum[t]        the second phase *follows* the first

A row is a batch row at one point of the loops that the kernels of all these phases begin with.
What one of the phases stores, the others load of the same row alone; loops inside run over points
that the row has to itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rnnc.analysis.wave import WaveLoop
from rnnc.ir.poly import Poly
from rnnc.plan.expression import Contract, Load, walk
from rnnc.plan.plan import Buffer, Kernel, Levels, Phase, Plan, Step, Waves


@dataclass(frozen=True, slots=True)
class Shared:
    """The loops that kernels have in common: `single` of at most one point each, then one of which
    every point has rows of its own, if any, and the `exact` ones inside that."""

    single: tuple[WaveLoop, ...]
    flat: WaveLoop | None
    exact: tuple[WaveLoop, ...]

    @property
    def count(self) -> int:
        return len(self.single) + (self.flat is not None) + len(self.exact)


def with_rows(plan: Plan) -> Plan:
    """The plan with phases marked that follow others."""
    buffers = {buffer.name: buffer for buffer in plan.buffers}
    first = None if plan.preparation is None else with_rows(plan.preparation)
    return replace(plan, steps=tuple(marked(plan.steps, buffers)), preparation=first)


def marked(steps: Sequence[Step], buffers: Mapping[str, Buffer]) -> Iterator[Step]:
    run: list[Phase] = []
    for step in steps:
        match step:
            case Phase():
                follows = bool(run) and shared([*run, step], buffers) is not None
                run = [*run, step] if follows else [step]
                yield replace(step, follows=follows)
                continue
            case Waves(body=body):
                yield replace(step, body=tuple(marked(body, buffers)))
            case Levels():
                yield step
        run = []


def shared(phases: Sequence[Phase], buffers: Mapping[str, Buffer]) -> Shared | None:
    """The loops that phases share, if they need no barrier in between."""
    kernels = [kernel for phase in phases for kernel in phase.kernels]
    if not all(map(is_plain, kernels)):
        return None
    loops = list(kernels[0].loops)
    for kernel in kernels:
        same = (a == b for a, b in zip(loops, kernel.loops, strict=False))
        del loops[next((n for n, equal in enumerate(same) if not equal), len(kernel.loops)) :]
    longer = (n for n, loop in enumerate(loops) if not (loop.exact or loop.single))
    number = next(longer, len(loops))
    single, rest = tuple(loops[:number]), loops[number:]
    if rest:
        exact = next((n for n, loop in enumerate(rest[1:]) if not loop.exact), len(rest) - 1)
        found = Shared(single, rest[0], tuple(rest[1 : exact + 1]))
        if keeps_rows(kernels, buffers, rest[0].name):
            return found
    return Shared(single, None, ()) if keeps_rows(kernels, buffers, None) else None


def is_plain(kernel: Kernel) -> bool:
    """Whether a kernel is divided by rows: no products, no chain, no list of points."""
    parts = (part for define in kernel.defines for part in walk(define.value))
    return (
        kernel.batched
        and not kernel.constraints
        and kernel.serial is None
        and kernel.listed is None
        and not any(isinstance(part, Contract) for part in parts)
    )


def keeps_rows(kernels: Sequence[Kernel], buffers: Mapping[str, Buffer], dim: str | None) -> bool:
    """Whether kernels load what they store of their own rows alone: at their own point of `dim`."""
    stored = {store.buffer for kernel in kernels for store in kernel.stores}
    if not all(buffers[name].batched for name in stored):
        return False
    if dim is None:
        return True
    places: dict[str, set[int]] = {}
    for kernel in kernels:
        for store in kernel.stores:
            found = {n for n, entry in enumerate(store.index) if entry == Poly.of(dim)}
            places[store.buffer] = places.get(store.buffer, found) & found
    return all(places.values()) and all(
        any(part.index[n] == Poly.of(dim) and not is_clamped(part, n) for n in places[part.buffer])
        for kernel in kernels
        for value in kernel.expressions
        for part in walk(value)
        if isinstance(part, Load) and part.buffer in places
    )


def is_clamped(load: Load, place: int) -> bool:
    return bool(load.clamped) and load.clamped[place]
