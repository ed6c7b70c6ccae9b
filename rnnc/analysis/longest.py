"""Lengths as formulas: the largest of some polynomials in extents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import lcm

from rnnc.analysis.lattice import is_periodic, residues
from rnnc.ir.domain import Domain
from rnnc.ir.poly import Floor, Poly

# Residues of a longer period are not told apart.
_LONGEST_PERIOD = 64


@dataclass(frozen=True, slots=True)
class Longest:
    """The largest of `terms` and 0, for extents from 1 on.

    `logs` are the names in them that stand for the binary logarithm of something, rounded up.
    """

    terms: tuple[Poly, ...] = ()
    logs: tuple[tuple[str, Poly], ...] = ()

    @staticmethod
    def of(values: Iterable[Poly], logs: Iterable[tuple[str, Poly]] = ()) -> Longest:
        kept = {_from_one(value): value for value in values}
        largest = _largest(excess for excess in kept if not _never_positive(excess))
        return Longest(tuple(kept[excess] for excess in largest), tuple(dict.fromkeys(logs)))

    @staticmethod
    def log(argument: Poly) -> Longest:
        """`ceil(log2(argument))`."""
        name = f"ceil(log2({argument}))"
        return Longest((Poly.of(name),), ((name, argument),))

    def __or__(self, other: Longest) -> Longest:
        """The larger one."""
        return Longest.of((*self.terms, *other.terms), (*self.logs, *other.logs))

    def __add__(self, other: Longest) -> Longest:
        sums = (a + b for a, b in product(self._candidates, other._candidates))
        return Longest.of(sums, (*self.logs, *other.logs))

    def __mul__(self, other: Longest) -> Longest:
        products = (a * b for a, b in product(self.terms, other.terms))
        return Longest.of(products, (*self.logs, *other.logs))

    @property
    def _candidates(self) -> tuple[Poly, ...]:
        """The terms, and 0 where none of them is always at least that."""
        if any(_never_negative(_from_one(term)) for term in self.terms):
            return self.terms
        return (Poly(), *self.terms)

    @property
    def names(self) -> tuple[str, ...]:
        """The extents that occur."""
        logs = dict(self.logs)
        found = dict.fromkeys(name for term in self.terms for name in term.names)
        inner = [name for argument in logs.values() for name in argument.names]
        return tuple(dict.fromkeys([*(n for n in found if n not in logs), *inner]))

    def evaluate(self, values: Mapping[str, int]) -> int:
        """KeyError names an extent that is missing."""
        known = {name: (log.evaluate(values) - 1).bit_length() for name, log in self.logs}
        all_values = {**values, **known}
        return max([0, *(term.evaluate(all_values) for term in self.terms)])

    def __str__(self) -> str:
        found = self._candidates
        return str(found[0]) if len(found) == 1 else f"max({', '.join(map(str, found))})"


def _never_positive(excess: Poly) -> bool:
    return all(coefficient <= 0 for _, coefficient in excess.terms)


def _never_negative(excess: Poly) -> bool:
    """As far as can be seen with floors that count in favour at 0, or at the least they can be."""
    return any(_is_above_minus_one(excess, at_least) for at_least in (False, True))


def _is_above_minus_one(excess: Poly, at_least: bool) -> bool:
    """Whether a value is: as an integer it is then not negative.

    floor(n/d) lies between (n - d + 1)/d and n/d; unless `at_least`, it is taken to be 0 or more.
    """
    scale = lcm(*(floor.denominator for floor in excess.floors))
    least = Poly()
    for monomial, coefficient in excess.terms:
        atoms = [atom for atom, _ in monomial if isinstance(atom, Floor)]
        if not atoms:
            least = least + Poly(((monomial, coefficient),)) * scale
        elif coefficient < 0 or at_least:
            if len(monomial) > 1 or monomial[0][1] > 1:
                return False
            [floor] = atoms
            end = floor.numerator - (floor.denominator - 1) * (coefficient > 0)
            least = least + end * (coefficient * scale // floor.denominator)
    growing = (coefficient >= 0 for monomial, coefficient in least.terms if monomial)
    return all(growing) and least.offset > -scale


def _largest(values: Iterable[Poly]) -> Sequence[Poly]:
    """Those values that no other one is always at least equal to; of equal ones the first."""
    kept: list[Poly] = []
    for value in values:
        if not any(_never_negative(other - value) for other in kept):
            kept = [other for other in kept if not _never_negative(value - other)]
            kept.append(value)
    return kept


def _from_one(value: Poly) -> Poly:
    """The value in terms of what each name exceeds 1 by: no term of it is ever negative."""
    return value.substitute({name: Poly.of(name) + 1 for name in value.names})


def by_residues(value: Poly, points: Domain) -> Iterator[tuple[Poly, Domain]]:
    """The value over each residue that conditions leave to a dim: floors of it are whole there.

    The dim then counts the points of its residue.
    """
    for dim in points.dims:
        conditions = [c for c in points.constraints if is_periodic(c, dim.name)]
        found = residues(conditions, dim.name) if conditions else None
        if found is None or dim.lower is None or dim.upper is None:
            continue
        own = [f.denominator for f in value.floors if f.numerator.names == (dim.name,)]
        period = lcm(found[0], *own)
        if period > _LONGEST_PERIOD:
            continue
        rest = tuple(c for c in points.constraints if c not in conditions)
        for residue in range(period):
            if residue % found[0] in found[1]:
                first = -((residue - dim.lower) // period)
                stop = (dim.upper - 1 - residue) // period + 1
                dims = (
                    replace(dim, lower=first, upper=stop) if other is dim else other
                    for other in points.dims
                )
                at = {dim.name: Poly.of(dim.name) * period + residue}
                yield from by_residues(
                    value.substitute(at),
                    Domain(tuple(dims), tuple(c.substitute(at) for c in rest)),
                )
        return
    yield value, points


def greatest(value: Poly, points: Domain) -> Poly | None:
    """The largest value over the box of `points`, or a bound from above where it has floors of
    several indices; None where the box is open."""
    names = set(points.names)
    held = [floor for floor in value.floors if names & set(floor.numerator.names)]
    if held:
        scale = lcm(*(floor.denominator for floor in held))
        free = _without_floors(value, scale, names)
        found = greatest(free, points)
        return None if found is None else found // scale
    for dim in reversed(points.dims):  # inner bounds may name outer dims
        slope, rest = _slope(value, dim.name)
        if slope == Poly():
            continue
        if all(c >= 0 for _, c in slope.terms):
            end = None if dim.upper is None else dim.upper - 1
        elif all(c <= 0 for _, c in slope.terms):
            end = dim.lower
        else:
            end = None
        if end is None:
            return None
        value = rest + slope * end
    return value


def _slope(value: Poly, name: str) -> tuple[Poly, Poly]:
    """What an index is multiplied by, and the terms without it."""
    slope = rest = Poly()
    for monomial, coefficient in value.terms:
        others = tuple(factor for factor in monomial if factor[0] != name)
        if others == monomial:
            rest = rest + Poly(((monomial, coefficient),))
        else:
            slope = slope + Poly(((others, coefficient),))
    return slope, rest


def _without_floors(value: Poly, scale: int, names: set[str]) -> Poly:
    """At least `scale` times the value: floor(n/d) lies between (n - d + 1)/d and n/d."""
    result = Poly()
    for monomial, coefficient in value.terms:
        atom = monomial[0][0] if len(monomial) == 1 else None
        if isinstance(atom, Floor) and names & set(atom.numerator.names):
            end = atom.numerator if coefficient > 0 else atom.numerator - (atom.denominator - 1)
            result = result + end * (coefficient * scale // atom.denominator)
        else:
            result = result + Poly(((monomial, coefficient),)) * scale
    return result
