"""One vector for all statements of a component: the cheapest, by cycle cuts, and its waves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from rnnc.analysis.boxes import extreme, tightened
from rnnc.analysis.components import Component
from rnnc.analysis.cuts import Arc, Cut, Rational, cheapest, dot, offsets
from rnnc.analysis.dependence import Dependence, Places, places
from rnnc.analysis.timing import counted
from rnnc.ir.graph import Graph
from rnnc.ir.ops import is_statement
from rnnc.ir.poly import Poly

# Taken for the extent of a static dim that only depends on another one.
_SHORT = 4


@dataclass(frozen=True, slots=True)
class Solution:
    """A vector, an offset for each statement, and the cuts that led to them."""

    alpha: Rational
    gamma: Mapping[str, Fraction]
    cuts: tuple[Cut, ...]


@dataclass(frozen=True, slots=True)
class Space:
    """The dims of a graph, and what a step along each costs.

    `static` are the extents of static dims; `likely` those of all dims, if hints give every one:
    a border of a fixed width does not tell how long its dim is.
    """

    graph: Graph
    dims: tuple[str, ...]
    places: Places
    static: Mapping[str, int]
    likely: Mapping[str, int] | None

    @staticmethod
    def of(graph: Graph, hints: Mapping[str, int]) -> Space:
        statements = [node for node in graph.nodes if is_statement(node.op)]
        dims = tuple(sorted({dim.name for node in statements for dim in node.domain.dims}))
        static: dict[str, int] = {}
        likely: dict[str, int] = {}
        unknown: dict[str, None] = {}
        for node in statements:
            box = tightened(node.domain)
            for dim in box.dims:
                assert dim.lower is not None and dim.upper is not None
                extent = extreme(dim.extent, box, 1)
                assert extent is not None
                if dim.static:
                    known = _SHORT if extent.constant is None else extent.constant
                    static[dim.name] = max(static.get(dim.name, 1), known)
                if all(name in hints for name in extent.names):
                    likely[dim.name] = max(likely.get(dim.name, 1), extent.evaluate(hints))
                else:
                    unknown[dim.name] = None
        return Space(graph, dims, places(graph, dims), static, None if unknown else likely)

    def unit(self, number: int, sign: int) -> Rational:
        """The vector along one dim."""
        return tuple(Fraction(sign * (other == number)) for other in range(len(self.dims)))

    def cost(self, alpha: Rational) -> tuple[Fraction, Fraction]:
        """About how many waves a vector takes.

        Along run-time dims, and then along static ones: the former may be of any length. With
        likely extents it is one number.
        """
        free = fixed = Fraction(0)
        for value, dim in zip(alpha, self.dims, strict=True):
            if self.likely is not None:
                free += abs(value) * (self.likely[dim] - 1)
            elif dim in self.static:
                fixed += abs(value) * (self.static[dim] - 1)
            else:
                free += abs(value)
        return free, fixed

    def solved(
        self, nodes: tuple[str, ...], edges: Sequence[Dependence]
    ) -> Component | tuple[Cut, ...]:
        """The component along its cheapest vector, or a smallest contradiction if there is none."""
        found = self.solution(nodes, edges)
        if isinstance(found, Solution):
            return self.along(nodes, found.alpha, found.gamma)
        return self.irreducible(found)

    def solution(self, nodes: tuple[str, ...], edges: Sequence[Dependence]) -> Solution | list[Cut]:
        """The cheapest vector of statements, or contradictory cuts if there is none."""
        arcs = arcs_of(edges)
        cuts = [Cut(ray, 0, (edge.text,)) for edge in edges for ray in edge.rays]
        while True:
            alpha = cheapest(cuts, len(self.dims), self.cost)
            if alpha is None:
                return cuts
            gamma, cycle = offsets(nodes, arcs, alpha)
            if not cycle:
                return self.straightened(nodes, arcs, Solution(alpha, gamma, tuple(cuts)))
            cuts.append(cut_of(cycle))

    def straightened(
        self, nodes: tuple[str, ...], arcs: Sequence[Arc], found: Solution
    ) -> Solution:
        """Of vectors that cost the same, one along which fewer dependences run backwards: offsets
        make up for those that do, in additional waves."""
        cuts = list(found.cuts)
        for arc in arcs:
            if not any(arc.distance) or dot(found.alpha, arc.distance) >= arc.delay:
                continue
            wanted = Cut(arc.distance, arc.delay, (arc.text,))
            alpha = cheapest([*cuts, wanted], len(self.dims), self.cost)
            if alpha is None or self.cost(alpha) > self.cost(found.alpha):
                continue
            gamma, cycle = offsets(nodes, arcs, alpha)
            if not cycle and max(gamma.values()) < max(found.gamma.values()):
                found = Solution(alpha, gamma, found.cuts)
                cuts.append(wanted)
        return found

    def irreducible(self, cuts: list[Cut]) -> tuple[Cut, ...]:
        """A smallest part of contradictory cuts: the explanation."""
        core = list(cuts)
        for cut in list(core):
            rest = [other for other in core if other is not cut]
            if cheapest(rest, len(self.dims), self.cost) is None:
                core = rest
        return tuple(core)

    def along(
        self, nodes: tuple[str, ...], alpha: Rational, gamma: Mapping[str, Fraction]
    ) -> Component:
        """The component along a vector, its waves counted from 0."""
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


def arcs_of(edges: Sequence[Dependence]) -> list[Arc]:
    return [
        Arc(edge.source, edge.reader, vertex, edge.delay, edge.text)
        for edge in edges
        for vertex in edge.vertices
    ]


def cut_of(cycle: Sequence[Arc]) -> Cut:
    """What a cycle of dependences demands of every vector."""
    total = tuple(map(sum, zip(*(arc.distance for arc in cycle), strict=True)))
    return Cut(total, sum(arc.delay for arc in cycle), tuple(arc.text for arc in cycle))
