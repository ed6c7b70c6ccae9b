"""Calls: lengths, resets, threads. The interpreter is the oracle; all repetitions are equal."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rnnc.ir.pointwise import Array
from tests.runtime.networks import SIZES, assert_outputs, network
from tests.tolerance import tolerance

NAMES = sorted(SIZES)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("steps", [0, 1, 6])
@pytest.mark.parametrize("name", NAMES)
def test_numbers(name: str, steps: int, batch: int, threads: int) -> None:
    if name == "bidirectional" and not steps:
        pytest.skip("the last of no steps has no value")
    net = network(name)
    inputs = net.inputs(steps, batch)
    found = net.bound.run(inputs, threads=threads)
    assert_outputs(found, net.expected(inputs, steps), steps)


@pytest.mark.parametrize("lengths", [[6, 6, 6], [6, 1, 3], [1, 2, 1], [5, 6, 1]], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_lengths(name: str, lengths: list[int]) -> None:
    net = network(name)
    inputs = net.inputs(6, 3)
    own = np.array(lengths)
    found = net.bound.run(inputs, lengths=own, threads=2)
    assert_outputs(found, net.expected(inputs, 6, {"T": own}), 6)


@pytest.mark.parametrize("name", ["elman_network", "stacked_lstm"])
def test_rows_without_steps(name: str) -> None:
    net = network(name)
    inputs = net.inputs(6, 3)
    own = np.array([0, 4, 0])
    found = net.bound.run(inputs, lengths=own, threads=2)
    assert_outputs(found, net.expected(inputs, 6, {"T": own}), 6)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_beyond_a_row_is_not_read(name: str) -> None:
    net = network(name)
    inputs = net.inputs(6, 2)
    own = np.array([6, 2])
    expected = net.bound.run(inputs, lengths=own, threads=1)
    inputs["x"][2:, 1] = np.nan
    for output, value in net.bound.run(inputs, lengths=own, threads=1).items():
        np.testing.assert_array_equal(value, expected[output])


RESETS: dict[str, Callable[[], Array]] = {
    "none": lambda: np.zeros((6, 3), np.bool_),
    "all": lambda: np.ones((6, 3), np.bool_),
    "first": lambda: np.arange(18).reshape(6, 3) < 3,
    "some": lambda: np.random.default_rng(5).random((6, 3)) < np.array([0.0, 0.3, 0.7]),
}


@pytest.mark.parametrize("lengths", [None, [6, 3, 1]], ids=str)
@pytest.mark.parametrize("resets", RESETS)
@pytest.mark.parametrize("name", NAMES)
def test_resets(name: str, resets: str, lengths: list[int] | None) -> None:
    net = network(name)
    inputs = net.inputs(6, 3)
    marks = RESETS[resets]()
    own = None if lengths is None else {"T": np.array(lengths)}
    found = net.bound.run(inputs, lengths=own, resets=marks, threads=2)
    assert_outputs(found, net.expected(inputs, 6, own, marks), 6)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("name", NAMES)
def test_repetitions_are_equal(name: str, threads: int) -> None:
    net = network(name)
    inputs = net.inputs(6, 5)
    first = net.bound.run(inputs, threads=threads)
    for _ in range(20):
        for output, value in net.bound.run(inputs, threads=threads).items():
            np.testing.assert_array_equal(value, first[output])


@pytest.mark.parametrize("names", [["stacked_lstm"], NAMES], ids=["one model", "several"])
def test_callers_at_once(names: list[str]) -> None:
    """Each caller has other inputs; nobody sees another's."""

    def work(caller: int) -> bool:
        net = network(names[caller % len(names)])
        inputs = net.inputs(4 + caller, 2 + caller, seed=caller)
        expected = net.bound.run(inputs, threads=1)
        for turn in range(20):
            found = net.bound.run(inputs, threads=1 + (caller + turn) % 3)
            if not all(
                np.allclose(found[key], value, **tolerance(np.float32, 11))
                for key, value in expected.items()
            ):
                return False
        return True

    for name in names:
        network(name)  # compiled before anybody calls
    with ThreadPoolExecutor(4) as callers:
        assert list(callers.map(work, range(8))) == [True] * 8
