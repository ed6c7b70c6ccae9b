"""In which order the statements are computed, and which of them in a loop together.

Statements that depend on each other in a cycle need a loop along a dim in which no read goes
forward. Reads that the loop carries are then states; what still is a cycle needs another loop
inside (Allen, Kennedy 1987, TOPLAS 9). All else is computed for whole sequences at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import networkx as nx

from rnnc.analysis.sets import is_empty
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import DataIndex, Graph, Node, Operand
from rnnc.ir.poly import Poly

from .unroll import refused

_VALUE = "?"  # an index that is a value


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """`dims` says which dim of each member the loop runs along, from `lower` to `upper`, or
    backwards; `delays` how many steps a member is remembered, `kept` which members are remembered
    at all steps."""

    dims: Mapping[str, str]
    lower: Poly
    upper: Poly
    forward: bool
    delays: Mapping[str, int]
    kept: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """How many steps back an operand is read: `distance`, at the points of `domain`."""

    distance: Poly
    domain: Domain

    def never(self, *constraints: Constraint) -> bool:
        return is_empty(self.domain.restrict(*constraints))

    @property
    def is_past(self) -> bool:
        return self.never(Constraint(-self.distance, ">="))

    @property
    def is_future(self) -> bool:
        """Or of the same step."""
        return not self.never(Constraint(-self.distance - 1, ">="))


def step_of(graph: Graph, reader: str, operand: Operand, dims: Mapping[str, str]) -> Step:
    """For members of a loop that runs forward."""
    node, source = graph[reader], graph[operand.source]
    index = operand.access[source.domain.names.index(dims[operand.source])]
    bound = Domain() if node.bound is None else node.bound
    guard = Domain() if operand.guard is None else operand.guard
    found = {dim.name: dim for dim in (*node.domain.dims, *guard.dims, *bound.dims)}
    if isinstance(index, DataIndex):
        found[_VALUE] = Dim(_VALUE, index.lower, index.upper, False)
        index = Poly.of(_VALUE)
    constraints = (*node.domain.constraints, *bound.constraints, *guard.constraints)
    domain = Domain(tuple(found.values()), constraints)
    return Step(Poly.of(dims[reader]) - index, domain)


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
    for loop in loops:
        if reader in loop.dims and operand.source in loop.dims:
            step = step_of(graph, reader, operand, loop.dims)
            distance = step.distance.constant
            if distance is None:
                back = step if loop.forward else replace(step, distance=-step.distance)
                if back.is_past:
                    return True
            elif distance:
                return True
    return False


def find_loop(graph: Graph, members: Sequence[str], loops: Sequence[Loop]) -> Loop:
    """A loop for a cycle: one that leaves no cycle inside, if there is one.

    Raises RNN604, with the place, where no dim has all its reads one way.
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
    steps: list[tuple[str, Step]] = []
    for reader, operand in _reads(graph, members):
        if not carried(graph, reader, operand, loops):
            steps.append((operand.source, step_of(graph, reader, operand, dims)))
    for forward in (True, False):
        delays: dict[str, int] = {}
        kept: dict[str, None] = {}
        for source, step in steps:
            back = step if forward else replace(step, distance=-step.distance)
            distance = back.distance.constant
            if distance is None:
                if back.is_future:
                    break
                kept[source] = None
            elif distance < 0:
                break
            elif distance:
                delays[source] = max(distance, delays.get(source, 0))
        else:
            bounds = _bounds(graph, members, dims)
            if bounds is not None and (delays or kept):
                return Loop(dims, *bounds, forward, delays, tuple(kept))
    return None


def _reads(graph: Graph, members: Sequence[str]) -> list[tuple[str, Operand]]:
    inside = set(members)
    return [(m, o) for m in members for o in graph[m].operands if o.source in inside]


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
                index = operand.access[source.domain.names.index(dims[source.id])]
                if not isinstance(index, Poly):
                    continue
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


def bounds_of(node: Node) -> dict[str, tuple[Poly, Poly]]:
    """Of the dims that have both; those of a variable may be open."""
    return {
        dim.name: (dim.lower, dim.upper)
        for dim in node.domain.dims
        if dim.lower is not None and dim.upper is not None
    }


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
