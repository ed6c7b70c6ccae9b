"""Thinking as long as some row has to (Graves 2016): what is computed, and what comes out."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from rnnc.analysis.early_exit import exits
from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request, explain, standard_source
from rnnc.ir.interpreter import interpret
from rnnc.ir.pointwise import Array, pointwise
from rnnc.plan.expression import Contract, walk
from rnnc.runtime.model import BoundModel, Model
from tests.oracles.arrays import Arrays
from tests.oracles.memory import act_rnn, act_thoughts
from tests.plan.simulate import Simulator
from tests.plan.test_simulation import fill_parameters
from tests.threads import share_everything
from tests.tolerance import assert_close

X, H, Y, MOST, EPS = 2, 5, 2, 10, 0.01
SIZES = {"X": X, "H": H, "Y": Y, "M": MOST, "eps": EPS}

# Bias of the halting unit and size of its weights: how soon rows have thought enough.
HALTING = {
    "at once": (20.0, 1.0),
    "never": (-20.0, 1.0),
    "behind the second": (0.0, 0.0),
    "each row for itself": (-4.0, 3.0),
}


@cache
def compiled() -> tuple[Compilation, Model]:
    found = Compilation(standard_source("act"), Request("act_rnn", SIZES))
    return found, share_everything(found.load())


@cache
def parameters(halting: str) -> dict[str, Array]:
    random = np.random.default_rng(len(halting))
    bias, size = HALTING[halting]
    shapes = {"elman.W": (H, X + 1), "elman.U": (H, H), "elman.b": (H,)}
    shapes |= {"readout.W": (Y, H), "readout.b": (Y,), "w": (H,)}
    params = {name: random.normal(size=shape) for name, shape in shapes.items()}
    params |= {"w": params["w"] * size, "b": np.array(bias)}
    return {name: value.astype(np.float32) for name, value in params.items()}


@cache
def bound(halting: str) -> BoundModel:
    return compiled()[1].bind(parameters(halting))


def given(steps: int, batch: int) -> Array:
    return np.random.default_rng(steps).normal(size=(steps, batch, X)).astype(np.float32)


def thoughts(params: dict[str, Array], x: Array, lengths: Array) -> list[int]:
    """How many thoughts the row that thinks longest has in each step, by the oracle."""
    most = [0] * len(x)
    for row, length in enumerate(lengths):
        state = np.zeros(H)
        for step in range(length):
            found = act_thoughts(MOST, EPS, Arrays(params), x[step, row], state)
            state = sum((weight * s for weight, s in found), np.zeros(H))
            most[step] = max(most[step], len(found))
    return most


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("steps", [0, 1, 7])
@pytest.mark.parametrize("halting", HALTING)
def test_values(halting: str, steps: int, batch: int) -> None:
    params, x = parameters(halting), given(steps, batch)
    extents = {"T": steps}
    expected = interpret(compiled()[0].graph, extents, {"x": x}, params)
    oracle = act_rnn(MOST, EPS)
    rows = [
        oracle(Arrays(params), Arrays({"x": x[:, row]}), {**extents, "H": H, "Y": Y})
        for row in range(batch)
    ]
    for threads in (1, 2):
        found = bound(halting).run({"x": x}, extents=extents, threads=threads)
        assert_close(found["y"], expected["y"], np.float32, steps)
        assert_close(found["ponder"], expected["ponder"], np.float32, steps)
        for row, alone in enumerate(rows):
            assert_close(found["y"][:, row], alone["y"], np.float32, steps)
            assert_close(found["ponder"][row], alone["ponder"], np.float32, steps)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("halting", HALTING)
def test_no_thought_is_computed_that_no_row_has(halting: str, ragged: bool) -> None:
    steps, batch = 7, 5
    plan, params, x = compiled()[0].plan, parameters(halting), given(steps, batch)
    lengths = np.array([3, 1, 5, 2, 5]) if ragged else np.full(batch, steps)
    simulator = Simulator(plan, pointwise, batch, {"T": steps}, {"T": lengths})
    simulator.memory["x"][...] = x
    fill_parameters(simulator, plan, params)
    simulator.run()
    wanted = thoughts(params, x, lengths)
    if halting == "each row for itself":
        assert len({*wanted}) > 2
    [product] = [
        kernel.name
        for kernel in plan.kernels
        if any(
            isinstance(part, Contract) and part.weight.columns == H
            for define in kernel.defines
            for part in walk(define.value)
        )
        and kernel.shape == (H,)
    ]
    assert simulator.points_of[product] == sum(wanted)


def test_a_thought_that_counts_unseen_is_computed() -> None:
    """`p * s` is looked at even where p is 0: s might be infinite there."""
    source = standard_source("act")
    text = source.text.replace("p[t, n] * s[t, n] if runs[t, n] else 0", "p[t, n] * s[t, n]")
    assert text != source.text
    found = Compilation(Source("act.rnn", text), Request("act_rnn", SIZES))
    assert not list(exits(found.schedule.components))
    [line] = [line for line in explain(found, {}).order if "early" in line]
    assert line.endswith("false in all rows: 'state' needs 'p[t, n] * s[t, n]' even then")


# Rows stop thinking in each step, and stop altogether.
BOTH = """model both{H}:
    dim t in 0..T, n in 0..10
    input x[t]: [H], thought: real, limit: real
    param U: [H, H]
    s[t, n] = tanh(U @ s[t, n-1] + x[t])
    s[t, -1] = state[t-1]
    total[t, n] = total[t, n-1] + exp(s[t, n][0])
    runs[t, n] = total[t, n-1] < thought
    state[t] = state[t-1] if done[t-1] else sum(n: s[t, n] if runs[t, n] else 0)
    count[t] = count[t-1] + abs(state[t][1]) + 0.2
    done[t] = done[t-1] or count[t] > limit
    output y[t] = state[t]
"""


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("limits", [[-1.0, -1.0, -1.0], [0.5, 2.0, 1.5], [0.5, 1e9, 2.0]])
@pytest.mark.parametrize("thoughts", [[-1.0, -1.0, -1.0], [1.0, 3.0, 2.0], [1e9, 1e9, 1e9]])
def test_exits_inside_of_loops_that_end_themselves(
    thoughts: list[float], limits: list[float], ragged: bool
) -> None:
    found, model = both()
    inputs: dict[str, Array] = {
        "x": np.random.default_rng(1).normal(size=(9, 3, 4)).astype(np.float32),
        "thought": np.array(thoughts, np.float32),
        "limit": np.array(limits, np.float32),
    }
    params = {"U": np.random.default_rng(2).normal(size=(4, 4)).astype(np.float32)}
    lengths = {"T": np.array([9, 4, 1])} if ragged else None
    expected = interpret(found.graph, {"T": 9}, inputs, params, lengths=lengths)
    for threads in (1, 3):
        result = model.bind(params).run(inputs, lengths=lengths, threads=threads)
        assert_close(result["y"], expected["y"], np.float32, 9)
    simulator = Simulator(found.plan, pointwise, 3, {"T": 9}, lengths)
    for argument in found.plan.inputs:
        simulator.memory[argument.buffer][...] = inputs[argument.name]
    fill_parameters(simulator, found.plan, params)
    simulator.run()
    if lengths is None:
        assert_close(simulator.memory["y"], expected["y"], np.float64, 9)


@cache
def both() -> tuple[Compilation, Model]:
    found = Compilation(Source("both.rnn", BOTH), Request("both", {"H": 4}))
    assert [end.dim for _, end in exits(found.schedule.components)] == ["t", "n"]
    return found, share_everything(found.load())
