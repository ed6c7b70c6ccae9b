"""Imported ONNX models, held against the operator tests of the package onnx and ONNX Runtime."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.cli.guard import run_guarded
from rnnc.diagnostics import DiagnosticError
from rnnc.importers.onnx import Imported, import_onnx
from rnnc.importers.onnx.graph import only, read_graph
from tests.oracles.arrays import Array

onnx = pytest.importorskip("onnx")
helper = onnx.helper
WEIGHTS = ("W", "R", "B", "P")


def run(imported: Imported, given: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs, with axes as ONNX has them."""
    bound = rnnc.compile(imported.text).bind(imported.weights)
    inputs: dict[str, Array] = {}
    for name, own in imported.names.items():
        if name in given:
            inputs[own] = to_rnnc(given[name], imported.axes[name])
    lengths = None if imported.lengths is None else given.get(imported.lengths)
    found = bound.run(inputs, lengths=lengths)
    return {
        name: from_rnnc(found[own], imported.axes[name])
        for name, own in imported.names.items()
        if own in found
    }


def order(axes: Sequence[object]) -> list[int]:
    """Where the axes of rnnc's array are among ONNX's."""
    leading = [axis for axis in ("time", "batch", "direction") if axis in axes]
    return [*map(axes.index, leading), *(n for n, axis in enumerate(axes) if isinstance(axis, int))]


def to_rnnc(array: Array, axes: Sequence[object]) -> Array:
    moved = array.transpose(order(axes))
    if "batch" not in axes:
        moved = np.expand_dims(moved, 1 if "time" in axes else 0)
    if "direction" in axes and array.shape[axes.index("direction")] == 1:
        moved = np.squeeze(moved, 2 if "time" in axes else 1)
    return moved


def from_rnnc(array: Array, axes: Sequence[object]) -> Array:
    if "direction" in axes and array.ndim < len(axes):
        array = np.expand_dims(array, 2 if "time" in axes else 1)
    if "batch" not in axes:
        array = np.squeeze(array, 1 if "time" in axes else 0)
    return array.transpose(np.argsort(order(axes)))


@cache
def operator_tests() -> dict[str, Any]:
    """The tests of the operators that the package onnx ships."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other operators' tests overflow on purpose
        cases: list[Any] = collect_testcases(None)
    wanted = ("LSTM", "GRU", "RNN", "Scan")
    return {case.name: case for case in cases if case.model.graph.node[0].op_type in wanted}


OPERATORS = """
lstm_defaults lstm_with_initial_bias lstm_with_peepholes lstm_batchwise lstm_reverse
lstm_bidirectional gru_defaults gru_with_initial_bias gru_seq_length gru_batchwise gru_reverse
gru_bidirectional simple_rnn_defaults simple_rnn_with_initial_bias rnn_seq_length
simple_rnn_batchwise simple_rnn_reverse simple_rnn_bidirectional scan_sum scan9_sum
scan9_multi_state scan9_scalar
"""


def test_no_operator_test_is_left_out() -> None:
    assert {f"test_{name}" for name in OPERATORS.split()} == set(operator_tests())


@pytest.mark.parametrize("name", OPERATORS.split())
def test_operator(name: str) -> None:
    case = operator_tests()[f"test_{name}"]
    graph = read_graph(case.model)
    names = [entry.name for entry in case.model.graph.input]
    for inputs, outputs in case.data_sets:
        arrays = dict(zip(names, map(np.asarray, inputs), strict=True))
        weights = {name: array for name, array in arrays.items() if name in WEIGHTS}
        imported = import_onnx(graph, weights)
        found = run(imported, arrays)
        for entry, expected in zip(case.model.graph.output, outputs, strict=True):
            assert found[entry.name].shape == expected.shape
            np.testing.assert_allclose(
                found[entry.name].astype(float), expected, rtol=1e-4, atol=1e-5
            )


# ---- options, held against ONNX Runtime ---------------------------------------------------------

T, B, X, H = 6, 3, 4, 5
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def one_node(
    op: str, directions: int, extra: Sequence[str], **attributes: Any
) -> tuple[Any, dict[str, Array]]:
    """A model of one node with all weights, and inputs for it; `extra` are optional inputs."""
    random = np.random.default_rng(len(op) + directions)
    rows = GATES[op] * H

    def drawn(*shape: int) -> Any:
        return random.normal(size=shape).astype(np.float32)

    first = bool(attributes.get("layout"))
    state = (B, directions, H) if first else (directions, B, H)
    weights = {"W": drawn(directions, rows, X), "R": drawn(directions, rows, H) * 0.5}
    weights["B"] = drawn(directions, 2 * rows)
    if "P" in extra:
        weights["P"] = drawn(directions, 3 * H)
    inputs: dict[str, Array] = {"X": drawn(B, T, X) if first else drawn(T, B, X)}
    if "sequence_lens" in extra:
        inputs["sequence_lens"] = np.array([T, 2, 4], np.int32)
    for name in ("initial_h", "initial_c"):
        if name in extra:
            inputs[name] = drawn(*state)
    known = {*weights, *inputs}
    order = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
    names = [name if name in known else "" for name in order[: 8 if op == "LSTM" else 6]]
    outputs = ["Y", "Y_h", "Y_c"][: 3 if op == "LSTM" else 2]
    node = helper.make_node(op, names, outputs, name="layer", hidden_size=H, **attributes)
    return model([node], inputs, weights, outputs), inputs


def model(
    nodes: Sequence[Any],
    inputs: Mapping[str, Array],
    weights: Mapping[str, Array],
    outputs: Sequence[str],
) -> Any:
    kinds = {"f": onnx.TensorProto.FLOAT, "i": onnx.TensorProto.INT32}
    values = [
        helper.make_tensor_value_info(name, kinds[array.dtype.kind], array.shape)
        for name, array in inputs.items()
    ]
    made = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs]
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "tested", values, made, constants)
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def check(made: Any, inputs: dict[str, Array]) -> Imported:
    """Equal to ONNX Runtime."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_outputs()]
    wanted = dict(zip(names, session.run(names, inputs), strict=True))
    imported = import_onnx(read_graph(made))
    found = run(imported, inputs)
    for name, expected in wanted.items():
        assert found[name].shape == expected.shape
        np.testing.assert_allclose(found[name].astype(float), expected, rtol=1e-4, atol=1e-5)
    return imported


