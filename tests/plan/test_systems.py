"""Plans of random systems of recurrences, executed step by step, against the interpreter."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings

from rnnc.analysis.orders import Order
from rnnc.analysis.schedule import Options, schedule
from rnnc.diagnostics import DiagnosticError, Source
from rnnc.ir.interpreter import interpret
from rnnc.ir.parser import parse, parse_graph
from rnnc.ir.pointwise import pointwise
from rnnc.ir.verifier import violations
from rnnc.passes.complete_variables import CompleteVariables
from rnnc.passes.pipeline import optimize, pipeline
from rnnc.plan.build import build_plan
from rnnc.sampling import random_inputs, random_parameters
from tests.analysis.systems import Dimension, Read, System, Variable, any_systems, systems
from tests.plan.simulate import Simulator
from tests.plan.test_simulation import fill_parameters
from tests.tolerance import assert_close

GRIDS: dict[int, list[tuple[int, ...]]] = {1: [(5,), (0,)], 2: [(3, 4), (1, 2)], 3: [(3, 2, 2)]}


ORDERS: tuple[Order, ...] = ("auto", "wavefront", "sequential")


@pytest.mark.parametrize("order", ORDERS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(system=systems())
def test_a_plan_computes_what_the_graph_says(order: Order, system: System) -> None:
    assert_computes(system, order)


@pytest.mark.parametrize("order", ORDERS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(system=any_systems())
def test_whatever_is_read(order: Order, system: System) -> None:
    assume(not violations(parse(Source("system.rir", str(system)))))
    assert_computes(system, order)


def test_statements_at_different_places_of_an_outer_loop_are_no_kernel() -> None:
    """One loop backwards, in which b stands one step after a; inside it one forwards."""
    i = Dimension("i")
    a, b = Variable("a", (i,), 2), Variable("b", (i,), 2)
    reads = (
        Read(a, a, (("i", -1),), "light", False),
        Read(b, a, (("i", -2),), "product", False),
        Read(b, b, (("i", -2),), "product", False),
        Read(a, b, (("i", 0),), "product", False),
        Read(a, b, (("i", 1),), "light", False),
    )
    assert_computes(System((i,), (a, b), reads), "sequential")


def assert_computes(system: System, order: Order) -> None:
    graph = parse_graph(Source("system.rir", str(system)))
    completed = CompleteVariables().run(optimize(graph, pipeline()))
    try:
        plan = build_plan(completed, schedule(completed, Options(order)))
    except DiagnosticError as error:
        assert [found.code for found in error.diagnostics] == ["RNN404"]
        return
    params = random_parameters(graph, 1)
    for grid in GRIDS[len(system.dims)]:
        extents = dict(zip(system.extents, grid, strict=False))
        inputs = random_inputs(graph, extents, 2, 2)
        simulator = Simulator(plan, pointwise, 2, extents, None)
        for argument in plan.inputs:
            simulator.memory[argument.buffer][...] = inputs[argument.name]
        fill_parameters(simulator, plan, params)
        simulator.run()
        expected = interpret(graph, extents, inputs, params)
        for output in plan.outputs:
            found = simulator.memory[output.buffer]
            assert_close(found, expected[output.name], "float64", 30)
