"""At which points a node is read, and where a case of a variable writes."""

from __future__ import annotations

from rnnc.analysis.lattice import Lattice, lattice
from rnnc.ir.domain import Dim, Domain
from rnnc.ir.graph import Node, Operand
from rnnc.ir.poly import Poly


def region(node: Node, operand: Operand) -> Domain:
    """The points at which `node` reads the operand (with its bound dims)."""
    if operand.guard is not None:
        return operand.guard
    if node.bound is None:
        return node.domain
    domain = node.domain.extend(node.bound.dims)
    return domain.restrict(*node.bound.constraints)


def store_index(source: Node, case: Operand) -> tuple[Poly, ...] | None:
    """Where the source's own point lies in the merge: one polynomial for each merge dim.

    None if the case is no relabelling of the source's points.
    """
    assert case.guard is not None
    index: dict[str, Poly] = {}
    for own, access in zip(source.domain.names, case.access, strict=True):
        names = access.names if isinstance(access, Poly) else ()
        if len(names) != 1 or names[0] in index:
            return None
        assert isinstance(access, Poly)
        points = lattice_of(access, case.guard, names[0])
        if points is None:
            return None
        index[names[0]] = points.point(Poly.of(own))
    for dim in case.guard.dims:
        if dim.name not in index:
            fixed = fixed_value(dim, case.guard)
            if fixed is None or any(
                name not in index for name in fixed.names if name in case.guard.names
            ):
                return None
            index[dim.name] = fixed.substitute(index)
    return tuple(index[name] for name in case.guard.names)


def lattice_of(access: Poly, guard: Domain, name: str) -> Lattice | None:
    """The lattice whose positions an access counts, if the guard leaves only points of it."""
    step = access.floors[0].denominator if access.floors else 1
    points = lattice(guard, name) if step > 1 else Lattice(1, 0)
    if points.step % step:
        return None
    points = Lattice(step, points.offset % step)
    return points if access == points.position(Poly.of(name)) else None


def fixed_value(dim: Dim, guard: Domain) -> Poly | None:
    """The one value that a guard leaves a dim, if it is one."""
    if dim.lower is not None and dim.upper == dim.lower + 1:
        return dim.lower
    for constraint in guard.constraints:
        unit = constraint.poly.coefficient(dim.name)
        if constraint.relation == "==" and abs(unit) == 1 and not constraint.poly.floors:
            return -(constraint.poly - Poly.of(dim.name) * unit) * unit
    return None