STATES = ("initial_h", "initial_c", "sequence_lens")


# Operator, directions, optional inputs, attributes.
OPTIONS: list[tuple[str, int, tuple[str, ...], dict[str, Any]]] = [
    ("LSTM", 1, STATES, {}),
    ("LSTM", 2, STATES, {"direction": "bidirectional"}),
    ("LSTM", 1, ("P", *STATES), {"direction": "reverse", "clip": 0.7}),
    ("LSTM", 1, (), {"activations": ["HardSigmoid", "Softsign", "Affine"],
                     "activation_alpha": [0.3, 0.5], "activation_beta": [0.4, 0.1]}),
    ("LSTM", 2, (), {"direction": "bidirectional",
                     "activations": ["Sigmoid", "Elu", "ScaledTanh",
                                     "Sigmoid", "LeakyRelu", "Tanh"],
                     "activation_alpha": [0.9, 0.8, 0.05], "activation_beta": [0.6]}),
    ("LSTM", 1, (), {"input_forget": 1}),
    ("GRU", 1, ("initial_h", "sequence_lens"), {"linear_before_reset": 1}),
    ("GRU", 2, ("initial_h", "sequence_lens"), {"direction": "bidirectional"}),
    ("GRU", 1, (), {"activations": ["Softplus", "ThresholdedRelu"],
                    "activation_alpha": [0.2], "clip": 2.0}),
    ("RNN", 1, ("initial_h", "sequence_lens"), {"activations": ["Relu"]}),
    ("RNN", 2, (), {"direction": "bidirectional", "activations": ["Tanh", "Softsign"]}),
    ("RNN", 1, (), {"clip": 0.5}),
]  # fmt: skip


@pytest.mark.parametrize(("op", "directions", "extra", "attributes"), OPTIONS)
def test_options(op: str, directions: int, extra: tuple[str, ...], attributes: Any) -> None:
    check(*one_node(op, directions, [e for e in extra if e != "initial_c" or op == "LSTM"],
                    **attributes))  # fmt: skip


