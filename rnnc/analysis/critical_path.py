"""The critical path: the longest chain of cell evaluations that depend on each other.

It is a property of the recurrence as it was written, whatever schedule is chosen. What lies on no
cycle of reads costs nothing, nor what is computed of weights alone; `rnnc.analysis.recurrences`
says which reads of a recurrence wait for another evaluation. A recurrence that reads another one
waits for it. One that composes (`rnnc.analysis.linear`) takes the logarithm of its length.

    h[l, t] = cell(h[l-1, t], h[l, t-1])                                     T + L - 1
    c[t] = sum(s: a[t, s] * x[s]), a[t, s] reads h[t-1], h[t] reads c[t]     T
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rnnc.analysis.boxes import is_void, tightened
from rnnc.analysis.components import Component, Options
from rnnc.analysis.copies import without_kept
from rnnc.analysis.cost import CostModel
from rnnc.analysis.cuts import Arc, Rational, dot, offsets
from rnnc.analysis.dependence import Dependence
from rnnc.analysis.distances import contracted
from rnnc.analysis.linear import chains
from rnnc.analysis.longest import Longest, by_residues, greatest
from rnnc.analysis.partition import Part, Partition
from rnnc.analysis.recurrences import Recurrence, Recurrences
from rnnc.analysis.schedule import Scheduler
from rnnc.analysis.space import arcs_of
from rnnc.analysis.wave import Bound, CeilDiv, FloorDiv, Increment, Maximum, Minimum, Polynomial
from rnnc.ir.domain import Dim, Domain
from rnnc.ir.graph import Graph
from rnnc.ir.ops import is_statement
from rnnc.ir.poly import Poly

# An extent at which two formulas are compared that are larger by turns.
_SAMPLE = 100


@dataclass(frozen=True, slots=True)
class Timetable:
    """After how many evaluations each statement is there, in its own dims, and when all are."""

    times: Mapping[str, Longest]
    length: Longest


def critical_path(graph: Graph) -> Longest:
    """Of a graph whose variables are complete and whose statics are numbers."""
    return Paths(Recurrences(graph)).longest


class Paths:
    """How long chains of evaluations are."""

    def __init__(self, recurrences: Recurrences) -> None:
        self.recurrences = recurrences
        self.graph, self.space = recurrences.graph, recurrences.space
        cost = CostModel.of(self.graph, self.graph.values)
        self.scheduler = Scheduler(self.space, cost, Options("wavefront"))
        inside = (edge for found in recurrences.found for edge in recurrences.reads(found))
        self.edges = without_kept(self.graph, (*recurrences.outside, *inside))

    @property
    def longest(self) -> Longest:
        """Of the whole graph; one evaluation where there is no recurrence."""
        found = self.recurrences.found
        return self.length(found) if found else Longest.of([Poly.of(1)])

    def length(self, recurrences: Sequence[Recurrence]) -> Longest:
        """Of some recurrences and all that is between them, as if the others took no time."""
        nodes = tuple(node.id for node in self.graph.nodes if is_statement(node.op))
        chosen = {name for found in recurrences for name in found.statements}
        owner = self.recurrences.owner
        edges = [
            edge
            for edge in self.edges
            if all(name in chosen or name not in owner for name in (edge.source, edge.reader))
        ]
        ends = {name for edge in edges for name in (edge.source, edge.reader)} | chosen
        partition = Partition.of([name for name in nodes if name in ends], edges)
        return self._timetable(self._merged(partition)).length

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
            together = self.affine(both, inside)
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
        return self.composed(part) or self.affine(part, edges) or self._split(part, edges)

    def composed(self, part: Part) -> Timetable | None:
        """A recurrence of which any bracketing of the steps will do."""
        found = chains(self.graph, part)
        if found is None or found.semiring is None:
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

    def affine(self, part: Part, edges: Sequence[Dependence]) -> Timetable | None:
        """Along one vector, if there is one."""
        chosen = contracted(edges)
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
        outer, carried = self.carried(part, edges)
        assert outer.timing is not None and outer.waves is not None
        inner = self._timetable(Partition.of(part, carried))
        times = {
            name: Longest((outer.timing.wave(name),)) * inner.length + inner.times[name]
            for name in part
        }
        return Timetable(times, length_of(outer.waves) * inner.length)

    def carried(
        self, part: Part, edges: Sequence[Dependence]
    ) -> tuple[Component, Sequence[Dependence]]:
        """The outer loop, and the reads that it leaves to be served inside."""
        outer = self.scheduler.split(part, edges, ())
        found = self.scheduler.carried(part, edges, outer.alpha)
        assert found is not None
        return outer, found[1]

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
        at_least = int(name in self.recurrences.owner and _has_points(points))
        found = Longest.of([Poly.of(at_least)])
        for edge in reads:
            others = Domain(tuple(dim for dim in edge.points.dims if dim.name not in own))
            source = times[edge.source]
            late = Longest.of((_at(edge, term) + edge.delay for term in source.terms), source.logs)
            found |= self._latest(late, others)
        return found

    def _latest(self, time: Longest, points: Domain) -> Longest:
        """The largest value at some points."""
        ends = [
            greatest(values, stretch)
            for term in time.terms
            for values, stretch in by_residues(term, points)
        ]
        assert None not in ends, f"{time} has no end in {points}"
        return Longest.of((end for end in ends if end is not None), time.logs)


# ---- helpers ----------------------------------------------------------------------------------


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


def _has_points(domain: Domain) -> bool:
    """Whether there are some where every extent is 1."""
    sizes = {name for dim in domain.dims for name in _names(dim)} - set(domain.names)
    return not is_void(domain.substitute(dict.fromkeys(sorted(sizes), 1)))


def _names(dim: Dim) -> tuple[str, ...]:
    assert dim.lower is not None and dim.upper is not None
    return (*dim.lower.names, *dim.upper.names)
