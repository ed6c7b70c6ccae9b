"""Every example is right, formatted as `rnnc fmt` does it, and computes what its equations say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnnc
from rnnc import driver
from rnnc.diagnostics import render
from rnnc.runtime.model import Model
from tests.examples.loading import EXAMPLES, load_example
from tests.oracles import cells
from tests.oracles.arrays import Array, Arrays, Floats
from tests.oracles.layers import Unit, deep_bidirectional, stacked_lstm
from tests.oracles.mathematics import sigmoid, softmax
from tests.tolerance import assert_close

SPECS = sorted(path.relative_to(EXAMPLES) for path in EXAMPLES.rglob("*.rnn"))


@pytest.mark.parametrize("path", SPECS, ids=str)
def test_specs(path: Path) -> None:
    source = driver.read_source(str(EXAMPLES / path))
    assert [render(diagnostic) for diagnostic in driver.diagnose(source)] == []
    assert driver.format_source(source) == source.text


def drawn(model: Model) -> dict[str, Array]:
    random = np.random.default_rng(1)
    return {
        path: random.normal(0, 0.4, shape).astype(np.float32)
        for path, (_, shape) in model.parameters.items()
    }


def leaky(p: Arrays, x: Floats, h: Floats) -> Floats:
    rate = sigmoid(p["pace"])
    return (1 - rate) * h + rate * cells.elman(p, x, h)


def test_custom_cell(capsys: pytest.CaptureFixture[str]) -> None:
    example = load_example("custom_cell.py")
    example.main()
    printed = capsys.readouterr().out.splitlines()
    assert len(printed[2].split()) == 2 + 10
    assert len(printed[3].split()) == 2 + 6

    sizes = {"X": 3, "H": 5, "L": 2, "Y": 4}
    model = rnnc.compile(example.SPEC, sizes=sizes)
    params, x = drawn(model), np.random.default_rng(2).normal(size=(7, 2, 3)).astype(np.float32)
    found = model.bind(params)(x=x, lengths=[7, 4], threads=1)["label"]
    given = Arrays(params)
    oracle = deep_bidirectional(Unit("leaky", lambda p, x, s: (leaky(p, x, s[0]),), 1))
    for row, length in enumerate([7, 4]):
        own = given.under("deep_bidirectional")
        y = np.asarray(oracle(own, Arrays({"x": x[:length, row]}), sizes)["y"], np.float64)
        for t in range(length):
            assert_close(found[t, row], softmax(given["V"] @ y[t] + given["b_y"]), np.float32, 28)
        assert not np.any(found[length:, row])


def test_stacked_lstm() -> None:
    sizes = {"X": 3, "H": 5, "L": 3}
    model = rnnc.compile(EXAMPLES / "stacked_lstm.rnn", sizes=sizes)
    params, x = drawn(model), np.random.default_rng(2).normal(size=(7, 2, 3)).astype(np.float32)
    found = model.bind(params)(x=x, threads=1)
    zero = np.zeros((3, 5))
    for row in range(2):
        inputs = Arrays({"x": x[:, row], "h0": zero, "c0": zero})
        for name, value in stacked_lstm(Arrays(params), inputs, sizes).items():
            assert_close(found[name][:, row], value, np.float32, 7)
