"""Sparse weights: whatever the pattern, results are those of the same weights, zeros and all."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnc
from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request
from rnnc.ir.interpreter import interpret
from rnnc.runtime.model import Model
from rnnc.runtime.sparse import HEADER, STEPS, sparse
from tests.threads import share_everything
from tests.tolerance import assert_close

Floats = NDArray[np.float32]
STEPS_OF_TIME = 5
SIZES = ((70, 45), (33, 16), (7, 100), (130, 67))  # inputs shorter than any window, odd numbers
MASKED = """\
model masked{X, H}:
    dim t in 0..T
    param W: [H, X], U: [H, H], b: [H], keep: bool[H, H]
    input x[t]: [X]
    output h[t] = tanh(W @ x[t] + (U if keep else 0) @ h[t-1] + b)
    h[-1] = 0
"""


@cache
def compiled(x: int, h: int, target: str = "cpu") -> tuple[Compilation, Model]:
    request = Request(None, {"X": x, "H": h}, {}, target, weights="sparse")
    compilation = Compilation(Source("masked.rnn", MASKED), request)
    return compilation, share_everything(compilation.load())


def parameters(x: int, h: int, density: float) -> dict[str, Floats | NDArray[np.bool_]]:
    """With an empty row, a full row, and the last column used."""
    random = np.random.default_rng(int(100 * density))
    w, u = random.normal(size=(h, x)) / x**0.5, random.normal(size=(h, h)) / h**0.5
    w *= random.random(w.shape) < density
    keep = random.random(u.shape) < density
    if 0 < density < 1:
        w[1], w[2, -1], w[5] = 0, 0.5, 0.01
        keep[1], keep[2, -1], keep[5] = False, True, True
    b = random.normal(size=h)
    return {"W": w.astype("f"), "U": u.astype("f"), "b": b.astype("f"), "keep": keep}


@pytest.mark.parametrize(
    ("x", "h", "target"),
    [
        *((x, h, "cpu") for x, h in SIZES),
        *((70, 45, f"cpu:x86-64{level}") for level in ("-v3", "")),
    ],
)
def test_every_pattern_in_one_library(x: int, h: int, target: str) -> None:
    compilation, model = compiled(x, h, target)
    random = np.random.default_rng(1)
    for density in (0.0, 0.01, 0.1, 0.3, 1.0):
        params = parameters(x, h, density)
        bound = model.bind(params)
        for batch in (1, 2, 13):
            inputs = {"x": random.normal(size=(STEPS_OF_TIME, batch, x)).astype("f")}
            expected = interpret(compilation.graph, {"T": STEPS_OF_TIME}, inputs, params)["h"]
            for threads in (1, 2):
                found = bound.run(inputs, threads=threads)["h"]
                assert_close(found, expected, np.float32, STEPS_OF_TIME)


def test_ragged_rows() -> None:
    compilation, model = compiled(70, 45)
    params, lengths = parameters(70, 45, 0.1), np.array([5, 0, 3, 1, 4, 2, 5], np.int32)
    x = np.random.default_rng(2).normal(size=(STEPS_OF_TIME, len(lengths), 70)).astype("f")
    found = model.bind(params)(x=x, lengths=lengths)["h"]
    for row, length in enumerate(lengths.tolist()):
        inputs = {"x": x[:length, row : row + 1]}
        expected = interpret(compilation.graph, {"T": length}, inputs, params)["h"]
        assert_close(found[:length, row : row + 1], expected, np.float32, STEPS_OF_TIME)


def test_nothing_is_read_beyond_an_input() -> None:
    """What stands behind a row is no part of any product, even if it is no number."""
    params = parameters(70, 45, 0.1)
    memory = np.full((STEPS_OF_TIME, 2, 200), np.nan, np.float32)
    memory[..., :70] = np.random.default_rng(3).normal(size=(STEPS_OF_TIME, 2, 70))
    found = compiled(70, 45)[1].bind(params)(x=memory[..., :70])["h"]
    assert np.isfinite(found).all()


@pytest.mark.parametrize("window", [16, 32])
@pytest.mark.parametrize("density", [0.0, 0.05, 0.1, 1.0])
def test_a_pack_holds_every_weight(density: float, window: int) -> None:
    """Read back as the kernels do."""
    random = np.random.default_rng(4)
    weights = random.normal(size=(5, 16, 99)).astype("f")
    weights *= random.random(weights.shape) < density
    words = sparse(weights, window, 0.4).view(np.int32)
    for number, expected in enumerate(weights):
        begin = number + words[number]
        count, length = words[begin : begin + HEADER]
        found = np.zeros_like(expected)
        rest = words[begin + length :]
        if count < 0:
            found = rest[: 16 * 99].view(np.float32).reshape(99, 16).T
        for group in range(count):
            block = rest[group * 16 * (1 + STEPS) :][: 16 * (1 + STEPS)].reshape(-1, 16)
            start = words[begin + HEADER + group]
            assert 0 <= start <= 99 - window
            for step in range(STEPS):
                places = (block[0] >> (8 * step)) & 0xFF
                assert places.max() < window
                found[np.arange(16), start + places] += block[1 + step].view(np.float32)
        np.testing.assert_array_equal(found, expected)
        assert (count < 0) == (density == 1)


def test_few_weights_take_little_memory() -> None:
    random = np.random.default_rng(5)
    weights = (random.normal(size=(8, 16, 256)) * (random.random((8, 16, 256)) < 0.1)).astype("f")
    assert sparse(weights, 32, 0.4).nbytes < 0.25 * weights.nbytes


def test_a_c_library_refuses(tmp_path: Path) -> None:
    with pytest.raises(rnnc.DiagnosticError) as caught:
        compiled(33, 16)[0].build_c_library(tmp_path / "library", None)
    assert caught.value.diagnostics[0].code == "RNN705"
