"""Boxes around sets of points: which stretch of each dim a variable must store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rnnc.ir.domain import Dim, Domain
from rnnc.ir.poly import Floor, Poly


@dataclass(frozen=True, slots=True)
class Interval:
    """`lower <= value <= upper` for all sizes >= 0; None is unbounded."""

    lower: Poly | None
    upper: Poly | None


def tightened(domain: Domain) -> Domain:
    """The same set with unit constraints on one dim (`l - 1 >= 0`) moved into its bounds."""
    dims = {dim.name: dim for dim in domain.dims}
    kept = []
    for constraint in domain.constraints:
        inside = [name for name in constraint.poly.names if name in dims]
        unit = constraint.poly.coefficient(inside[0]) if len(inside) == 1 else 0
        if constraint.poly.floors or abs(unit) != 1:
            kept.append(constraint)
            continue
        name = inside[0]
        rest = constraint.poly - Poly.of(name) * unit
        dim = dims[name]
        if unit == 1 or constraint.relation == "==":  # name >= -rest (or == it)
            lower = -rest * unit
            sharper = larger(dim.lower, lower)
            if sharper is None:
                kept.append(constraint)
                continue
            dim = replace(dim, lower=sharper)
        if unit == -1 or constraint.relation == "==":
            upper = (rest if unit == -1 else -rest) + 1
            sharper = smaller(dim.upper, upper)
            if sharper is None:
                kept.append(constraint)
                continue
            dim = replace(dim, upper=sharper)
        dims[name] = dim
    return Domain(tuple(dims.values()), tuple(kept))


def is_void(domain: Domain) -> bool:
    """Whether a tightened set certainly has no point, by its box and what speaks of no dim."""
    for dim in domain.dims:
        if dim.lower is not None and dim.upper is not None:
            extent = dim.extent.constant
            if extent is not None and extent <= 0:
                return True
    return any(c.poly.constant is not None and not c.holds({}) for c in domain.constraints)


def larger(left: Poly | None, right: Poly) -> Poly | None:
    """The larger of two bounds if it is one of them for all sizes >= 0, else None."""
    if left is None or never_negative(right - left):
        return right
    return left if never_negative(left - right) else None


def smaller(left: Poly | None, right: Poly) -> Poly | None:
    """The smaller of two bounds if it is one of them for all sizes >= 0, else None."""
    if left is None or never_negative(left - right):
        return right
    return left if never_negative(right - left) else None


def never_negative(poly: Poly) -> bool:
    """Whether the value is >= 0 whatever the names stand for, all being >= 0."""
    return all(coefficient >= 0 for _, coefficient in poly.terms)


def interval(index: Poly, points: Domain) -> Interval:
    """The least box around an affine index over a domain.

    Each dim counts on its own, and each constraint that bounds the index directly (`t - i >= 0`).
    """
    lower, upper = relaxed(index)
    low, high = extreme(lower, points, -1), extreme(upper, points, 1)
    for constraint in points.constraints:
        for sign in (1, -1) if constraint.relation == "==" else (1,):
            below = (index - constraint.poly * sign).constant
            above = (index + constraint.poly * sign).constant
            if below is not None and (low is None or larger(low, Poly.of(below)) != low):
                low = Poly.of(below)
            if above is not None and (high is None or smaller(high, Poly.of(above)) != high):
                high = Poly.of(above)
    return Interval(low, high)


def relaxed(index: Poly) -> tuple[Poly, Poly]:
    """Affine bounds of an index: `d*floor(n/d)` lies between n - d + 1 and n."""
    lower = upper = Poly()
    for monomial, coefficient in index.terms:
        atom = monomial[0][0] if monomial else ""
        term = Poly(((monomial, coefficient),))
        if isinstance(atom, Floor) and coefficient % atom.denominator == 0 and len(monomial) == 1:
            factor = coefficient // atom.denominator
            ends = atom.numerator * factor, (atom.numerator - atom.denominator + 1) * factor
            low, high = (ends[1], ends[0]) if factor > 0 else ends
            lower, upper = lower + low, upper + high
        elif isinstance(atom, Floor):
            inner_low, inner_high = relaxed(atom.numerator)
            # Without a common factor the floor is bounded by its numerator's own bounds.
            low = inner_low // atom.denominator
            high = inner_high // atom.denominator
            ends = low * coefficient, high * coefficient
            low, high = ends if coefficient > 0 else ends[::-1]
            lower, upper = lower + low, upper + high
        else:
            lower, upper = lower + term, upper + term
    return lower, upper


def extreme(index: Poly, points: Domain, sign: int) -> Poly | None:
    """The largest (sign 1) or smallest (sign -1) value over the box of `points`."""
    for monomial, coefficient in index.terms:
        atom, power = monomial[0] if monomial else ("", 1)
        if not isinstance(atom, Floor) or not set(atom.numerator.names) & set(points.names):
            continue
        inner = extreme(atom.numerator, points, sign if coefficient > 0 else -sign)
        if inner is None or len(monomial) > 1 or power > 1:
            return None
        floor = Poly(((monomial, coefficient),))
        index = index - floor + inner // atom.denominator * coefficient
    for dim in reversed(points.dims):  # inner bounds may name outer dims
        coefficient = index.coefficient(dim.name)
        if coefficient == 0:
            continue
        end = None
        if coefficient * sign > 0:
            end = None if dim.upper is None else dim.upper - 1
        else:
            end = dim.lower
        if end is None:
            return None
        index = index + (end - Poly.of(dim.name)) * coefficient
    return index


def hull(intervals: Iterable[Interval]) -> Interval:
    """An interval around all: coefficient-wise, since every size is at least zero."""
    lower: Poly | None = None
    upper: Poly | None = None
    for number, item in enumerate(intervals):
        if number == 0:
            lower, upper = item.lower, item.upper
            continue
        lower = None if lower is None or item.lower is None else _merge(lower, item.lower, min)
        upper = None if upper is None or item.upper is None else _merge(upper, item.upper, max)
    return Interval(lower, upper)


def _merge(left: Poly, right: Poly, choose: object) -> Poly:
    pick = max if choose is max else min
    values = dict(left.terms)
    others = dict(right.terms)
    keys = dict.fromkeys((*values, *others))
    result = Poly()
    for key in keys:
        result = result + Poly(((key, 1),)) * pick(values.get(key, 0), others.get(key, 0))
    return result


def box_of(dim: Dim, item: Interval) -> Dim:
    """The dim with the bounds of an interval (upper exclusive)."""
    return replace(dim, lower=item.lower, upper=None if item.upper is None else item.upper + 1)


def bounds_of(dim: Dim) -> Interval:
    """The indices of a dim."""
    return Interval(dim.lower, None if dim.upper is None else dim.upper - 1)
