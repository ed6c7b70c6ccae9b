"""The interpreter against plain loops: what rows, sequences, boundaries and reads mean."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rnnc.diagnostics import Source
from rnnc.ir.evaluate import EvaluationError
from rnnc.ir.graph import Graph
from rnnc.ir.initial import random_params
from rnnc.ir.interpreter import interpret
from rnnc.ir.parser import parse
from rnnc.ir.pointwise import Array
from rnnc.ir.signature import input_signature, output_signature, param_signature
from tests.ir.graphs import graph, graph_text
from tests.ir.recurrences import recurrences, sizes
from tests.tolerance import assert_close

Floats = NDArray[np.float64]
RANDOM = np.random.default_rng(11)


def weights(layers: int, width: int) -> dict[str, Floats]:
    return {
        "rnn.W": RANDOM.normal(size=(layers, width, width)),
        "rnn.U": RANDOM.normal(size=(layers, width, width)),
        "b": RANDOM.normal(size=width),
    }


def stacked_rnn(x: Floats, start: Floats, given: dict[str, Floats]) -> tuple[Floats, Floats]:
    """One row: the top layer at every step [T, H], every layer's last state [L, H]."""
    below, last = list(x), []
    for layer, state in enumerate(start):
        above = []
        for value in below:
            state = np.tanh(
                given["rnn.W"][layer] @ value + given["rnn.U"][layer] @ state + given["b"]
            )
            above.append(state)
        below = above
        last.append(state)
    return np.asarray(below).reshape(len(x), x.shape[1]), np.asarray(last)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_a_stack(steps: int, layers: int, batch: int) -> None:
    given, x = weights(layers, 3), RANDOM.normal(size=(steps, batch, 3))
    start = RANDOM.normal(size=(layers, batch, 3))
    found = interpret(
        graph("stacked_rnn"), {"H": 3, "L": layers, "T": steps}, {"x": x, "h0": start}, given
    )
    for row in range(batch):
        y, last = stacked_rnn(x[:, row], start[:, row], given)
        assert_close(found["y"][:, row], y, np.float64, steps)
        assert_close(found["h_n"][:, row], last, np.float64, steps)


def test_params_by_concrete_path_and_absent_inputs() -> None:
    stacked, x = weights(2, 3), RANDOM.normal(size=(4, 2, 3))
    given: dict[str, Array] = {
        f"rnn[{layer}].{name}": stacked[f"rnn.{name}"][layer] for name in "WU" for layer in range(2)
    }
    found = interpret(
        graph("stacked_rnn"), {"H": 3, "L": 2, "T": 4}, {"x": x}, given | {"b": stacked["b"]}
    )
    y, _ = stacked_rnn(x[:, 1], np.full((2, 3), 0.5), stacked)
    assert_close(found["y"][:, 1], y, np.float64, 4)


def test_single_precision() -> None:
    given, x = weights(2, 3), RANDOM.normal(size=(4, 2, 3))
    found = interpret(graph("stacked_rnn"), {"H": 3, "L": 2, "T": 4}, {"x": x}, given, np.float32)
    y, _ = stacked_rnn(x[:, 0], np.full((2, 3), 0.5), given)
    assert found["y"].dtype == np.float32
    assert_close(found["y"][:, 0], y, np.float32, 4)


def test_many_steps_need_no_recursion() -> None:
    given, x = weights(1, 2), RANDOM.normal(size=(2000, 1, 2))
    found = interpret(graph("stacked_rnn"), {"H": 2, "L": 1, "T": 2000}, {"x": x}, given)
    y, _ = stacked_rnn(x[:, 0], np.full((1, 2), 0.5), given)
    assert_close(found["y"][:, 0], y, np.float64, 2000)


# ---- rows and sequences -----------------------------------------------------------------------


def test_every_row_has_its_own_length() -> None:
    given, x = weights(2, 3), RANDOM.normal(size=(5, 4, 3))
    lengths = np.asarray([5, 0, 3, 1])
    found = interpret(
        graph("stacked_rnn"), {"H": 3, "L": 2, "T": 5}, {"x": x}, given, lengths={"T": lengths}
    )
    for row, length in enumerate(lengths):
        y, last = stacked_rnn(x[:length, row], np.full((2, 3), 0.5), given)
        assert_close(found["y"][:length, row], y, np.float64, 5)
        assert_close(found["h_n"][:, row], last, np.float64, 5)
        assert not found["y"][length:, row].any()


def test_backward_reading_starts_at_the_own_end() -> None:
    x, lengths = RANDOM.normal(size=(5, 3)), np.asarray([5, 2, 0])
    found = interpret(graph("backward"), {"T": 5}, {"x": x}, {}, lengths={"T": lengths})
    for row, length in enumerate(lengths):
        value = 0.0
        for step in reversed(range(length)):
            value = 0.5 * value + x[step, row]
            assert_close(found["y"][step, row], value, np.float64, 5)
        assert_close(found["first"][row], value, np.float64, 5)


