"""How many points a domain has, as a formula.

    {g in 0..3, t in 0..T : t % 2^g == 0}      T + ceil(T/2) + ceil(T/4)

Static dims are enumerated. A run-time dim counts on its own: as long as it is, or, where a
condition only asks for its remainder, as often as these remainders occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import lcm

from rnnc.analysis.boxes import is_void, never_negative, tightened
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.poly import Poly


def count(domain: Domain) -> Poly:
    """The number of points; at most as many where conditions link run-time dims to each other."""
    domain = tightened(domain)
    if is_void(domain):
        return Poly()
    for number, dim in enumerate(domain.dims):
        if dim.static and dim.lower is not None and dim.upper is not None:
            first, last = dim.lower.constant, dim.upper.constant
            if first is not None and last is not None and _matters(domain, dim.name):
                rest = (*domain.dims[:number], *domain.dims[number + 1 :])
                at = (_at(rest, domain.constraints, dim.name, i) for i in range(first, last))
                return sum(map(count, at), Poly())
    linked = _linked(domain)
    if linked is not None:
        return linked
    total = Poly.of(1)
    for dim in domain.dims:
        own = [c for c in domain.constraints if dim.name in c.poly.names]
        total = total * _along(dim, [c for c in own if c.poly.names == (dim.name,)])
    return total


def _linked(domain: Domain) -> Poly | None:
    """A triangle: two dims with one condition on both, `i <= t + c` for all t that there are."""
    if len(domain.constraints) != 1 or domain.constraints[0].relation != ">=":
        return None
    poly = domain.constraints[0].poly
    units = {dim: poly.coefficient(dim.name) for dim in domain.dims}
    outer = next((dim for dim, unit in units.items() if unit == 1), None)
    inner = next((dim for dim, unit in units.items() if unit == -1), None)
    if outer is None or inner is None or len(domain.dims) != 2:
        return None
    slack = (poly - Poly.of(outer.name) + Poly.of(inner.name)).constant
    if slack is None or outer.lower is None or outer.upper is None:
        return None
    first, last = outer.lower, outer.upper - 1
    assert inner.lower is not None and inner.upper is not None
    if inner.upper - 1 != last + slack or not never_negative(first + slack + 1 - inner.lower):
        return None
    # The sum over t = first..last of (t + slack + 1 - lower).
    count = last - first + 1
    return count * (slack + 1 - inner.lower) + (count * (first + last)) // 2


def _matters(domain: Domain, name: str) -> bool:
    """Whether other dims or conditions depend on a dim."""
    return any(name in c.poly.names for c in (*domain.constraints, *_others(domain, name)))


def _others(domain: Domain, name: str) -> Sequence[Constraint]:
    return replace(domain, dims=tuple(d for d in domain.dims if d.name != name)).bounds


def _at(
    dims: tuple[Dim, ...], constraints: tuple[Constraint, ...], name: str, index: int
) -> Domain:
    return Domain(dims, constraints).substitute({name: index})


def _along(dim: Dim, conditions: Sequence[Constraint]) -> Poly:
    """How many indices of a dim satisfy conditions on their remainders."""
    assert dim.lower is not None and dim.upper is not None
    period = lcm(*(floor.denominator for c in conditions for floor in c.poly.floors))
    periodic = [c for c in conditions if _repeats(c, dim.name, period)]
    fits = [r for r in range(period) if all(c.holds({dim.name: r}) for c in periodic)]
    if len(fits) == period:
        return dim.extent
    rest = [remainder for remainder in range(period) if remainder not in fits]
    if len(rest) < len(fits):
        return dim.extent - sum((_with(dim, r, period) for r in rest), Poly())
    return sum((_with(dim, r, period) for r in fits), Poly())


def _with(dim: Dim, remainder: int, period: int) -> Poly:
    """How many indices have a remainder."""
    assert dim.lower is not None and dim.upper is not None
    ends = dim.upper - 1 - remainder, dim.lower - 1 - remainder
    return ends[0] // period - ends[1] // period


def _repeats(condition: Constraint, name: str, period: int) -> bool:
    return condition.poly.substitute({name: Poly.of(name) + period}) == condition.poly
