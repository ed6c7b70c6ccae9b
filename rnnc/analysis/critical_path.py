"""The critical path: the longest chain of cell evaluations that depend on each other.

It is a property of the recurrence as it was written, whatever schedule is chosen. What lies on no
cycle of reads costs nothing. On a cycle, an *evaluation* is all that is computed at one point: a
read of another point waits for one more evaluation, a read of the same point for none. Dims along
which nothing needs to wait are no part of the point (`j` of `h[i, j]` that reads `h[i-1, j+1]`: a
whole row is one link of the chain). A recurrence that reads another one waits for it. Copies and
what is computed of weights alone cost nothing; a recurrence that composes (`rnnc.analysis.linear`)
takes the logarithm of its length.

    h[l, t] = cell(h[l-1, t], h[l, t-1])                                     T + L - 1
    c[t] = sum(s: a[t, s] * x[s]), a[t, s] reads h[t-1], h[t] reads c[t]     T
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import networkx as nx

from rnnc.analysis.boxes import is_void, tightened
from rnnc.analysis.components import Component, Options
from rnnc.analysis.copies import is_copy, without_copies
from rnnc.analysis.cost import CostModel
from rnnc.analysis.cuts import Arc, Rational, dot, offsets
from rnnc.analysis.dependence import Dependence, dependences
from rnnc.analysis.linear import chains
from rnnc.analysis.longest import Longest, greatest
from rnnc.analysis.partition import Part, Partition
from rnnc.analysis.schedule import Scheduler
from rnnc.analysis.space import Space, arcs_of
from rnnc.analysis.wave import Bound, CeilDiv, FloorDiv, Increment, Maximum, Minimum, Polynomial
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import Graph, rebuild
from rnnc.ir.ops import is_statement
from rnnc.ir.poly import Poly

# An extent at which two formulas are compared that are larger by turns.
_SAMPLE = 100


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Variables that depend on themselves: their statements, and the reads among these."""

    variables: tuple[str, ...]
    statements: Part
    edges: tuple[Dependence, ...]


@dataclass(frozen=True, slots=True)
class Timetable:
    """After how many evaluations each statement is there, in its own dims, and when all are."""

    times: Mapping[str, Longest]
    length: Longest


def critical_path(graph: Graph) -> Longest:
    """Of a graph whose variables are complete and whose statics are numbers."""
    return Paths(graph).longest


