"""Recurrences as ONNX's own operators: which ones are, and that they compute the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from rnnc import driver
from rnnc.diagnostics import Source
from rnnc.exporters.onnx import export_onnx
from rnnc.exporters.parameters import drawn, parameters
from rnnc.importers.onnx import import_onnx
from rnnc.importers.onnx.graph import read_graph
from rnnc.ir.interpreter import interpret
from rnnc.passes.pipeline import before_export
from tests.importers.test_onnx import OPTIONS, T, one_node, to_rnnc
from tests.oracles.arrays import Array
from tests.tolerance import assert_close

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")


def exported(text: str, weights: dict[str, Array] | None = None, **sizes: int) -> Any:
    compilation = driver.Compilation(Source("tested.rnn", text), driver.Request(None, sizes))
    graph = driver.run_passes(compilation.graph, before_export())
    made = export_onnx(graph, drawn(graph) if weights is None else parameters(graph, weights))
    onnx.checker.check_model(made, full_check=True)
    return made


def recurrent(model: Any) -> list[str]:
    wanted = ("LSTM", "GRU", "RNN", "Scan")
    return [node.op_type for node in model.graph.node if node.op_type in wanted]


def attributes_of(node: Any) -> dict[str, Any]:
    return {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}


def results(model: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # it warns of initializers that may be given
    session = runtime.InferenceSession(model.SerializeToString(), options)
    names = [entry.name for entry in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


# ---- there and back ---------------------------------------------------------------------------


@pytest.mark.parametrize(("op", "directions", "extra", "attributes"), OPTIONS)
def test_an_imported_operator_is_exported_as_it_was(
    op: str, directions: int, extra: tuple[str, ...], attributes: dict[str, Any]
) -> None:
    kept = [name for name in extra if name in ("P", "initial_h")]
    kept += ["initial_c"] * ("initial_h" in kept and op == "LSTM")
    original, inputs = one_node(op, directions, kept, **attributes)
    expected = results(original, inputs)
    imported = import_onnx(read_graph(original))
    made = exported(imported.text, dict(imported.weights))
    [node] = [node for node in made.graph.node if node.op_type in ("LSTM", "GRU", "RNN", "Scan")]
    assert node.op_type == op
    before, after = attributes_of(original.graph.node[0]), attributes_of(node)
    for name in ("direction", "clip", "input_forget", "linear_before_reset", "activations"):
        assert after.get(name) == before.get(name)
    given = {
        own: to_rnnc(inputs[name], imported.axes[name])
        for name, own in imported.names.items()
        if name in inputs
    }
    again = results(made, given)
    for name, own in imported.names.items():
        if name in expected:
            value = to_rnnc(expected[name], imported.axes[name])
            assert_close(again[own], value, np.float32, T)


# ---- however it is written --------------------------------------------------------------------

HEAD = """
model tested{X=3, H=4}:
    dim t in 0..T
    input x[t]: [X], h0: [H] = 0
"""
WRITTEN = {
    "RNN": (
        """
    param M: [H, X + H], v: [H]
    h[t] = relu(M @ concat(x[t], h[t-1]) - v)
""",
        """
    param A, B: [H, X], U: [H, H]
    h[t] = tanh(h[t-1] @ U + (A * B) @ x[t] + 2 * A @ x[t])
""",
        """
    param W: [H, X], V: [X, X], U: [H, H]
    h[t] = W @ sin(V @ x[t]) + U @ h[t-1]
""",
        """
    param W: [H, X], U: [H, H]
    h[t] = sigmoid(W @ x[t] + W @ x[T-1] + U @ h[t+1])
    h[T] = h0
""",
    ),
    "GRU": (
        """
    param W: [3*H, X], U: [2*H, H], U_n: [H, H], b: [3*H]
    a_z[t], a_r[t], a_n[t] = split(W @ x[t] + b, 3)
    c_z[t], c_r[t] = split(U @ h[t-1], 2)
    z[t] = sigmoid(a_z[t] + c_z[t])
    n[t] = tanh(a_n[t] + U_n @ (h[t-1] * sigmoid(c_r[t] + a_r[t])))
    h[t] = h[t-1] + z[t] * (n[t] - h[t-1])
""",
        """
    param W: [3*H, X], U: [3*H, H], b, c: [3*H]
    a_r[t], a_z[t], a_n[t] = split(W @ x[t] + b, 3)
    c_r[t], c_z[t], c_n[t] = split(U @ h[t-1] + c, 3)
    z[t] = sigmoid(a_z[t] + c_z[t])
    h[t] = z[t] * h[t-1] + (1 - z[t]) * tanh(a_n[t] + c_n[t] * sigmoid(a_r[t] + c_r[t]))
""",
        # One gate is both: z is 1 - f, r is f.
        """
    param W, V: [H, X], U, R: [H, H]
    f[t] = sigmoid(W @ x[t] + U @ h[t-1])
    h[t] = (1 - f[t]) * h[t-1] + f[t] * tanh(V @ x[t] + R @ (f[t] * h[t-1]))
