"""A compiled model as an operator of ONNX Runtime, held against the interpreter and the export."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnc import driver
from rnnc.arrays import write_arrays
from rnnc.cli.guard import run_guarded
from rnnc.diagnostics import Source
from rnnc.exporters.parameters import drawn
from rnnc.ir.interpreter import interpret
from tests.oracles.arrays import Array
from tests.tolerance import assert_close

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

READER = """
model reader{V, H}:
    "Reads words in both directions, from states that may be given."
    dim t in 0..T
    input word[t]: int in 0..V, before: [H] = 0.5
    param table: [V, H], U, R: [H, H]
    h[t] = tanh(table[word[t]] + U @ h[t-1])
    h[-1] = before
    b[t] = tanh(table[word[t]] + R @ b[t+1])
    output y[t] = h[t] + b[t]
    output last = h[T-1]
"""
# Nobody says how long it is but the caller.
WRITER = """
model writer{H}:
    dim s in 0..S
    input seed: [H]
    param W: [H, H]
    h[s] = sin(W @ h[s-1])
    h[-1] = seed
    output text[s] = h[s]
"""


@dataclass(frozen=True)
class Made:
    """A library, the models of one node that go with it, without and with lengths of rows, and the
    one of ONNX's own operators."""

    library: str
    graph: Any
    params: Mapping[str, Array]
    node: Any
    ragged: Any
    plain: Any

    def session(self, node: Any = None, libraries: Sequence[str] = ()) -> Any:
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        for library in (self.library, *libraries):
            options.register_custom_ops_library(library)
        model = self.node if node is None else node
        return runtime.InferenceSession(model.SerializeToString(), options)

    def changed(self) -> Any:
        found = onnx.ModelProto()
        found.CopyFrom(self.node)
        return found


def made(text: str, sizes: dict[str, int], folder: Path) -> Made:
    """By the command line, as users do it."""
    given = ",".join(f"{name}={size}" for name, size in sizes.items())
    compilation = driver.Compilation(Source("spec.rnn", text), driver.Request(None, sizes))
    spec, params = folder / "spec.rnn", drawn(compilation.graph)
    spec.write_text(text)
    write_arrays(folder / "w.npz", dict(params))
    common = [str(spec), "-D", given]
    library = str(folder / "op.so")
    assert run_guarded(["compile", *common, "--emit", "ort-op", "-o", library]) == 0
    models: list[Any] = []
    for options in (["--custom-op"], ["--custom-op", "--lengths"], []):
        path = folder / f"{len(models)}.onnx"
        export = ["export", *common, *options, "-p", str(folder / "w.npz"), "-o", str(path)]
        assert run_guarded(export) == 0
        models.append(onnx.load(path))
    return Made(library, compilation.graph, params, *models)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(READER, {"V": 6, "H": 4}, tmp_path_factory.mktemp("reader"))


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(WRITER, {"H": 4}, tmp_path_factory.mktemp("writer"))


def words(steps: int, rows: int) -> Array:
    return np.random.default_rng(steps).integers(0, 6, (steps, rows)).astype(np.int32)


def check(found: Sequence[Array], expected: Mapping[str, Array], steps: int) -> None:
    for array, wanted in zip(found, expected.values(), strict=True):
        assert_close(array, wanted, np.float32, steps)


def test_any_number_of_steps_and_rows(reader: Made) -> None:
    """As ONNX's own operators compute it; without a state, its default."""
    first, second = reader.session(), reader.session()
    plain = runtime.InferenceSession(reader.plain.SerializeToString())
    for steps, rows in ((5, 2), (1, 3), (9, 1)):
        word = words(steps, rows)
        before = np.random.default_rng(1).normal(size=(rows, 4)).astype(np.float32)
        given = {"word": word, "before": before}
        wanted = interpret(reader.graph, {"T": steps}, given, reader.params)
        check(first.run(None, given), wanted, steps)
        own = {"word": word.astype(np.int64), "before": before}
        check(plain.run(["y", "last"], own), wanted, steps)
        wanted = interpret(reader.graph, {"T": steps}, {"word": word}, reader.params)
        check(second.run(None, {"word": word}), wanted, steps)
    y, last = first.run(None, {"word": words(0, 2)})
    assert y.shape == (0, 2, 4)
    assert_close(last, np.full((2, 4), 0.5), np.float32)


def test_rows_have_lengths_of_their_own(reader: Made) -> None:
    session = reader.session(reader.ragged)
    word, lengths = words(5, 3), np.asarray([5, 0, 3], np.int32)
    found = session.run(None, {"word": word, "lengths_T": lengths})
    wanted = interpret(
        reader.graph, {"T": 5}, {"word": word}, reader.params, lengths={"T": lengths}
    )
    check(found, wanted, 5)
    with pytest.raises(Exception, match=r"length 6 of row 1 is not in 0\.\.5 \(T\)"):
        session.run(None, {"word": word, "lengths_T": np.asarray([5, 6, 3], np.int32)})
    with pytest.raises(Exception, match=r"lengths of T must be \[3\], one a row"):
        session.run(None, {"word": word, "lengths_T": lengths[:2]})


