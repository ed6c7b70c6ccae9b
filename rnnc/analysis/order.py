"""Whether reads between variables can be served in any order, on exact sets of points.

Reads are served dim by dim: along a direction in which no read goes forward, those that go back
are done with; the others must be served where it stands still, along further directions. Where no
single dim helps, isl's scheduler, which is complete for affine orders, decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

import islpy as isl
import networkx as nx

from rnnc.analysis.sets import (
    Assumptions,
    affine_text,
    identifier,
    implies,
    is_empty,
    to_set,
)
from rnnc.analysis.variable_reads import VariableRead
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.poly import Poly, PolyLike

Reads = tuple[VariableRead, ...]

# Paths that are followed when a cycle is sought; what real programs need is far below.
_MOST_PATHS = 5000


def stuck(reads: Sequence[VariableRead], known: Assumptions) -> tuple[Reads, ...]:
    """The groups of reads that no order serves, cut to the points where they are stuck."""
    found: list[Reads] = []
    for group in _components(reads):
        for dim, sign in _directions(group):
            rest = _beyond(group, dim, sign, known)
            if rest is not None:
                found += stuck(rest, known)
                break
        else:
            cases = _cases(group, known)
            followed = () if cases else _followed(group, known)
            if cases:
                found += [left for case in cases for left in stuck(case, known)]
            elif len(followed) < len(group):
                found += stuck(followed, known)
            elif not _has_affine_order(group, known):
                found.append(group)
    return tuple(found)


def _components(reads: Sequence[VariableRead]) -> Iterator[Reads]:
    """The reads inside each strongly connected component of the variables, in order."""
    structure: nx.DiGraph[str] = nx.DiGraph()
    for read in reads:
        structure.add_edge(read.source, read.reader)
    number = {
        variable: index
        for index, members in enumerate(nx.strongly_connected_components(structure))
        for variable in members
    }
    groups: dict[int, list[VariableRead]] = {}
    for read in reads:
        if number[read.source] == number[read.reader]:
            groups.setdefault(number[read.reader], []).append(read)
    yield from (tuple(group) for group in groups.values())


def _directions(group: Reads) -> list[tuple[str, int]]:
    names = dict.fromkeys(chain.from_iterable(read.reader_dims for read in group))
    return [(name, sign) for name in names for sign in (1, -1)]


def step(read: VariableRead, dim: str) -> Poly:
    """How far back along a dim a read looks (negative: forward); a variable without the dim is
    at 0 of it."""
    here = Poly.of(dim) if dim in read.reader_dims else Poly()
    there = read.access[read.source_dims.index(dim)] if dim in read.source_dims else Poly()
    return here - there


def looks(read: VariableRead, dim: str, sign: int, known: Assumptions) -> bool:
    """Whether a read looks back (sign 1) or forward (-1) along a dim from some point."""
    return not implies(read.points, Constraint(step(read, dim) * -sign, ">="), known)


def _beyond(group: Reads, dim: str, sign: int, known: Assumptions) -> Reads | None:
    """What is left when the direction is done; None if it serves nothing or is not legal."""
    left: list[VariableRead] = []
    changed = False
    for read in group:
        if looks(read, dim, -sign, known):
            return None
        if not looks(read, dim, sign, known):
            left.append(read)
            continue
        changed = True
        still = read.points.restrict(Constraint(step(read, dim), "=="))
        if not is_empty(still, known):
            left.append(replace(read, points=still))
    return tuple(left) if changed else None


def _followed(group: Reads, known: Assumptions) -> Reads:
    """The reads of points that read in turn: no other one is on a cycle."""
    return tuple(
        read
        for read in group
        if any(
            other.reader == read.source
            and not is_empty(_composed(read.points, read.access, other)[0], known)
            for other in group
        )
    )


# Values of a static dim that are looked at, where its extent is no number.
_SOME = 4


def _cases(group: Reads, known: Assumptions) -> list[Reads]:
    """The reads at each index of a static dim that none of them moves along: each index is a
    problem of its own, whose order may be another (`h[u, i-1+2*u]`)."""
    for name in dict.fromkeys(chain.from_iterable(read.reader_dims for read in group)):
        dims = [read.points.dim(name) for read in group if name in read.reader_dims]
        if len(dims) < len(group):
            continue
        if any(looks(read, name, sign, known) for read in group for sign in (1, -1)):
            continue
        starts = [None if dim.lower is None else dim.lower.constant for dim in dims]
        known_starts = [start for start in starts if start is not None]
        if len(known_starts) < len(dims) or not all(dim.static for dim in dims):
            continue
        lower = Poly.of(min(known_starts))
        ends = (start + _count(dim) for start, dim in zip(known_starts, dims, strict=True))
        count = max(ends) - min(known_starts)
        values = [lower + index for index in range(count)]
        if count > 1:
            return [_at(group, name, value, known) for value in values]
    return []


def _count(dim: Dim) -> int:
    extent = None if dim.upper is None else dim.extent.constant
    return _SOME if extent is None else min(extent, 4 * _SOME)


def _at(group: Reads, name: str, value: Poly, known: Assumptions) -> Reads:
    """The reads with a dim fixed."""
    fixed: list[VariableRead] = []
    for read in group:
        dims = tuple(
            replace(dim, lower=value, upper=value + 1) if dim.name == name else dim
            for dim in read.points.dims
        )
        limits = (*read.points.constraints, *read.points.bounds)
        points = Domain(dims, limits).substitute({name: value})
        if not is_empty(points, known):
            access = tuple(index.substitute({name: value}) for index in read.access)
            fixed.append(replace(read, points=points, access=access))
    return tuple(fixed)


# ---- any affine order -------------------------------------------------------------------------


def _has_affine_order(group: Reads, known: Assumptions) -> bool:
    """Whether isl finds an order, and that order is one."""
    before = isl.UnionMap("{}")  # from what is read to what reads it
    for read in group:
        before = before.union(isl.UnionMap.from_map(_relation(read, known)))
    points = before.domain().union(before.range())
    try:
        constraints = isl.ScheduleConstraints.on_domain(points).set_validity(before)
        times = constraints.compute_schedule().get_map()
        ordered = before.apply_domain(times).apply_range(times)
        for position in range(ordered.n_map()):
            pairs = ordered.get_map_list().get_at(position)
            late = isl.Map.lex_ge(pairs.get_space().domain())
            if not pairs.intersect(late).is_empty():
                return False
    except isl.Error:
        return False
    return True


def _relation(read: VariableRead, known: Assumptions) -> isl.Map:
    """Point read -> point that reads it."""
    points = to_set(read.points, known)
    to_reader = _map(read.points.names, read.reader, [Poly.of(name) for name in read.reader_dims])
    to_source = _map(read.points.names, read.source, read.access)
    return to_source.intersect_domain(points).reverse().apply_range(to_reader)


def _map(names: Sequence[str], variable: str, access: Sequence[Poly]) -> isl.Map:
    sizes = sorted({name for index in access for name in index.names} - set(names))
    parameters = ", ".join(identifier(size) for size in sizes)
    dims = ", ".join(identifier(name) for name in names)
    target = ", ".join(affine_text(index) for index in access)
    return isl.Map(f"[{parameters}] -> {{ [{dims}] -> {identifier(variable)}[{target}] }}")


# ---- cycles -----------------------------------------------------------------------------------


def cycle_at_a_point(group: Reads, variables: Sequence[str], known: Assumptions) -> Reads:
    """The shortest chain of reads by which some value needs itself, each variable once; () if
    there is none. It begins at the first variable in the order given."""
    best: Reads = ()
    for variable in variables:
        found = _shortest(group, variable, len(best), known)
        if found and (not best or len(found) < len(best)):
            best = found
    return best


def _shortest(group: Reads, start: str, limit: int, known: Assumptions) -> Reads:
    """Breadth first over paths from `start`; shorter than `limit` if that is not 0."""
    first = next((read for read in group if read.reader == start), None)
    if first is None:
        return ()
    home = tuple(Poly.of(name) for name in first.reader_dims)
    level: list[tuple[Reads, Domain, tuple[Poly, ...]]] = [
        ((), Domain(tuple(Dim(name, None, None, False) for name in first.reader_dims)), home)
    ]
    followed = 0
    while level and (not limit or len(level[0][0]) + 1 < limit):
        longer: list[tuple[Reads, Domain, tuple[Poly, ...]]] = []
        for path, points, place in level:
            variable = path[-1].source if path else start
            visited = {read.source for read in path}
            for read in group:
                followed += 1
                if read.reader != variable or read.source in visited:
                    continue
                further, there = _composed(points, place, read)
                if read.source == start:
                    pairs = zip(there, home, strict=True)
                    closed = further.restrict(*(Constraint(a - b, "==") for a, b in pairs))
                    if not is_empty(closed, known):
                        return (*path, read)
                elif not is_empty(further, known):
                    longer.append(((*path, read), further, there))
            if followed > _MOST_PATHS:
                return ()
        level = longer
    return ()


def _composed(
    points: Domain, place: tuple[Poly, ...], read: VariableRead
) -> tuple[Domain, tuple[Poly, ...]]:
    """A path that has come to `place`, and one read further."""
    values: dict[str, PolyLike] = dict(zip(read.reader_dims, place, strict=True))
    for name in read.points.names[len(read.reader_dims) :]:
        fresh = f"?{len(points.dims)}"
        points = points.extend((Dim(fresh, None, None, False),))
        values[name] = fresh
    limits = (*read.points.bounds, *read.points.constraints)
    points = points.restrict(*(limit.substitute(values) for limit in limits))
    return points, tuple(index.substitute(values) for index in read.access)
