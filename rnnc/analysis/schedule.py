"""A legal schedule of least latency for every component of the dependence graph.

Strongly connected components in topological order. One that does not depend on itself is computed
for all points at once (`parallel`). Any other gets one rational vector alpha and an offset gamma
for each statement (`affine`: wave = floor(alpha . i + gamma)), found by cycle cuts; where no vector
serves all its dependences, or where layers are to run one after another, an outer loop carries some
of them and the rest is scheduled inside (`split`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Literal

import networkx as nx

from rnnc.analysis.cuts import Arc, Cut, Rational, cheapest, dot, offsets
from rnnc.analysis.dependence import Dependence, dependences, places
from rnnc.analysis.timing import Timing, counted
from rnnc.analysis.wave import Bound
from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.ir.graph import Graph
from rnnc.ir.ops import is_statement
from rnnc.ir.poly import Poly

Kind = Literal["parallel", "affine", "split"]


@dataclass(frozen=True, slots=True)
class Component:
    """Statements that are scheduled together, in the order of the graph."""

    kind: Kind
    nodes: tuple[str, ...]
    alpha: Rational = ()
    gamma: tuple[tuple[str, Fraction], ...] = ()
    timing: Timing | None = None
    waves: Bound | None = None
    inner: tuple[Component, ...] = ()
    conflict: tuple[Cut, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    dims: tuple[str, ...]
    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """`layered`: step through static dims (layers) one after another where that is legal.

    Then each layer's input products are computed for all steps at once; without it, layers run as
    a wavefront.
    """

    layered: bool = True


def schedule(graph: Graph, options: Options | None = None) -> Schedule:
    """The schedule of a graph; raises DiagnosticError (RNN404) where there is none."""
    dims = tuple(
        sorted({dim.name for n in graph.nodes if is_statement(n.op) for dim in n.domain.dims})
    )
    scheduler = Scheduler(graph, dims, options or Options())
    statements = tuple(node.id for node in graph.nodes if is_statement(node.op))
    return Schedule(dims, scheduler.components(statements, dependences(graph, dims)))


class Scheduler:
    def __init__(self, graph: Graph, dims: tuple[str, ...], options: Options) -> None:
        self.graph, self.dims, self.options = graph, dims, options
        self.static = static_dims(graph)
        self.places = places(graph, dims)

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
                steps = any(v[number] for edge in edges for v in edge.vertices)
                if dim in self.static and (steps or any(r[number] for e in edges for r in e.rays)):
                    unit = tuple(Fraction(int(other == number)) for other in range(len(self.dims)))
                    for sign in (1, -1):
                        made = self.split_along(nodes, edges, tuple(sign * v for v in unit))
                        if made is not None:
                            return made
        return self.affine(nodes, edges)

    # ---- one vector for all -------------------------------------------------------------------

    def affine(self, nodes: tuple[str, ...], edges: Sequence[Dependence]) -> Component:
        arcs = arcs_of(edges)
        cuts = [Cut(ray, 0, (edge.text,)) for edge in edges for ray in edge.rays]
        while True:
            alpha = cheapest(cuts, len(self.dims), self.cost)
            if alpha is None:
                return self.split(nodes, edges, irreducible(cuts, len(self.dims), self.cost))
            gamma, cycle = offsets(nodes, arcs, alpha)
            if not cycle:
                return self.timed(nodes, alpha, gamma)
            total = tuple(map(sum, zip(*(arc.distance for arc in cycle), strict=True)))
            cuts.append(Cut(total, sum(a.delay for a in cycle), tuple(a.text for a in cycle)))

    def cost(self, alpha: Rational) -> tuple[Fraction, Fraction]:
        """Waves along run-time dims first, then along static ones (weighted with their extent)."""
        free = sum((abs(v) for v, d in zip(alpha, self.dims, strict=True) if d not in self.static),
                   Fraction(0))  # fmt: skip
        fixed = sum(
            (
                abs(value) * (self.static[dim] - 1)
                for value, dim in zip(alpha, self.dims, strict=True)
                if dim in self.static
            ),
            Fraction(0),
        )
        return free, fixed

    def timed(
        self, nodes: tuple[str, ...], alpha: Rational, gamma: Mapping[str, Fraction]
    ) -> Component:
        """The affine component with its timing in integers, counted from wave 0."""
        scale = lcm(
            *(value.denominator for value in alpha), *(v.denominator for v in gamma.values())
        )
        weights = {dim: int(v * scale) for dim, v in zip(self.dims, alpha, strict=True)}
        positions: dict[str, Poly] = {}
        for name in nodes:
            inside = self.graph[name].domain.names
            position = Poly.of(int(gamma[name] * scale))
            for dim, weight in weights.items():
                if weight:
                    place = Poly.of(dim) if dim in inside else self.places[name, dim]
                    position = position + place * weight
            positions[name] = position
        timing, waves = counted({name: self.graph[name] for name in nodes}, positions, scale)
        return Component("affine", nodes, alpha, tuple(gamma.items()), timing, waves)

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
            key = (len(loose[1]), self.cost(alpha), sum(v < 0 for v in values), values)
            if best is None or key < best[0]:
                made = self.split_along(nodes, edges, alpha)
                if made is not None:
                    best = (key, made)
        if best is None:
            raise no_schedule(self.graph, nodes, conflict)
        found = best[1]
        return Component(
            found.kind,
            found.nodes,
            found.alpha,
            found.gamma,
            found.timing,
            found.waves,
            found.inner,
            conflict,
        )

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
        outer = self.timed(nodes, alpha, gamma)
        try:
            inner = self.components(nodes, loose)
        except DiagnosticError:
            return None
        return Component(
            "split", nodes, alpha, outer.gamma, outer.timing, outer.waves, inner
        )  # fmt: skip


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


def static_dims(graph: Graph) -> dict[str, int]:
    """Static dims with the largest extent that any statement has along them."""
    found: dict[str, int] = {}
    for node in graph.nodes:
        for dim in node.domain.dims:
            if dim.static and dim.lower is not None and dim.upper is not None:
                extent = dim.extent.constant
                found[dim.name] = max(found.get(dim.name, 1), 4 if extent is None else extent)
    return found


def arcs_of(edges: Sequence[Dependence]) -> list[Arc]:
    return [
        Arc(edge.source, edge.reader, vertex, edge.delay, edge.text)
        for edge in edges
        for vertex in edge.vertices
    ]


def irreducible(cuts: list[Cut], dims: int, cost: object) -> tuple[Cut, ...]:
    """A smallest part of contradictory cuts: the explanation."""
    core = list(cuts)
    for cut in list(core):
        rest = [other for other in core if other is not cut]
        if cheapest(rest, dims, cost) is None:  # type: ignore[arg-type]
            core = rest
    return tuple(core)


def no_schedule(graph: Graph, nodes: Sequence[str], conflict: tuple[Cut, ...]) -> DiagnosticError:
    spans = [span for name in nodes for span in graph[name].spans]
    reads = "; ".join(dict.fromkeys(reason for cut in conflict for reason in cut.reason))
    message = f"no order computes '{nodes[0]}': {reads}"
    return DiagnosticError([Diagnostic("RNN404", message, spans[0] if spans else None)])
