"""Exported models in ONNX Runtime, held against the oracles of every architecture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnc import driver
from rnnc.arrays import write_arrays
from rnnc.cli.guard import run_guarded
from rnnc.diagnostics import DiagnosticError, Source
from rnnc.exporters.onnx import export_onnx
from rnnc.exporters.parameters import drawn, parameters
from rnnc.ir.graph import Graph
from rnnc.ir.signature import param_signature
from rnnc.passes.pipeline import before_export
from tests.oracles.arrays import Array, Arrays
from tests.oracles.case import Case
from tests.oracles.cases import CASES
from tests.tolerance import assert_close

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

BATCH = 3
_QUICK = """
elman_network stacked_lstm bidirectional-gru dilated-gru clockwork-uneven mdlstm_2d bahdanau_decoder
qrnn seq2seq_greedy urnn_network treelstm_childsum neural_queue_rnn
"""
QUICK = _QUICK.split()
EXPORTED = [
    pytest.param(case, marks=() if case.name in QUICK else pytest.mark.slow, id=case.name)
    for case in CASES
]


def compilation(case: Case) -> driver.Compilation:
    text = case.text or driver.standard_source(case.file).text
    source = Source(f"{case.file}.rnn", text)
    return driver.Compilation(source, driver.Request(case.model, case.statics))


def session(model: Any) -> Any:
    onnx.checker.check_model(model, full_check=True)
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # it warns of initializers that may be given
    return runtime.InferenceSession(model.SerializeToString(), options)


def apart(array: Array, own: int) -> Array:
    """A complex array by its parts, along a new first one of its own axes."""
    if not np.iscomplexobj(array):
        return array
    return np.stack([array.real, array.imag], array.ndim - own)


def run(case: Case) -> None:
    """Equal to the oracle: of all extents, of the least, and of rows of different lengths."""
    source = compilation(case).graph
    graph = driver.run_passes(source, before_export())
    params = case.draw_params(param_signature(source, case.sizes))
    arrays = parameters(graph, params)
    made = session(export_onnx(graph, arrays))
    compare(case, graph, made, params, case.sizes, {})
    compare(case, graph, made, params, case.with_extents(max(case.least, 1)), {})
    lengths: dict[str, Array] = {}
    for name in case.extents:
        rows = [max(case.least, case.sizes[name] - 2), case.sizes[name], case.least]
        lengths[name] = np.roll(np.asarray(rows, np.int32), len(lengths))
    ragged = session(export_onnx(graph, arrays, lengths=True))
    compare(case, graph, ragged, params, case.sizes, lengths)


def compare(
    case: Case,
    graph: Graph,
    made: Any,
    params: Mapping[str, Array],
    sizes: Mapping[str, int],
    lengths: Mapping[str, Array],
) -> None:
    inputs = case.draw_inputs(sizes, BATCH, seed=1)
    given = {f"lengths_{name}": array for name, array in lengths.items()}
    for entry in (*made.get_inputs(), *made.get_overridable_initializers()):
        if entry.name not in given:
            array = inputs.get(entry.name)
            array = np.asarray(sizes[entry.name]) if array is None else array
            given[entry.name] = single(array, rank(graph, entry.name))
    expected = case.expected(Arrays(params), inputs, sizes, lengths)
    for entry, array in zip(made.get_outputs(), made.run(None, given), strict=True):
        value = expected[entry.name]
        own = next(graph[o.node].type.rank for o in graph.outputs if o.name == entry.name)
        value = apart(value, own - 1)
        dtype = np.float32 if value.dtype == np.float64 else value.dtype
        assert_close(array, value, dtype, sum(sizes[name] for name in case.extents))


def single(array: Array, own: int) -> Array:
    array = apart(array, own - 1)
    return array.astype({"f": np.float32, "i": np.int64}.get(array.dtype.kind, array.dtype))


def rank(graph: Graph, name: str) -> int:
    return next((n.type.rank for n in graph.inputs() if n.op["name"] == name), 0)


@pytest.mark.parametrize("case", EXPORTED)
def test_equations(case: Case) -> None:
    run(case)


HEAD = "model tested{H = 4, L = 3}:\n    dim t in 0..T, s in 0..T, l in 0..L\n"
REFUSED = {
    "no loop along one dim": """
    input x[t, s]: [H]
    h[t, s] = tanh(x[t, s] + h[t-1, s+2] + h[t+1, s-1])
    output y[t, s] = h[t, s]
