"""The recurrences of a graph as it was written, and which of their reads wait for an evaluation.

A recurrence is a cycle of variables and statements that depends on an input. An *evaluation* is all
that is computed of it at one point: a read of another point waits for one more evaluation, a read
of the same point for none. Dims along which nothing needs to wait are no part of the point (`j` of
`h[i, j]` that reads `h[i-1, j+1]`: a whole row is one evaluation later). Copies cost nothing.

At one point there may be two evaluations, one after another: states that are carried along
different dims, and one multiplies the other's value by a matrix (`hd[l, t] = V @ ht[l, t]`, ht
carried along t and hd along l).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import networkx as nx

from rnnc.analysis.boxes import is_void, tightened
from rnnc.analysis.components import Component
from rnnc.analysis.copies import is_copy, without_copies
from rnnc.analysis.dependence import Dependence, dependences
from rnnc.analysis.distances import contracted, flat, moves, still, undone
from rnnc.analysis.longest import greatest
from rnnc.analysis.partition import Part
from rnnc.analysis.space import Space
from rnnc.ir.domain import Constraint, Domain
from rnnc.ir.graph import Graph, rebuild
from rnnc.ir.ops import is_statement
from rnnc.ir.poly import Poly


@dataclass(frozen=True, slots=True, eq=False)
class Recurrence:
    """Variables that depend on themselves; `statements` are in the order of the graph.

    `reads` are those among the statements, with delays in evaluations; `needed` are the dims that
    the points of evaluations have.
    """

    variables: tuple[str, ...]
    statements: Part
    reads: tuple[Dependence, ...]
    needed: tuple[str, ...]


class Recurrences:
    """`found` has the recurrences of a graph, `outside` the reads that are in none.

    `variables` says which variable a statement is an equation of.
    """

    def __init__(self, graph: Graph) -> None:
        """Every variable of the graph must be complete, and its statics numbers."""
        self.graph = _sharpened(graph)
        self.space = Space.of(self.graph, graph.values)
        self.variables: Mapping[str, str] = {
            case.source: node.id
            for node in graph.nodes
            if node.op.name == "merge"
            for case in node.operands
        }
        met = (
            _met(self.graph, edge)
            for edge in dependences(self.graph, self.space.dims, self.space.places)
        )
        edges = without_copies(self.graph, [edge for edge in met if not is_void(edge.points)])
        self.found = tuple(self._found(edges))
        self.owner = {name: found for found in self.found for name in found.statements}
        self.outside = tuple(self._between(edges))

    def reads(self, recurrence: Recurrence) -> tuple[Dependence, ...]:
        """The reads of a recurrence over the dims that it needs."""
        edges = recurrence.reads
        for number, dim in enumerate(self.space.dims):
            if dim not in recurrence.needed:
                edges = tuple(flat(edge, number) for edge in edges)
        return tuple(dict.fromkeys(edges))

    def _found(self, edges: Sequence[Dependence]) -> Iterator[Recurrence]:
        structure = self.graph.structure
        place = {name: number for number, name in enumerate(structure)}
        cycles = sorted(
            (
                sorted(part, key=place.__getitem__)
                for part in nx.strongly_connected_components(structure)
                if len(part) > 1
            ),
            key=lambda part: place[part[0]],
        )
        used = {name for edge in edges for name in (edge.source, edge.reader)}
        for part in cycles:
            if _varies(self.graph, part[0]):
                nodes = [self.graph[name] for name in part]
                statements = tuple(n.id for n in nodes if is_statement(n.op) and n.id in used)
                members = set(statements)
                inside = tuple(e for e in edges if {e.source, e.reader} <= members)
                needed = self._needed(inside)
                reads = self._waiting(inside, needed)
                variables = tuple(n.id for n in nodes if n.op.name == "merge")
                yield Recurrence(variables, statements, self._with_cells(reads), needed)

    def _between(self, edges: Sequence[Dependence]) -> Iterator[Dependence]:
        """Reads that are in no recurrence; what weights alone decide is computed once."""
        varies = {name for name in self.graph.structure if _varies(self.graph, name)}
        for edge in edges:
            here = self.owner.get(edge.reader)
            inside = here is not None and here is self.owner.get(edge.source)
            if {edge.source, edge.reader} <= varies and not inside:
                waits = here is not None and not is_copy(self.graph, edge.reader)
                yield replace(edge, delay=int(waits))

    # ---- which dims an evaluation has ---------------------------------------------------------

    def _needed(self, edges: Sequence[Dependence]) -> tuple[str, ...]:
        """The dims that an order cannot do without; static ones are given up first."""
        dims = self.space.dims
        needed: list[str] = []
        between = [self._of_variables(edge) for edge in edges]
        for number in sorted(range(len(dims)), key=lambda n: dims[n] not in self.space.static):
            if all(edge.stands(number) for edge in between):
                continue
            if self._is_computable(contracted(between, number)):
                between = [flat(edge, number) for edge in between]
            else:
                needed.append(dims[number])
        return tuple(dim for dim in dims if dim in needed)

    def _of_variables(self, edge: Dependence) -> Dependence:
        """The read as one between variables, where statements are equations of one."""
        source, reader = (self.variables.get(n, n) for n in (edge.source, edge.reader))
        return replace(edge, source=source, reader=reader)

    def _is_computable(self, edges: Sequence[Dependence]) -> bool:
        """Whether no cycle of reads comes back to the point where it began.

        Reads that go forward along a dim in which none goes back are done with.
        """
        structure = nx.DiGraph([(edge.source, edge.reader) for edge in edges])
        for part in nx.strongly_connected_components(structure):
            inside = [edge for edge in edges if edge.source in part and edge.reader in part]
            left = undone(inside, len(self.space.dims))
            if len(left) < len(inside):
                if not self._is_computable(left):
                    return False
            elif inside:
                nodes = tuple(name for name in self.graph.structure if name in part)
                late = [replace(edge, delay=1) for edge in inside]
                if not isinstance(self.space.solved(nodes, late), Component):
                    return False
        return True

    # ---- which reads wait ---------------------------------------------------------------------

    def _waiting(
        self, edges: Sequence[Dependence], needed: Sequence[str]
    ) -> tuple[Dependence, ...]:
        """The reads with delays, each vertex with its own."""
        found: list[Dependence] = []
        for edge in edges:
            source, reader = self.graph[edge.source].domain, self.graph[edge.reader].domain
            shared = [
                number
                for number, dim in enumerate(self.space.dims)
                if dim in needed and dim in source.names and dim in reader.names
            ]
            beyond = (
                tuple(a + b for a, b in zip(vertex, ray, strict=True))
                for vertex in edge.vertices
                for ray in edge.rays
            )
            waiting: dict[int, list[tuple[int, ...]]] = {}
            for vertex in dict.fromkeys((*edge.vertices, *beyond)):
                moved = any(vertex[number] for number in shared)
                delay = int(moved and not is_copy(self.graph, edge.reader))
                waiting.setdefault(delay, []).append(vertex)
            for delay, vertices in waiting.items():
                found.append(replace(edge, vertices=tuple(vertices), delay=delay))
        return tuple(found)

    def _with_cells(self, reads: tuple[Dependence, ...]) -> tuple[Dependence, ...]:
        """The reads, with a delay where one cell needs another one's value at its own point."""
        here = still(reads)
        states = {edge.source for edge in reads if edge.delay}
        ahead = {name: _until(here, name, states) for name in self.graph.structure if name in here}
        along: dict[str, set[int]] = {}
        for edge in reads:
            variable = self.variables.get(edge.source)
            if variable is None or not edge.delay:
                continue
            met = {edge.reader} | ahead.get(edge.reader, set())
            if edge.reader not in states:
                met = ahead.get(edge.reader, set())
            if any(self.variables.get(name) == variable for name in met):
                moved = (n for v in edge.vertices for n, step in enumerate(v) if step)
                along.setdefault(variable, set()).update(moved)

        def is_other_cell(edge: Dependence) -> bool:
            own = along.get(self.variables.get(edge.source, ""))
            if moves(edge) or not own or edge.source not in states:
                return False
            for name in ahead.get(edge.reader, set()) if edge.reader not in states else ():
                theirs = along.get(self.variables.get(name, ""))
                if name in states and theirs and not own & theirs:
                    way = {edge.reader} | (ahead[edge.reader] & nx.ancestors(here, name))
                    if any(self.graph[step].op.name == "matmul" for step in way):
                        return True
            return False

        return tuple(replace(e, delay=1) if is_other_cell(e) else e for e in reads)


