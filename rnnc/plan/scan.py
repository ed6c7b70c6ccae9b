"""Associative scans: a linear chain cut into chunks that run at once.

    h[t] = a[t] * h[t-1] + b[t]   over L steps is   h_out = slope * h_in + offset

Products, sums, 0 and 1 are those of a semiring (`rnnc.analysis.semirings`). Three phases. Every
chunk finds its slope and offset, from h_in = 1 without the b and from h_in = 0; these are
multiplied and added up, never divided. One short chain over the chunks finds what each
begins with. Then every chunk runs as the recurrence is written, and with them the few points that
are left over behind chunks of equal length.

Where k values are carried (the parts of a complex state, h[t-2] beside h[t-1]) h is a vector of k
and the slope a matrix, found column by column: from each unit vector, without the b.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rnnc.analysis.boxes import tightened
from rnnc.analysis.linear import STATES
from rnnc.analysis.semirings import Semiring
from rnnc.analysis.wave import Increment, Polynomial, WaveLoop
from rnnc.ir.domain import Dim, Domain
from rnnc.ir.poly import Poly
from rnnc.plan.expression import Apply, Branch, Constant, Expression, Load, Local, element, walk
from rnnc.plan.plan import Buffer, BufferDim, Carry, Define, Kernel, Phase, Store


@dataclass(frozen=True, slots=True)
class Scan:
    """The phases of a scan and the buffers that they need."""

    phases: tuple[Phase, ...]
    buffers: tuple[Buffer, ...]


def scan(kernel: Kernel, domain: Domain, chunks: int, semiring: Semiring) -> Scan | None:
    """The chain in so many chunks; None if its step is not linear in what it carries.

    `domain` are the points of the kernel.
    """
    states = tuple(carry for carry in kernel.carries if carry.value != carry.name)
    if not 0 < len(states) <= STATES or loads_own(kernel):
        return None
    inside = kernel.loops[len(kernel.independent) :]
    if not isinstance(inside[0].lower, Polynomial) or not isinstance(inside[0].upper, Polynomial):
        return None
    dims = tuple(dim for dim in tightened(domain).dims if dim.name != inside[-1].name)
    if any(end is None or set(end.names) & set(domain.names) for end in ends(dims)):
        return None
    linear = Linear(semiring)
    slopes = [linear.homogeneous(kernel, states, column) for column in states]
    found = tuple(slope for slope in slopes if slope is not None)
    if len(found) < len(states):
        return None
    return Chunks(kernel, states, dims, chunks, linear).scan(found)


def ends(dims: tuple[Dim, ...]) -> Iterator[Poly | None]:
    """All bounds."""
    for dim in dims:
        yield from (dim.lower, dim.upper)


def loads_own(kernel: Kernel) -> bool:
    """Whether it loads, of what it stores, more than it carries."""
    stored = {store.buffer for store in kernel.stores}
    return any(
        isinstance(part, Load) and part.buffer in stored
        for define in kernel.defines
        for part in walk(define.value)
    )


# ---- the step without what it adds ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Linear:
    """Steps that are linear in a semiring."""

    semiring: Semiring

    @property
    def zero(self) -> Constant:
        return Constant(self.semiring.zero, "real")

    @property
    def one(self) -> Constant:
        return Constant(self.semiring.one, "real")

    def plus(self, left: Expression, right: Expression) -> Expression:
        if self.zero in (left, right):
            return right if left == self.zero else left
        return Apply(self.semiring.plus, (left, right), "real")

    def times(self, left: Expression, right: Expression) -> Expression:
        return Apply(self.semiring.times, (left, right), "real")

    def homogeneous(
        self, kernel: Kernel, states: Sequence[Carry], column: Carry
    ) -> tuple[Define, ...] | None:
        """For each define that depends on what is carried, its part that is linear in it.

        The carried values are those of `column` there. None where something is not linear.
        """
        known: dict[str, Expression] = {
            carry.name: Local(slope(carry.name, column), carry.dtype) for carry in states
        }
        found: list[Define] = []
        wanted = tuple(state.value for state in states)
        for define in needed(kernel.defines, wanted):
            if not depends(define.value, known):
                continue
            value = self.part(define.value, known)
            if value is None:
                return None
            own = slope(define.name, column)
            found.append(Define(own, value, define.dtype))
            known[define.name] = Local(own, define.dtype)
        return tuple(found) if all(name in known for name in wanted) else None

    def part(self, expression: Expression, known: Mapping[str, Expression]) -> Expression | None:
        """The part of an expression that is linear in what is `known`; None if it is not linear."""
        if not depends(expression, known):
            return self.zero
        ring = self.semiring
        match expression:
            case Local(name, _):
                return known[name]
            case Apply("select", (condition, then, otherwise), "real", _):
                first, second = self.part(then, known), self.part(otherwise, known)
                if depends(condition, known) or first is None or second is None:
                    return None
                return Apply("select", (condition, first, second), "real")
            case Branch(constraints, then, otherwise, "real"):
                first, second = self.part(then, known), self.part(otherwise, known)
                if first is None or second is None:
                    return None
                return Branch(constraints, first, second, "real")
            case Apply("cast", (argument,), "real", attributes):
                found = self.part(argument, known)
                return None if found is None else Apply("cast", (found,), "real", attributes)
            case Apply("relu", (argument,), "real", _) if ring.plus == "max":
                return self.part(argument, known)
            case Apply(ring.plus, (left, right), "real", _):
                first, second = self.part(left, known), self.part(right, known)
                return None if first is None or second is None else self.plus(first, second)
            case Apply(ring.times, (left, right), "real", _):
                scaled, factor = (left, right) if depends(left, known) else (right, left)
                found = None if depends(factor, known) else self.part(scaled, known)
                return None if found is None else self.times(found, factor)
            case Apply("sub", (left, right), "real", _) if ring.plus == "add":
                first, second = self.part(left, known), self.part(right, known)
                if first is None or second is None or second == self.zero:
                    return None if second is None else first
                minus = Apply("neg", (second,), "real")
                return minus if first == self.zero else Apply("sub", (first, second), "real")
            case Apply("div" | "sub" as undo, (left, right), "real", _):
                fits = undo == ("sub" if ring.times == "add" else "div")
                found = self.part(left, known) if fits and not depends(right, known) else None
                return None if found is None else Apply(undo, (found, right), "real")
            case Apply("neg", (argument,), "real", _) if ring.plus == "add":
                found = self.part(argument, known)
                return None if found is None else Apply("neg", (found,), "real")
            case _:
                return None


def slope(name: str, column: Carry) -> str:
    """What a value grows by with a carried one at the start of its chunk."""
    return f"{name}.by.{column.name}"


def depends(expression: Expression, known: Mapping[str, Expression]) -> bool:
    return any(isinstance(part, Local) and part.name in known for part in walk(expression))


def needed(defines: tuple[Define, ...], names: tuple[str, ...]) -> tuple[Define, ...]:
    """The defines from which these names are computed."""
    wanted = set(names)
    kept: list[Define] = []
    for define in reversed(defines):
        if define.name in wanted:
            kept.append(define)
            wanted |= {part.name for part in walk(define.value) if isinstance(part, Local)}
    return tuple(reversed(kept))


# ---- chunks -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chunks:
    """A chain cut into chunks of equal length, and a rest."""

    kernel: Kernel
    states: tuple[Carry, ...]
    dims: tuple[Dim, ...]  # of the points of chains
    count: int
    linear: Linear

    @property
    def serial(self) -> WaveLoop:
        return self.kernel.loops[len(self.kernel.independent)]

    @property
    def exact(self) -> tuple[WaveLoop, ...]:
        return self.kernel.loops[len(self.kernel.independent) + 1 :]

    @property
    def chunk(self) -> str:
        return f"{self.serial.name}_chunk"

    @property
    def step(self) -> str:
        return f"{self.serial.name}_step"

    @property
    def ends(self) -> tuple[Poly, Poly]:
        lower, upper = self.serial.lower, self.serial.upper
        assert isinstance(lower, Polynomial) and isinstance(upper, Polynomial)
        return lower.poly, upper.poly

    @property
    def length(self) -> Poly:
        lower, upper = self.ends
        return (upper - lower) // self.count

    def scan(self, slopes: tuple[tuple[Define, ...], ...]) -> Scan:
        phases = (
            Phase((self.summary(slopes),)),
            Phase((self.starts(),)),
            Phase((self.body(), self.rest())),
        )
        buffers: list[Buffer] = []
        for state in self.states:
            buffers += [self.made(slope(state.name, column), self.count) for column in self.states]
            buffers.append(self.made(offset(state), self.count))
            buffers.append(self.made(start(state), self.count + 1))
        return Scan(phases, tuple(buffers))

    def summary(self, slopes: tuple[tuple[Define, ...], ...]) -> Kernel:
        """What every chunk makes of what it begins with."""
        kernel, at = self.kernel, Poly.of(self.chunk)
        carries = [replace(state, first=self.linear.zero) for state in self.states]
        last = [self.store(state.name, offset(state), at) for state in self.states]
        for column in self.states:
            for state in self.states:
                name = slope(state.name, column)
                first = self.linear.one if state is column else self.linear.zero
                carries.append(Carry(name, first, slope(state.value, column), state.dtype))
                last.append(self.store(name, name, at))
        kept = tuple(carry for carry in kernel.carries if carry not in self.states)
        defines = (*kernel.defines, *(define for column in slopes for define in column))
        return replace(
            kernel,
            name=f"{kernel.name}.summary",
            loops=self.loops(),
            serial=self.step,
            defines=needed(defines, tuple(carry.value for carry in carries)),
            stores=(),
            carries=(*carries, *kept),
            last=tuple(last),
        )

    def starts(self) -> Kernel:
        """What every chunk begins with, and the rest behind them."""
        at = Poly.of(self.chunk)
        defines: list[Define] = []
        stores: list[Store] = []
        last: list[Store] = []
        carries: list[Carry] = []
        for state in self.states:
            total: Expression = self.load(offset(state), at)
            for column in self.states:
                before = Local(column.name, column.dtype)
                grown = self.linear.times(self.load(slope(state.name, column), at), before)
                total = self.linear.plus(grown, total)
            begins, after = f"{state.name}.start", f"{state.name}.after"
            defines.append(Define(begins, Local(state.name, state.dtype), state.dtype))
            defines.append(Define(after, total, state.dtype))
            stores.append(self.store(begins, start(state), at))
            last.append(self.store(state.name, start(state), Poly.of(self.count)))
            carries.append(replace(state, value=after))
        return replace(
            self.kernel,
            name=f"{self.kernel.name}.starts",
            loops=(*self.kernel.independent, self.chunks()),
            serial=self.chunk,
            defines=tuple(defines),
            stores=tuple(stores),
            carries=tuple(carries),
            last=tuple(last),
        )

    def body(self) -> Kernel:
        """Every chunk, from where it begins."""
        carries = self.begun(Poly.of(self.chunk))
        return replace(self.kernel, loops=self.loops(), serial=self.step, carries=carries)

    def rest(self) -> Kernel:
        """The points behind the chunks: fewer than there are chunks."""
        lower, upper = self.ends
        behind = Polynomial(lower + self.length * self.count)
        loop = replace(self.serial, lower=behind, upper=Polynomial(upper))
        loops = (*self.kernel.independent, loop, *self.exact)
        carries = self.begun(Poly.of(self.count))
        return replace(self.kernel, name=f"{self.kernel.name}.rest", loops=loops, carries=carries)

    def begun(self, at: Poly) -> tuple[Carry, ...]:
        """What is carried, from where a chunk begins."""
        return tuple(
            replace(carry, first=self.load(start(carry), at)) if carry in self.states else carry
            for carry in self.kernel.carries
        )

    # ---- loops and buffers --------------------------------------------------------------------

    def chunks(self) -> WaveLoop:
        return WaveLoop(self.chunk, Polynomial(Poly()), Polynomial(Poly.of(self.count)))

    def loops(self) -> tuple[WaveLoop, ...]:
        """Chunks outside, their steps in order inside."""
        steps = WaveLoop(self.step, Polynomial(Poly()), Polynomial(self.length))
        place = self.ends[0] + Poly.of(self.chunk) * self.length + Poly.of(self.step)
        point = WaveLoop(self.serial.name, Polynomial(place), Increment(Polynomial(place), 1), True)
        return (self.chunks(), *self.kernel.independent, steps, point, *self.exact)

    def buffer(self, part: str) -> str:
        return f"{self.kernel.name}.{part}"

    def made(self, part: str, count: int) -> Buffer:
        dims = [BufferDim(self.chunk, Poly(), Poly.of(count), None)]
        for dim in self.dims:
            assert dim.lower is not None and dim.upper is not None, f"{dim.name} is unbounded"
            dims.append(BufferDim(dim.name, dim.lower, dim.upper, None))
        kernel = self.kernel
        name = self.buffer(part)
        return Buffer(name, "state", "real", tuple(dims), kernel.batched, kernel.shape)

    def place(self, at: Poly) -> tuple[tuple[Poly, ...], tuple[Poly, ...]]:
        axes = tuple(Poly.of(element(axis)) for axis in range(len(self.kernel.shape)))
        return (at, *(Poly.of(dim.name) for dim in self.dims)), axes

    def load(self, part: str, at: Poly) -> Load:
        index, axes = self.place(at)
        return Load(self.buffer(part), index, axes, "real", (False,) * len(index))

    def store(self, value: str, part: str, at: Poly) -> Store:
        return Store(value, self.buffer(part), *self.place(at))


def offset(state: Carry) -> str:
    """What a chunk makes of nothing."""
    return f"{state.name}.offset"


def start(state: Carry) -> str:
    """What a chunk begins with."""
    return f"{state.name}.start"
