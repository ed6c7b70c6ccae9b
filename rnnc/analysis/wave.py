"""The loops of one wave, in closed form: bounds that plans carry and every backend can emit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rnnc.ir.poly import Poly


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A polynomial in waves, outer loops and extents."""

    poly: Poly

    def evaluate(self, values: Mapping[str, int]) -> int:
        return self.poly.evaluate(values)

    def __str__(self) -> str:
        return str(self.poly)


@dataclass(frozen=True, slots=True)
class FloorDiv:
    """`floor(numerator / denominator)`, denominator positive."""

    numerator: Poly
    denominator: int

    def evaluate(self, values: Mapping[str, int]) -> int:
        return self.numerator.evaluate(values) // self.denominator

    def __str__(self) -> str:
        return f"floor(({self.numerator})/{self.denominator})"


@dataclass(frozen=True, slots=True)
class CeilDiv:
    """`ceil(numerator / denominator)`, denominator positive."""

    numerator: Poly
    denominator: int

    def evaluate(self, values: Mapping[str, int]) -> int:
        return -(-self.numerator.evaluate(values) // self.denominator)

    def __str__(self) -> str:
        return f"ceil(({self.numerator})/{self.denominator})"


@dataclass(frozen=True, slots=True)
class Minimum:
    arguments: tuple[Bound, ...]

    def evaluate(self, values: Mapping[str, int]) -> int:
        return min(argument.evaluate(values) for argument in self.arguments)

    def __str__(self) -> str:
        return f"min({', '.join(str(argument) for argument in self.arguments)})"


@dataclass(frozen=True, slots=True)
class Maximum:
    arguments: tuple[Bound, ...]

    def evaluate(self, values: Mapping[str, int]) -> int:
        return max(argument.evaluate(values) for argument in self.arguments)

    def __str__(self) -> str:
        return f"max({', '.join(str(argument) for argument in self.arguments)})"


@dataclass(frozen=True, slots=True)
class Increment:
    """`argument + amount`: turns an inclusive bound into an exclusive one."""

    argument: Bound
    amount: int

    def evaluate(self, values: Mapping[str, int]) -> int:
        return self.argument.evaluate(values) + self.amount

    def __str__(self) -> str:
        if isinstance(self.argument, Polynomial):
            return str(self.argument.poly + self.amount)
        return f"{self.argument} + {self.amount}"


Bound = Polynomial | FloorDiv | CeilDiv | Minimum | Maximum | Increment


def names_of(bound: Bound) -> frozenset[str]:
    """The waves, outer loops and extents on which a bound depends."""
    match bound:
        case Polynomial(poly) | FloorDiv(poly, _) | CeilDiv(poly, _):
            return frozenset(poly.names)
        case Increment(argument, _):
            return names_of(argument)
        case Minimum(arguments) | Maximum(arguments):
            return frozenset().union(*map(names_of, arguments))


def floor_of(numerator: Poly, denominator: int) -> Polynomial | FloorDiv:
    """`floor(numerator / denominator)`, without a division where it is exact."""
    quotient = numerator // denominator
    whole = not quotient.floors or quotient * denominator == numerator
    return Polynomial(quotient) if whole else FloorDiv(numerator, denominator)


def ceil_of(numerator: Poly, denominator: int) -> Polynomial | CeilDiv:
    """`ceil(numerator / denominator)`, without a division where it is exact."""
    quotient = -(-numerator // denominator)
    whole = not quotient.floors or quotient * denominator == numerator
    return Polynomial(quotient) if whole else CeilDiv(numerator, denominator)


@dataclass(frozen=True, slots=True)
class WaveLoop:
    """`lower <= name < upper`; `exact` where the bounds always leave just one point."""

    name: str
    lower: Bound
    upper: Bound
    exact: bool = False

    @property
    def names(self) -> frozenset[str]:
        """What the bounds depend on."""
        return names_of(self.lower) | names_of(self.upper)

    @property
    def lowers(self) -> tuple[Poly, ...]:
        """Polynomials that are nowhere above the lower bound."""
        return _polynomials(self.lower, Maximum)

    @property
    def uppers(self) -> tuple[Poly, ...]:
        """Polynomials that are nowhere below the upper bound."""
        return _polynomials(self.upper, Minimum)

    @property
    def extent(self) -> int | None:
        """How many points there are, if that is fixed."""
        return self.most if _is_one(self.lower) and _is_one(self.upper) else None

    @property
    def most(self) -> int | None:
        """How many points there are at most, if one of the bounds' arguments says so."""
        sizes = ((upper - lower).constant for lower in self.lowers for upper in self.uppers)
        return min((size for size in sizes if size is not None), default=None)

    @property
    def single(self) -> bool:
        """Whether there is one point at most, as where a wave fixes it: w <= t < min(T, w + 1)."""
        return self.most is not None and self.most <= 1


def _is_one(bound: Bound) -> bool:
    """Whether a bound is one polynomial."""
    return isinstance(bound.argument if isinstance(bound, Increment) else bound, Polynomial)


def _polynomials(bound: Bound, chosen: type[Minimum] | type[Maximum]) -> tuple[Poly, ...]:
    """Those of which a lower bound is the maximum, or an upper one the minimum."""
    match bound:
        case Polynomial(poly):
            return (poly,)
        case Increment(argument, amount):
            return tuple(poly + amount for poly in _polynomials(argument, chosen))
        case Minimum(arguments) | Maximum(arguments) if isinstance(bound, chosen):
            return tuple(poly for one in arguments for poly in _polynomials(one, chosen))
    return ()


@dataclass(frozen=True, slots=True)
class Box:
    """A dim with its bounds, and the integer weight of its index in the scaled wave number."""

    name: str
    lower: Poly
    upper: Poly
    weight: int


def wave_loops(boxes: tuple[Box, ...], rest: Poly, scale: int, wave: str) -> tuple[WaveLoop, ...]:
    """Loops over the points with `wave = floor((sum weight*i + rest) / scale)`.

    A point lies in wave w iff `scale*w <= sum weight*i + rest < scale*(w+1)`. Every loop's bounds
    leave room for the dims inside it, so that no test is needed in the innermost one. The dims
    come in the order of the loops; those of weight zero run over their whole box, and at least one
    has another weight.
    """
    low = Poly.of(wave) * scale - rest  # sum weight*i lies in low .. low + scale - 1
    high = low + (scale - 1)
    loops: list[WaveLoop] = []
    for number, box in enumerate(boxes):
        whole = Polynomial(box.lower), Polynomial(box.upper)
        if box.weight == 0:
            loops.append(WaveLoop(box.name, *whole))
            continue
        inner = boxes[number + 1 :]
        least, most = _reach(inner)
        first, last = low - most, high - least  # weight*i lies in first .. last
        size = abs(box.weight)
        if box.weight < 0:
            first, last = -last, -first
        lower: Bound = ceil_of(first, size)
        upper: Bound = floor_of(last, size)
        # One point is left where an outer loop has left a wave's worth of positions.
        exact = lower == upper and not any(other.weight for other in inner)
        if exact and any(other.weight for other in boxes[:number]):
            loops.append(WaveLoop(box.name, lower, Increment(lower, 1), True))
        else:
            lower = Maximum((Polynomial(box.lower), lower))
            upper = Minimum((Polynomial(box.upper), Increment(upper, 1)))
            loops.append(WaveLoop(box.name, lower, upper))
        low = low - Poly.of(box.name) * box.weight
        high = high - Poly.of(box.name) * box.weight
    return tuple(loops)


def _reach(boxes: tuple[Box, ...]) -> tuple[Poly, Poly]:
    """The least and the most that the weighted indices of `boxes` sum to."""
    least = most = Poly()
    for box in boxes:
        low, high = box.lower * box.weight, (box.upper - 1) * box.weight
        if box.weight < 0:
            low, high = high, low
        least, most = least + low, most + high
    return least, most
