"""Loops that may end early: only where that is proved, and with the same results."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from rnnc.analysis.components import Component
from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request, StaticValue, explain
from rnnc.ir.interpreter import interpret
from rnnc.ir.pointwise import Array, pointwise
from rnnc.plan.plan import Until, Waves
from rnnc.runtime.model import BoundModel
from rnnc.sampling import random_parameters
from tests.plan.simulate import Simulator
from tests.plan.test_simulation import clear_beyond, fill_parameters
from tests.threads import share_everything
from tests.tolerance import assert_close

SIZES: dict[str, StaticValue] = {"H": 4, "M": 6}

# Each stops rows as soon as `limit` says.
STOPPING = {
    # The state is held, and read behind the loop.
    "held": """
    h[t] = h[t-1] if done[t-1] else tanh(U @ h[t-1] + x[t])
    h[-1] = x[0]
    count[t] = count[t-1] + exp(w @ h[t])
    done[t] = done[t-1] or count[t] > limit
    output y[t] = h[t]
    output last = h[T-1]
    output steps = sum(t: 0 if done[t-1] else 1)""",
    # The state goes on; what is made of it does not.
    "masked": """
    h[t] = tanh(U @ (h[t-1] if runs[t] else x[t]) + x[t])
    total[t] = total[t-1] + sigmoid(w @ h[t]) + 0.5
    runs[t] = total[t-1] < limit
    output y[t] = h[t] * total[t] if runs[t] else 2
    output sums = sum(t: h[t] if runs[t] else 0)""",
    # A truth value that and-s, read with `not`.
    "and": """
    h[t] = tanh(U @ h[t-1] + x[t]) if goes[t-1] else 0 * x[t]
    total[t] = total[t-1] + 1
    goes[t] = goes[t-1] and total[t] + 0 * h[t][0] < limit
    goes[-1] = true
    output y[t] = h[t] if goes[t-1] else 1
    output n = sum(t: 1 if not goes[t] else 0)""",
}
# The stop does not need what it ends.
KNOWN = {
    "known before": """
    done[t] = done[t-1] or x[t][0] > limit
    h[t] = h[t-1] if done[t-1] else tanh(U @ h[t-1] + x[t])
    h[-1] = x[0]
    output y[t] = h[t]
    output last = h[T-1]
    output steps = sum(t: 0 if done[t-1] else 1)""",
    "known beside": """
    total[t] = total[t-1] + exp(w @ x[t])
    runs[t] = total[t-1] < limit
    h[t] = tanh(U @ h[t-1] + x[t])
    g[t] = tanh(U @ g[t-1] + h[t])
    output y[t] = h[t] + g[t] if runs[t] else 2""",
}
STOPPING |= KNOWN
# From the last step on.
BACKWARDS = {
    "held backwards": """
    h[t] = h[t+1] if done[t+1] else tanh(U @ h[t+1] + x[t])
    h[T] = x[T-1]
    count[t] = count[t+1] + exp(w @ h[t])
    done[t] = done[t+1] or count[t] > limit
    output y[t] = h[t]
    output first = h[0]
    output steps = sum(t: 0 if done[t+1] else 1)""",
    "masked backwards": """
    h[t] = tanh(U @ h[t+1] + x[t])
    total[t] = total[t+1] + sigmoid(w @ h[t]) + 0.5
    runs[t] = total[t+1] < limit
    output y[t] = h[t] * total[t] if runs[t] else 2
    output sums = sum(t: h[t] if runs[t] else 0)""",
}
STOPPING |= BACKWARDS
HEADER = """model stops{H}:
    dim t in 0..T
    input x[t]: [H], limit: real
    param U: [H, H], w: [H]"""

# Changed in one place, none of them may end early.
NOT_STOPPING = {
    "addend that may be negative": ("masked", "sigmoid(w @ h[t]) + 0.5", "tanh(w @ h[t]) + 0.5"),
    "limit of every step": ("masked", "< limit", "< limit * x[t][0]"),
    "read outside of the mask": ("masked", "runs[t] else 2", "runs[t] or x[t][0] > 0 else 2"),
    "a later step outside": ("masked", "h[t] * total[t] if", "h[T-1] * total[t] if"),
    "true again": ("held", "done[t-1] or count", "count"),
    "not held": ("held", "h[t-1] if done[t-1]", "0.5 * h[t-1] if done[t-1]"),
    "grows, but compared above": ("masked", "total[t-1] < limit", "total[t-1] > limit"),
}


def compilation(equations: str) -> Compilation:
    return Compilation(Source("stops.rnn", HEADER + equations + "\n"), Request("stops", {"H": 4}))


def exits(components: tuple[Component, ...]) -> list[Component]:
    inner = [found for component in components for found in exits(component.inner)]
    return [component for component in components if component.until] + inner


def untils(found: Compilation) -> list[tuple[str, Until]]:
    loops = [step for step in found.plan.steps if isinstance(step, Waves)]
    loops += [inner for step in loops for inner in step.body if isinstance(inner, Waves)]
    return [(loop.variable, loop.until) for loop in loops if loop.until is not None]


@cache
def bound(name: str) -> tuple[Compilation, BoundModel, dict[str, Array]]:
    found = compilation(STOPPING[name])
    model = share_everything(found.load())
    params = random_parameters(found.graph, 3)
    return found, model.bind(params), params


@pytest.mark.parametrize("name", STOPPING)
def test_one_loop_may_end(name: str) -> None:
    assert len(untils(compilation(STOPPING[name]))) == 1


@pytest.mark.parametrize("case", NOT_STOPPING)
def test_what_is_not_proved_runs_to_its_end(case: str) -> None:
    name, before, after = NOT_STOPPING[case]
    assert before in STOPPING[name]
    assert not exits(compilation(STOPPING[name].replace(before, after)).schedule.components)


# What `rnnc explain` says of those in which a stop stays, but does not decide enough.
REASONS = {
    "read outside of the mask": "total[t-1] < limit is false in all rows: y is an output",
    "a later step outside": "false in all rows: 'h[T-1] * total[t]' needs 'h' even then",
    "not held": "done is true in all rows: y is an output",
}


@pytest.mark.parametrize("case", REASONS)
def test_what_forbids_it(case: str) -> None:
    name, before, after = NOT_STOPPING[case]
    found = explain(compilation(STOPPING[name].replace(before, after)), {})
    assert found.order[-1].startswith("No loop ends early when ")
    assert found.order[-1].endswith(REASONS[case])


# Of three rows: all at once, one after another, one never, none.
LIMITS = ([-1.0, -1.0, -1.0], [0.7, 3.2, 2.0], [0.7, 1e9, 2.0], [1e9, 1e9, 1e9], [np.nan, 0.7, 2])


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("steps", [1, 2, 9])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("name", STOPPING)
def test_rows_stop_at_their_own_time(
    name: str, ragged: bool, steps: int, limits: list[float]
) -> None:
    found, model, params = bound(name)
    random = np.random.default_rng(steps)
    x = random.normal(size=(steps, 3, 4)).astype(np.float32)
    inputs: dict[str, Array] = {"x": x, "limit": np.array(limits, np.float32)}
    extents = {"T": steps}
    lengths = {"T": np.array([steps, max(1, steps - 3), 1])} if ragged else None
    expected = interpret(found.graph, extents, inputs, params, lengths=lengths)
    for threads in (1, 3):
        for output, value in model.run(inputs, lengths=lengths, threads=threads).items():
            assert_close(value, expected[output], np.float32, steps)
    simulator = Simulator(found.plan, pointwise, 3, extents, lengths)
    for argument in found.plan.inputs:
        simulator.memory[argument.buffer][...] = inputs[argument.name]
    fill_parameters(simulator, found.plan, params)
    simulator.run()
    for result in found.plan.outputs:
        computed = simulator.memory[result.buffer]
        if lengths is not None:
            clear_beyond(computed, expected[result.name])
        assert_close(computed, expected[result.name], np.float64, steps)


def test_waves_are_left_out() -> None:
    for limits in LIMITS:
        found, _, params = bound("and")
        [(variable, until)] = untils(found)
        simulator = Simulator(found.plan, pointwise, 3, {"T": 40})
        for argument in found.plan.inputs:
            values = {"x": np.ones((40, 3, 4)), "limit": np.array(limits)}
            simulator.memory[argument.buffer][...] = values[argument.name]
        fill_parameters(simulator, found.plan, params)
        simulator.run()
        [loop] = [step for step in found.plan.steps if isinstance(step, Waves) and step.until]
        # total is t + 1 at t: behind the step at which the last row's limit is reached.
        wanted = max(max(0, int(np.ceil(limit)) - 1) if limit == limit else 0 for limit in limits)
        waves = loop.count.evaluate({"T": 40})
        each = waves / 40
        assert simulator.waves[variable] <= min(waves, (wanted + 1) * each + until.delay)
        if wanted >= 40:
            assert simulator.waves[variable] == waves


@pytest.mark.parametrize("name", BACKWARDS)
@pytest.mark.parametrize("limit", [-1.0, 1e9])
def test_rows_that_end_before_the_arrays_begin_late(name: str, limit: float) -> None:
    found, model, params = bound(name)
    inputs: dict[str, Array] = {
        "x": np.ones((40, 3, 4), np.float32),
        "limit": np.full(3, limit, np.float32),
    }
    lengths = {"T": np.array([30, 20, 30])}
    expected = interpret(found.graph, {"T": 40}, inputs, params, lengths=lengths)
    for output, value in model.run(inputs, lengths=lengths).items():
        assert_close(value, expected[output], np.float32, 40)
    simulator = Simulator(found.plan, pointwise, 3, {"T": 40}, lengths)
    for argument in found.plan.inputs:
        simulator.memory[argument.buffer][...] = inputs[argument.name]
    fill_parameters(simulator, found.plan, params)
    simulator.run()
    [(variable, until)] = untils(found)
    [loop] = [step for step in found.plan.steps if isinstance(step, Waves) and step.until]
    waves = loop.count.evaluate({"T": 40})
    each = waves // 40
    if limit > 0:
        assert simulator.waves[variable] == waves
    else:  # nobody has stopped before all have begun, at step 19
        assert 21 * each <= simulator.waves[variable] <= 22 * each + until.delay
