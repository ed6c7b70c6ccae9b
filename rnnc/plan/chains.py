"""Recurrences that run as chains: one kernel with a loop in order, instead of a barrier a step.

for w in 0..T:                                  phase
    phase                                           h for rows, [H], then t in 0..T in order
        h for t in w..w + 1, rows, [H]     ->           carry before = h[t - 1]
            h = a[t] * h[t - 1]                         h = a[t] * before
            h[t] = h                                    h[t] = h
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rnnc.analysis.schedule import Component
from rnnc.analysis.timing import Timing, statement_loops
from rnnc.analysis.wave import Increment, Polynomial, WaveLoop
from rnnc.ir.domain import Constraint
from rnnc.ir.graph import Graph, Node
from rnnc.ir.poly import Poly
from rnnc.ir.types import DType
from rnnc.plan.expression import (
    Apply,
    Constant,
    Expression,
    IndexValue,
    Load,
    Local,
    rewritten,
    walk,
)
from rnnc.plan.plan import Buffer, Carry, Kernel, Phase, Step, Store


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


def with_carries(kernel: Kernel, buffers: Mapping[str, Buffer], reach: int = 1) -> Kernel:
    """The kernel with what it loads from points before kept in the chain, up to `reach` before.

    Only where the kernel runs at every point of the serial loop. Backwards a row begins at its own
    end: up to there it reads what is beyond (`clamped`), which the chain keeps as well.
    """
    along = kernel.loops[-1]
    if kernel.constraints or not isinstance(along.lower, Polynomial):
        return kernel
    known: dict[Load, Past] = {}
    names = {loop.name for loop in kernel.loops}
    for store in kernel.stores:
        if any(name not in names for place in store.index for name in place.names):
            continue  # elsewhere an extent is the row's own length
        [dtype] = [define.dtype for define in kernel.defines if define.name == store.value]
        for steps in range(1, reach + 1):
            found = Past(along, kernel.serial or "", store, dtype, steps)
            known[found.load(found.before)] = found
    used: dict[str, Carry] = {}

    def carried(part: Expression) -> Expression | None:
        if not isinstance(part, Load):
            return None
        found = known.get(replace(part, clamped=(False,) * len(part.index)))
        if found is None:
            return None
        if not any(part.clamped):
            used.update((carry.name, carry) for carry in found.carries)
            return found.local
        test = beyond(part, buffers[part.buffer])
        if test is None or found.steps > 1:
            return None
        kept = replace(found.carries[0], first=replace(found.first, clamped=part.clamped))
        end = Carry(f"{part.buffer}.end", kept.first, f"{part.buffer}.end", kept.dtype)
        used.update({kept.name: kept, end.name: end})
        return Apply("select", (test, Local(end.name, end.dtype), found.local), end.dtype)

    defines = tuple(
        replace(define, value=rewritten(define.value, carried)) for define in kernel.defines
    )
    return replace(kernel, defines=defines, carries=tuple(used.values()))


@dataclass(frozen=True, slots=True)
class Past:
    """What a store of a chain wrote `steps` points before."""

    along: WaveLoop
    serial: str
    stored: Store
    dtype: DType
    steps: int

    @property
    def before(self) -> Poly:
        return Poly.of(self.along.name) + (self.steps if self.along.exact else -self.steps)

    @property
    def name(self) -> str:
        return f"{self.stored.buffer}.before{self.steps if self.steps > 1 else ''}"

    @property
    def local(self) -> Local:
        return Local(self.name, self.dtype)

    def load(self, place: Poly) -> Load:
        """Of what was stored at a place along the chain."""
        index = tuple(at.substitute({self.along.name: place}) for at in self.stored.index)
        clamped = (False,) * len(index)
        return Load(self.stored.buffer, index, self.stored.element, self.dtype, clamped)

    @property
    def first(self) -> Load:
        """At the chain's first point."""
        assert isinstance(self.along.lower, Polynomial)
        start = self.along.lower.poly
        if self.along.exact:
            start = start.substitute({self.serial: 0})
        return self.load(self.before.substitute({self.along.name: start}))

    @property
    def carries(self) -> tuple[Carry, ...]:
        """This one, and those through which the value came."""
        if self.steps == 1:
            return (Carry(self.name, self.first, self.stored.value, self.dtype),)
        nearer = replace(self, steps=self.steps - 1)
        return (Carry(self.name, self.first, nearer.name, self.dtype), *nearer.carries)


def beyond(load: Load, buffer: Buffer) -> Expression | None:
    """Whether a load finds a row's own end; None if more than one index may leave the row."""
    [number, *more] = [number for number, clamped in enumerate(load.clamped) if clamped]
    place, extent = load.index[number], buffer.dims[number].extent
    if more or extent is None or not isinstance(place, Poly):
        return None
    behind = IndexValue(place - Poly.of(extent), buffer.batched)
    return Apply("ge", (behind, Constant(0, "int")), "bool")


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