class Paths:
    """The recurrences of a graph, and how long chains of their evaluations are."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph = _sharpened(graph)
        self.space = Space.of(graph, graph.values)
        cost = CostModel.of(graph, graph.values)
        self.scheduler = Scheduler(self.space, cost, Options("wavefront"))
        self.variables = {
            case.source: node.id
            for node in graph.nodes
            if node.op.name == "merge"
            for case in node.operands
        }
        met = (_met(graph, edge) for edge in dependences(graph, self.space.dims))
        edges = without_copies(graph, [edge for edge in met if not is_void(edge.points)])
        self.recurrences = tuple(self._recurrences(edges))
        self.owner = {name: found for found in self.recurrences for name in found.statements}
        weights = {name for name in graph.structure if not _varies(graph, name)}
        self.edges = tuple(
            step
            for edge in edges
            if edge.source not in weights and edge.reader not in weights
            for step in self._steps(edge)
        )
        self.edges += tuple(step for found in self.recurrences for step in self._evaluations(found))

    @property
    def longest(self) -> Longest:
        """Of the whole graph; one evaluation where there is no recurrence."""
        return self.length(self.recurrences) if self.recurrences else Longest((Poly.of(1),))

    def length(self, recurrences: Sequence[Recurrence]) -> Longest:
        """Of some recurrences and all that is between them, as if the others took no time."""
        nodes = tuple(node.id for node in self.graph.nodes if is_statement(node.op))
        chosen = {name for found in recurrences for name in found.statements}
        edges = [
            edge
            for edge in self.edges
            if all(name in chosen or name not in self.owner for name in (edge.source, edge.reader))
        ]
        ends = {name for edge in edges for name in (edge.source, edge.reader)} | chosen
        partition = Partition.of([name for name in nodes if name in ends], edges)
        return self._timetable(self._merged(partition)).length

    # ---- recurrences --------------------------------------------------------------------------

    def _recurrences(self, edges: Sequence[Dependence]) -> Iterator[Recurrence]:
        """Cycles of statements and variables that depend on inputs."""
        structure = self.graph.structure
        place = {name: number for number, name in enumerate(structure)}
        found = sorted(
            (
                sorted(part, key=place.__getitem__)
                for part in nx.strongly_connected_components(structure)
                if len(part) > 1
            ),
            key=lambda part: place[part[0]],
        )
        used = {name for edge in edges for name in (edge.source, edge.reader)}
        for part in found:
            if _varies(self.graph, part[0]):
                nodes = [self.graph[name] for name in part]
                statements = tuple(n.id for n in nodes if is_statement(n.op) and n.id in used)
                members = set(statements)
                inside = tuple(e for e in edges if {e.source, e.reader} <= members)
                variables = tuple(n.id for n in nodes if n.op.name == "merge")
                yield Recurrence(variables, statements, inside)

    def _steps(self, edge: Dependence) -> Iterator[Dependence]:
        """A read from outside of a recurrence: it waits for an evaluation only if it is one."""
        here = self.owner.get(edge.reader)
        if here is None or here is not self.owner.get(edge.source):
            waits = here is not None and not is_copy(self.graph, edge.reader)
            yield replace(edge, delay=int(waits))

    def _evaluations(self, recurrence: Recurrence) -> Iterator[Dependence]:
        """The reads of a recurrence over the dims that matter, each vertex with its own delay."""
        for edge in self._needed(recurrence):
            source, reader = self.graph[edge.source].domain, self.graph[edge.reader].domain
            common = [
                number
                for number, dim in enumerate(self.space.dims)
                if dim in source.names and dim in reader.names
            ]
            beyond = (
                tuple(a + b for a, b in zip(vertex, ray, strict=True))
                for vertex in edge.vertices
                for ray in edge.rays
            )
            waiting: dict[int, list[tuple[int, ...]]] = {}
            for vertex in dict.fromkeys((*edge.vertices, *beyond)):
                moves = any(vertex[number] for number in common)
                delay = int(moves and not is_copy(self.graph, edge.reader))
                waiting.setdefault(delay, []).append(vertex)
            for delay, vertices in waiting.items():
                yield replace(edge, vertices=tuple(vertices), delay=delay)

    def _needed(self, recurrence: Recurrence) -> Sequence[Dependence]:
        """The reads without the dims that an order can do without; static dims go first."""
        edges: Sequence[Dependence] = recurrence.edges
        dims = self.space.dims
        for number in sorted(range(len(dims)), key=lambda n: dims[n] not in self.space.static):
            if not all(edge.stands(number) for edge in edges):
                whole = _contracted([self._of_variables(edge) for edge in edges], number)
                if self._is_computable(whole):
                    edges = tuple(dict.fromkeys(_flat(edge, number) for edge in edges))
        return edges

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
            left = _undone(inside, len(self.space.dims))
            if len(left) < len(inside):
                if not self._is_computable(left):
                    return False
            elif inside:
                nodes = tuple(name for name in self.graph.structure if name in part)
                late = [replace(edge, delay=1) for edge in inside]
                if not isinstance(self.space.solved(nodes, late), Component):
                    return False
        return True

    # ---- how long -----------------------------------------------------------------------------

    def _merged(self, partition: Partition) -> Partition:
        """Recurrences that feed each other under one vector, where that is no longer."""
        for part in partition.recurrences():
            producer = partition.producer(part)
            if producer is None:
                continue
            both = partition.between(producer, part)
            inside, members = partition.inside(both), set(both)
            parts = tuple(part for part in partition.parts if part[0] in members)
            together = self._affine(both, inside)
            if together is not None:
                apart = self._timetable(Partition(parts, inside, partition.place))
                if self._sampled(together.length) <= self._sampled(apart.length):
                    partition = partition.united(both)
        return partition

    def _sampled(self, length: Longest) -> int:
        names = dict.fromkeys(length.names, _SAMPLE)
        return length.evaluate({**names, **self.graph.values})

    def _timetable(self, partition: Partition) -> Timetable:
        """Every part as soon as what it reads is there."""
        times: dict[str, Longest] = {}
        total = Longest()
        part_of = {name: part for part in partition.parts for name in part}
        reads: dict[Part, list[Dependence]] = {part: [] for part in partition.parts}
        for edge in partition.edges:
            if part_of[edge.source] is not part_of[edge.reader]:
                reads[part_of[edge.reader]].append(edge)
        for part in partition.parts:
            if partition.is_recurrence(part):
                local = self._local(part, partition.inside(part))
                start = Longest()
                for edge in reads[part]:
                    start |= self._wait(edge, times[edge.source], local.times[edge.reader])
                times.update({name: start + local.times[name] for name in part})
                total |= start + local.length
            else:
                [name] = part
                times[name] = self._acyclic(name, reads[part], times)
                total |= self._latest(times[name], self.graph[name].domain)
        return Timetable(times, total)

    def _local(self, part: Part, edges: Sequence[Dependence]) -> Timetable:
        """A recurrence on its own; the first evaluation has time 1."""
        return self._composed(part) or self._affine(part, edges) or self._split(part, edges)

    def _composed(self, part: Part) -> Timetable | None:
        """A recurrence of which any bracketing of the steps will do."""
        found = chains(self.graph, part)
        if found is None or found.form != "affine":
            return None
        dims = [
            dim
            for name in part
            for dim in tightened(self.graph[name].domain).dims
            if dim.name == found.dim
        ]
        log = Longest()
        for dim in dims:
            log |= Longest.log(dim.extent)
        return Timetable(dict.fromkeys(part, log), log)

    def _affine(self, part: Part, edges: Sequence[Dependence]) -> Timetable | None:
        """Along one vector, if there is one."""
        chosen = _contracted(edges)
        ends = {name for edge in chosen for name in (edge.source, edge.reader)}
        found = self.space.solved(tuple(name for name in part if name in ends), chosen)
        if not isinstance(found, Component):
            return None
        arcs = arcs_of(edges)
        gamma, cycle = offsets(part, arcs, found.alpha)
        assert not cycle, "what holds for all cycles through other points holds for all cycles"
        whole = self.space.along(part, found.alpha, _put_off(gamma, ends, arcs, found.alpha))
        assert whole.timing is not None and whole.waves is not None
        times = {name: Longest((whole.timing.wave(name) + 1,)) for name in part}
        return Timetable(times, length_of(whole.waves))

    def _split(self, part: Part, edges: Sequence[Dependence]) -> Timetable:
        """An outer loop, and in each of its turns all that depends on nothing later."""
        outer = self.scheduler.split(part, edges, ())
        carried = self.scheduler.carried(part, edges, outer.alpha)
        assert outer.timing is not None and outer.waves is not None and carried is not None
        inner = self._timetable(Partition.of(part, carried[1]))
        times = {
            name: Longest((outer.timing.wave(name),)) * inner.length + inner.times[name]
            for name in part
        }
        return Timetable(times, length_of(outer.waves) * inner.length)

    def _wait(self, edge: Dependence, source: Longest, reader: Longest) -> Longest:
        """How far a recurrence must be put off for a read from outside of it."""
        late = (_at(edge, term) + edge.delay - reader.terms[0] for term in source.terms)
        return self._latest(Longest.of(late, source.logs), edge.points)

    def _acyclic(
        self, name: str, reads: Sequence[Dependence], times: Mapping[str, Longest]
    ) -> Longest:
        """What is on no cycle is there with the last that it reads."""
        points = self.graph[name].domain
        own = set(points.names)
        at_least = int(name in self.owner and _has_points(points))
        found = Longest.of([Poly.of(at_least)])
        for edge in reads:
            others = Domain(tuple(dim for dim in edge.points.dims if dim.name not in own))
            source = times[edge.source]
            late = Longest.of((_at(edge, term) + edge.delay for term in source.terms), source.logs)
            found |= self._latest(late, others)
        return found

    def _latest(self, time: Longest, points: Domain) -> Longest:
        """The largest value at some points."""
        ends = [greatest(term, points) for term in time.terms]
        assert None not in ends, f"{time} has no end in {points}"
        return Longest.of((end for end in ends if end is not None), time.logs)


# ---- helpers ----------------------------------------------------------------------------------


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


def _has_points(domain: Domain) -> bool:
    """Whether there are some where every extent is 1."""
    sizes = {name for dim in domain.dims for name in _names(dim)} - set(domain.names)
    return not is_void(domain.substitute(dict.fromkeys(sorted(sizes), 1)))


def _names(dim: Dim) -> tuple[str, ...]:
    assert dim.lower is not None and dim.upper is not None
    return (*dim.lower.names, *dim.upper.names)


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


def _at(edge: Dependence, time: Poly) -> Poly:
    """The source's time in the reader's indices."""
    return time.substitute(
        {name: low if time.coefficient(name) < 0 else high for name, low, high in edge.access}
    )


def _put_off(
    gamma: Mapping[str, Fraction], states: set[str], arcs: Sequence[Arc], alpha: Rational
) -> dict[str, Fraction]:
    """The offsets with all but the states as late as these allow.

    A gate that reads the last layer's state need not wait at the first point's time.
    """
    late = {name: value for name, value in gamma.items() if name in states}
    weights = [arc.delay - dot(alpha, arc.distance) for arc in arcs]
    for _ in gamma:
        before = dict(late)
        for arc, weight in zip(arcs, weights, strict=True):
            if arc.source not in states and arc.reader in late:
                end = late[arc.reader] - weight
                late[arc.source] = min(late.get(arc.source, end), end)
        if late == before:
            break
    return {name: late.get(name, value) for name, value in gamma.items()}


def length_of(bound: Bound) -> Longest:
    """A number of waves as a formula."""
    return Longest.of(_alternatives(bound))


def _alternatives(bound: Bound) -> tuple[Poly, ...]:
    """Formulas of which the largest is meant."""
    match bound:
        case Polynomial(poly):
            return (poly,)
        case FloorDiv(numerator, denominator):
            return (numerator // denominator,)
        case CeilDiv(numerator, denominator):
            return (-(-numerator // denominator),)
        case Increment(argument, amount):
            return tuple(value + amount for value in _alternatives(argument))
        case Maximum(arguments):
            return tuple(value for argument in arguments for value in _alternatives(argument))
        case Minimum():
            raise AssertionError("a number of waves is no minimum")


def _undone(edges: Sequence[Dependence], dims: int) -> Sequence[Dependence]:
    """The reads that the dims in which all go one way do not carry."""
    for number in range(dims):
        steps = [[v[number] for v in (*e.vertices, *e.rays)] for e in edges]
        for sign in (1, -1):
            if all(sign * step >= 0 for found in steps for step in found):
                edges = [e for e in edges if any(not sign * v[number] > 0 for v in e.vertices)]
                break
    return edges


def _flat(edge: Dependence, number: int | None) -> Dependence:
    """The dependence as if its statements had no such dim."""

    def without(vector: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(0 if place == number else value for place, value in enumerate(vector))

    vertices = tuple(dict.fromkeys(without(vertex) for vertex in edge.vertices))
    rays = tuple(dict.fromkeys(ray for ray in map(without, edge.rays) if any(ray)))
    return replace(edge, vertices=vertices, rays=rays)


def _contracted(edges: Sequence[Dependence], number: int | None = None) -> tuple[Dependence, ...]:
    """The reads of other points, each by whatever such reads see of it at the reader's point.

    They have the same cycles, with far fewer statements. Distances are without dim `number`.
    """
    still = nx.DiGraph()
    moving: list[Dependence] = []
    for edge in edges:
        if edge.rays or any(any(vertex) for vertex in edge.vertices):
            moving.append(edge)
        else:
            still.add_edge(edge.source, edge.reader)
    sources = dict.fromkeys(edge.source for edge in moving)
    found: dict[Dependence, None] = {}
    for edge in moving:
        seen = {edge.reader}
        if edge.reader in still:
            seen |= nx.descendants(still, edge.reader)
        flat = _flat(edge, number)
        for source in sources:
            if source in seen:
                found[replace(flat, reader=source)] = None
    return tuple(found)
