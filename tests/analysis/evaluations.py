"""Chains of cell evaluations, counted point by point: the oracle of critical paths.

Nothing here comes from `rnnc.analysis`: the graph is the one that was written, its reads are
enumerated. Who waits for whom is decided on the instances of a grid that shows every read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx

from rnnc.ir.graph import Graph
from tests.analysis.instances import Instance, instances, longest_path

Cycle = frozenset[str]


@dataclass(frozen=True)
class Evaluations:
    """`cycles` has the cycle that a node lies on, `needed` the dims along which it moves."""

    graph: Graph
    cycles: Mapping[str, Cycle]
    needed: Mapping[str, frozenset[str]]

    @staticmethod
    def of(graph: Graph, shown: Mapping[str, int]) -> Evaluations:
        """`shown` are extents at which every read of the graph happens."""
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
        ]
        needed: dict[str, frozenset[str]] = {}
        for cycle in dict.fromkeys(cycles.values()):
            inside = [pair for pair in reads if {name for name, _ in pair} <= cycle]
            needed |= dict.fromkeys(cycle, _needed(graph, cycle, inside))
        return Evaluations(graph, cycles, needed)

    def longest(self, extents: Mapping[str, int]) -> int:
        """The longest chain; a model without a cycle is one evaluation."""
        if not self.cycles:
            return 1
        return longest_path(instances(self.graph, extents), self._weight)

    def _weight(self, source: Instance | None, reader: Instance) -> int:
        cycle = self.cycles.get(reader[0])
        if cycle is None:
            return 0
        if source is None or self.cycles.get(source[0]) != cycle:
            return 1
        dims = self.needed[reader[0]]
        here, there = _place(self.graph, reader, dims), _place(self.graph, source, dims)
        return int(any(here[dim] != there[dim] for dim in here.keys() & there.keys()))


def _reads_an_input(graph: Graph, part: set[str]) -> bool:
    before = set().union(*(nx.ancestors(graph.structure, name) for name in part))
    return any(graph[name].op.name == "input" for name in before)


def _place(graph: Graph, instance: Instance, dims: frozenset[str]) -> dict[str, int]:
    name, point = instance
    pairs = zip(graph[name].domain.names, point, strict=True)
    return {dim: index for dim, index in pairs if dim in dims}


def _needed(graph: Graph, cycle: Cycle, reads: list[tuple[Instance, Instance]]) -> frozenset[str]:
    """Dims without which some variable would need itself; static dims are given up first."""
    equations = {
        case.source: node.id
        for node in graph.nodes
        if node.op.name == "merge"
        for case in node.operands
    }
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
