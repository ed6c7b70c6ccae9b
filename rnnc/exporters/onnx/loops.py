"""In which order the statements are computed, and which of them in a loop together.

Statements that depend on each other in a cycle need a loop along a dim in which no read goes
forward. Reads that the loop carries are then states; what still is a cycle needs another loop
inside (Allen, Kennedy 1987, TOPLAS 9). All else is computed for whole sequences at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

from rnnc.ir.graph import Graph, Node, Operand
from rnnc.ir.poly import Poly

from .unroll import refused


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """`dims` says which dim of each member the loop runs along, from `lower` to `upper`, or
    backwards; `delays` how many steps a member is remembered."""

    dims: Mapping[str, str]
    lower: Poly
    upper: Poly
    forward: bool
    delays: Mapping[str, int]

    def distance(self, reader: str, operand: Operand, graph: Graph) -> Poly:
        """How many steps ago the operand was computed, for members."""
        names = graph[operand.source].domain.names
        index = operand.access[names.index(self.dims[operand.source])]
        assert isinstance(index, Poly)
        step = Poly.of(self.dims[reader]) - index
        return step if self.forward else -step


def components(
    graph: Graph,
    members: Sequence[str],
    loops: Sequence[Loop],
    together: Sequence[tuple[str, str]] = (),
) -> list[tuple[tuple[str, ...], bool]]:
    """The members in an order in which they can be computed inside the loops, with whether they
    depend on each other. The pairs in `together` count as if they did."""
    structure: nx.DiGraph[str] = nx.DiGraph()
    structure.add_nodes_from(members)
    inside = set(members)
    for name in members:
        for operand in graph[name].operands:
            if operand.source in inside and not carried(graph, name, operand, loops):
                structure.add_edge(operand.source, name)
    for left, right in together:
        structure.add_edges_from([(left, right), (right, left)])
    place = {name: number for number, name in enumerate(members)}
    condensed = nx.condensation(structure)
    parts: Mapping[int, set[str]] = condensed.nodes.data("members")
    found: list[tuple[tuple[str, ...], bool]] = []
    first = {number: min(place[name] for name in parts[number]) for number in condensed}
    for number in nx.lexicographical_topological_sort(condensed, key=first.__getitem__):
        part = tuple(sorted(parts[number], key=place.__getitem__))
        found.append((part, len(part) > 1 or structure.has_edge(part[0], part[0])))
    return found


def carried(graph: Graph, reader: str, operand: Operand, loops: Sequence[Loop]) -> bool:
    """Whether a loop hands the operand on from an earlier step."""
    return any(
        loop.distance(reader, operand, graph) != Poly()
        for loop in loops
        if reader in loop.dims and operand.source in loop.dims
    )


def find_loop(graph: Graph, members: Sequence[str], loops: Sequence[Loop]) -> Loop:
    """A loop for a cycle: one that leaves no cycle inside, if there is one.

    Raises RNN604, with the place, where no dim has all its reads at constant distances one way.
    """
    legal: list[Loop] = []
    for dim in graph[members[0]].domain.names:
        loop = _along(graph, members, dim, loops)
        if loop is None:
            continue
        if not any(cyclic for _, cyclic in components(graph, members, (*loops, loop))):
            return loop
        legal.append(loop)
    if legal:
        return legal[0]
    spans = [span for name in members for span in graph[name].spans]
    message = "no loop along one dim computes this recurrence, so that it cannot be a Scan"
    raise refused(message, spans[0] if spans else None)


def _along(graph: Graph, members: Sequence[str], dim: str, loops: Sequence[Loop]) -> Loop | None:
    dims = _matched(graph, members, dim)
    if dims is None:
        return None
    steps: list[tuple[str, int]] = []
    for reader, operand in _reads(graph, members):
        if carried(graph, reader, operand, loops):
            continue
        index = _index(graph[operand.source], operand, dims[operand.source])
        distance = (Poly.of(dims[reader]) - index).constant
        if distance is None:
            return None
        steps.append((operand.source, distance))
    moves = [step for _, step in steps if step]
    if not moves or min(moves) < 0 < max(moves):
        return None
    delays: dict[str, int] = {}
    for source, step in steps:
        if step:
            delays[source] = max(abs(step), delays.get(source, 0))
    bounds = _bounds(graph, members, dims)
    return None if bounds is None else Loop(dims, *bounds, moves[0] > 0, delays)


def _reads(graph: Graph, members: Sequence[str]) -> list[tuple[str, Operand]]:
    inside = set(members)
    return [(m, o) for m in members for o in graph[m].operands if o.source in inside]


def _index(source: Node, operand: Operand, dim: str) -> Poly:
    index = operand.access[source.domain.names.index(dim)]
    assert isinstance(index, Poly)
    return index


def _matched(graph: Graph, members: Sequence[str], dim: str) -> dict[str, str] | None:
    """The dim of every member that moves with `dim` of the first one."""
    dims = {members[0]: dim}
    reads = _reads(graph, members)
    grown = True
    while grown and len(dims) < len(members):
        grown = False
        for reader, operand in reads:
            source = graph[operand.source]
            if reader in dims and source.id not in dims:
                for name, index in zip(source.domain.names, operand.access, strict=True):
                    if isinstance(index, Poly) and index.coefficient(dims[reader]) == 1:
                        dims[source.id] = name
                        grown = True
            elif source.id in dims and reader not in dims:
                index = _index(source, operand, dims[source.id])
                names = [n for n in graph[reader].domain.names if index.coefficient(n) == 1]
                if len(names) == 1:
                    dims[reader] = names[0]
                    grown = True
    return dims if len(dims) == len(members) else None


def _bounds(
    graph: Graph, members: Sequence[str], dims: Mapping[str, str]
) -> tuple[Poly, Poly] | None:
    """The least interval with all points of all members, where bounds differ by numbers."""
    boxes = [box(graph, name, members).get(dims[name]) for name in members]
    ends = [bounds for bounds in boxes if bounds is not None]
    if not ends:
        return None
    lower, upper = ends[0]
    for low, high in ends[1:]:
        below, above = (low - lower).constant, (high - upper).constant
        if below is None or above is None:
            return None
        lower = low if below < 0 else lower
        upper = high if above > 0 else upper
    return lower, upper


def box(graph: Graph, name: str, members: Sequence[str]) -> dict[str, tuple[Poly, Poly]]:
    """Lower and upper bounds of a statement's dims; of a variable, those of the cases that are
    members."""
    node = graph[name]
    domains = [node.domain]
    if node.op.name == "merge":
        inside = set(members)
        guards = [o.guard for o in node.operands if o.source in inside and o.guard is not None]
        domains = [guard for guard in guards if guard.dims] or domains
    found: dict[str, tuple[Poly, Poly]] = {}
    for domain in domains:
        for dim in domain.dims:
            if dim.lower is None or dim.upper is None:
                continue
            lower, upper = found.get(dim.name, (dim.lower, dim.upper))
            below, above = (dim.lower - lower).constant, (dim.upper - upper).constant
            if below is not None and below < 0:
                lower = dim.lower
            if above is not None and above > 0:
                upper = dim.upper
            found[dim.name] = lower, upper
    return found
