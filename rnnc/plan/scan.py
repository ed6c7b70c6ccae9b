"""Associative scans: an affine chain cut into chunks that run at once.

    h[t] = a[t] * h[t-1] + b[t]   over L steps is   h_out = slope * h_in + offset

Three phases. Every chunk finds its slope and offset, from h_in = 1 without the b and from h_in = 0;
these are multiplied and added up, never divided. One short chain over the chunks finds what each
begins with. Then every chunk runs as the recurrence is written, and with them the few points that
are left over behind chunks of equal length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from rnnc.analysis.boxes import tightened
from rnnc.analysis.wave import Increment, Polynomial, WaveLoop
from rnnc.ir.domain import Dim, Domain
from rnnc.ir.poly import Poly
from rnnc.plan.expression import Apply, Branch, Constant, Expression, Load, Local, element, walk
from rnnc.plan.plan import Buffer, BufferDim, Carry, Define, Kernel, Phase, Store

ZERO, ONE = Constant(0.0, "real"), Constant(1.0, "real")


@dataclass(frozen=True, slots=True)
class Scan:
    """The phases of a scan and the buffers that they need."""

    phases: tuple[Phase, ...]
    buffers: tuple[Buffer, ...]


def scan(kernel: Kernel, domain: Domain, chunks: int) -> Scan | None:
    """The chain in so many chunks; None if its step is not affine in one value carried forwards.

    `domain` are the points of the kernel.
    """
    along = kernel.loops[-1]
    if len(kernel.carries) != 1 or along.name != kernel.serial or loads_own(kernel):
        return None
    if not isinstance(along.lower, Polynomial) or not isinstance(along.upper, Polynomial):
        return None
    [carry] = kernel.carries
    dims = tuple(dim for dim in tightened(domain).dims if dim.name != along.name)
    if any(end is None or set(end.names) & set(domain.names) for end in ends(dims)):
        return None
    slopes = homogeneous(kernel, carry)
    if slopes is None or slopes.get(carry.value) is None:
        return None
    return Chunks(kernel, carry, dims, chunks).scan(slopes)


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


def homogeneous(kernel: Kernel, carry: Carry) -> dict[str, Expression] | None:
    """For each define that depends on the carried value, its part that is linear in it.

    The carried value is `Local(slope)` there, a define's own part `Local(NAME.slope)`. None where
    something is not affine.
    """
    known: dict[str, Expression] = {carry.name: Local(slope(carry.name), carry.dtype)}
    found: dict[str, Expression] = {}
    for define in kernel.defines:
        if not depends(define.value, known):
            continue
        value = linear(define.value, known)
        if value is None:
            return None
        found[define.name] = value
        known[define.name] = Local(slope(define.name), define.dtype)
    return found


def slope(name: str) -> str:
    return f"{name}.slope"


def depends(expression: Expression, known: Mapping[str, Expression]) -> bool:
    return any(isinstance(part, Local) and part.name in known for part in walk(expression))


def linear(expression: Expression, known: Mapping[str, Expression]) -> Expression | None:
    """The part of an expression that is linear in what is `known`; None if it is not affine."""
    if not depends(expression, known):
        return ZERO
    match expression:
        case Local(name, _):
            return known[name]
        case Apply("add" | "sub" | "neg" | "cast" as op, arguments, dtype, attributes):
            if dtype != "real":
                return None
            parts = [linear(argument, known) for argument in arguments]
            if None in parts:
                return None
            kept = tuple(part for part in parts if part is not None)
            if op == "add" and ZERO in kept:
                return kept[1 - kept.index(ZERO)]
            return Apply(op, kept, dtype, attributes)
        case Apply("mul", (left, right), dtype, _):
            if depends(left, known) and depends(right, known):
                return None
            inner, other = (left, right) if depends(left, known) else (right, left)
            part = linear(inner, known)
            return None if part is None else Apply("mul", (part, other), dtype)
        case Apply("div", (left, right), dtype, _) if not depends(right, known):
            part = linear(left, known)
            return None if part is None else Apply("div", (part, right), dtype)
        case Apply("select", (condition, then, otherwise), "real", _):
            first, second = linear(then, known), linear(otherwise, known)
            if depends(condition, known) or first is None or second is None:
                return None
            return Apply("select", (condition, first, second), "real")
        case Branch(constraints, then, otherwise, "real"):
            first, second = linear(then, known), linear(otherwise, known)
            if first is None or second is None:
                return None
            return Branch(constraints, first, second, "real")
        case _:
            return None


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
    carry: Carry
    dims: tuple[Dim, ...]  # of the points of chains
    count: int

    @property
    def along(self) -> WaveLoop:
        return self.kernel.loops[-1]

    @property
    def chunk(self) -> str:
        return f"{self.along.name}_chunk"

    @property
    def ends(self) -> tuple[Poly, Poly]:
        lower, upper = self.along.lower, self.along.upper
        assert isinstance(lower, Polynomial) and isinstance(upper, Polynomial)
        return lower.poly, upper.poly

    @property
    def length(self) -> Poly:
        lower, upper = self.ends
        return (upper - lower) // self.count

    def scan(self, slopes: Mapping[str, Expression]) -> Scan:
        phases = (
            Phase((self.summary(slopes),)),
            Phase((self.starts(),)),
            Phase((self.body(), self.rest())),
        )
        names = [self.buffer(part) for part in ("slope", "offset", "start")]
        sizes = (self.count, self.count, self.count + 1)
        buffers = tuple(map(self.made, names, sizes))
        return Scan(phases, buffers)

    def summary(self, slopes: Mapping[str, Expression]) -> Kernel:
        """What every chunk makes of what it begins with."""
        kernel, carry = self.kernel, self.carry
        defines: list[Define] = []
        for define in kernel.defines:
            defines.append(define)
            if define.name in slopes:
                defines.append(Define(slope(define.name), slopes[define.name], define.dtype))
        value, factor = carry.value, slope(carry.value)
        carries = (
            replace(carry, first=ZERO),
            Carry(slope(carry.name), ONE, factor, carry.dtype),
        )
        last = (
            self.store(carry.name, "offset", Poly.of(self.chunk)),
            self.store(slope(carry.name), "slope", Poly.of(self.chunk)),
        )
        return replace(
            kernel,
            name=f"{kernel.name}.summary",
            loops=self.loops(),
            serial=self.step,
            defines=needed(tuple(defines), (value, factor)),
            stores=(),
            carries=carries,
            last=last,
        )

    def starts(self) -> Kernel:
        """What every chunk begins with, and the rest behind them."""
        carry, at = self.carry, Poly.of(self.chunk)
        before, after = Local(carry.name, carry.dtype), f"{carry.name}.after"
        grown = Apply("mul", (self.load("slope", at), before), carry.dtype)
        defines = (
            Define(f"{carry.name}.start", before, carry.dtype),
            Define(after, Apply("add", (grown, self.load("offset", at)), carry.dtype), carry.dtype),
        )
        return replace(
            self.kernel,
            name=f"{self.kernel.name}.starts",
            loops=(*self.kernel.independent, self.chunks()),
            serial=self.chunk,
            defines=defines,
            stores=(self.store(f"{carry.name}.start", "start", at),),
            carries=(replace(carry, value=after),),
            last=(self.store(carry.name, "start", Poly.of(self.count)),),
        )

    def body(self) -> Kernel:
        """Every chunk, from where it begins."""
        first = self.load("start", Poly.of(self.chunk))
        carries = (replace(self.carry, first=first),)
        return replace(self.kernel, loops=self.loops(), serial=self.step, carries=carries)

    def rest(self) -> Kernel:
        """The points behind the chunks: fewer than there are chunks."""
        lower, upper = self.ends
        start = Polynomial(lower + self.length * self.count)
        loop = WaveLoop(self.along.name, start, Polynomial(upper))
        carries = (replace(self.carry, first=self.load("start", Poly.of(self.count))),)
        loops = (*self.kernel.independent, loop)
        return replace(self.kernel, name=f"{self.kernel.name}.rest", loops=loops, carries=carries)

    # ---- loops and buffers --------------------------------------------------------------------

    @property
    def step(self) -> str:
        return f"{self.along.name}_step"

    def chunks(self) -> WaveLoop:
        return WaveLoop(self.chunk, Polynomial(Poly()), Polynomial(Poly.of(self.count)))

    def loops(self) -> tuple[WaveLoop, ...]:
        """Chunks outside, their steps in order inside."""
        steps = WaveLoop(self.step, Polynomial(Poly()), Polynomial(self.length))
        place = self.ends[0] + Poly.of(self.chunk) * self.length + Poly.of(self.step)
        point = WaveLoop(self.along.name, Polynomial(place), Increment(Polynomial(place), 1), True)
        return (self.chunks(), *self.kernel.independent, steps, point)

    def buffer(self, part: str) -> str:
        return f"{self.kernel.name}.{part}"

    def made(self, name: str, count: int) -> Buffer:
        dims = [BufferDim(self.chunk, Poly(), Poly.of(count), None)]
        for dim in self.dims:
            assert dim.lower is not None and dim.upper is not None, f"{dim.name} is unbounded"
            dims.append(BufferDim(dim.name, dim.lower, dim.upper, None))
        kernel = self.kernel
        return Buffer(name, "state", self.carry.dtype, tuple(dims), kernel.batched, kernel.shape)

    def place(self, at: Poly) -> tuple[tuple[Poly, ...], tuple[Poly, ...]]:
        axes = tuple(Poly.of(element(axis)) for axis in range(len(self.kernel.shape)))
        return (at, *(Poly.of(dim.name) for dim in self.dims)), axes

    def load(self, part: str, at: Poly) -> Load:
        index, axes = self.place(at)
        return Load(self.buffer(part), index, axes, self.carry.dtype, (False,) * len(index))

    def store(self, value: str, part: str, at: Poly) -> Store:
        return Store(value, self.buffer(part), *self.place(at))
