"""Integer polynomials over named sizes, extents and grid indices.

One class serves shapes (`4*H + 1`), extents (`T`), index expressions (`t - 1`, `S - 1 - s`) and
domain bounds. `floor` and `%` by a positive integer are kept as atoms, so `t % 4` is the polynomial
`t - 4*floor(t/4)` and every guard of the language stays one linear constraint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, total_ordering
from math import gcd


@total_ordering
@dataclass(frozen=True, slots=True)
class Floor:
    """`floor(numerator / denominator)` with a positive integer denominator."""

    numerator: Poly
    denominator: int

    def __str__(self) -> str:
        return f"floor(({self.numerator})/{self.denominator})"

    def __lt__(self, other: object) -> bool:
        return str(self) < str(other)


Atom = str | Floor
Monomial = tuple[tuple[Atom, int], ...]  # sorted by the atom's text; powers are positive


@dataclass(frozen=True, slots=True)
class Poly:
    """A sum of monomials with integer coefficients, in canonical order; equal iff equal."""

    terms: tuple[tuple[Monomial, int], ...] = ()

    # ---- construction -------------------------------------------------------------------------

    @staticmethod
    def of(value: PolyLike) -> Poly:
        """A name, an int or a Poly as a Poly."""
        if isinstance(value, Poly):
            return value
        if isinstance(value, str):
            return Poly(((((value, 1),), 1),))
        return Poly((((), value),)) if value else Poly()

    @staticmethod
    def _collect(terms: Iterable[tuple[Monomial, int]]) -> Poly:
        sums: dict[Monomial, int] = {}
        for monomial, coefficient in terms:
            sums[monomial] = sums.get(monomial, 0) + coefficient
        kept = [(monomial, value) for monomial, value in sums.items() if value]
        if len(kept) <= 1:
            return Poly(tuple(kept))
        kept.sort(key=_term_order)
        return Poly(tuple(kept))

    # ---- arithmetic ---------------------------------------------------------------------------

    def __add__(self, other: PolyLike) -> Poly:
        return self._plus(1, Poly.of(other))

    def __neg__(self) -> Poly:
        return Poly(tuple([(monomial, -value) for monomial, value in self.terms]))

    def __sub__(self, other: PolyLike) -> Poly:
        return self._plus(-1, Poly.of(other))

    def _plus(self, factor: int, other: Poly) -> Poly:
        """`self + factor * other`: terms are sorted again only if there are more than before."""
        if not other.terms:
            return self
        sums = dict(self.terms)
        for monomial, value in other.terms:
            sums[monomial] = sums.get(monomial, 0) + factor * value
        kept = [term for term in sums.items() if term[1]]
        if len(kept) > 1 and len(sums) > len(self.terms):
            kept.sort(key=_term_order)
        return Poly(tuple(kept))

    def __rsub__(self, other: PolyLike) -> Poly:
        return Poly.of(other) - self

    def __mul__(self, other: PolyLike) -> Poly:
        if self.constant == 1:
            return Poly.of(other)
        if isinstance(other, int) and other:
            return Poly(tuple([(monomial, value * other) for monomial, value in self.terms]))
        return Poly._collect(
            (_multiply(left, right), a * b)
            for left, a in self.terms
            for right, b in Poly.of(other).terms
        )

    __radd__ = __add__
    __rmul__ = __mul__

    def __floordiv__(self, divisor: int) -> Poly:
        """Rounds towards minus infinity; exact parts and common factors are taken out of the floor,
        and one floor of another is one: `floor((6*t + 3)/4)` is `t + floor((t + 1)/2)`."""
        if divisor <= 0:
            raise ValueError(f"a divisor must be positive, not {divisor}")
        whole = [(monomial, value // divisor) for monomial, value in self.terms]
        rest = Poly._collect((monomial, value % divisor) for monomial, value in self.terms)
        result = Poly._collect(whole)
        if rest.constant is not None:  # 0 <= rest < divisor
            return result
        common = gcd(divisor, *(value for monomial, value in rest.terms if monomial))
        rest = Poly._collect((monomial, value // common) for monomial, value in rest.terms)
        divisor = divisor // common
        match rest.terms:
            case ((((Floor() as inner, 1),), 1), *constant) if len(constant) <= 1:
                return result + (inner.numerator + rest.offset * inner.denominator) // (
                    divisor * inner.denominator
                )
        return result + Poly(((((Floor(rest, divisor), 1),), 1),))

    def __mod__(self, divisor: int) -> Poly:
        return self - (self // divisor) * divisor

    def divide_exactly(self, divisor: Poly) -> Poly | None:
        """The quotient by a single-term divisor, or None where it is no polynomial."""
        if len(divisor.terms) != 1:
            if self == divisor:
                return Poly.of(1)
            return None
        [(below, value)] = divisor.terms
        quotient: list[tuple[Monomial, int]] = []
        for monomial, coefficient in self.terms:
            powers = dict(monomial)
            for atom, power in below:
                powers[atom] = powers.get(atom, 0) - power
            if coefficient % value or any(power < 0 for power in powers.values()):
                return None
            kept = tuple((atom, power) for atom, power in powers.items() if power)
            quotient.append((_sorted(kept), coefficient // value))
        return Poly._collect(quotient)

    # ---- questions ----------------------------------------------------------------------------

    @property
    def constant(self) -> int | None:
        """The value of a polynomial without names, else None."""
        if not self.terms:
            return 0
        if len(self.terms) == 1 and not self.terms[0][0]:
            return self.terms[0][1]
        return None

    @property
    def offset(self) -> int:
        """The constant term."""
        return next((value for monomial, value in self.terms if not monomial), 0)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that occurs, inside floors as well, sorted."""
        found: set[str] = set()
        for monomial, _ in self.terms:
            for atom, _ in monomial:
                found.update((atom,) if isinstance(atom, str) else atom.numerator.names)
        return tuple(sorted(found))

    @property
    def is_affine(self) -> bool:
        """No products of names; floors of affine polynomials count as names."""
        for monomial, _ in self.terms:
            if sum(power for _, power in monomial) > 1:
                return False
            if any(isinstance(a, Floor) and not a.numerator.is_affine for a, _ in monomial):
                return False
        return True

    @property
    def floors(self) -> tuple[Floor, ...]:
        return tuple(a for m, _ in self.terms for a, _ in m if isinstance(a, Floor))

    def coefficient(self, name: str) -> int:
        """The integer before the bare name (0 where it only occurs in products or floors)."""
        return next((value for monomial, value in self.terms if monomial == ((name, 1),)), 0)

    def root(self, name: str) -> int | None:
        """Where the polynomial is zero, if it is `name` (or its opposite) and a number."""
        match self.terms:
            case ((((atom, 1),), 1 | -1),) if atom == name:
                return 0
            case ((((atom, 1),), (1 | -1) as unit), ((), offset)) if atom == name:
                return -unit * offset
        return None

    # ---- substitution -------------------------------------------------------------------------

    def substitute(self, values: Mapping[str, PolyLike]) -> Poly:
        """Replaces names, inside floors as well."""
        if not any(_mentions(atom, values) for monomial, _ in self.terms for atom, _ in monomial):
            return self
        terms: list[tuple[Monomial, int]] = []
        for monomial, coefficient in self.terms:
            product = _ONE
            for atom, power in monomial:
                factor = _replaced(atom, values)
                for _ in range(power):
                    product = product * factor
            terms += [(inner, coefficient * value) for inner, value in product.terms]
        return Poly._collect(terms)

    def rename(self, rename: Callable[[str], str]) -> Poly:
        return self.substitute({name: rename(name) for name in self.names})

    def evaluate(self, values: Mapping[str, int]) -> int:
        """The integer at given values of all names; KeyError names one that is missing."""
        total = 0
        for monomial, coefficient in self.terms:
            product = coefficient
            for atom, power in monomial:
                if isinstance(atom, str):
                    base = values[atom]
                else:
                    base = atom.numerator.evaluate(values) // atom.denominator
                product *= base**power
            total += product
        return total

    # ---- text ---------------------------------------------------------------------------------

    def __str__(self) -> str:
        if not self.terms:
            return "0"
        parts: list[str] = []
        for monomial, coefficient in self.terms:
            factors = [str(atom) if power == 1 else f"{atom}^{power}" for atom, power in monomial]
            size = abs(coefficient)
            if size != 1 or not factors:
                factors.insert(0, str(size))
            sign = "-" if coefficient < 0 else "+"
            text = "*".join(factors)
            if parts:
                parts.append(f" {sign} {text}")
            else:
                parts.append(f"-{text}" if coefficient < 0 else text)
        return "".join(parts)

    def __repr__(self) -> str:
        return f"Poly({self})"