def test_an_extent_that_no_input_has_is_an_input(writer: Made, reader: Made) -> None:
    """Two libraries may be in one session."""
    assert [entry.name for entry in writer.node.graph.input] == ["seed", "S"]
    session = writer.session(libraries=[reader.library])
    seed = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    for steps in (7, 0):
        [text] = session.run(None, {"seed": seed, "S": np.asarray(steps)})
        wanted = interpret(writer.graph, {"S": steps}, {"seed": seed}, writer.params)
        assert_close(text, wanted["text"], np.float32, steps)
    with pytest.raises(Exception, match="'S' is negative"):
        session.run(None, {"seed": seed, "S": np.asarray(-1)})


def test_weights_that_are_no_constants_are_read_in_every_call(writer: Made) -> None:
    node = writer.changed()
    [weight] = [entry for entry in node.graph.initializer if entry.name == "W"]
    node.graph.initializer.remove(weight)
    kind = onnx.TensorProto.FLOAT
    node.graph.input.append(onnx.helper.make_tensor_value_info("W", kind, None))
    session = writer.session(node)
    given = {"seed": np.ones((1, 4), np.float32), "S": np.asarray(3)}
    for scale in (1, 2):
        params = {"W": np.asarray(writer.params["W"], np.float32) * scale}
        [text] = session.run(None, {**given, **params})
        wanted = interpret(writer.graph, {"S": 3}, {"seed": given["seed"]}, params)
        assert_close(text, wanted["text"], np.float32, 3)
    with pytest.raises(Exception, match=r"parameter 'W' is \[4, 3\], but must be \[4, 4\]"):
        session.run(None, {**given, "W": np.ones((4, 3), np.float32)})


def test_mistakes_have_the_library_s_words(reader: Made) -> None:
    node = reader.changed()
    for entry in node.graph.input:
        entry.type.tensor_type.ClearField("shape")  # or ONNX Runtime is first to complain
    session = reader.session(node)
    wrong = {
        r"input 'before' is \[2, 4\], but must be \[batch, 4\] where T = 5, batch = 3": (5, (2, 4)),
        r"input 'before' is \[3\], but must be \[batch, 4\]": (5, (3,)),
        r"input 'before' is \[3, 5\], but": (5, (3, 5)),
    }
    for text, (steps, shape) in wrong.items():
        with pytest.raises(Exception, match=text):
            session.run(None, {"word": words(steps, 3), "before": np.ones(shape, np.float32)})
    with pytest.raises(Exception, match=r"input 'word' is 6 at \[0, 1\], which is not in 0\.\.6"):
        session.run(None, {"word": words(2, 2) * 0 + np.asarray([0, 6], np.int32)})


def test_a_node_of_another_model_is_refused(reader: Made, writer: Made) -> None:
    node = reader.changed()
    [interface] = [entry for entry in node.graph.node[0].attribute if entry.name == "interface"]
    interface.i += 1
    with pytest.raises(Exception, match="the node was exported from another 'reader'"):
        reader.session(node)
    del node.graph.node[0].attribute[:]  # it says nothing: shapes alone are checked
    reader.session(node)
    for entry in node.graph.initializer:
        if entry.name == "U":
            entry.CopyFrom(onnx.numpy_helper.from_array(np.ones((5, 4), np.float32), "U"))
    with pytest.raises(Exception, match=r"parameter 'U' is \[5, 4\], but must be \[4, 4\]"):
        reader.session(node)
    with pytest.raises(Exception, match="reader"):
        writer.session(reader.node)


def test_threads_may_share_a_session(reader: Made) -> None:
    node = reader.changed()
    node.graph.node[0].attribute.append(onnx.helper.make_attribute("threads", 2))
    session = reader.session(node)
    inputs = [{"word": words(steps, steps)} for steps in (3, 17, 40, 8)]
    wanted = [session.run(None, given) for given in inputs]
    wrong: list[str] = []

    def work(place: int) -> None:
        for number in range(50):
            which = (place + number) % len(inputs)
            for array, expected in zip(
                session.run(None, inputs[which]), wanted[which], strict=True
            ):
                if not np.array_equal(array, expected):
                    wrong.append(f"thread {place}, call {number}")

    threads = [threading.Thread(target=work, args=(place,)) for place in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_library_shows_one_symbol_and_the_node_is_valid(reader: Made) -> None:
    onnx.checker.check_model(reader.node)
    [node] = reader.node.graph.node
    assert (node.domain, node.op_type) == ("rnnc.reader", "reader")
    shown = subprocess.run(
        ["nm", "-D", "--defined-only", reader.library], capture_output=True, text=True, check=True
    )
    assert [line.split()[-1] for line in shown.stdout.splitlines()] == ["RegisterCustomOps"]
