"""Predicated recurrences compute what they did, in as many waves as steps are due, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.analysis.legality import early_reads
from rnnc.analysis.schedule import Component, Options, Schedule, schedule
from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request
from rnnc.ir.graph import Graph
from rnnc.ir.interpreter import interpret
from rnnc.ir.verifier import verify
from rnnc.passes.bind_sizes import BindSizes
from rnnc.sampling import random_inputs, random_parameters
from tests.analysis.instances import instances
from tests.analysis.moments import moments, violations
from tests.passes.predicated import CASES, Predicated, clockwork, due
from tests.plan.simulate import Array
from tests.plan.test_simulation import simulated
from tests.tolerance import assert_close

BATCH = 3
STEPS = range(11)


def compilation(case: Predicated) -> Compilation:
    return Compilation(Source("model.rnn", case.text), Request())


def data(graph: Graph, steps: int) -> tuple[dict[str, Array], dict[str, Array]]:
    inputs = random_inputs(graph, {"T": steps}, BATCH, steps)
    return inputs, random_parameters(graph, 0)


def ragged(steps: int) -> dict[str, Array]:
    return {"T": np.array([steps, max(0, steps - 1), max(0, steps - 4)])}


cases = pytest.mark.parametrize("case", [pytest.param(c, id=c.name) for c in CASES])


@cases
def test_passes_keep_the_meaning(case: Predicated) -> None:
    found = compilation(case)
    graph, completed = BindSizes().run(found.graph), found.completed
    verify(completed)
    for steps in STEPS:
        inputs, params = data(graph, steps)
        expected = interpret(graph, {"T": steps}, inputs, params)
        got = interpret(completed, {"T": steps}, inputs, params)
        for name, array in expected.items():
            assert np.max(np.abs(np.subtract(got[name], array)), initial=0) < 1e-12


@cases
def test_plans_of_ragged_rows(case: Predicated) -> None:
    found = compilation(case)
    graph = BindSizes().run(found.graph)
    for steps in STEPS:
        inputs, params = data(graph, steps)
        lengths = ragged(steps)
        expected = interpret(graph, {"T": steps}, inputs, params, lengths=lengths)
        simulated_ = simulated(found, {"T": steps}, inputs, params, lengths, BATCH)
        for name, array in expected.items():
            exists = array != 0  # beyond a row's end the runtime clears what was computed
            assert_close(np.where(exists, simulated_[name], 0), array, np.float64, steps)


@cases
def test_schedules_are_legal(case: Predicated) -> None:
    graph = compilation(case).completed
    found = schedule(graph)
    assert early_reads(graph, found) == ()
    for steps in STEPS:
        reads = instances(graph, {"T": steps})
        assert violations(reads, moments(graph, found, reads, {"T": steps})) == []


@cases
def test_waves_are_the_steps_that_are_due(case: Predicated) -> None:
    found = schedule(compilation(case).completed, Options("wavefront"))
    for steps in (1, 2, 7, 8, 9, 100):
        assert sorted(waves(found, steps)) == sorted(case.waves(steps))


def waves(found: Schedule, steps: int) -> list[int]:
    def own(component: Component) -> int:
        assert component.waves is not None
        return component.waves.evaluate({"T": steps})

    return [own(component) for component in found.components if component.kind != "parallel"]


@pytest.mark.parametrize("periods", [(1, 2, 4, 8), (2, 4, 8), (3, 5)])
def test_products_are_computed_once_for_each_value(periods: tuple[int, ...]) -> None:
    graph, steps = compilation(clockwork(periods)).completed, 60
    found = sum(
        len(list(node.domain.points({"T": steps})))
        for node in graph.nodes
        if node.op.name == "matmul"
    )
    inputs = sum(due(steps, period) for period in periods)
    # Group j is read by itself and all faster ones; the value from before the first step as well.
    states = sum((number + 1) * (due(steps, p) + 1) for number, p in enumerate(periods))
    assert found <= inputs + states


@pytest.mark.parametrize("periods", [(1, 2, 4, 8), (3, 5)])
def test_compiled(periods: tuple[int, ...]) -> None:
    found = compilation(clockwork(periods))
    graph, model = BindSizes().run(found.graph), found.load()
    bound = model.bind(random_parameters(graph, 0))
    for steps in STEPS:
        inputs, params = data(graph, steps)
        for lengths in (None, ragged(steps)):
            expected = interpret(graph, {"T": steps}, inputs, params, lengths=lengths)
            got = bound.run(inputs, lengths=lengths)
            for name, array in expected.items():
                assert_close(got[name], array, np.float32, steps)
        resets = np.random.default_rng(steps).random((steps, BATCH)) < 0.3
        expected = interpret(graph, {"T": steps}, inputs, params, resets=resets)
        got = bound.run(inputs, resets=resets)
        for name, array in expected.items():
            assert_close(got[name], array, np.float32, steps)
