"""The judge of `rnnc verify` agrees with what is right and with nothing else; made-up arguments."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from rnnc import driver
from rnnc.arrays import Array
from rnnc.cli.demo import stacked_lstm
from rnnc.diagnostics import Source
from rnnc.driver import Request
from rnnc.ir.graph import Graph
from rnnc.ir.interpreter import interpret
from rnnc.sampling import random_inputs, random_parameters
from rnnc.verification import Comparison, compare
from tests.tolerance import tolerance

EXTENTS = {"T": 5}
BATCH = 2

SUMS = """\
model sums{X}:
    dim t in 0..T
    input x[t]: [X], k[t]: int in -1..t, on[t]: bool
    param w: [X] = 0
    s[t] = s[t-1] + w * x[t] if on[t] else s[k[t]]
    output y[t] = s[t]
"""


@pytest.fixture(scope="module")
def lstm() -> Graph:
    request = Request("stacked_lstm", {"X": 3, "H": 4, "L": 2})
    return driver.Compilation(driver.standard_source("stacked"), request).graph


def judged(
    graph: Graph, change: npt.ArrayLike = 0.0, dtype: type = np.float32
) -> tuple[Comparison, ...]:
    """What is said of a single-precision run whose `y` is off by `change`."""
    params, inputs = random_parameters(graph, 0), random_inputs(graph, EXTENTS, BATCH, 1)
    computed = interpret(graph, EXTENTS, inputs, params, np.float32)
    computed["y"] = (computed["y"] + np.asarray(change)).astype(dtype)
    return compare(graph, EXTENTS, inputs, params, computed)


def test_single_precision_agrees_with_double(lstm: Graph) -> None:
    comparisons = judged(lstm)
    assert [c.output for c in comparisons] == [output.name for output in lstm.outputs]
    assert all(c.agrees for c in comparisons)
    assert all(c.difference > 0 for c in comparisons), "the same run was compared with itself"


@pytest.mark.parametrize("change", [1e-3, -1e-3, np.nan, np.inf])
def test_what_is_off_does_not_agree(lstm: Graph, change: float) -> None:
    assert [c.output for c in judged(lstm, change) if not c.agrees] == ["y"]


def test_half_precision_does_not_agree(lstm: Graph) -> None:
    assert [c.output for c in judged(lstm, dtype=np.float16) if not c.agrees] == ["y"]


def test_another_shape_does_not_agree(lstm: Graph) -> None:
    extra = np.zeros((2, 1, 1, 1))
    assert [c.output for c in judged(lstm, extra) if not c.agrees] == ["y"]


def test_nothing_agrees_with_nothing(lstm: Graph) -> None:
    params = random_parameters(lstm, 0)
    inputs = random_inputs(lstm, {"T": 0}, 0, 1)
    computed = interpret(lstm, {"T": 0}, inputs, params, np.float32)
    assert all(c.agrees for c in compare(lstm, {"T": 0}, inputs, params, computed))


def test_the_demo_computes_a_stacked_lstm_by_hand(lstm: Graph) -> None:
    params, inputs = random_parameters(lstm, 0), random_inputs(lstm, EXTENTS, BATCH, 1)
    by_hand = np.asarray(stacked_lstm(params, inputs, layers=2), np.float32)
    reference = np.asarray(interpret(lstm, EXTENTS, inputs, params)["y"], np.float64)
    np.testing.assert_allclose(by_hand, reference, **tolerance(np.float32, EXTENTS["T"]))


# ---- made-up arguments ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sums() -> Graph:
    source = Source("sums.rnn", SUMS)
    return driver.Compilation(source, Request(None, {"X": 3})).graph


def test_the_same_seed_gives_the_same_and_another_seed_others(sums: Graph) -> None:
    def drawn(seed: int) -> dict[str, Array]:
        return random_inputs(sums, EXTENTS, BATCH, seed) | random_parameters(sums, seed)

    one, same, other = drawn(0), drawn(0), drawn(1)
    for name, array in one.items():
        np.testing.assert_array_equal(array, same[name])
    assert any((one[name] != other[name]).any() for name in one)


def test_ints_are_in_their_range_at_every_point(sums: Graph) -> None:
    drawn = random_inputs(sums, {"T": 50}, 4, 0)
    assert drawn["x"].shape == (50, 4, 3)
    assert drawn["x"].dtype == np.float32
    assert drawn["on"].dtype == np.bool_
    steps = np.arange(50)[:, None]
    k = np.asarray(drawn["k"], np.int64)
    assert (k >= -1).all()
    assert (k < np.maximum(steps, 0)).all()
    assert len(np.unique(k)) > 20


def test_a_weight_that_starts_at_zero_is_not_zero_here(sums: Graph) -> None:
    assert (random_parameters(sums, 0)["w"] != 0).all()
