"""Gate orders, held against implementations of each framework."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.importers.gates import GATE_ORDERS, ONNX_PEEPHOLES, split_gates
from tests.oracles import cells
from tests.oracles.arrays import Array, Arrays, Floats
from tests.tolerance import assert_close

X, H, T, B = 3, 5, 4, 2


def drawn(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def test_every_order_has_all_gates_once() -> None:
    for (_, cell), order in GATE_ORDERS.items():
        assert sorted(order) == sorted({"lstm": "ifgo", "gru": "rzn"}[cell])


def test_keras_stacks_columns() -> None:
    kernel = np.arange(2 * 12).reshape(2, 12)
    parts = split_gates(kernel, "keras", "gru", axis=1)
    assert list(parts) == ["z", "r", "n"]
    assert parts["r"].tolist() == kernel[:, 4:8].tolist()


def onnx_run(op: str, inputs: dict[str, Array], **attributes: int) -> Floats:
    """The hidden states [T, B, H] as ONNX's own reference computes them."""
    onnx = pytest.importorskip("onnx")
    reference = pytest.importorskip("onnx.reference")
    helper = onnx.helper
    node = helper.make_node(op, list(inputs), ["Y"], hidden_size=H, **attributes)
    # The standard gives trailing and inner optional inputs an empty name.
    node.input[:] = ["" if name.startswith("none") else name for name in node.input]
    given = {name: array for name, array in inputs.items() if not name.startswith("none")}
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape)
        for name, array in given.items()
    ]
    outputs = [helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, None)]
    model = helper.make_model(helper.make_graph([node], "cell", values, outputs))
    found: Array = reference.ReferenceEvaluator(model).run(None, given)[0]
    return found[:, 0].astype(np.float64)


def test_onnx_lstm() -> None:
    given = {"X": drawn(T, B, X), "W": drawn(1, 4 * H, X), "R": drawn(1, 4 * H, H)}
    params = {
        f"{name}_{gate}": part
        for name, stacked in {"W": given["W"][0], "U": given["R"][0]}.items()
        for gate, part in split_gates(stacked, "onnx", "lstm").items()
    }
    params |= {f"b_{gate}": np.zeros(H) for gate in "ifgo"}
    found, h, c = onnx_run("LSTM", given), np.zeros(H), np.zeros(H)
    for t in range(T):
        h, c = cells.lstm(Arrays(params), given["X"][t, 0].astype(np.float64), h, c)
        assert_close(found[t, 0], h, np.float32, T)


def test_onnx_peepholes() -> None:
    peepholes = drawn(1, 3 * H)
    given = {
        "X": drawn(T, B, X),
        "W": drawn(1, 4 * H, X),
        "R": drawn(1, 4 * H, H),
        **{f"none{k}": np.zeros(0, np.float32) for k in range(4)},
        "P": peepholes,
    }

    def stacked(array: Array) -> Array:
        parts = split_gates(array, "onnx", "lstm")
        return np.concatenate([parts[gate] for gate in GATE_ORDERS["torch", "lstm"]])

    params = {"W": stacked(given["W"][0]), "U": stacked(given["R"][0]), "b": np.zeros(4 * H)}
    for gate, part in zip(ONNX_PEEPHOLES, np.split(peepholes[0], 3), strict=True):
        params[f"p_{gate}"] = part
    found, h, c = onnx_run("LSTM", given), np.zeros(H), np.zeros(H)
    for t in range(T):
        h, c = cells.peephole_lstm(Arrays(params), given["X"][t, 0].astype(np.float64), h, c)
        assert_close(found[t, 0], h, np.float32, T)


@pytest.mark.parametrize("reset_after", [True, False])
def test_onnx_gru(reset_after: bool) -> None:
    bias = drawn(1, 6 * H)
    given = {"X": drawn(T, B, X), "W": drawn(1, 3 * H, X), "R": drawn(1, 3 * H, H), "B": bias}
    params = {
        f"{name}_{gate}": part
        for name, stacked in {"W": given["W"][0], "U": given["R"][0]}.items()
        for gate, part in split_gates(stacked, "onnx", "gru").items()
    }
    of_input = split_gates(bias[0, : 3 * H], "onnx", "gru")
    of_state = split_gates(bias[0, 3 * H :], "onnx", "gru")
    params |= {f"b_{gate}": np.add(of_input[gate], of_state[gate]) for gate in "rz"}
    params |= {"b_n": of_input["n"], "c_n": of_state["n"]}
    step = cells.gru if reset_after else cells.gru_reset_before
    found, h = onnx_run("GRU", given, linear_before_reset=int(reset_after)), np.zeros(H)
    for t in range(T):
        h = step(Arrays(params), given["X"][t, 0].astype(np.float64), h)
        assert_close(found[t, 0], h, np.float32, T)