def test_a_reset_begins_a_new_sequence() -> None:
    given, x = weights(2, 3), RANDOM.normal(size=(6, 3, 3))
    resets = np.zeros((6, 3), bool)
    resets[2, 0] = resets[4, 0] = True
    resets[0, 1] = True  # the first step begins a sequence anyway
    resets[4, 2] = True  # a sequence like one of row 0, with another one before it
    start = RANDOM.normal(size=(2, 3, 3))
    found = interpret(
        graph("stacked_rnn"),
        {"H": 3, "L": 2, "T": 6},
        {"x": x, "h0": start},
        given,
        resets=resets,
    )
    for row, cuts in enumerate(([0, 2, 4, 6], [0, 6], [0, 4, 6])):
        for begin, end in itertools.pairwise(cuts):
            y, last = stacked_rnn(x[begin:end, row], start[:, row], given)
            assert_close(found["y"][begin:end, row], y, np.float64, 6)
        assert_close(found["h_n"][:, row], last, np.float64, 6)


def test_resets_and_lengths_together() -> None:
    x, resets = RANDOM.normal(size=(5, 2)), np.zeros((5, 2), bool)
    resets[2] = resets[4] = True
    found = interpret(
        graph("backward"), {"T": 5}, {"x": x}, {}, lengths={"T": np.asarray([4, 2])}, resets=resets
    )
    decay = np.asarray([1.0, 0.5])
    expected = [x[0, 0] + 0.5 * x[1, 0], x[1, 0], x[2:4, 0] @ decay, x[3, 0], 0]
    assert_close(found["y"][:, 0], expected, np.float64, 5)
    assert_close(found["first"], [x[2:4, 0] @ decay, x[:2, 1] @ decay], np.float64, 5)
    assert not found["y"][2:, 1].any()


@settings(max_examples=50, deadline=None)
@given(recurrences(), sizes(), st.data())
def test_rows_are_what_each_is_alone(
    program: Graph, numbers: dict[str, int], data: st.DataObject
) -> None:
    """A batch with lengths and resets is its rows and sequences, run one by one."""
    steps, batch = numbers["T"], 3
    lengths = np.asarray(data.draw(st.lists(st.integers(0, steps), min_size=3, max_size=3)))
    flags = data.draw(st.lists(st.booleans(), min_size=steps * 3, max_size=steps * 3))
    resets = np.asarray(flags, bool).reshape(steps, batch)
    params = random_params(program, numbers, RANDOM)
    inputs = {
        "x": RANDOM.normal(size=(steps, batch, numbers["H"])),
        "first": RANDOM.normal(size=(batch, numbers["H"])),
    }
    together = interpret(program, numbers, inputs, params, lengths={"T": lengths}, resets=resets)
    for row in range(batch):
        cuts = [0, *(t for t in range(1, lengths[row]) if resets[t, row]), lengths[row]]
        for begin, end in itertools.pairwise(cuts):
            own = {"x": inputs["x"][begin:end, [row]], "first": inputs["first"][[row]]}
            alone = interpret(program, {**numbers, "T": int(end - begin)}, own, params)
            assert_close(together["y"][begin:end, row], alone["y"][:, 0], np.float64, steps)
        assert_close(together["last"][..., row, :], alone["last"][..., 0, :], np.float64, steps)
        assert not together["y"][lengths[row] :, row].any()


# ---- reads ------------------------------------------------------------------------------------


def test_cases_and_reductions_cut_by_the_grid() -> None:
    x = RANDOM.normal(size=(7, 1))
    found = interpret(graph("clockwork"), {"T": 7}, {"x": x}, {})
    state = 0.0
    for step in range(7):
        state = state + x[step, 0] if step % 3 == 0 else state
        assert_close(found["h"][step, 0], state, np.float64, 7)
        alike = [x[s, 0] for s in range(step) if s % 2 == step % 2]
        assert_close(found["past"][step, 0], np.sum(alike), np.float64, 7)


def test_attention_with_lengths_of_its_own() -> None:
    q, k = RANDOM.normal(size=(3, 2, 4)), RANDOM.normal(size=(5, 2, 4))
    scale = {"scale": np.asarray([2.0, 3.0])}
    found = interpret(
        graph("attention"),
        {"D": 4, "T": 3, "S": 5},
        {"q": q, "k": k},
        scale,
        lengths={"S": np.asarray([5, 2])},
    )
    for row, length in enumerate((5, 2)):
        score = q[:, row] @ k[:length, row].T
        weight = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
        assert_close(found["seen"][:, row], weight @ k[:length, row], np.float64)
        assert found["best"][:, row].tolist() == score.argmax(axis=1).tolist()
        assert_close(found["spread"][:, :length, row], weight, np.float64)
        assert_close(found["wide"][1, :length, row], 3 * k[:length, row], np.float64)
        assert not found["spread"][:, length:, row].any()
        assert not found["wide"][:, length:, row].any()
    assert found["wide"].shape == (2, 5, 2, 4)