""",
    ),
    "LSTM": (
        """
    param M: [4*H, H + X], p: [H]
    g[t], o[t], i[t], f[t] = split(M @ concat(h[t-1], x[t]), 4)
    c[t] = tanh(g[t]) * sigmoid(i[t] + p * c[t-1]) + c[t-1] * sigmoid(f[t])
    h[t] = tanh(c[t]) * sigmoid(o[t])
    output last = c[T-1]
""",
        """
    param W: [3*H, X], U: [3*H, H]
    i[t], o[t], g[t] = split(W @ x[t] + U @ h[t-1], 3)
    k[t] = sigmoid(i[t])
    c[t] = c[t-1] + k[t] * (tanh(g[t]) - c[t-1])
    h[t] = sigmoid(o[t]) * c[t]
""",
    ),
}
OTHER = (
    # A state that is an output at all steps, two steps of memory, another function, no input.
    """
    param W: [4*H, X], U: [4*H, H]
    i[t], f[t], g[t], o[t] = split(W @ x[t] + U @ h[t-1], 4)
    c[t] = sigmoid(f[t]) * c[t-1] + sigmoid(i[t]) * tanh(g[t])
    h[t] = sigmoid(o[t]) * tanh(c[t])
    output all[t] = c[t]
""",
    """
    param W: [H, X], U: [H, H]
    h[t] = tanh(W @ x[t] + U @ h[t-2])
""",
    """
    param W: [H, X], U: [H, H]
    h[t] = cos(W @ x[t] + U @ h[t-1])
""",
    """
    param U: [H, H], b: [H]
    h[t] = tanh(U @ h[t-1] + b)
""",
    """
    param W: [H, X], U: [H, H]
    h[t] =
        tanh(W @ x[t] + U @ h[t-1])    if t % 2 == 0
        h[t-1]                         otherwise
""",
    """
    param W, V: [H, X], U, R: [H, H]
    z[t] = tanh(V @ x[t] + R @ h[t-1])
    h[t] = h[t-1] + z[t] * (tanh(W @ x[t] + U @ h[t-1]) - h[t-1])
""",
)


def check(body: str) -> list[str]:
    """Equal to the interpreter, with and without a first state; which operators there are."""
    text = HEAD + body.strip("\n") + "\n"
    text += "" if "h[T]" in body else "    h[t in ..0] = h0\n"
    text += "    output y[t] = h[t]\n"
    compilation = driver.Compilation(Source("tested.rnn", text), driver.Request())
    graph = compilation.graph
    params = drawn(graph)
    made = exported(text, params)
    random = np.random.default_rng(1)
    for steps in (5, 1):
        inputs = {
            "x": random.normal(size=(steps, 2, 3)).astype(np.float32),
            "h0": random.normal(size=(2, 4)).astype(np.float32),
        }
        for given in (inputs, {"x": inputs["x"]}):
            wanted = interpret(graph, {"T": steps}, given, params)
            for name, array in results(made, given).items():
                assert_close(array, wanted[name], np.float32, steps)
    return recurrent(made)


@pytest.mark.parametrize(("op", "body"), [(op, text) for op, ts in WRITTEN.items() for text in ts])
def test_an_operator_is_found_however_it_is_written(op: str, body: str) -> None:
    assert check(body) == [op]


@pytest.mark.parametrize("body", OTHER)
def test_what_is_no_operator_is_a_scan(body: str) -> None:
    assert check(body) == ["Scan"]


def test_both_directions_are_one_node_in_every_layer() -> None:
    text = driver.standard_source("bidirectional").text
    for model, operators in (("deep_bidirectional", 3), ("bidirectional_stacks", 5)):
        request = driver.Request(model, {"X": 3, "H": 4, "L": 3})
        graph = driver.Compilation(Source("tested.rnn", text), request).graph
        graph = driver.run_passes(graph, before_export())
        assert recurrent(export_onnx(graph, drawn(graph))) == ["LSTM"] * operators


def test_unlike_directions_are_two_nodes() -> None:
    text = """from lstm import lstm, peephole_lstm

model tested{X=3, H=4}:
    dim t in 0..T
    input x[t]: [X]
    h[t], c[t] = peephole_lstm{H}(x[t], h[t-1], c[t-1])
    g[t], d[t] = lstm{H}(x[t], g[t+1], d[t+1])
    output y[t] = h[t] + g[t]
    output ends = c[T-1] + d[0]
"""
    graph = driver.Compilation(Source("tested.rnn", text), driver.Request()).graph
    params = drawn(graph)
    made = exported(text, params)
    assert recurrent(made) == ["LSTM", "LSTM"]
    x = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    for name, array in interpret(graph, {"T": 5}, {"x": x}, params).items():
        assert_close(results(made, {"x": x})[name], array, np.float32, 5)
