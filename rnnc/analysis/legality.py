"""Proof that a schedule computes nothing before what it reads, for all sizes at once (isl).

Reads are followed point by point through variables and views as integer maps; schedules are maps
into moments `[component, wave, inner component, inner wave, ...]`. Nothing is shared with the
distances from which schedules are made. For tests and `verify`: milliseconds to a second a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import islpy as isl
import networkx as nx

from rnnc.analysis.regions import region
from rnnc.analysis.schedule import Component, Schedule
from rnnc.analysis.sets import Assumptions, to_set
from rnnc.analysis.timing import Timing
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import DataIndex, Graph, Node, Operand
from rnnc.ir.ops import is_statement, is_view
from rnnc.ir.poly import Poly

Reads = dict[str, isl.Map]  # for each statement, at which of its points it is read from where


@dataclass(frozen=True, slots=True)
class Early:
    """`reader` may run before `source`, which it reads; `example` names points and sizes."""

    source: str
    reader: str
    example: str


def early_reads(graph: Graph, schedule: Schedule) -> tuple[Early, ...]:
    """Every pair of statements that the schedule computes in the wrong order somewhere.

    Two statements may share a moment if all that do can stand in one order.
    """
    maps = ReadMaps.of(graph)
    rows = dict(_rows(schedule.components, ()))
    width = max((len(row) for row in rows.values()), default=0)
    moments = {
        name: _mapped(graph[name].domain, _exactly((*row, *_zeros(width - len(row)))), maps.known)
        for name, row in rows.items()
    }
    found: list[Early] = []
    together: dict[tuple[str, str], isl.Map] = {}
    for node in graph.nodes:
        if not is_statement(node.op):
            continue
        for source, read in maps.reads(node).items():
            # The reader's moment -> the source's moment.
            pairs = read.apply_range(moments[source]).apply_domain(moments[node.id])
            late = pairs.intersect(isl.Map.lex_le(pairs.get_space().range()))
            same = pairs.intersect(isl.Map.identity(pairs.get_space()))
            if source != node.id and not same.is_empty():
                together[source, node.id] = same
                late = late.subtract(same)
            if not late.is_empty():
                found.append(Early(source, node.id, str(late.sample())))
    structure = nx.DiGraph(list(together))
    for members in nx.strongly_connected_components(structure):
        if len(members) > 1:
            cycle = nx.find_cycle(structure.subgraph(sorted(members)))
            found += [Early(s, r, str(together[s, r].sample())) for s, r in cycle]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class ReadMaps:
    """Which points of statements each statement reads; `behind`: those behind variables and views.

    Sizes that the graph knows are numbers in the maps, the others parameters.
    """

    graph: Graph
    known: Assumptions
    behind: dict[str, Reads]

    @staticmethod
    def of(graph: Graph) -> ReadMaps:
        return ReadMaps(graph, Assumptions(values=tuple(sorted(graph.values.items()))), {})

    def reads(self, node: Node) -> Reads:
        """What the node reads: maps from its own points to points of statements."""
        found: Reads = {}
        for operand in node.operands:
            for source, read in self.operand(node, operand).items():
                found[source] = found[source].union(read) if source in found else read
        return {source: read for source, read in found.items() if not read.is_empty()}

    def operand(self, node: Node, operand: Operand) -> Reads:
        """What one operand reads."""
        source = self.graph[operand.source]
        if not (is_statement(source.op) or source.op.name == "merge" or is_view(source.op)):
            return {}
        points = region(node, operand).restrict(*node.domain.bounds, *node.domain.constraints)
        indices = tuple(
            (index.lower, index.upper - 1) if isinstance(index, DataIndex) else (index, index)
            for index in operand.access
        )
        read = _mapped(points, indices, self.known)
        extra = len(points.dims) - len(node.domain.dims)  # bound dims come last
        read = read.project_out(isl.dim_type.in_, len(node.domain.dims), extra)
        if is_statement(source.op):
            return {source.id: read.intersect_range(to_set(source.domain, self.known))}
        if source.id not in self.behind:
            self.behind[source.id] = self.reads(source)
        return {name: read.apply_range(more) for name, more in self.behind[source.id].items()}


Interval = tuple[Poly, Poly]  # inclusive


def _exactly(indices: Sequence[Poly]) -> tuple[Interval, ...]:
    return tuple((index, index) for index in indices)


def _zeros(count: int) -> tuple[Poly, ...]:
    return (Poly(),) * count


def _mapped(points: Domain, images: Sequence[Interval], known: Assumptions) -> isl.Map:
    """Each point to all points of the box of `images`, polynomials in the point's dims."""
    outputs = tuple(Dim(f"{number} out", None, None, False) for number in range(len(images)))
    limits = [
        limit
        for output, (low, high) in zip(outputs, images, strict=True)
        for limit in (
            Constraint(Poly.of(output.name) - low, ">="),
            Constraint(high - Poly.of(output.name), ">="),
        )
    ]
    both = points.extend(outputs).restrict(*limits)
    count = len(points.dims)
    mapped = isl.Map.from_range(to_set(both, known))
    return mapped.move_dims(isl.dim_type.in_, 0, isl.dim_type.out, 0, count)


def _rows(
    components: Iterable[Component], outer: tuple[tuple[Poly, Timing | None], ...]
) -> Iterator[tuple[str, tuple[Poly, ...]]]:
    """For each statement its moment: numbers of components, and waves in them."""
    for number, component in enumerate(components):
        loops = (*outer, (Poly.of(number), component.timing))
        if component.kind == "split":
            yield from _rows(component.inner, loops)
            continue
        for name in component.nodes:
            row: list[Poly] = []
            for position, timing in loops:
                row += [position] if timing is None else [position, timing.wave(name)]
            yield name, tuple(row)
