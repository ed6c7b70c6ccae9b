"""Random systems of recurrences: no schedule is wrong, and none is refused that exists."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings

from rnnc.analysis.legality import early_reads
from rnnc.analysis.orders import Order
from rnnc.analysis.schedule import Options, schedule
from rnnc.diagnostics import DiagnosticError, Source
from rnnc.ir.graph import Graph
from rnnc.ir.parser import parse, parse_graph
from rnnc.ir.verifier import violations
from rnnc.passes.complete_variables import CompleteVariables
from rnnc.passes.pipeline import optimize, pipeline
from tests.analysis.instances import instances, longest_path
from tests.analysis.moments import moments
from tests.analysis.moments import violations as early_instances
from tests.analysis.systems import Dimension, Read, System, Variable, any_systems, systems

ORDERS: tuple[Order, ...] = ("auto", "wavefront", "sequential")
GRIDS: dict[int, list[tuple[int, ...]]] = {
    1: [(5,), (1,)],
    2: [(3, 4), (4, 2), (1, 3)],
    3: [(3, 2, 3), (2, 3, 2)],
}


def completed(system: System) -> Graph:
    """What is scheduled of a system."""
    graph = parse_graph(Source("system.rir", str(system)))
    return CompleteVariables().run(optimize(graph, pipeline()))


def extents(system: System, grid: tuple[int, ...]) -> dict[str, int]:
    return dict(zip(system.extents, grid, strict=False))


def assert_legal(system: System, graph: Graph, order: Order) -> None:
    """By proof for all sizes, and at every point of small grids."""
    found = schedule(graph, Options(order))
    assert early_reads(graph, found) == ()
    for grid in GRIDS[len(system.dims)]:
        reads = instances(graph, extents(system, grid))
        when = moments(graph, found, reads, extents(system, grid))
        assert early_instances(reads, when) == []


@pytest.mark.parametrize("order", ORDERS)
@settings(max_examples=80, deadline=None, derandomize=True)
@given(system=systems(whole=True))
def test_systems_with_an_order_get_one(order: Order, system: System) -> None:
    assert_legal(system, completed(system), order)


@pytest.mark.parametrize("order", ORDERS)
@settings(max_examples=120, deadline=None, derandomize=True)
@given(system=any_systems())
def test_no_schedule_is_wrong(order: Order, system: System) -> None:
    assume(not violations(parse(Source("system.rir", str(system)))))
    try:
        assert_legal(system, completed(system), order)
    except DiagnosticError as error:
        [found] = error.diagnostics
        assert found.code == "RNN404" and " <- " in found.message


@settings(max_examples=150, deadline=None, derandomize=True)
@given(any_systems(statics=False, whole=True))
def test_what_is_refused_needs_itself(system: System) -> None:
    assume(not violations(parse(Source("system.rir", str(system)))))
    graph = completed(system)
    try:
        schedule(graph)
    except DiagnosticError:
        large = {1: (9,), 2: (12, 12), 3: (8, 8, 8)}[len(system.dims)]
        with pytest.raises(AssertionError, match="needs itself"):
            longest_path(instances(graph, extents(system, large)), lambda _, __: 1)


def test_few_points_of_a_static_dim_are_ordered_like_many() -> None:
    """No layer needs itself while there are three, but from four on (docs/schedules.md)."""
    i = Dimension("i", 3)
    a, b = Variable("a", (i,)), Variable("b", (i,))
    reads = [(a, a, -1), (b, a, -2), (a, b, 1), (b, b, 2)]
    made = tuple(Read(s, r, (("i", step),), "product", False) for s, r, step in reads)
    graph = completed(System((i,), (a, b), made))
    assert longest_path(instances(graph, {}), lambda _, __: 1)
    with pytest.raises(DiagnosticError) as refused:
        schedule(graph)
    [found] = refused.value.diagnostics
    assert found.code == "RNN404" and "any number of 'i'" in found.hints[0]