PolyLike = Poly | int | str
_ONE = Poly.of(1)


def _term_order(term: tuple[Monomial, int]) -> tuple[bool, int, tuple[str, ...]]:
    return _order(term[0])


@lru_cache(maxsize=1 << 14)  # the same few monomials are sorted over and over
def _order(monomial: Monomial) -> tuple[bool, int, tuple[str, ...]]:
    """Names before the constant, higher degree first, then by text."""
    degree = sum(power for _, power in monomial)
    return (not monomial, -degree, tuple(str(atom) for atom, _ in monomial))


def _sorted(factors: Iterable[tuple[Atom, int]]) -> Monomial:
    return tuple(sorted(factors, key=lambda factor: str(factor[0])))


def _multiply(left: Monomial, right: Monomial) -> Monomial:
    powers: dict[Atom, int] = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, 0) + power
    return _sorted(powers.items())


def _mentions(atom: Atom, values: Mapping[str, PolyLike]) -> bool:
    if isinstance(atom, str):
        return atom in values
    return any(_mentions(a, values) for m, _ in atom.numerator.terms for a, _ in m)


def _replaced(atom: Atom, values: Mapping[str, PolyLike]) -> Poly:
    if isinstance(atom, str):
        return Poly.of(values.get(atom, atom))
    return atom.numerator.substitute(values) // atom.denominator
