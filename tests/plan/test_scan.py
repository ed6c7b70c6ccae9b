"""Chains cut into chunks compute what the equations say, for any number of chunks and steps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rnnc.analysis.cost import CostModel
from rnnc.analysis.machine import Machine
from rnnc.analysis.schedule import Options, schedule
from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request
from rnnc.ir.interpreter import interpret
from rnnc.passes.bind_sizes import BindSizes
from rnnc.plan.plan import Plan
from rnnc.sampling import random_inputs, random_parameters
from tests.plan.test_chains import MODEL, serial_kernels
from tests.plan.test_simulation import BATCH, clear_beyond, simulated
from tests.tolerance import assert_close

TIME, LAYERS = "t in 0..T", "l in 0..L, t in 0..T"
AFFINE = {
    "plain": ("h[t] = u * h[t-1] + x[t]\n    h[-1] = s\n    output y[t] = h[t]", TIME),
    "gated": (
        """h[t] = (1 - sigmoid(x[t])) * h[t-1] + sigmoid(x[t]) * tanh(x[t])
    output y[t] = h[t]
    output last = h[T-1]""",
        TIME,
    ),
    "towards": (
        "h[t] = h[t-1] + u * (x[t] - h[t-1]) / (1 + x[t]^2)\n    output y[t] = h[t]",
        TIME,
    ),
    "masked": (
        "h[t] = x[t] - 0.5 * h[t-1] if x[t] > 0 else -h[t-1]\n    output y[t] = h[t]",
        TIME,
    ),
    "zero": ("h[t] = 0.0 * h[t-1] + x[t]\n    output y[t] = h[t]", TIME),
    "points": (
        "h[l, t] = u * h[l, t-1] + l * x[t]\n    output y[t] = sum(l: h[l, t])",
        LAYERS,
    ),
    "layers": (
        """h[l, t] = u * h[l, t-1] + W @ h[l-1, t]
    h[-1, t] = x[t]
    output y[t] = h[L-1, t]""",
        LAYERS,
    ),
    "back": ("h[t] = u * h[t+1] + x[t]\n    h[T] = s\n    output y[t] = h[t]", TIME),
    "two": (
        """h[t] = u * h[t-1] + 0.5 * b * h[t-2] + x[t]
    h[-1] = s
    h[-2] = b * s
    output y[t] = h[t]""",
        TIME,
    ),
    "fourth": ("h[t] = u * h[t-1] - 0.5 * h[t-4] + x[t]\n    output y[t] = h[t]", TIME),
    "rotation": (
        """h[t] = u * h[t-1] - b * g[t-1] + x[t]
    g[t] = b * h[t-1] + u * g[t-1]
    h[-1] = s
    output y[t] = h[t] * g[t]""",
        TIME,
    ),
    "turning": (
        """h[t] = u * h[t+1] - b * g[t+1] + x[t]
    g[t] = tanh(x[t]) * h[t] + u * g[t+1]
    g[T] = s
    output y[t] = h[t] * g[t]
    output first = g[0]""",
        TIME,
    ),
    "complex": (
        """z[t] = complex(u, b) * z[t-1] + complex(x[t], 1)
    output y[t] = re(z[t])""",
        TIME,
    ),
    "three": (
        """h[t] = u * g[t-1] + x[t]
    g[t] = b * k[t-1] - x[t]
    k[t] = 0.5 * h[t-1] + x[t] * k[t-1]
    output y[t] = h[t] + k[t]""",
        TIME,
    ),
    "latched": (
        """z[t] = 1 if x[t] > 0 else 0
    h[t] = z[t] * h[t-1] + (1 - z[t]) * x[t]
    h[-1] = s
    output y[t] = h[t]""",
        TIME,
    ),
}
WITHOUT_NUMBERS = {
    "logarithmic": (
        """h[t] = logaddexp(h[t-1] - softplus(x[t]), x[t] + u)
    h[-1] = s
    output y[t] = h[t]""",
        TIME,
    ),
    "two logarithmic": (
        """h[t] = logaddexp(h[t-1] + x[t], g[t-1] - u)
    g[t] = logaddexp(h[t-1], x[t]) if x[t] > 0 else g[t-1] - x[t]
    h[-1] = s
    output y[t] = h[t] + g[t]""",
        TIME,
    ),
    "largest": ("h[t] = relu(max(x[t] + h[t+1], b) - u)\n    output y[t] = h[t]", TIME),
    "smallest": ("h[t] = u + min(x[t], h[t-1] - b)\n    output y[t] = h[t]", TIME),
}
SCANNED = {**AFFINE, **WITHOUT_NUMBERS}
# Not linear, or carrying too many values to be worth their square.
OTHERS = {
    "tanh": ("h[t] = tanh(u * h[t-1] + x[t])\n    output y[t] = h[t]", TIME),
    "relu": ("h[t] = relu(u * h[t-1] + x[t])\n    output y[t] = h[t]", TIME),
    "far": ("h[t] = u * h[t-1] + b * h[t-5] + x[t]\n    output y[t] = h[t]", TIME),
}


def chunked(equations: str, dims: str, chunks: int) -> Compilation:
    source = Source("model.rnn", MODEL.format(equations=equations, dims=dims))
    found = Compilation(source, Request())
    found.schedule = schedule(found.completed, Options(chunks=chunks))
    return found


def is_scanned(plan: Plan) -> bool:
    return any(kernel.last for kernel in serial_kernels(plan))


@pytest.mark.parametrize("name", SCANNED)
def test_linear_chains_are_scanned(name: str) -> None:
    assert is_scanned(chunked(*SCANNED[name], 4).plan)
    assert not is_scanned(chunked(*SCANNED[name], 1).plan)


@pytest.mark.parametrize("name", OTHERS)
def test_others_are_not(name: str) -> None:
    assert not is_scanned(chunked(*OTHERS[name], 4).plan)


@pytest.mark.parametrize("chunks", [2, 5])
@pytest.mark.parametrize("name", SCANNED)
def test_scans_compute_the_recurrence(name: str, chunks: int) -> None:
    found = chunked(*SCANNED[name], chunks)
    graph = BindSizes().run(found.graph)
    params = random_parameters(graph, 0)
    for steps, ragged in itertools.product((0, 1, 3, 4, 13), (False, True)):
        extents = {"T": steps}
        lengths = {"T": np.array([steps, max(0, steps - 3)])} if ragged else None
        inputs = random_inputs(graph, extents, BATCH, 1)
        expected = interpret(graph, extents, inputs, params, lengths=lengths)
        got = simulated(found, extents, inputs, params, lengths)
        for output, array in expected.items():
            if lengths is not None:
                clear_beyond(got[output], array)
            assert_close(got[output], array, np.float64, 10 * steps + 10)


@pytest.mark.parametrize(
    ("width", "steps", "cores", "scanned"),
    [(4, 10_000, 16, True), (4, 50, 16, False), (1024, 10_000, 16, False), (4, 10_000, 1, False)],
)
def test_scans_are_for_few_elements_many_steps_and_many_cores(
    width: int, steps: int, cores: int, scanned: bool
) -> None:
    source = Source("m.rnn", MODEL.format(equations=AFFINE["plain"][0], dims=TIME))
    found = Compilation(source, Request(sizes={"H": width}))
    [chain] = [c for c in found.schedule.components if c.kind == "chain"]
    cost = CostModel(found.completed, {"T": steps}, Machine(cores=cores))
    assert (cost.chunks(chain) > 1) == scanned
