"""The sizes of a program: which exist, what is known of them, and when two shapes are equal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rnnc.analysis.sets import Assumptions
from rnnc.diagnostics import Span
from rnnc.ir.graph import Size
from rnnc.ir.poly import Floor, Monomial, Poly

# What a size without a value is taken for where a check needs a number (an exponent, a list
# index): large enough that a first, a second and a last differ.
REPRESENTATIVE = 4


class NumberNeeded(Exception):
    """A size must be a number here and has no value; `limit` is the most that fits, if known."""

    def __init__(self, size: str, span: Span, limit: int | None = None) -> None:
        super().__init__(size)
        self.size, self.span, self.limit = size, span, limit


@dataclass(frozen=True, slots=True)
class Quotient:
    """A size that stands for an exact division: `N = H // C`."""

    name: str
    numerator: Poly
    denominator: Poly
    span: Span
    is_unnamed: bool


@dataclass(slots=True)
class Sizes:
    """All names that stand for numbers, in the order in which they were met.

    `unified` holds what inference found for sizes that nobody named (`state(unit)`).
    """

    rows: dict[str, Size] = field(default_factory=dict)
    quotients: dict[tuple[Poly, Poly], Quotient] = field(default_factory=dict)
    unified: dict[str, Poly] = field(default_factory=dict)
    dims: set[str] = field(default_factory=set)
    guessed: set[str] = field(default_factory=set)  # values that only stand for others
    _known: Assumptions | None = None

    # ---- names --------------------------------------------------------------------------------

    def declare_static(self, name: str, value: int | None = None) -> Poly:
        self.rows[name] = Size(name, "static", value)
        self._known = None
        return Poly.of(name)

    def declare_extent(self, name: str) -> Poly:
        """A run-time extent; a name that a static already has is made different."""
        name = self.fresh(name)
        self.rows[name] = Size(name, "extent")
        self._known = None
        return Poly.of(name)

    def fresh(self, name: str) -> str:
        """A name that no size and no dim has."""
        found, count = name, 1
        while found in self.rows or found in self.dims:
            found, count = f"{name}_{count}", count + 1
        return found

    def dim_name(self, name: str, taken: Sequence[str] = ()) -> str:
        """A name for a dim that no size has, nor any of the dims that stand beside it."""
        found, count = name, 1
        while found in self.rows or found in taken:
            found, count = f"{name}_{count}", count + 1
        self.dims.add(found)
        return found

    def placeholder(self, hint: str) -> Poly:
        """A size that is yet to be inferred."""
        name, count = f"?{hint}", 1
        while name in self.unified:
            name, count = f"?{hint}_{count}", count + 1
        self.unified[name] = Poly.of(name)
        return Poly.of(name)

    def is_extent(self, name: str) -> bool:
        row = self.rows.get(name)
        return row is not None and row.kind == "extent"

    def is_static(self, poly: Poly) -> bool:
        """Whether only static sizes occur."""
        return all(
            name in self.unified or (name in self.rows and self.rows[name].kind == "static")
            for name in poly.names
        )

    def text(self, poly: Poly) -> str:
        """A size as the source would write it; `?` where it is not inferred yet."""
        poly = self.normal(poly)
        text = str(poly)
        for quotient in self.quotients.values():
            if quotient.name in poly.names and quotient.is_unnamed:
                division = f"{quotient.numerator} // {quotient.denominator}"
                if poly != Poly.of(quotient.name):
                    division = f"({division})"
                text = text.replace(quotient.name, division)
        return "?" if text.startswith("?") else text

    # ---- equality -----------------------------------------------------------------------------

    def normal(self, poly: Poly) -> Poly:
        """The same size with what was inferred put in, and `N*C` written `H` after `N = H // C`."""
        while True:
            values = {
                name: self.unified[name]
                for name in poly.names
                if name in self.unified and self.unified[name] != Poly.of(name)
            }
            if not values:
                break
            poly = poly.substitute(values)
        for quotient in self.quotients.values():
            poly = _rewrite(poly, Poly.of(quotient.name) * quotient.denominator, quotient.numerator)
        return poly

    def equal(self, left: Poly, right: Poly) -> bool:
        """Whether two sizes are the same polynomial; infers a size that is yet unknown."""
        left, right = self.normal(left), self.normal(right)
        if left == right:
            return True
        for one, other in ((left, right), (right, left)):
            name = one.names[0] if len(one.names) == 1 else ""
            if one == Poly.of(name) and name in self.unified and name not in other.names:
                self.unified[name] = other
                return True
        return False

    def equal_shapes(self, left: Sequence[Poly], right: Sequence[Poly]) -> bool:
        return len(left) == len(right) and all(map(self.equal, left, right))

    def as_size(self, poly: Poly, span: Span) -> Poly:
        """The polynomial with every exact division as a size of its own."""
        for floor in poly.floors:
            quotient = self.quotient(floor.numerator, Poly.of(floor.denominator), span)
            poly = poly + (quotient - Poly(((((floor, 1),), 1),))) * _coefficient(poly, floor)
        return self.normal(poly)

    def quotient(self, numerator: Poly, denominator: Poly, span: Span, hint: str = "") -> Poly:
        """A size that times `denominator` is `numerator`."""
        numerator, denominator = self.normal(numerator), self.normal(denominator)
        exact = numerator.divide_exactly(denominator)
        if exact is not None:
            return exact
        key = (numerator, denominator)
        if key not in self.quotients:
            top, bottom = ("_".join(poly.names) or str(poly) for poly in key)
            name = self.fresh(hint or f"{top}_over_{bottom}")
            self.declare_static(name)
            self.quotients[key] = Quotient(name, numerator, denominator, span, not hint)
        return Poly.of(self.quotients[key].name)

    def lower_guess(self, poly: Poly, span: Span, limit: int) -> None:
        """Raises NumberNeeded if a smaller stand-in for a size of `poly` would do."""
        for name in self.normal(poly).names:
            value = self.value(name)
            if name in self.guessed and value is not None and value > limit:
                raise NumberNeeded(name, span, limit)

    # ---- numbers ------------------------------------------------------------------------------

    @property
    def known(self) -> Assumptions:
        """What sets may assume of the sizes."""
        if self._known is None:
            self._known = Assumptions.of(self.rows.values())
        return self._known

    def number(self, poly: Poly, span: Span, limit: int | None = None) -> int:
        """The value of a static size expression; raises NumberNeeded for a size without one."""
        values: dict[str, int] = {}
        for name in self.normal(poly).names:
            value = self.value(name)
            if value is None:
                for other in self._parts(name):
                    self.number(Poly.of(other), span)
                raise NumberNeeded(name, span, limit)
            values[name] = value
        return self.normal(poly).evaluate(values)

    def _parts(self, name: str) -> tuple[str, ...]:
        """The sizes of which a quotient is made."""
        for quotient in self.quotients.values():
            if quotient.name == name:
                return (*quotient.numerator.names, *quotient.denominator.names)
        return ()

    def inexact(self) -> Iterator[tuple[Quotient, int, int]]:
        """Divisions that have a rest with the numbers that are known."""
        for quotient in self.quotients.values():
            names = {*quotient.numerator.names, *quotient.denominator.names}
            values = {name: value for name in names if (value := self.value(name)) is not None}
            if len(values) == len(names):
                above = quotient.numerator.evaluate(values)
                below = quotient.denominator.evaluate(values)
                if below <= 0 or above % below:
                    yield quotient, above, below

    def value(self, name: str) -> int | None:
        row = self.rows.get(name)
        if row is not None and row.value is not None:
            return row.value
        for quotient in self.quotients.values():
            if quotient.name == name:
                names = {*quotient.numerator.names, *quotient.denominator.names}
                values = {other: self.value(other) for other in sorted(names)}
                found = {other: value for other, value in values.items() if value is not None}
                if len(found) == len(names):
                    below = quotient.denominator.evaluate(found)
                    return quotient.numerator.evaluate(found) // below if below > 0 else None
        return None

    def table(self) -> tuple[Size, ...]:
        """Every size for the graph, with all values that are known."""
        return tuple(Size(row.name, row.kind, self.value(row.name)) for row in self.rows.values())


def _coefficient(poly: Poly, floor: Floor) -> int:
    return next((value for monomial, value in poly.terms if monomial == ((floor, 1),)), 0)


def _rewrite(poly: Poly, product: Poly, replacement: Poly) -> Poly:
    """Replaces the single-term `product` wherever it divides a term."""
    [(below, divisor)] = product.terms
    result = Poly()
    for monomial, coefficient in poly.terms:
        quotient = _divide(monomial, below) if coefficient % divisor == 0 else None
        if quotient is None:
            result = result + Poly(((monomial, coefficient),))
        else:
            result = result + Poly(((quotient, coefficient // divisor),)) * replacement
    return result


def _divide(monomial: Monomial, below: Monomial) -> Monomial | None:
    powers = dict(monomial)
    for atom, power in below:
        if powers.get(atom, 0) < power:
            return None
        powers[atom] -= power
    return tuple((atom, power) for atom, power in powers.items() if power)
