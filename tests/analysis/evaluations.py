"""Cell evaluations, enumerated point by point: the oracle of critical paths and their counts.

Nothing here comes from `rnnc.analysis`: the graph is the one that was written, its reads are
enumerated. Who waits for whom is decided on the instances of a grid that shows every read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import networkx as nx

from rnnc.ir.graph import Graph
from tests.analysis.instances import Instance, instances, longest_path

Cycle = frozenset[str]


@dataclass(frozen=True)
class Evaluations:
    """`cycles` has the cycle that a node lies on, `needed` the dims along which it moves.

    `states` are the equations that some other point reads, with the dims along which only points
    before theirs read their variable; `later` are the nodes that are evaluated behind all others
    at their point.
    """

    graph: Graph
    cycles: Mapping[str, Cycle]
    needed: Mapping[str, frozenset[str]]
    later: Collection[str]
    states: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @staticmethod
    def of(graph: Graph, shown: Mapping[str, int], later: str = "") -> Evaluations:
        """`shown` are extents at which every read of the graph happens; `later` is a variable."""
        cycles = {
            name: frozenset(part)
            for part in nx.strongly_connected_components(graph.structure)
            if len(part) > 1 and _reads_an_input(graph, part)
            for name in part
        }
        reads = [
            (source, reader)
            for reader, sources in instances(graph, shown).items()
            for source in sources
            if cycles.get(source[0]) == cycles.get(reader[0], "none")
        ]
        needed: dict[str, frozenset[str]] = {}
        for cycle in dict.fromkeys(cycles.values()):
            inside = [pair for pair in reads if pair[0][0] in cycle]
            needed |= dict.fromkeys(cycle, _needed(graph, cycle, inside))
        found = Evaluations(graph, cycles, needed, _only_for(graph, later))
        equations = _equations(graph)
        moved = [pair for pair in reads if pair[0][0] in equations and found._moved(*pair)]
        signs: dict[str, dict[str, set[bool]]] = {}
        for source, reader in moved:
            own = signs.setdefault(equations[source[0]], {})
            for dim, step in found._steps(source, reader).items():
                own.setdefault(dim, set()).add(step < 0)
        backward = {
            name: frozenset(d for d, own in signs[equations[name]].items() if own == {True})
            for name in {source[0] for source, _ in moved}
        }
        return replace(found, states=backward)

    def longest(self, extents: Mapping[str, int]) -> int:
        """The longest chain; a model without a cycle is one evaluation."""
        if not self.cycles:
            return 1
        return longest_path(instances(self.graph, extents), self._weight)

    def count(self, extents: Mapping[str, int]) -> int:
        """At how many points of the dims that all states of a cycle share one is computed.

        Those that run the other way count for themselves.
        """
        sizes = {**self.graph.values, **extents}
        dims = self._dims()
        found: set[object] = set()
        for name in self.states:
            cycle, node = self.cycles[name], self.graph[name]
            if self.needed[name] <= set(node.domain.names):
                for point in node.domain.points(sizes):
                    place = tuple((dim, point[dim]) for dim in sorted(dims[cycle]))
                    found.add((cycle, name in self.later, self.states[name], place))
        return len(found)

    def kept(self, extents: Mapping[str, int]) -> int:
        """At how many points a variable is a copy of its own value at another point."""
        sizes = {**self.graph.values, **extents}
        found = 0
        for node in self.graph.nodes:
            for case in node.operands if node.op.name == "merge" else ():
                if case.source == node.id and case.guard is not None:
                    found += sum(1 for _ in case.guard.points(sizes))
        return found

    def _dims(self) -> dict[Cycle, set[str]]:
        found: dict[Cycle, set[str]] = {}
        for name in self.states:
            own = set(self.graph[name].domain.names)
            if self.needed[name] <= own:
                cycle = self.cycles[name]
                found[cycle] = found.get(cycle, own) & own
        return found

    def _weight(self, source: Instance | None, reader: Instance) -> int:
        cycle = self.cycles.get(reader[0])
        if cycle is None:
            return 0
        if source is None or self.cycles.get(source[0]) != cycle:
            return 1
        turn = reader[0] in self.later and source[0] not in self.later
        return int(turn or self._moved(source, reader))

    def _moved(self, source: Instance, reader: Instance) -> bool:
        return bool(self._steps(source, reader))

    def _steps(self, source: Instance, reader: Instance) -> dict[str, int]:
        """How far the reader is from the source, in the dims in which it is elsewhere."""
        dims = self.needed[reader[0]]
        here, there = _place(self.graph, reader, dims), _place(self.graph, source, dims)
        steps = {dim: index - there[dim] for dim, index in here.items() if dim in there}
        return {dim: step for dim, step in steps.items() if step}


def _reads_an_input(graph: Graph, part: set[str]) -> bool:
    before = set().union(*(nx.ancestors(graph.structure, name) for name in part))
    return any(graph[name].op.name == "input" for name in before)


def _equations(graph: Graph) -> dict[str, str]:
    """The variable of each statement that is an equation of one."""
    merges = (node for node in graph.nodes if node.op.name == "merge")
    return {case.source: merge.id for merge in merges for case in merge.operands}


def _only_for(graph: Graph, variable: str) -> set[str]:
    """What is computed for the equations of a variable, up to the variables that it reads."""
    pending = [name for name, merge in _equations(graph).items() if merge == variable]
    found: set[str] = set()
    while pending:
        name = pending.pop()
        if graph[name].op.name != "merge" and name not in found:
            found.add(name)
            pending += graph.structure.predecessors(name)
    return found


def _place(graph: Graph, instance: Instance, dims: frozenset[str]) -> dict[str, int]:
    name, point = instance
    pairs = zip(graph[name].domain.names, point, strict=True)
    return {dim: index for dim, index in pairs if dim in dims}


def _needed(graph: Graph, cycle: Cycle, reads: list[tuple[Instance, Instance]]) -> frozenset[str]:
    """Dims without which some variable would need itself; static dims are given up first."""
    equations = _equations(graph)
    found = {dim.name: dim.static for name in cycle for dim in graph[name].domain.dims}
    for dim in sorted(sorted(found), key=lambda name: not found[name]):
        rest = frozenset(found) - {dim}
        folded = nx.DiGraph()
        for pair in reads:
            ends = (
                (equations.get(i[0], i[0]), tuple(_place(graph, i, rest).items())) for i in pair
            )
            folded.add_edge(*ends)
        if nx.is_directed_acyclic_graph(folded):
            del found[dim]
    return frozenset(found)
