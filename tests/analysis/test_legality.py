"""Schedules against every instance of every dependence, enumerated from the IR."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import pytest

from rnnc.analysis.legality import early_reads
from rnnc.analysis.orders import Order
from rnnc.analysis.schedule import Component, Options, Schedule, schedule
from rnnc.analysis.timing import Timing
from rnnc.ir.graph import Graph
from rnnc.ir.poly import Poly
from rnnc.ir.signature import extent_names
from tests.analysis.instances import instances
from tests.analysis.models import library_graph, specs
from tests.analysis.moments import moments, violations

# Extents in the order of the graph; one step, and each in turn larger than the others.
GRIDS = [(1, 1, 1, 1), (4, 3, 2, 2), (2, 5, 3, 1)]


def extents_of(graph: Graph) -> list[dict[str, int]]:
    names = extent_names(graph)
    return [dict(zip(names, grid, strict=False)) for grid in GRIDS]


@pytest.mark.parametrize(("file", "model"), list(specs()))
@pytest.mark.parametrize("order", ["layered", "wavefront", "sequential"])
def test_no_statement_runs_before_what_it_reads(file: str, model: str, order: Order) -> None:
    graph = library_graph(file, model)
    found = schedule(graph, Options(order))
    for extents in extents_of(graph):
        reads = instances(graph, extents)
        when = moments(graph, found, reads, extents)
        assert violations(reads, when) == []
        assert_counted(graph, found.components, reads_of(when), extents)


def reads_of(when: Mapping[tuple[str, tuple[int, ...]], tuple[int, ...]]) -> dict[str, list[int]]:
    """The first wave numbers of each statement."""
    found: dict[str, list[int]] = {}
    for (name, _), moment in when.items():
        if len(moment) > 1:
            found.setdefault(name, []).append(moment[1])
    return found


def assert_counted(
    graph: Graph,
    components: Iterable[Component],
    waves: Mapping[str, list[int]],
    extents: Mapping[str, int],
) -> None:
    """Waves are counted from 0, and there are as many as the component says."""
    for component in components:
        if component.waves is not None:
            used = [wave for name in component.nodes for wave in waves.get(name, ())]
            count = component.waves.evaluate({**graph.values, **extents})
            assert all(0 <= wave < count for wave in used)


@pytest.mark.parametrize(("file", "model"), list(specs()))
def test_proof_for_all_sizes(file: str, model: str) -> None:
    graph = library_graph(file, model)
    assert early_reads(graph, schedule(graph)) == ()


# Wrong schedules: some statement moved by one wave, or through its waves at another pace.
WRONG = [
    ("stacked", "stacked_lstm"),
    ("hmlstm", "hmlstm_network"),
    ("bidirectional", "deep_bidirectional"),
    ("dilated", "dilated"),
    ("bahdanau", "bahdanau_decoder"),
    ("neural_stack", "neural_stack"),
]


@pytest.mark.parametrize(("file", "model"), WRONG)
def test_the_proof_fails_where_some_instance_runs_too_early(file: str, model: str) -> None:
    graph = library_graph(file, model)
    grids = [*extents_of(graph), dict(zip(extent_names(graph), (7, 6), strict=False))]
    read = [(extents, instances(graph, extents)) for extents in grids]
    rejected = 0
    for options in (Options("layered"), Options("wavefront")):
        found = schedule(graph, options)
        for wrong in itertools.islice(mutated(found, found.components), 0, 60, 3):
            expected = any(
                violations(reads, moments(graph, wrong, reads, extents)) for extents, reads in read
            )
            assert bool(early_reads(graph, wrong)) == expected
            rejected += expected
    assert rejected > 5


def mutated(found: Schedule, components: tuple[Component, ...]) -> Iterator[Schedule]:
    """Schedules that differ from `found` in the position of one statement."""
    for number, component in enumerate(components):
        if component.timing is None:
            continue
        scale, positions = component.timing.scale, component.timing.positions
        for name, position in positions.items():
            others = [position + scale, position - scale]
            others += [position + Poly.of(d) * scale for d in position.names if d in found.dims]
            others += [position * 2]
            for other in others:
                timing = Timing(scale, {**positions, name: other})
                changed = replace(component, timing=timing)
                all_ = (*components[:number], changed, *components[number + 1 :])
                yield replace(found, components=all_)