def test_data_dependent_reads_differ_between_rows() -> None:
    x = RANDOM.normal(size=(4, 2))
    left = np.asarray([[-1, -1], [-1, 0], [0, 1], [2, -1]])
    right = np.asarray([[-1, -1], [-1, -1], [1, 0], [1, 2]])
    found = interpret(graph("tree"), {"N": 4}, {"x": x, "left": left, "right": right}, {})
    for row in range(2):
        h = [0.0] * 5  # the last entry stands for the child that is none, -1
        for node in range(4):
            h[node] = x[node, row] + h[left[node, row]] - h[right[node, row]]
            assert_close(found["h"][node, row], h[node], np.float64, 4)
        assert_close(found["root"][row], h[3], np.float64, 4)


@pytest.mark.parametrize("index", [1, -2])
def test_data_dependent_reads_are_checked(index: int) -> None:
    x, none = np.zeros((2, 1)), np.full((2, 1), -1)
    left = np.asarray([[-1], [index]])
    with pytest.raises(EvaluationError, match=rf"{index} is outside -1\.\.1"):
        interpret(graph("tree"), {"N": 2}, {"x": x, "left": left, "right": none}, {})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("3*floor((t)/3) - 1 >= 0", "3*floor((t)/3) >= 0", "h is defined 2 times"),
        ("h[t - 1])", "fresh[t - 1])", "fresh is read outside its domain"),
        ("h[t - 1])", "h[t])", "needs itself"),
    ],
)
def test_wrong_graphs_do_not_pass_for_right_ones(old: str, new: str, message: str) -> None:
    text = graph_text("clockwork").replace(old, new)
    program = parse(Source("g.rir", text))
    with pytest.raises(AssertionError, match=message):
        interpret(program, {"T": 4}, {"x": np.ones((4, 1))}, {})


@pytest.mark.filterwarnings("error")
def test_nan_spreads_silently() -> None:
    x = np.asarray([[1.0], [np.nan], [2.0]])
    found = interpret(graph("backward"), {"T": 3}, {"x": x}, {})
    assert np.isnan(found["y"][:, 0]).tolist() == [True, True, False]


# ---- arguments --------------------------------------------------------------------------------


def test_signatures() -> None:
    program, numbers = graph("stacked_rnn"), {"H": 3, "L": 2, "T": 5}
    assert input_signature(program, numbers, 4) == {
        "x": ("real", (5, 4, 3)),
        "h0": ("real", (2, 4, 3)),
    }
    assert output_signature(program, numbers, 4) == {
        "y": ("real", (5, 4, 3)),
        "h_n": ("real", (2, 4, 3)),
    }
    assert list(param_signature(program, numbers).items()) == [
        ("rnn[0].W", ("real", (3, 3))),
        ("rnn[1].W", ("real", (3, 3))),
        ("rnn[0].U", ("real", (3, 3))),
        ("rnn[1].U", ("real", (3, 3))),
        ("b", ("real", (3,))),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": None}, "input x is missing"),
        ({"x": np.zeros((5, 2, 4))}, r"input x has shape \(5, 2, 4\), not \(5, 2, 3\)"),
        ({"z": np.zeros(2)}, "no such input: z"),
        ({"b": None}, "parameter b is missing"),
        ({"b": np.zeros(2)}, r"b has shape \(2,\), not \(3,\)"),
        ({"rnn.W": np.zeros((3, 3, 3))}, r"rnn.W has shape .* its leading axes are \(2,\)"),
        ({"T": None}, "no value for T"),
        ({"lengths": np.asarray([6, 1])}, r"lengths of T are not all in 0\.\.5"),
        ({"lengths": np.asarray([5])}, r"lengths of T have shape \(1,\), not \(2,\)"),
        ({"resets": np.zeros((4, 2), bool)}, "4 resets for a row of 5 steps"),
    ],
)
def test_wrong_arguments_are_told(change: dict[str, Array | None], message: str) -> None:
    program, params = graph("stacked_rnn"), dict[str, Array](weights(2, 3))
    inputs: dict[str, Array] = {"x": np.zeros((5, 2, 3))}
    numbers = {"H": 3, "L": 2, "T": 5}
    options: dict[str, Array] = {}
    for name, value in change.items():
        for table in (inputs, params, numbers, options):
            table.pop(name, None)
        if value is not None:
            place = inputs if name in "xz" else options if name in ("lengths", "resets") else params
            place[name] = value
    lengths = {"T": options["lengths"]} if "lengths" in options else None
    with pytest.raises(EvaluationError, match=message):
        interpret(program, numbers, inputs, params, lengths=lengths, resets=options.get("resets"))
