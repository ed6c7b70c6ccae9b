"""Recurrences that run as chains: one kernel with a loop in order, instead of a barrier a step.

for w in 0..T:                                  phase
    phase                                           h for rows, [H], then t in 0..T in order
        h for t in w..w + 1, rows, [H]     ->           carry before = h[t - 1]
            h = a[t] * h[t - 1]                         h = a[t] * before
            h[t] = h                                    h[t] = h
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rnnc.analysis.schedule import Component
from rnnc.analysis.timing import Timing, statement_loops
from rnnc.analysis.wave import Increment, Polynomial, WaveLoop
from rnnc.ir.domain import Constraint
from rnnc.ir.graph import Graph, Node
from rnnc.ir.poly import Poly
from rnnc.plan.expression import Expression, Load, Local, rewritten, walk
from rnnc.plan.plan import Buffer, Carry, Kernel, Phase, Step


@dataclass(frozen=True, slots=True)
class Order:
    """The loops of a kernel, those from the one named `serial` on in order."""

    loops: tuple[WaveLoop, ...]
    constraints: tuple[Constraint, ...]
    serial: str


def chain_order(graph: Graph, component: Component, nest: Sequence[tuple[Timing, str]]) -> Order:
    """The loops of a chain's kernel; `nest` ends with the component's own timing."""
    (timing, wave), outer = nest[-1], nest[:-1]
    node = graph[component.nodes[0]]
    position = timing.positions[node.id]
    [dim] = [name for name in node.domain.names if position.coefficient(name)]
    return in_order(node, outer, dim, wave, position.coefficient(dim))


def in_order(
    node: Node, nest: Sequence[tuple[Timing, str]], dim: str, wave: str, direction: int
) -> Order:
    """The loops over a statement's points, those along `dim` last and in order.

    Backwards where `direction` is negative: then `wave` counts the points.
    """
    loops, constraints = statement_loops(node, nest)
    [along] = [loop for loop in loops if loop.name == dim]
    others = tuple(loop for loop in loops if loop.name != dim)
    if direction > 0:
        return Order((*others, along), constraints, dim)
    lower, upper = along.lower, along.upper
    assert isinstance(lower, Polynomial) and isinstance(upper, Polynomial)
    count = WaveLoop(wave, Polynomial(Poly()), Polynomial(upper.poly - lower.poly))
    place = Polynomial(upper.poly - 1 - Poly.of(wave))
    return Order(
        (*others, count, WaveLoop(dim, place, Increment(place, 1), True)), constraints, wave
    )


def with_carries(kernel: Kernel) -> Kernel:
    """The kernel with what it loads from the point before kept in the chain.

    Only where the kernel runs at every point of the serial loop; a load that a row may find
    elsewhere (`clamped`) stays a load.
    """
    along = kernel.loops[-1]
    if kernel.constraints or not isinstance(along.lower, Polynomial):
        return kernel
    before = Poly.of(along.name) + (1 if along.exact else -1)
    start = along.lower.poly
    if along.exact:
        start = start.substitute({kernel.serial or "": 0})
    carries: dict[Load, Carry] = {}
    names = {loop.name for loop in kernel.loops}
    for store in kernel.stores:
        if any(name not in names for place in store.index for name in place.names):
            continue  # elsewhere an extent is the row's own length
        [dtype] = [define.dtype for define in kernel.defines if define.name == store.value]
        index = tuple(place.substitute({along.name: before}) for place in store.index)
        first = tuple(place.substitute({along.name: before.substitute({along.name: start})})
                      for place in store.index)  # fmt: skip
        load = Load(store.buffer, index, store.element, dtype, (False,) * len(index))
        carries[load] = Carry(
            f"{store.buffer}.before", replace(load, index=first), store.value, dtype
        )
    used: dict[str, Carry] = {}

    def carried(part: Expression) -> Expression | None:
        if not isinstance(part, Load) or part not in carries:
            return None
        found = carries[part]
        used[found.name] = found
        return Local(found.name, found.dtype)

    defines = tuple(
        replace(define, value=rewritten(define.value, carried)) for define in kernel.defines
    )
    return replace(kernel, defines=defines, carries=tuple(used.values()))


# ---- what only carries read -------------------------------------------------------------------


def without_unread(steps: tuple[Step, ...], buffers: Sequence[Buffer]) -> tuple[Step, ...]:
    """The steps without stores of chains that nobody loads.

    A state that is carried is loaded only before its chains begin, where they do not store.
    """
    found = list(kernels_of(steps))
    loaded = {
        part.buffer
        for kernel in found
        for define in kernel.defines
        for part in walk(define.value)
        if isinstance(part, Load)
    }
    writers: dict[str, dict[str, None]] = {}
    for kernel in found:
        for store in kernel.stores if kernel.serial is not None else ():
            writers.setdefault(store.buffer, {})[store.value] = None
    dead = {
        buffer.name
        for buffer in buffers
        if buffer.role == "state"
        and buffer.name not in loaded
        # A chain could begin where another one ends.
        and len(writers.get(buffer.name, ())) == 1
    }

    def cut(kernel: Kernel) -> Kernel:
        if kernel.serial is None:
            return kernel
        return replace(
            kernel, stores=tuple(store for store in kernel.stores if store.buffer not in dead)
        )

    def inside(step: Step) -> Step:
        if isinstance(step, Phase):
            return Phase(tuple(map(cut, step.kernels)))
        return replace(step, body=tuple(map(inside, step.body)))

    return tuple(map(inside, steps)) if dead else steps


def kernels_of(steps: Sequence[Step]) -> Iterator[Kernel]:
    """All kernels, in order."""
    for step in steps:
        if isinstance(step, Phase):
            yield from step.kernels
        else:
            yield from kernels_of(step.body)
