"""A legal schedule of least latency for every component of the dependence graph.

Strongly connected components in topological order. One that does not depend on itself is computed
for all points at once (`parallel`). Any other gets one rational vector alpha and an offset gamma
for each statement (`affine`: wave = floor(alpha . i + gamma)), found by cycle cuts; where no vector
serves all its dependences, or where layers are to run one after another, an outer loop carries some
of them and the rest is scheduled inside (`split`). Components that know nothing of each other and
take equally long share their waves (`joint`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import networkx as nx

from rnnc.analysis.components import Component as Component
from rnnc.analysis.components import Options as Options
from rnnc.analysis.components import Schedule as Schedule
from rnnc.analysis.cuts import Arc, Cut, Rational, dot, offsets
from rnnc.analysis.dependence import Dependence, dependences
from rnnc.analysis.space import Space, arcs_of
from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.ir.graph import Graph
from rnnc.ir.ops import is_statement


def schedule(graph: Graph, options: Options | None = None) -> Schedule:
    """The schedule of a graph; raises DiagnosticError (RNN404) where there is none."""
    options = options or Options()
    space = Space.of(graph, {**graph.values, **dict(options.hints)})
    statements = tuple(node.id for node in graph.nodes if is_statement(node.op))
    scheduler = Scheduler(space, options)
    found = scheduler.components(statements, dependences(graph, space.dims))
    return Schedule(space.dims, found)


class Scheduler:
    """Schedules any part of the statements of a graph, for any part of their dependences."""

    def __init__(self, space: Space, options: Options) -> None:
        self.space, self.options = space, options
        self.dims = space.dims

    def components(
        self, nodes: Sequence[str], edges: Sequence[Dependence]
    ) -> tuple[Component, ...]:
        """Components in topological order, each with its schedule."""
        found: list[Component] = []
        for members in condensed(nodes, edges):
            inside = set(members)
            own = [edge for edge in edges if edge.source in inside and edge.reader in inside]
            found.append(self.component(members, own) if own else Component("parallel", members))
        return tuple(found)

    def component(self, nodes: tuple[str, ...], edges: Sequence[Dependence]) -> Component:
        if self.options.layered:
            for number, dim in enumerate(self.dims):
                if dim in self.space.static and not all(edge.stands(number) for edge in edges):
                    unit = tuple(Fraction(int(other == number)) for other in range(len(self.dims)))
                    for sign in (1, -1):
                        made = self.split_along(nodes, edges, tuple(sign * v for v in unit))
                        if made is not None:
                            return made
        found = self.space.solved(nodes, edges)
        return found if isinstance(found, Component) else self.split(nodes, edges, found)

    # ---- outer loop, inner schedules ----------------------------------------------------------

    def split(
        self, nodes: tuple[str, ...], edges: Sequence[Dependence], conflict: tuple[Cut, ...]
    ) -> Component:
        """An outer loop along the vector that carries most dependences."""
        best: tuple[tuple[object, ...], Component] | None = None
        for values in itertools.product((0, 1, -1), repeat=len(self.dims)):
            if not any(values):
                continue
            alpha = tuple(Fraction(value) for value in values)
            loose = self.carried(nodes, edges, alpha)
            if loose is None or len(loose[1]) == len(edges):
                continue
            key = (len(loose[1]), self.space.cost(alpha), sum(v < 0 for v in values), values)
            if best is None or key < best[0]:
                made = self.split_along(nodes, edges, alpha)
                if made is not None:
                    best = (key, made)
        if best is None:
            raise no_schedule(self.space.graph, nodes, conflict)
        return replace(best[1], conflict=conflict)

    def carried(
        self, nodes: Sequence[str], edges: Sequence[Dependence], alpha: Rational
    ) -> tuple[dict[str, Fraction], list[Dependence]] | None:
        """Offsets with which no dependence runs backwards, and those that alpha leaves inside."""
        if any(dot(alpha, ray) < 0 for edge in edges for ray in edge.rays):
            return None
        weak = [Arc(a.source, a.reader, a.distance, 0, a.text) for a in arcs_of(edges)]
        gamma, cycle = offsets(nodes, weak, alpha)
        if cycle:
            return None
        loose = [
            edge
            for edge in edges
            if any(
                gamma[edge.reader] - gamma[edge.source] + dot(alpha, vertex) < 1
                for vertex in edge.vertices
            )
        ]
        return gamma, loose

    def split_along(
        self, nodes: tuple[str, ...], edges: Sequence[Dependence], alpha: Rational
    ) -> Component | None:
        """An outer loop along alpha, and what it leaves scheduled inside; None if not legal."""
        found = self.carried(nodes, edges, alpha)
        if found is None or len(found[1]) == len(edges):
            return None
        gamma, loose = found
        outer = self.space.along(nodes, alpha, gamma)
        try:
            inner = self.components(nodes, loose)
        except DiagnosticError:
            return None
        return replace(outer, kind="split", inner=inner)


# ---- helpers ----------------------------------------------------------------------------------


def condensed(nodes: Sequence[str], edges: Sequence[Dependence]) -> list[tuple[str, ...]]:
    """Strongly connected components in topological order, ties in the order of the nodes."""
    structure: nx.DiGraph[str] = nx.DiGraph()
    structure.add_nodes_from(nodes)
    structure.add_edges_from((edge.source, edge.reader) for edge in edges)
    place = {name: number for number, name in enumerate(nodes)}
    condensation = nx.condensation(structure)
    members = {
        c: sorted(d["members"], key=place.__getitem__) for c, d in condensation.nodes.items()
    }
    order = nx.lexicographical_topological_sort(condensation, key=lambda c: place[members[c][0]])
    return [tuple(members[c]) for c in order]


def no_schedule(graph: Graph, nodes: Sequence[str], conflict: tuple[Cut, ...]) -> DiagnosticError:
    spans = [span for name in nodes for span in graph[name].spans]
    reads = "; ".join(dict.fromkeys(reason for cut in conflict for reason in cut.reason))
    message = f"no order computes '{nodes[0]}': {reads}"
    return DiagnosticError([Diagnostic("RNN404", message, spans[0] if spans else None)])
