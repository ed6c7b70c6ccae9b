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
    def extent(self) -> int | None:
        """How many points there are, if that is fixed."""
        lower, upper = _polynomial(self.lower), _polynomial(self.upper)
        return None if lower is None or upper is None else (upper - lower).constant

    @property
    def most(self) -> int | None:
        """How many points there are at most, if one of the bounds' arguments says so."""
        found = [
            (upper - lower).constant
            for lower in map(_polynomial, _arguments(self.lower, Maximum))
            for upper in map(_polynomial, _arguments(self.upper, Minimum))
            if lower is not None and upper is not None
        ]
        return min((size for size in found if size is not None), default=None)


def _polynomial(bound: Bound) -> Poly | None:
    match bound:
        case Polynomial(poly):
            return poly
        case Increment(Polynomial(poly), amount):
            return poly + amount
    return None


def _arguments(bound: Bound, kind: type[Minimum] | type[Maximum]) -> tuple[Bound, ...]:
    return bound.arguments if isinstance(bound, kind) else (bound,)


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
