"""Folds of whole vectors against NumPy, for sizes around those of a vector."""

from __future__ import annotations

import numpy as np
import pytest

import rnnc
from tests.tolerance import assert_close

SPEC = """
model folded{N}:
    dim t in 0..T
    input x[t]: [N]
    param g: [N]
    output total[t] = sum(g * x[t] * x[t])
    output most[t] = max(x[t] - 3)
    output least[t] = min(x[t])
    first[t], rest[t] = split(x[t], [1, N-1])
    output part[t] = sum(rest[t])
"""


@pytest.mark.parametrize("size", [2, 15, 16, 17, 33, 64, 130])
@pytest.mark.parametrize("batch", [1, 3])
def test_folds(size: int, batch: int) -> None:
    random = np.random.default_rng(size)
    x = random.normal(size=(4, batch, size)).astype(np.float32)
    g = random.normal(size=size).astype(np.float32)
    made = rnnc.compile(SPEC, sizes={"N": size}).bind({"g": g}).run({"x": x})
    exact = x.astype(np.float64)
    assert_close(made["total"], (g * exact * exact).sum(-1), np.float32)
    assert_close(made["part"], exact[..., 1:].sum(-1), np.float32)
    np.testing.assert_array_equal(made["most"], (x - np.float32(3)).max(-1))
    np.testing.assert_array_equal(made["least"], x.min(-1))


@pytest.mark.parametrize("place", [0, 20, 32])
def test_nan_stays(place: int) -> None:
    x = np.zeros((1, 1, 33), np.float32)
    x[..., place] = np.nan
    made = rnnc.compile(SPEC, sizes={"N": 33}).bind({"g": np.ones(33, np.float32)}).run({"x": x})
    for name in ("total", "most", "least"):
        assert np.isnan(made[name]).all(), name
