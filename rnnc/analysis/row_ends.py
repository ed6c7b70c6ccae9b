"""Run-time extents whose ends equations look at, so that rows of a batch must share them.

`h[T-1]`, `b[t+1]` and sums up to `T` mean each row's own sequence. Cases of an equation are cut on
the grid, where there is one T: a case for `t == T-1` is at the last step of the longest row. Cases
beyond the end (`b[T] = b0`) are every row's own.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnnc.ir.domain import Constraint, Domain
from rnnc.ir.graph import Graph
from rnnc.ir.poly import Poly


def shared_ends(graph: Graph) -> dict[str, str]:
    """Extents in which rows may not differ, each with the variable that is cut before the end."""
    extents = [size.name for size in graph.sizes if size.kind == "extent"]
    found: dict[str, str] = {}
    for node in graph.nodes:
        for case in node.operands if node.op.name == "merge" else ():
            for extent in extents:
                if case.guard is not None and any(_cuts(case.guard, extent)):
                    found.setdefault(extent, node.id)
    return found


def _cuts(guard: Domain, extent: str) -> Iterator[bool]:
    """For each limit of a case that names the extent: whether it lies before the end."""
    for dim in guard.dims:
        for limit in (dim.lower, dim.upper):
            if limit is not None and extent in limit.names:
                yield not _at_or_beyond(limit, extent)
    for constraint in guard.constraints:
        if extent in constraint.poly.names:
            yield not _beyond(constraint, extent, guard)


def _at_or_beyond(limit: Poly, extent: str) -> bool:
    distance = (limit - Poly.of(extent)).constant
    return distance is not None and distance >= 0


def _beyond(constraint: Constraint, extent: str, guard: Domain) -> bool:
    """Whether a constraint says `dim < limit`, `dim >= limit` or `dim == limit` of such a limit."""
    for dim in guard.names:
        unit = constraint.poly.coefficient(dim)
        if unit not in (1, -1):
            continue
        limit = (Poly.of(dim) * unit - constraint.poly) * unit
        if constraint.relation == ">=" and unit == -1:
            limit = limit + 1  # dim <= limit
        if dim not in limit.names and _at_or_beyond(limit, extent):
            return True
    return False
