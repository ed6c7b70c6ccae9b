"""Dependences between statements: who reads whom, how far away.

A *statement* is a node that computes. Variables (merges) and views are looked through: reading
`h[l-1, t]` is reading each node that defines points of `h`, at the composed access.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from rnnc.analysis.boxes import hull, interval, tightened
from rnnc.analysis.lattice import Lattice
from rnnc.analysis.regions import region, store_index
from rnnc.ir.domain import Constraint, Domain
from rnnc.ir.graph import DataIndex, Graph, Index, Node, Operand
from rnnc.ir.ops import is_pointwise, is_statement, is_view
from rnnc.ir.poly import Poly, PolyLike

Vector = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Dependence:
    """`reader` at point p of `points` reads `source` at points q, between the ends of `access`.

    p - q lies in hull(vertices) + cone(rays). `access` gives for each dim of the source the least
    and the greatest index, in the reader's dims (and those that it binds). `delay` is how many
    waves later the reader must run: 0 for a pointwise reader of the same element at the same point
    (it joins the source's kernel), else 1.
    """

    source: str
    reader: str
    vertices: tuple[Vector, ...]
    rays: tuple[Vector, ...]
    delay: int
    text: str
    access: tuple[tuple[str, Poly, Poly], ...]
    points: Domain

    def stands(self, number: int) -> bool:
        """Whether source and reader always have the same index in dim `number`."""
        return not any(vector[number] for vector in (*self.vertices, *self.rays))


def dependences(
    graph: Graph, dims: tuple[str, ...], where: Places | None = None
) -> tuple[Dependence, ...]:
    """All dependences between statements, as distance sets over `dims`; `where` are `places`."""
    found: list[Dependence] = []
    where = places(graph, dims) if where is None else where
    for node in graph.nodes:
        if not is_statement(node.op):
            continue
        pointwise = is_pointwise(node.op)
        for operand in node.operands:
            read_at = region(node, operand)
            for source, access, direct, limits in limited_sources(graph, operand, pointwise):
                points = tightened(read_at.restrict(*limits))
                if is_empty_box(points):
                    continue
                shape = direct and source.type.shape == node.type.shape
                made = distance(where, node, points, source, access, dims, shape)
                if made is not None:
                    found.append(made)
    return tuple(dict.fromkeys(found))


Access = dict[str, Poly | tuple[Poly, Poly]]


def sources(graph: Graph, operand: Operand, direct: bool) -> Iterator[tuple[Node, Access, bool]]:
    """The statements that an operand reads, with the access in the reader's indices."""
    for source, access, is_direct, _ in limited_sources(graph, operand, direct):
        yield source, access, is_direct


Limits = tuple[Constraint, ...]
Source = tuple[Node, Access, bool, Limits]


def limited_sources(graph: Graph, operand: Operand, direct: bool) -> Iterator[Source]:
    """As `sources`, with what holds of the reader's indices where it reads this statement."""
    for source, access, straight, limits in graph.once(Sources).of(operand):
        yield source, access, direct and straight, limits


class Sources:
    """The statements behind each read of a graph: what reads the same finds the same."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.found: dict[tuple[str, tuple[Index, ...]], tuple[Source, ...]] = {}

    def of(self, operand: Operand) -> tuple[Source, ...]:
        read = operand.source, operand.access
        if read not in self.found:
            source = self.graph[operand.source]
            access: Access = {}
            for name, index in zip(source.domain.names, operand.access, strict=True):
                access[name] = (index.lower, index.upper) if isinstance(index, DataIndex) else index
            self.found[read] = tuple(through(self.graph, source, access, True, ()))
        return self.found[read]


def through(
    graph: Graph, source: Node, access: Access, direct: bool, limits: Limits
) -> Iterator[Source]:
    if is_statement(source.op):
        yield source, access, direct, limits
    elif source.op.name == "merge":
        for case in source.cases_at(access):
            node = graph[case.source]
            if not is_statement(node.op):
                continue
            index = store_index(node, case)
            assert index is not None and case.guard is not None
            inverse: Access = {}
            for name, place in zip(case.guard.names, index, strict=True):
                if len(place.names) == 1:
                    inverse.setdefault(place.names[0], position(place, access[name]))
            more = taken(case.guard, access)
            if beyond(case.guard, access) or not all(possible(limit) for limit in more):
                continue
            where = {name: inverse[name] for name in node.domain.names}
            yield node, where, direct, (*limits, *(c for c in more if c.poly.names))
    elif is_view(source.op):
        for operand in source.operands:
            inner = graph[operand.source]
            values: dict[str, PolyLike] = {
                name: index for name, index in access.items() if isinstance(index, Poly)
            }
            composed: Access = {}
            for name, inside in zip(inner.domain.names, operand.access, strict=True):
                if isinstance(inside, DataIndex):
                    ends = inside.lower.substitute(values), inside.upper.substitute(values)
                    composed[name] = ends
                elif inside.names and inside.names[0] in access and inside.names[0] not in values:
                    composed[name] = access[inside.names[0]]
                else:
                    composed[name] = inside.substitute(values)
            yield from through(graph, inner, composed, False, limits)


def position(place: Poly, index: Poly | tuple[Poly, Poly]) -> Poly | tuple[Poly, Poly]:
    """Which point of a statement is stored at an index, its point i being stored at `place`."""
    [name] = place.names
    step = place.coefficient(name)
    points = Lattice(step, place.offset)
    if isinstance(index, Poly):
        return points.position(index)
    return points.position(index[0] + step - 1), points.position(index[1] + step - 1)


def possible(limit: Constraint) -> bool:
    """Whether a limit can hold: one without names is decided."""
    return limit.poly.constant is None or limit.holds({})


def taken(guard: Domain, access: Access) -> Limits:
    """What a case that is read at `access` says of the reader's indices: `j >= 1` where layer 0
    is another case, `t % 2 == 0` where the odd steps are. Of run-time dims conditions on residues
    only: bounds of theirs are no other cases."""
    values = {name: index for name, index in access.items() if isinstance(index, Poly)}
    static = [dim.name for dim in guard.dims if dim.static and dim.name in values]
    return tuple(
        constraint.substitute(values)
        for constraint in (*guard.bounds, *guard.constraints)
        if (constraint.poly.floors or any(name in static for name in constraint.poly.names))
        and all(name in values for name in constraint.poly.names if name in guard.names)
    )


def is_empty_box(points: Domain) -> bool:
    """Whether a static dim certainly has no point."""
    for dim in points.dims:
        if dim.static and dim.lower is not None and dim.upper is not None:
            extent = dim.extent.constant
            if extent is not None and extent <= 0:
                return True
    return False


def beyond(guard: Domain, access: Access) -> bool:
    """Whether a read at constant indices certainly misses the guard's box."""
    for dim in guard.dims:
        index = access[dim.name]
        if isinstance(index, tuple):
            continue
        for slack in (
            None if dim.lower is None else (index - dim.lower).constant,
            None if dim.upper is None else (dim.upper - 1 - index).constant,
        ):
            if slack is not None and slack < 0:
                return True
    return False


def distance(
    where: Places,
    reader: Node,
    points: Domain,
    source: Node,
    access: Access,
    dims: tuple[str, ...],
    same_element: bool,
) -> Dependence | None:
    """The distance set; None where a static extent leaves it empty."""
    ends: list[list[int]] = []
    rays: list[Vector] = []
    zero = True
    for number, name in enumerate(dims):
        here = where.get((reader.id, name), Poly.of(name))
        there = access.get(name)
        if there is None:
            there = where[source.id, name]
        if isinstance(there, tuple):
            spans = (interval(here - there[0], points), interval(here - there[1] + 1, points))
            span = hull(spans)
            zero = False
        else:
            span = interval(here - there, points)
            zero = zero and here == there
        low, high = finite(span.lower, -1), finite(span.upper, 1)
        if name in source.domain.names and name in reader.domain.names:
            box = tightened(source.domain).dim(name)
            extent = box.extent.constant if box.static else None
            beyond_end = extent is not None and (
                (low is not None and low >= extent) or (high is not None and high <= -extent)
            )
            if beyond_end and reader.id == source.id:
                return None
        unit = [tuple(sign * (other == number) for other in range(len(dims))) for sign in (1, -1)]
        if high is None:
            rays.append(unit[0])
        if low is None:
            rays.append(unit[1])
        kept = sorted({end for end in (low, high) if end is not None}) or [0]
        ends.append(kept)
    vertices = tuple(product(*ends))
    delay = 0 if zero and same_element else 1
    text = f"{reader.id} <- {source.id}[{', '.join(_text(access[n]) for n in access)}]"
    read = tuple(
        (name, index, index) if isinstance(index, Poly) else (name, index[0], index[1] - 1)
        for name, index in access.items()
    )
    return Dependence(source.id, reader.id, vertices, tuple(rays), delay, text, read, points)


def _text(index: Poly | tuple[Poly, Poly]) -> str:
    return str(index) if isinstance(index, Poly) else f"{index[0]}..{index[1]}"


def finite(end: Poly | None, sign: int) -> int | None:
    """A bound as a number, with all extents at least 1; None where it grows with them."""
    if end is None:
        return None
    total = end.offset
    for monomial, coefficient in end.terms:
        if monomial:
            if coefficient * sign > 0:
                return None
            total += coefficient
    return total


Places = dict[tuple[str, str], Poly]


def places(graph: Graph, dims: tuple[str, ...]) -> Places:
    """Where each statement without one of the dims is thought to lie along it.

    Where it is stored, if that is a fixed index (`h[0, t]`, one layer on its own); else where it
    reads at a fixed index (`y[t] = V @ h[L-1, t]` lies at L-1); else with what reads it, or with
    what it reads.
    """
    found: Places = {}
    statements = [node for node in graph.nodes if is_statement(node.op)]
    for node in graph.nodes:
        for case in node.operands if node.op.name == "merge" else ():
            index = store_index(graph[case.source], case)
            assert index is not None and case.guard is not None
            for name, place in zip(case.guard.names, index, strict=True):
                if place.constant is not None:
                    found.setdefault((case.source, name), place)
    edges: list[tuple[str, str]] = []
    for node in statements:
        for operand in node.operands:
            for source, access, _ in sources(graph, operand, False):
                edges.append((source.id, node.id))
                for name, position in access.items():
                    if isinstance(position, Poly) and position.constant is not None:
                        found.setdefault((node.id, name), position)
    lacking = {
        (node.id, dim) for node in statements for dim in dims if dim not in node.domain.names
    }
    found = {key: place for key, place in found.items() if key in lacking}
    for pairs in ([(r, s) for s, r in reversed(edges)], edges):
        _spread(found, lacking, pairs, dims)
    return {key: found.get(key, Poly()) for key in sorted(lacking)}


def _spread(
    found: Places,
    lacking: set[tuple[str, str]],
    pairs: Sequence[tuple[str, str]],
    dims: tuple[str, ...],
) -> None:
    """Gives the second of each pair the first's place, until nothing changes."""
    pending = [(one, other, dim) for one, other in pairs for dim in dims if (other, dim) in lacking]
    while pending:
        rest = []
        for known, unknown, dim in pending:
            place = found.get((known, dim))
            if place is not None:
                found.setdefault((unknown, dim), place)
            elif (unknown, dim) not in found:
                rest.append((known, unknown, dim))
        if len(rest) == len(pending):
            break
        pending = rest