""",
    "elements of a value at places that are values too": """
    input x[t]: [H], k[t]: int in 0..H
    output y[t] = x[t][k[t]]
""",
    "a diagonal of the grid": """
    input x[t, s]: [H]
    output y[t] = x[t, t]
""",
    "an index that is a value cannot be that of a static dim": """
    input x[t]: [H], k[t]: int in 0..L
    param W[l]: [H, H]
    h[l, t] = W[l] @ x[t]
    output y[t] = h[k[t], t]
""",
    "rows of different lengths have different points here": """
    input x[t]: [H]
    output y = sum(t in T-2..T: x[t])
""",
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_onnx_cannot_say_is_refused_with_its_place(message: str) -> None:
    source = Source("tested.rnn", HEAD + REFUSED[message].strip("\n") + "\n")
    graph = driver.Compilation(source, driver.Request()).graph
    graph = driver.run_passes(graph, before_export())
    with pytest.raises(DiagnosticError, match=message) as caught:
        export_onnx(graph, drawn(graph), lengths="rows" in message)
    [found] = caught.value.diagnostics
    assert found.code == "RNN604"
    assert found.span is not None


def test_what_no_file_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnc.exporters.onnx.writer.LARGEST", 100)
    with pytest.raises(DiagnosticError, match="less than 2 GB"):
        exported("elman", "elman_network", X=3, H=4, Y=2)


def test_names() -> None:
    assert {*QUICK} <= {case.name for case in CASES}


# ---- the form of what is made -----------------------------------------------------------------


def exported(file: str, model: str, **sizes: int | str) -> Any:
    request = driver.Request(model, sizes)
    made = driver.Compilation(driver.standard_source(file), request)
    return onnx.load_from_string(made.onnx(None))


def operators(graph: Any) -> list[str]:
    return [node.op_type for node in graph.node]


def bodies(graph: Any) -> list[Any]:
    return [
        a.g for node in graph.node if node.op_type == "Scan" for a in node.attribute if a.g.node
    ]


def test_products_of_inputs_are_outside_the_scan() -> None:
    model = exported("elman", "elman_network", X=3, H=4, Y=2, act="sin")
    [body] = bodies(model.graph)
    assert operators(body).count("MatMul") == 1
    assert operators(model.graph).count("MatMul") == 2


def test_every_layer_has_a_scan_and_every_dim_one_inside() -> None:
    assert len(bodies(exported("slstm", "slstm", X=3, D=4, K=3).graph)) == 3
    [rows] = bodies(exported("md_rnn", "mdrnn_2d", X=3, H=4).graph)
    [columns] = bodies(rows)
    assert not bodies(columns)


# ---- command line -----------------------------------------------------------------------------


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    shapes = {"elman.W": (4, 3), "elman.U": (4, 4), "elman.b": (4,), "V": (2, 4), "b_y": (2,)}
    weights = {name: random.normal(size=shape) for name, shape in shapes.items()}
    write_arrays(tmp_path / "w.npz", weights)
    path = tmp_path / "elman.onnx"
    spec = str(driver.standard_source("elman").name)
    arguments = ["export", spec, "-D", "X=3,H=4,Y=2", "-o", str(path)]
    assert run_guarded([*arguments, "--to", "onnx", "-p", str(tmp_path / "w.npz")]) == 0
    initializers = {entry.name: entry for entry in onnx.load(path).graph.initializer}
    array = onnx.numpy_helper.to_array(initializers["V"])
    assert_close(array, weights["V"], np.float32)
    write_arrays(tmp_path / "w.npz", {**weights, "V": np.zeros((4, 2)), "more": np.zeros(1)})
    assert run_guarded([*arguments, "-p", str(tmp_path / "w.npz")]) == 1
    report = capsys.readouterr().err
    assert "RNN723" in report
    assert "RNN722" in report
