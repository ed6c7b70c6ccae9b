"""The recurrent layer of silero-vad (github.com/snakers4/silero-vad, MIT), imported and compiled:
over a thousand steps, at once and one by one, what ONNX Runtime computes with the node alone."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request
from rnnc.importers.onnx import Imported, import_onnx
from rnnc.importers.onnx.graph import only, read_graph
from tests.oracles.arrays import Array
from tests.runtime.clibrary import Stream, compiled_library
from tests.tolerance import assert_close

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

NODE, WIDTH, STEPS = "/recurrent/LSTM", 128, 1000
REMEMBERED = 100  # gates forget: rounding errors of earlier steps are gone
INPUT, OUTPUT = "/Transpose_output_0", "recurrent_LSTM_output_0"


@pytest.fixture(scope="module")
def model() -> Any:
    package = find_spec("silero_vad")
    if package is None or not package.submodule_search_locations:
        pytest.skip("the package silero-vad is not installed")
    folder = Path(package.submodule_search_locations[0])
    return onnx.load(folder / "data" / "silero_vad_16k_sequence.onnx")


@pytest.fixture(scope="module")
def imported(model: Any) -> Imported:
    return import_onnx(only(read_graph(model), NODE))


@pytest.fixture(scope="module")
def inputs(imported: Imported) -> dict[str, Array]:
    """Noise, and states as a stream that has begun has them; arrays as rnnc takes them."""
    random = np.random.default_rng(0)
    shapes = {
        name: (STEPS, 1, WIDTH) if "time" in imported.axes[name] else (1, WIDTH)
        for name in (INPUT, "h", "c")
    }
    drawn = {name: random.normal(0, 0.5, shape) for name, shape in shapes.items()}
    return {imported.names[name]: array.astype(np.float32) for name, array in drawn.items()}


@pytest.fixture(scope="module")
def expected(model: Any, imported: Imported, inputs: dict[str, Array]) -> Array:
    """[steps, 1, 128]: ONNX Runtime's."""
    [node] = [node for node in model.graph.node if node.name == NODE]
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    given = [name for name in node.input if name in imported.names]
    graph = helper.make_graph(
        [node],
        "alone",
        [helper.make_tensor_value_info(name, real, [None] * 3) for name in given],
        [helper.make_tensor_value_info(node.output[0], real, None)],
        [entry for entry in model.graph.initializer if entry.name in node.input],
    )
    alone = helper.make_model(graph, opset_imports=model.opset_import, ir_version=8)
    arrays = {name: inputs[imported.names[name]].reshape(-1, 1, WIDTH) for name in given}
    [found] = runtime.InferenceSession(alone.SerializeToString()).run(None, arrays)
    return np.asarray(found[:, 0])


def test_as_a_sequence(imported: Imported, inputs: dict[str, Array], expected: Array) -> None:
    found = rnnc.compile(imported.text).bind(imported.weights).run(inputs)
    assert_close(found[OUTPUT], expected, np.float32, REMEMBERED)


def test_step_by_step(imported: Imported, inputs: dict[str, Array], expected: Array) -> None:
    made = Compilation(Source("vad.rnn", imported.text), Request())
    library = compiled_library(made)
    stream = Stream(library, library.create(imported.weights), 1, inputs)
    x = imported.names[INPUT]
    results = [output.name for output in made.graph.outputs]
    shapes = {name: np.empty((1, WIDTH), np.float32) for name in results}
    for step in range(STEPS):
        found = stream.step({**inputs, x: inputs[x][step]}, shapes)
        assert_close(found[OUTPUT], expected[step], np.float32, REMEMBERED)
