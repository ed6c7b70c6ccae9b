"""A C library, loaded by `rnnc.load`: the same model, and streams besides."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rnnc
from rnnc.diagnostics import DiagnosticError
from rnnc.ir.pointwise import Array
from rnnc.runtime.model import BoundModel
from tests.runtime.clibrary import c_array, c_library, c_library_with_weights, c_name
from tests.runtime.networks import assert_outputs, network

NAME, STEPS, BATCH = "stacked_lstm", 5, 3


@pytest.fixture(scope="module")
def bound() -> BoundModel:
    return rnnc.load(c_library(NAME).folder).bind(network(NAME).params)


@pytest.fixture(scope="module")
def inputs() -> dict[str, Array]:
    return {n: c_array(a) for n, a in network(NAME).inputs(STEPS, BATCH).items()}


def code(call: Callable[[], object]) -> str:
    with pytest.raises(DiagnosticError) as caught:
        call()
    [diagnostic] = caught.value.diagnostics
    return diagnostic.code


def test_calls(bound: BoundModel, inputs: dict[str, Array]) -> None:
    net = network(NAME)
    assert bound.model.source == net.model.source
    own = {"T": np.array([5, 0, 2])}
    assert_outputs(bound.run(inputs), net.expected(inputs, STEPS), STEPS)
    assert_outputs(bound.run(inputs, lengths=own), net.expected(inputs, STEPS, own), STEPS)


def test_nothing_of_the_compiler_is_needed() -> None:
    program = f"""
import sys
for name in ("tvm", "islpy", "lark", "networkx", "rnnc.driver", "rnnc.backends"):
    sys.modules[name] = None
import numpy, rnnc
model = rnnc.load({str(c_library(NAME).folder)!r})
network = model.bind({{path: numpy.ones(s) for path, (_, s) in model.parameters.items()}})
assert network(x=[[[0.0] * 3] * 2] * 6)["y"].shape == (6, 2, 5)
assert network.stream(batch=2).step(x=[[0.0] * 3] * 2)["y"].shape == (2, 5)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


def start(inputs: dict[str, Array], *row: int) -> dict[str, Array]:
    return {n: a[:, row] if row else a for n, a in inputs.items() if n != "x"}


def test_streams(bound: BoundModel, inputs: dict[str, Array]) -> None:
    expected = network(NAME).expected(inputs, STEPS)
    stream = bound.stream(BATCH, **start(inputs))
    for step in range(3):
        found = stream.step(x=inputs["x"][step], threads=1 + step)["y"]
        assert_outputs({"y": found}, {"y": expected["y"][step]}, STEPS)
    for one in (stream.copy(), stream):
        for step in (3, 4):
            rows = np.asfortranarray(inputs["x"][step].astype(np.float64))
            found = one.step(x=rows)["y"]
            assert_outputs({"y": found}, {"y": expected["y"][step]}, STEPS)
    stream.reset(1, **start(inputs, 1))
    again = stream.step(x=inputs["x"][0])
    assert_outputs({"y": again["y"][1]}, {"y": expected["y"][0, 1]}, STEPS)


def test_mistakes_in_streams(bound: BoundModel, inputs: dict[str, Array]) -> None:
    stream, x = bound.stream(BATCH), inputs["x"][0]
    assert code(lambda: stream.step()) == "RNN731"
    assert code(lambda: stream.step(x=x[:2])) == "RNN732"
    assert code(lambda: stream.step(x=x[0])) == "RNN732"
    assert code(lambda: stream.step(x=x + 1j)) == "RNN733"
    assert code(lambda: stream.step(x=x, threads=0)) == "RNN737"
    assert code(lambda: stream.reset(BATCH)) == "RNN738"
    assert code(lambda: stream.reset(0, h0=np.zeros((2, 2, 5)))) == "RNN732"
    assert code(lambda: bound.stream(-1)) == "RNN738"
    assert code(lambda: bound.stream(2**31 - 1)) == "RNN736"
    assert code(lambda: network(NAME).bound.stream()) == "RNN738"
    assert_outputs(stream.step(x=x), bound.stream(BATCH).step(x=x), 1)


def test_embedded_weights(inputs: dict[str, Array]) -> None:
    net = network(NAME)
    model = rnnc.load(c_library_with_weights(NAME).folder)
    expected = net.expected(inputs, STEPS)
    assert_outputs(model.bind().run(inputs), expected, STEPS)
    assert_outputs(model.bind(net.params).run(inputs), expected, STEPS)
    assert "RNN721" in {d.code for d in _mistakes(lambda: net.model.bind())}


def _mistakes(call: Callable[[], object]) -> tuple[rnnc.Diagnostic, ...]:
    with pytest.raises(DiagnosticError) as caught:
        call()
    return tuple(caught.value.diagnostics)


def test_cffi(inputs: dict[str, Array]) -> None:
    """It reads the header, once that is preprocessed."""
    cffi = pytest.importorskip("cffi")
    library, net, ffi = c_library(NAME), network(NAME), cffi.FFI()
    header = library.folder / "include" / f"{NAME}.h"
    command = ["cc", "-E", "-P", str(header)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    ffi.cdef(text[text.index(f"typedef enum {NAME}_status") :])
    functions = ffi.dlopen(str(library.folder / "lib" / f"lib{NAME}.so"))
    params = {path: c_array(array) for path, array in net.params.items()}
    given = {c_name(path): ffi.from_buffer("float[]", array) for path, array in params.items()}
    model = ffi.new(f"{NAME}_model **")
    weights = ffi.new(f"{NAME}_parameters *", given)
    assert functions.stacked_lstm_create(library.interface, weights, model) == 0
    call = ffi.new(f"{NAME}_call *", {"T": STEPS, "batch": BATCH})
    expected = net.expected(inputs, STEPS)
    found = {name: np.zeros(array.shape, np.float32) for name, array in expected.items()}
    for name, array in (*inputs.items(), *found.items()):
        setattr(call, name, ffi.from_buffer("float[]", array))
    workspace = ffi.new("char[]", functions.stacked_lstm_workspace_size(call))
    call.workspace, call.workspace_size = workspace, len(workspace)
    assert functions.stacked_lstm_forward(model[0], call) == functions.STACKED_LSTM_OK
    assert_outputs(found, expected, STEPS)
    functions.stacked_lstm_free(model[0])


def test_several_in_one_folder(tmp_path: Path) -> None:
    for name in (NAME, "elman_network"):
        shutil.copytree(c_library(name).folder, tmp_path, dirs_exist_ok=True)
    [problem] = _mistakes(lambda: rnnc.load(tmp_path))
    assert problem.code == "RNN711" and "lib/libelman_network.so" in problem.message
    model = rnnc.load(tmp_path / "lib" / f"lib{NAME}.so")
    assert model.manifest.model == NAME
    shutil.rmtree(tmp_path / "share" / "rnnc" / NAME)
    assert code(lambda: rnnc.load(tmp_path / "lib" / f"lib{NAME}.so")) == "RNN711"


def test_checksums(tmp_path: Path) -> None:
    shutil.copytree(c_library(NAME).folder, tmp_path, dirs_exist_ok=True)
    command = ["sha256sum", "--quiet", "-c", "SHA256SUMS"]
    subprocess.run(command, check=True, cwd=tmp_path / "share" / "rnnc" / NAME)
    library = tmp_path / "lib" / f"lib{NAME}.so"
    library.write_bytes(library.read_bytes()[:-1])
    assert code(lambda: rnnc.load(tmp_path)) == "RNN711"
