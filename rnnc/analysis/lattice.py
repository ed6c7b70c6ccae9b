"""Which residues of a dim a domain has: `t % 4 == 1` leaves the points 1, 5, 9, ..."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, lcm

from rnnc.ir.domain import Constraint, Domain
from rnnc.ir.poly import Floor, Poly

# Residues are enumerated; conditions of a longer period are left to be tested point by point.
_LONGEST = 1 << 12


@dataclass(frozen=True, slots=True)
class Lattice:
    """The integers `step*k + offset`, with 0 <= offset < step."""

    step: int
    offset: int

    def position(self, index: Poly) -> Poly:
        """The k of an index that is one of these, else that of the last one before it."""
        return (index - self.offset) // self.step

    def point(self, position: Poly) -> Poly:
        """The index at a position."""
        return position * self.step + self.offset


def lattice(domain: Domain, name: str) -> Lattice:
    """The coarsest lattice that holds every value of a dim, as far as periodic conditions say."""
    conditions = [c for c in domain.constraints if is_periodic(c, name)]
    found = residues(conditions, name)
    if found is None:
        return Lattice(1, 0)
    period, kept = found
    step = gcd(period, *(residue - kept[0] for residue in kept)) if kept else 1
    return Lattice(step, kept[0] % step if kept else 0)


def is_contradictory(domain: Domain) -> bool:
    """Whether no residue of some dim satisfies all that is asked of it: there is no point."""
    found = (
        residues([c for c in domain.constraints if is_periodic(c, name)], name)
        for name in domain.names
    )
    return any(kept is not None and not kept[1] for kept in found)


def residues(conditions: list[Constraint], name: str) -> tuple[int, list[int]] | None:
    """The common period of periodic conditions and the residues that satisfy them all.

    None if the period is too long.
    """
    period = lcm(*(_period(condition.poly) for condition in conditions))
    if period > _LONGEST:
        return None
    kept = [r for r in range(period) if all(c.holds({name: r}) for c in conditions)]
    return period, kept


def is_periodic(condition: Constraint, name: str) -> bool:
    """Whether a condition is about one dim alone and only about its residue."""
    poly = condition.poly
    if poly.names != (name,) or not poly.floors:
        return False
    return poly.substitute({name: Poly.of(name) + _period(poly)}) == poly


def _period(poly: Poly) -> int:
    floors = [atom for monomial, _ in poly.terms for atom, _ in monomial if isinstance(atom, Floor)]
    return lcm(*(lcm(atom.denominator, _period(atom.numerator)) for atom in floors))
