"""Calls: lengths, resets, threads. The interpreter is the oracle; all repetitions are equal."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

from rnnc.diagnostics import DiagnosticError, Source
from rnnc.driver import Compilation, Request
from rnnc.ir.pointwise import Array
from rnnc.runtime.model import BoundModel
from tests.runtime.networks import SIZES, assert_outputs, network
from tests.threads import set_thresholds
from tests.tolerance import assert_close, tolerance

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


@pytest.mark.parametrize("lengths", [[6, 1, 3], [5, 6, 1]], ids=str)
def test_values_that_only_lengths_decide(lengths: list[int]) -> None:
    net = network("ages")
    inputs = net.inputs(6, 3)
    own = np.array(lengths)
    found = net.bound.run(inputs, lengths=own, threads=2)
    assert_outputs(found, net.expected(inputs, 6, {"T": own}), 6)


def test_a_computed_index_reads_nothing_beyond_its_axis() -> None:
    text = """model shelf{H}:
    dim t in 0..T
    input x[t]: [H]
    param v: [H]
    output y[t] = v[t] + v[1 - t] + x[t]
"""
    bound = Compilation(Source("shelf.rnn", text), Request("shelf", {"H": 2})).load()
    found = bound.bind({"v": np.array([1, 2], np.float32)})
    y = found.run({"x": np.zeros((5, 1, 2), np.float32)})["y"]
    np.testing.assert_array_equal(y[:, 0, 0], [3, 3, 3, 3, 3])


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


@pytest.mark.parametrize("name", ["pairs", "pick"])
def test_resets_of_inputs_with_several_axes(name: str) -> None:
    """Also where indices are relative to the sequence."""
    net = network(name)
    inputs = net.inputs(6, 3)
    resets = np.zeros((6, 3), np.bool_)
    resets[[2, 3, 4], [0, 0, 2]] = True
    if name == "pick":
        inputs["k"] = np.zeros((6, 3), np.int32)
        inputs["k"][:2, 0] = 1  # else an index would be outside the shortest sequences
        inputs["k"][:, 1] = 5
    assert_outputs(net.bound.run(inputs, resets=resets), net.expected(inputs, 6, None, resets), 6)


def test_sequences_of_very_different_lengths() -> None:
    """They are computed in portions, since one long one would pad all of them."""
    net = network("stacked_lstm")
    steps = 40
    inputs = net.inputs(steps, 3)
    resets = np.zeros((steps, 3), np.bool_)
    resets[:, 0] = True
    resets[::3, 1] = True
    own = {"T": np.array([steps, steps - 1, steps])}
    found = net.bound.run(inputs, resets=resets, lengths=own)
    assert_outputs(found, net.expected(inputs, steps, own, resets), steps)


def test_resets_without_rows_or_steps() -> None:
    net = network("stacked_lstm")
    for steps, batch in ((0, 3), (4, 0), (0, 0)):
        inputs = net.inputs(steps, batch)
        resets = np.ones((steps, batch), np.bool_)
        found = net.bound.run(inputs, resets=resets)
        assert_outputs(found, net.expected(inputs, steps, None, resets), steps)


@pytest.mark.parametrize("lengths", [{"S": [5, 1]}, {"T": [0, 3]}, {"S": [2, 4], "T": [5, 0]}])
def test_lengths_of_two_extents(lengths: dict[str, list[int]]) -> None:
    net = network("two")
    inputs = net.inputs(5, 2)
    own = {name: np.array(values) for name, values in lengths.items()}
    found = net.bound.run(inputs, lengths=own)
    assert_outputs(found, net.expected(inputs, 5, own), 5)


def test_lengths_of_two_extents_need_names() -> None:
    net = network("two")
    with pytest.raises(DiagnosticError, match="RNN734"):
        net.bound.run(net.inputs(5, 2), lengths=[1, 2])
    with pytest.raises(DiagnosticError, match="RNN735"):
        net.bound.run(net.inputs(5, 2), resets=np.zeros((5, 2), np.bool_))


def test_layouts_that_take_turns() -> None:
    """What is remembered of one layout is not taken for another."""
    net = network("stacked_lstm")
    wide = np.random.default_rng(0).normal(size=(7, 4, 9)).astype(np.float32)
    calls: list[dict[str, Array]] = [
        {"x": np.arange(24, dtype=np.float32).reshape(4, 2, 3) / 24},
        {"x": np.arange(24, dtype=np.float64).reshape(4, 2, 3) / 24},
        {"x": np.asfortranarray(np.arange(24, dtype=np.float32).reshape(4, 2, 3) / 24)},
        {"x": wide[1:5, 1:3, 2:5]},
        {"x": wide[1:5, ::2, 2:5], "h0": np.ones((2, 2, 5), np.float32)},
        {"x": wide[::2, ::2, 2:5], "c0": np.ones((2, 2, 5), np.float32)},
    ]
    alone = [net.model.bind(net.params).run(call, threads=1) for call in calls]
    for _ in range(3):
        for call, expected in zip(calls, alone, strict=True):
            for name, value in net.bound.run(call, threads=1).items():
                np.testing.assert_array_equal(value, expected[name])


def test_outputs_are_new_in_every_call() -> None:
    net = network("stacked_lstm")
    inputs = net.inputs(4, 2)
    first = net.bound.run(inputs, threads=1)
    kept = {name: array.copy() for name, array in first.items()}
    np.add(inputs["x"], 1, out=inputs["x"])
    second = net.bound.run(inputs, threads=1)
    for name, array in kept.items():
        np.testing.assert_array_equal(first[name], array)
        assert not np.shares_memory(first[name], second[name])
        assert not np.array_equal(first[name], second[name])


def test_parameters_that_change_later_do_not_matter() -> None:
    net = network("stacked_lstm")
    params = {path: array.copy() for path, array in net.params.items()}
    bound = net.model.bind(params)
    for array in params.values():
        array[...] = 9
    inputs = net.inputs(4, 2)
    expected = net.bound.run(inputs, threads=1)
    for name, value in bound.run(inputs, threads=1).items():
        np.testing.assert_array_equal(value, expected[name])


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("name", NAMES)
def test_repetitions_are_equal(name: str, threads: int) -> None:
    net = network(name)
    inputs = net.inputs(6, 5)
    first = net.bound.run(inputs, threads=threads)
    for _ in range(20):
        for output, value in net.bound.run(inputs, threads=threads).items():
            np.testing.assert_array_equal(value, first[output])


@pytest.mark.parametrize(("steps", "batch"), [(1000, 1), (131, 3)], ids=str)
def test_many_steps(steps: int, batch: int) -> None:
    """So many rows of what comes once for all steps that it is divided by rows, not by columns;
    with the same threads the bits are the same, wherever the weights lie."""
    net = network("elman_network")
    inputs = net.inputs(steps, batch)
    expected = net.expected(inputs, steps)
    others = [net.bound, net.model.bind(net.params)]
    for threads in (1, 2, 4):
        first = net.bound.run(inputs, threads=threads)
        assert_outputs(first, expected, steps)
        for bound in others:
            for output, value in bound.run(inputs, threads=threads).items():
                np.testing.assert_array_equal(value, first[output])


@pytest.mark.parametrize("thresholds", [(10**9, 0), (0, 10**9), (3000, 0)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_worth_sharing_is_left_to_one_thread(
    name: str, thresholds: tuple[int, int]
) -> None:
    net = network(name)
    inputs = net.inputs(6, 5)
    expected = net.bound.run(inputs, threads=3)
    before = set_thresholds(net.model, *thresholds)
    try:
        for _ in range(5):
            for output, value in net.bound.run(inputs, threads=3).items():
                np.testing.assert_array_equal(value, expected[output])
    finally:
        set_thresholds(net.model, *before)


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


@dataclass(frozen=True, slots=True)
class Computed:
    """An array [4, 2, 3] that a model computes when another one reads it."""

    bound: BoundModel
    x: Array

    def __array__(self, dtype: object = None, copy: object = None) -> Array:
        y = self.bound.run({"x": self.x}, threads=2)["y"]
        return np.repeat(y[:4, :2, :1], 3, axis=2)


@pytest.mark.parametrize("inner", ["stacked_lstm", "elman_network"])
def test_a_call_inside_a_call(inner: str) -> None:
    """Also of the same model; the inner call takes a larger workspace than the outer one."""
    outer, nested = network("stacked_lstm"), network(inner)
    argument = Computed(nested.bound, nested.inputs(50, 40)["x"])
    expected = outer.bound.run({"x": np.asarray(argument)}, threads=1)["y"]
    with ThreadPoolExecutor(1) as fresh:  # a thread without a workspace
        for _ in range(3):
            found = fresh.submit(outer.bound.run, {"x": argument}, threads=2).result()["y"]
            assert_close(found, expected, np.float32, 54)


def test_the_first_call_does_what_the_tenth_does() -> None:
    """But for the page faults of its workspace, which a thread has once for all models; later calls
    fault for their outputs at most."""
    net = network("stacked_lstm")
    inputs = net.inputs(2000, 16)

    def measured(bound: BoundModel) -> tuple[float, int, int]:
        """Seconds of this thread, its page faults, pages of the outputs."""
        before, start = resource.getrusage(resource.RUSAGE_THREAD), time.thread_time()
        outputs = bound.run(inputs, threads=1)
        seconds = time.thread_time() - start
        faults = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before.ru_minflt
        return seconds, faults, sum(array.nbytes for array in outputs.values()) // 4096

    with ThreadPoolExecutor(1) as fresh:  # a thread without a workspace
        _, faults, pages = fresh.submit(measured, net.bound).result()
        assert faults > pages, "the workspace was there before"
        bound = net.model.bind(net.params)
        seconds, *_ = fresh.submit(measured, bound).result()
        later = [fresh.submit(measured, bound).result() for _ in range(9)]
    assert max(faults for _, faults, _ in later) < pages + 64
    assert seconds < 3 * max(one for one, *_ in later) + 1e-3
