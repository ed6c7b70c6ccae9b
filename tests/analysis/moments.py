"""When a schedule computes each instance of a statement, and whether that is early enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import networkx as nx

from rnnc.analysis.schedule import Component, Schedule
from rnnc.analysis.timing import Timing
from rnnc.ir.graph import Graph
from tests.analysis.instances import Instance, Reads

Moment = tuple[int, ...]  # number of the component, wave, number of the inner component, ...
Loops = tuple[tuple[int, Timing | None], ...]


def loops_around(components: Iterable[Component], outer: Loops = ()) -> dict[str, Loops]:
    """For each statement the components around it, outermost first: position and timing."""
    found: dict[str, Loops] = {}
    for number, component in enumerate(components):
        loops = (*outer, (number, component.timing))
        if component.kind == "split":
            found |= loops_around(component.inner, loops)
        else:
            found |= dict.fromkeys(component.nodes, loops)
    return found


def moments(
    graph: Graph, schedule: Schedule, reads: Reads, extents: Mapping[str, int]
) -> dict[Instance, Moment]:
    """The moment of each instance: instances are computed in lexicographic order of these."""
    sizes = {**graph.values, **extents}
    around = loops_around(schedule.components)
    found: dict[Instance, Moment] = {}
    for name, point in reads:
        values = {**sizes, **dict(zip(graph[name].domain.names, point, strict=True))}
        moment: list[int] = []
        for number, timing in around[name]:
            moment.append(number)
            if timing is not None:
                moment.append(timing.wave(name).evaluate(values))
        found[name, point] = tuple(moment)
    return found


def violations(reads: Reads, found: Mapping[Instance, Moment]) -> list[tuple[Instance, Instance]]:
    """Pairs (source, reader) of which the reader is computed too early.

    At the same moment a reader may follow a source only if the statements can stand in one order.
    """
    early: list[tuple[Instance, Instance]] = []
    together: dict[tuple[str, str], tuple[Instance, Instance]] = {}
    for reader, sources in reads.items():
        for source in sources:
            before, after = found[source], found[reader]
            common = min(len(before), len(after))
            if before == after and source[0] != reader[0]:
                together[source[0], reader[0]] = (source, reader)
            elif before[:common] >= after[:common]:
                early.append((source, reader))
    if not early and not nx.is_directed_acyclic_graph(nx.DiGraph(list(together))):
        early += [together[edge] for edge in nx.find_cycle(nx.DiGraph(list(together)))]
    return early