def test_a_tagger_of_two_layers_reads_well() -> None:
    """Two directions, joined, then one more layer and a readout of its last step."""
    random = np.random.default_rng(5)

    def drawn(*shape: int) -> Any:
        return random.normal(size=shape).astype(np.float32)

    weights = {
        "W0": drawn(2, 4 * H, X), "R0": drawn(2, 4 * H, H) * 0.4,
        "W1": drawn(1, 3 * H, 2 * H), "R1": drawn(1, 3 * H, H) * 0.4,
        "V": drawn(2, H), "b": drawn(2), "both": np.array([0, 0, -1]), "dim": np.array([1]),
        "last": np.array(-1),
    }  # fmt: skip
    nodes = [
        helper.make_node("Transpose", ["X"], ["steps"], perm=[1, 0, 2]),
        helper.make_node(
            "LSTM",
            ["steps", "W0", "R0"],
            ["Y0"],
            "reader",
            direction="bidirectional",
            hidden_size=H,
        ),
        helper.make_node("Transpose", ["Y0"], ["moved"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["moved", "both"], ["joined"]),
        helper.make_node("GRU", ["joined", "W1", "R1"], ["Y1"], "writer", hidden_size=H),
        helper.make_node("Squeeze", ["Y1", "dim"], ["h"]),
        helper.make_node("Gather", ["h", "last"], ["end"], axis=0),
        helper.make_node("Gemm", ["end", "V", "b"], ["scores"], "readout", transB=1),
        helper.make_node("Softmax", ["scores"], ["labels"], axis=-1),
    ]
    inputs = {"X": drawn(B, T, X)}
    imported = check(model(nodes, inputs, weights, ["labels"]), inputs)
    assert "reader_forward: lstm{H=5}" in imported.text
    assert "labels" in imported.text


def test_what_is_not_known_is_named() -> None:
    made, _ = one_node("LSTM", 1, ())
    made.graph.node[0].op_type = "NonMaxSuppression"
    with pytest.raises(DiagnosticError, match=r"'layer' \(NonMaxSuppression\)"):
        import_onnx(read_graph(made))
    made, _ = one_node("LSTM", 1, (), activations=["Sigmoid", "Sine", "Tanh"])
    with pytest.raises(DiagnosticError, match="'sine' is not known"):
        import_onnx(read_graph(made))
    made, _ = one_node("LSTM", 1, ())
    made.graph.initializer.pop()  # the bias
    with pytest.raises(DiagnosticError, match="'B'"):
        import_onnx(read_graph(made))


def test_one_node_of_a_model() -> None:
    """The rest may hold what is not known."""
    made, _ = one_node("LSTM", 1, ("initial_h", "initial_c"))
    made.graph.node.append(helper.make_node("NonMaxSuppression", ["Y"], ["boxes"], "other"))
    made.graph.node[0].input[0] = "before"
    made.graph.node.insert(0, helper.make_node("Hardmax", ["X"], ["before"], "unknown"))
    imported = import_onnx(only(read_graph(made), "layer"))
    assert set(imported.names) == {"before", "initial_h", "initial_c", "Y", "Y_h", "Y_c"}
    with pytest.raises(DiagnosticError, match="'layer', not 'player'"):
        only(read_graph(made), "player")


def test_command(tmp_path: Path) -> None:
    """The files are a spec that checks and its weights."""
    made, inputs = one_node("LSTM", 2, ("initial_h",), direction="bidirectional")
    onnx.save(made, tmp_path / "speech.onnx")
    assert run_guarded(["import", str(tmp_path / "speech.onnx")]) == 0
    spec, weights = tmp_path / "speech.rnn", tmp_path / "speech.safetensors"
    assert run_guarded(["check", str(spec)]) == run_guarded(["fmt", "--check", str(spec)]) == 0
    bound = rnnc.compile(spec).bind(weights)
    x = inputs["X"]
    h0 = inputs["initial_h"].transpose(1, 0, 2)
    assert bound(X=x, initial_h=h0)["Y"].shape == (T, B, 2, H)


def test_files_that_are_no_models(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x08\x12")
    for name, said in (("cut.onnx", "no ONNX model"), ("absent.onnx", "no such file")):
        assert run_guarded(["import", str(tmp_path / name)]) == 1
        error = capfd.readouterr().err
        assert "RNN791" in error and said in error
    assert not list(tmp_path.glob("*.rnn"))
