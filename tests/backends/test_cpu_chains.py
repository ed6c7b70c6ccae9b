"""Compiled chains against the interpreter: in registers and in strips, on one thread and on two."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.analysis.schedule import Options, schedule
from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request
from rnnc.ir.interpreter import interpret
from rnnc.passes.bind_sizes import BindSizes
from rnnc.sampling import random_inputs, random_parameters
from tests.plan.test_chains import CASES, MODEL
from tests.plan.test_scan import SCANNED
from tests.tolerance import assert_close


# Some lanes of a vector; several vectors with a rest; more vectors than stay in registers.
@pytest.mark.parametrize("width", [3, 21, 150])
@pytest.mark.parametrize("name", ["forward", "backward", "several", "layers", "numbers"])
def test_compiled_chains(name: str, width: int) -> None:
    equations, dims, _ = CASES[name]
    check(equations, dims, width, chunks=1)


@pytest.mark.parametrize("width", [1, 150])
@pytest.mark.parametrize(
    "name",
    ["plain", "masked", "points", "layers", "back", "two", "turning", "complex", "logarithmic"],
)
def test_compiled_scans(name: str, width: int) -> None:
    check(*SCANNED[name], width, chunks=4)


ROTATION = """
model rotation{H}:
    dim t in 0..T
    input a[t], b[t], x[t]: [H]
    h[t] = a[t] * h[t-1] - b[t] * g[t-1] + x[t]
    output y[t] = h[t]
    g[t] = b[t] * h[t-1] + a[t] * g[t-1] - x[t]
"""


@pytest.mark.parametrize("chunks", [1, 8, 64])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 1000])
def test_long_scans_are_as_exact_as_steps(steps: int, chunks: int) -> None:
    """With a decay anywhere from 0 to 1, both included; the oracle is complex arithmetic."""
    found = Compilation(Source("model.rnn", ROTATION), Request(sizes={"H": 20}))
    found.schedule = schedule(found.completed, Options(chunks=chunks))
    bound = found.load().bind({})
    random = np.random.default_rng(steps)
    decay = random.choice(
        [0.0, 0.5, 0.9, 0.999, 1.0], (steps, 2, 20), p=[0.01, 0.1, 0.2, 0.4, 0.29]
    )
    factor = decay * np.exp(1j * random.choice([0, 0.3, np.pi / 2], decay.shape))
    inputs = {"a": factor.real, "b": factor.imag, "x": random.normal(size=decay.shape)}
    given = {name: value.astype(np.float32) for name, value in inputs.items()}
    exact = {name: value.astype(np.float64) for name, value in given.items()}
    state, expected = np.zeros(decay.shape[1:], complex), np.zeros(decay.shape)
    for t in range(steps):
        state = (exact["a"][t] + 1j * exact["b"][t]) * state + exact["x"][t] * (1 - 1j)
        expected[t] = state.real
    got = bound.run(given, extents={"T": steps}, threads=2)["y"]
    assert_close(got, expected, np.float32, steps)


def check(equations: str, dims: str, width: int, chunks: int) -> None:
    source = Source("model.rnn", MODEL.format(equations=equations, dims=dims))
    found = Compilation(source, Request(sizes={"H": width, "L": 3}))
    found.schedule = schedule(found.completed, Options(chunks=chunks))
    graph = BindSizes().run(found.graph)
    params = {name: value.astype(np.float32) for name, value in random_parameters(graph, 0).items()}
    bound = found.load().bind(params)
    for batch, steps, threads in ((1, 9, 1), (1, 1, 2), (2, 0, 1), (7, 9, 2), (90, 3, 1)):
        extents = {"T": steps}
        lengths = {"T": np.random.default_rng(batch).integers(0, steps + 1, batch)}
        inputs = {
            name: value.astype(np.float32)
            for name, value in random_inputs(graph, extents, batch, 1).items()
        }
        for given in (None, lengths):
            expected = interpret(graph, extents, inputs, params, lengths=given)
            got = bound.run(inputs, lengths=given, extents=extents, threads=threads)
            for output, array in expected.items():
                assert_close(got[output], array, np.float32, 10 * steps + width)