# ---- helpers ----------------------------------------------------------------------------------


def _until(graph: nx.DiGraph[str], start: str, ends: set[str]) -> set[str]:
    """What is behind a node, up to and including the first of `ends` on each way."""
    found: set[str] = set()
    pending = [start]
    while pending:
        for reader in graph.successors(pending.pop()):
            if reader not in found:
                found.add(reader)
                if reader not in ends:
                    pending.append(reader)
    return found


def _sharpened(graph: Graph) -> Graph:
    """The graph with every statement's box as small as each of its constraints makes it."""
    return rebuild(
        graph,
        [
            replace(node, domain=_in_box(node.domain)) if is_statement(node.op) else node
            for node in graph.nodes
        ],
    )


def _in_box(domain: Domain) -> Domain:
    """The same points; `i < t` with 0 <= i also says that 1 <= t."""
    domain = tightened(domain)
    limits: list[Constraint] = []
    for constraint in domain.constraints:
        for dim in domain.dims:
            unit = constraint.poly.coefficient(dim.name)
            if abs(unit) == 1 and not constraint.poly.floors:
                alone = Domain(tuple(other for other in domain.dims if other is not dim))
                end = greatest(constraint.poly - Poly.of(dim.name) * unit, alone)
                if end is not None:
                    limits.append(Constraint(end + Poly.of(dim.name) * unit, ">="))
    return tightened(domain.restrict(*limits))


def _met(graph: Graph, edge: Dependence) -> Dependence:
    """The read where its source has points; `h[t]` meets no case of h that holds at -1."""
    exact = {name: low for name, low, high in edge.access if low == high}
    source = graph[edge.source].domain
    limits = (
        limit.substitute(exact)
        for limit in (*source.bounds, *source.constraints)
        if set(source.names) & set(limit.poly.names) <= set(exact)
    )
    return replace(edge, points=tightened(edge.points.restrict(*limits)))


def _varies(graph: Graph, name: str) -> bool:
    """Whether a node depends on an input: what does not is computed once."""
    return any(
        graph[before].op.name == "input" for before in nx.ancestors(graph.structure, name) | {name}
    )
