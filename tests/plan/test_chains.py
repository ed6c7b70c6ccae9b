"""Which recurrences become chains, and that chains compute what the equations say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request
from rnnc.ir.interpreter import interpret
from rnnc.passes.bind_sizes import BindSizes
from rnnc.plan.plan import Kernel, Phase, Plan, Step
from rnnc.sampling import random_inputs, random_parameters
from tests.plan.test_simulation import BATCH, clear_beyond, simulated
from tests.tolerance import assert_close

MODEL = """
model recurrence{{H = 3, L = 3}}:
    dim {dims}
    input x[t]: [H], s: [H] = 0
    param u: [H], b: [H], W: [H, H]
    {equations}
"""
# Equations, dims, and how many kernels of chains with how many carried values there must be.
CASES = {
    "forward": (
        """h[t] = tanh(u * h[t-1] + x[t])
    h[-1] = s
    output y[t] = h[t]""",
        "t in 0..T",
        [1],
    ),
    "backward": (
        """h[t] = tanh(u * h[t+1] + x[t])
    h[T] = s
    output y[t] = h[t]""",
        "t in 0..T",
        [2],
    ),
    "both": (
        """f[t] = tanh(u * f[t-1] + x[t])
    g[t] = tanh(b * g[t+1] + x[t])
    g[T] = s
    output y[t] = f[t] + g[t]""",
        "t in 0..T",
        [1, 2],
    ),
    "far": (
        """h[t] = tanh(u * h[t-3] + x[t])
    output y[t] = h[t]""",
        "t in 0..T",
        [0],
    ),
    "several": (
        """h[t] = tanh(u * c[t-1] + x[t])
    c[t] = sigmoid(b * h[t-1]) * c[t-1] + h[t]
    output y[t] = c[t]""",
        "t in 0..T",
        [2],
    ),
    "apart": (
        """h[t] = tanh(u * c[t-1] + x[t])
    c[t] = sigmoid(b * h[t-1])
    output y[t] = c[t]""",
        "t in 0..T",
        [2],
    ),
    "layers": (
        """h[l, t] = tanh(u * h[l, t-1] + W @ h[l-1, t] + b)
    h[-1, t] = x[t]
    output y[t] = h[L-1, t]""",
        "l in 0..L, t in 0..T",
        [1],
    ),
    "points": (
        """h[l, t] = tanh(u * h[l, t-1] + l * x[t])
    output y[t] = sum(l: h[l, t])""",
        "l in 0..L, t in 0..T",
        [1],
    ),
    "numbers": (
        """n[t] = (n[t-1] + 1) % 3
    h[l, t] = 0.5 * h[l, t-1] + x[t][l] * n[t]
    output y[t] = sum(l: h[l, t])""",
        "l in 0..L, t in 0..T",
        [1, 1],
    ),
    "last": (
        """h[t] = tanh(u * h[t-1] + x[t])
    output y = h[T-1]""",
        "t in 0..T",
        [1],
    ),
    "matrix": (
        """h[t] = tanh(u * h[t-1] + W @ h[t-1] + x[t])
    output y[t] = h[t]""",
        "t in 0..T",
        [],
    ),
    "mixed": (
        """h[t] = tanh(flip(h[t-1]) + x[t])
    output y[t] = h[t]""",
        "t in 0..T",
        [],
    ),
}


def compilation(name: str) -> Compilation:
    equations, dims, _ = CASES[name]
    source = Source("model.rnn", MODEL.format(equations=equations, dims=dims))
    return Compilation(source, Request())


def serial_kernels(plan: Plan) -> list[Kernel]:
    def inside(steps: tuple[Step, ...]) -> list[Kernel]:
        found: list[Kernel] = []
        for step in steps:
            found += step.kernels if isinstance(step, Phase) else inside(step.body)
        return found

    return [kernel for kernel in inside(plan.steps) if kernel.serial is not None]


@pytest.mark.parametrize("name", CASES)
def test_chains_are_found(name: str) -> None:
    kernels = serial_kernels(compilation(name).plan)
    assert [len(kernel.carries) for kernel in kernels] == CASES[name][2]


@pytest.mark.parametrize("name", CASES)
def test_chains_compute_the_recurrence(name: str) -> None:
    found = compilation(name)
    graph = BindSizes().run(found.graph)
    params = random_parameters(graph, 0)
    for steps, ragged in itertools.product((0, 1, 2, 7), (False, True)):
        extents = {"T": steps}
        lengths = {"T": np.array([steps, max(0, steps - 3)])} if ragged else None
        inputs = random_inputs(graph, extents, BATCH, 1)
        expected = interpret(graph, extents, inputs, params, lengths=lengths)
        got = simulated(found, extents, inputs, params, lengths)
        for output, array in expected.items():
            if lengths is not None:
                clear_beyond(got[output], array)
            assert_close(got[output], array, np.float64, 10 * steps + 10)
