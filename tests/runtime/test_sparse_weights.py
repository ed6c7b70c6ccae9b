"""Sparse weights: whatever the pattern, results are those of the same weights, zeros and all."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request
from rnnc.ir.interpreter import interpret
from rnnc.plan.stream import Stream
from rnnc.runtime.manifest import Pack
from rnnc.runtime.model import Model
from tests.runtime.clibrary import called, compiled_library
from tests.runtime.packs import packs
from tests.threads import share_everything
from tests.tolerance import assert_close

Floats = NDArray[np.float32]
STEPS_OF_TIME = 5
STEPS, HEADER = 4, 2  # of a list: weights of a row in a group, words before the starts
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


def test_a_mask_in_the_spec_makes_its_weights_sparse() -> None:
    compilation = Compilation(Source("masked.rnn", MASKED), Request(None, {"X": 45, "H": 33}))
    model = compilation.load()
    assert sorted(pack.type for pack in model.manifest.packs) == ["float32", "sparse"]
    assert isinstance(compilation.stream, Stream)
    assert [b.masked for b in compilation.stream.step.buffers if "prepared" in b.name] == [True]
    x = np.random.default_rng(5).normal(size=(STEPS_OF_TIME, 2, 45)).astype("f")
    for density in (0.1, 1.0):
        params = parameters(45, 33, density)
        expected = interpret(compilation.graph, {"T": STEPS_OF_TIME}, {"x": x}, params)["h"]
        found = model.bind(params).run({"x": x}, threads=1)["h"]
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


PRODUCT = """\
model product{X, H}:
    dim t in 0..T
    param W: [H, X]
    input x[t]: [X]
    output y[t] = W @ x[t]
"""
ROWS, COLUMNS = 70, 200


@cache
def product(target: str) -> Model:
    request = Request(None, {"X": COLUMNS, "H": ROWS}, {}, target, weights="sparse")
    return Compilation(Source("product.rnn", PRODUCT), request).load()


def random_weights(density: float) -> Floats:
    random = np.random.default_rng(4)
    weights = random.normal(size=(ROWS, COLUMNS)) * (random.random((ROWS, COLUMNS)) < density)
    return weights.astype("f")


def lists(model: Model, weights: Floats) -> tuple[Pack, list[NDArray[np.int32]]]:
    """The pack, and the words of each vector of rows."""
    [pack] = model.manifest.packs
    words = packs(model.bind({"W": weights}))[0].view(np.int32)
    count = pack.tiles * pack.lanes // pack.vector
    return pack, [words[number + words[number] :] for number in range(count)]


@pytest.mark.parametrize("target", ["cpu", "cpu:x86-64-v3"])
@pytest.mark.parametrize("density", [0.0, 0.05, 0.1, 1.0])
def test_a_pack_holds_every_weight(density: float, target: str) -> None:
    """Read back as the kernels do."""
    weights = random_weights(density)
    pack, vectors = lists(product(target), weights)
    lanes = pack.vector
    padded = np.zeros((len(vectors) * lanes, COLUMNS), np.float32)
    padded[:ROWS] = weights
    for number, words in enumerate(vectors):
        expected = padded[number * lanes : (number + 1) * lanes]
        count, length = words[:HEADER]
        found = np.zeros_like(expected)
        rest = words[length:]
        if count < 0:
            found = rest[: lanes * COLUMNS].view(np.float32).reshape(COLUMNS, lanes).T
        for group in range(count):
            block = rest[group * lanes * (1 + STEPS) :][: lanes * (1 + STEPS)].reshape(-1, lanes)
            start = words[HEADER + group]
            assert 0 <= start <= COLUMNS - pack.window
            for step in range(STEPS):
                places = (block[0] >> (8 * step)) & 0xFF
                assert places.max() < pack.window
                found[np.arange(lanes), start + places] += block[1 + step].view(np.float32)
        np.testing.assert_array_equal(found, expected)
        assert (count < 0) == (density == 1)


def test_few_weights_take_little_memory() -> None:
    pack, vectors = lists(product("cpu"), random_weights(0.05))
    used = sum(words[1] + words[0] * (1 + STEPS) * pack.vector for words in vectors)
    assert 4 * used < 0.4 * 4 * ROWS * COLUMNS


def test_c_library() -> None:
    """Packed as for Python: not a bit differs."""
    compilation, model = compiled(33, 16)
    library = compiled_library(compilation)
    params = parameters(33, 16, 0.1)
    x = np.random.default_rng(5).normal(size=(STEPS_OF_TIME, 2, 33)).astype("f")
    expected = model.bind(params).run({"x": x}, threads=1)
    extents = {"T": STEPS_OF_TIME}
    found = called(library, library.create(params), {"x": x}, extents, expected, 2)
    np.testing.assert_array_equal(found["h"], expected["h"])
