"""What is known to be zero at the first level, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

import rnnc
from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request
from rnnc.plan.first_level import zero_at_first_level
from rnnc.plan.plan import Levels
from tests.tolerance import assert_close

SPEC = """
model chain{H}:
    dim n in 0..N
    input x[n]: [H], before[n]: int in -1..n, start: [H]
    param U: [H, H]
    h[n] = tanh(U @ h[before[n]] + x[n])
    BORDER
    output y[n] = h[n]
"""
BORDERS = {"": True, "h[-1] = 0": True, "h[-1] = start": False, "h[-1] = 1": False}


@pytest.mark.parametrize("border", BORDERS)
def test_only_zeros_are_zero(border: str) -> None:
    text = SPEC.replace("BORDER\n", border + "\n")
    plan = Compilation(Source("chain.rnn", text), Request(sizes={"H": 4})).plan
    [levels] = [step for step in plan.steps if isinstance(step, Levels)]
    assert bool(zero_at_first_level(plan, levels)) == BORDERS[border]


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("batch", [1, 3])
def test_first_level_is_right(border: str, batch: int) -> None:
    random = np.random.default_rng(0)
    before = np.array([-1, -1, 0, 2, 1])[:, None].repeat(batch, 1)
    x = random.normal(size=(5, batch, 4)).astype(np.float32)
    start = random.normal(size=(batch, 4)).astype(np.float32)
    U = random.normal(size=(4, 4)).astype(np.float32)
    edges = {"h[-1] = start": start, "h[-1] = 1": np.ones_like(start)}
    edge = edges.get(border, np.zeros_like(start)).astype(np.float64)
    h: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = []
    for n in range(5):
        past = edge if before[n, 0] < 0 else h[before[n, 0]]
        h.append(np.tanh(past @ U.T + x[n]))
    model = rnnc.compile(SPEC.replace("BORDER\n", border + "\n"), sizes={"H": 4}).bind({"U": U})
    made = model.run({"x": x, "before": before, "start": start})["y"]
    assert_close(made, np.stack(h), np.float32, 5)
