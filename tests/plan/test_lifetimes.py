"""How many slots buffers have, and that no read finds another value than its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request
from rnnc.ir.interpreter import interpret
from rnnc.passes.bind_sizes import BindSizes
from rnnc.plan.plan import Plan
from rnnc.sampling import random_inputs, random_parameters
from tests.plan.test_simulation import BATCH, simulated
from tests.plan.test_simulation import compilation as library
from tests.tolerance import assert_close

MODEL = """
model made{{H = 3, L = 3}}:
    dim {dims}
    input x[t]: [H], s: [H] = 0
    param U: [H, H]
    {equations}
"""
ELMAN = """h[t] = tanh(U @ h[t-1] + x[t])
    h[t in ..0] = s
    """
# Equations, dims, and the slots (and whether they are held) of dims of buffers by name.
Slots = dict[str, tuple[int, bool] | None]
CASES: dict[str, tuple[str, str, Slots]] = {
    "last value": (ELMAN + "output y = h[T-1]", "t in 0..T", {"h": (2, True)}),
    "last two": (ELMAN + "output y = h[T-1] + h[T-2]", "t in 0..T", {"h": (2, True)}),
    "last three": (ELMAN + "output y = h[T-1] + h[T-3]", "t in 0..T", {"h": (3, True)}),
    "first value": (ELMAN + "output y = h[0]", "t in 0..T", {"h": None}),
    "all values": (ELMAN + "output y = sum(t in 0..T: h[t])", "t in 0..T", {"h": None}),
    "far steps": (
        """h[t] = tanh(U @ h[t-1] + U @ h[t-3] + x[t])
    output y = h[T-1]""",
        "t in 0..T",
        {"h": (4, True)},
    ),
    "backward": (
        """h[t] = tanh(U @ h[t+1] + x[t])
    h[T] = s
    output y = h[0]""",
        "t in 0..T",
        {"h": None},  # a short row begins behind its end, with what is beyond the array's
    ),
    "layers": (
        """h[l, t] = tanh(U @ h[l-1, t] + U @ h[l, t-1])
    h[-1, t] = x[t]
    output y = h[L-1, T-1]""",
        "l in 0..L, t in 0..T",
        {"h": None},  # what is below the first layer is as long as the arrays
    ),
}


def compilation(case: str) -> Compilation:
    equations, dims, _ = CASES[case]
    return made(equations, dims)


def made(equations: str, dims: str) -> Compilation:
    """A model of two weights and an input along t."""
    text = MODEL.format(dims=dims, equations=equations)
    return Compilation(Source("made.rnn", text), Request())


def test_layers_keep_two_states_each() -> None:
    plan = library("stacked", "stacked_lstm").plan
    assert slots(plan, "c") == [(2, True)]


def slots(plan: Plan, name: str) -> list[tuple[int, bool]]:
    return [(d.slots, d.held) for d in plan.buffer(name).dims if d.slots is not None]


@pytest.mark.parametrize("case", CASES)
def test_slots(case: str) -> None:
    expected = CASES[case][2]
    plan = compilation(case).plan
    for name, found in expected.items():
        assert slots(plan, name) == ([] if found is None else [found])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("steps", [0, 1, 2, 7])
@pytest.mark.parametrize("ragged", [False, True])
def test_values(case: str, steps: int, ragged: bool) -> None:
    found = compilation(case)
    graph = BindSizes().run(found.graph)
    extents = {"T": steps}
    lengths = {"T": np.array([steps, max(min(steps, 3), steps - 4)])} if ragged else None
    inputs, params = random_inputs(graph, extents, BATCH, 1), random_parameters(graph, 0)
    [expected] = interpret(graph, extents, inputs, params, lengths=lengths).values()
    [computed] = simulated(found, extents, inputs, params, lengths).values()
    assert_close(computed, expected, np.float64, 10 * steps)


@pytest.mark.parametrize("case", [case for case, row in CASES.items() if row[2]["h"]])
def test_one_slot_less_is_caught(case: str) -> None:
    found = compilation(case)
    plan = found.plan
    buffers = tuple(
        replace(
            buffer,
            dims=tuple(
                replace(dim, slots=dim.slots - 1) if dim.slots is not None else dim
                for dim in buffer.dims
            ),
        )
        if buffer.name == "h"
        else buffer
        for buffer in plan.buffers
    )
    found.__dict__["plan"] = replace(plan, buffers=buffers)
    graph = BindSizes().run(found.graph)
    inputs, params = random_inputs(graph, {"T": 7}, BATCH, 1), random_parameters(graph, 0)
    with pytest.raises(AssertionError):
        simulated(found, {"T": 7}, inputs, params, None)
