"""Calls of CUDA models on tensors: on the emulator, whose GPU is host memory."""

from __future__ import annotations

import ctypes
import functools
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

import rnnc
from rnnc.diagnostics import DiagnosticError, Source
from rnnc.driver import Compilation, Request
from rnnc.runtime.cuda import calls
from rnnc.runtime.cuda.frameworks import framework_of
from rnnc.runtime.cuda.library import loaded
from rnnc.runtime.cuda.model import CudaBoundModel, CudaModel
from rnnc.torch import Module, network
from tests.backends import cupy_like
from tests.backends.emulation import compiler, emulated, let_torch_stand_for_a_gpu
from tests.oracles.arrays import Array
from tests.tolerance import assert_close

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C++ compiler to emulate with")

SPEC = """
model network{X, H, V}:
    dim t in 0..T
    input x[t]: [X], word[t]: int in 0..V, h0: [H] = 0.5
    param W: [H, X], U: [H, H], E: [V, H]
    h[t] = tanh(W @ x[t] + U @ h[t-1] + E[word[t]])
    h[-1] = h0
    output y[t] = h[t]
    output last = h[T-1]
"""
X, H, V, T, B = 3, 5, 7, 4, 2
STREAM = 0x5EED


class OnGpu:
    """An array that says of itself that it is in the memory of a GPU."""

    def __init__(self, array: Array, device: int = 0) -> None:
        self.array: Any = array
        self.device = device

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device

    def __dlpack__(self, *, stream: int) -> Any:
        assert stream == STREAM
        return self.array.__dlpack__()

    def __getitem__(self, place: Any) -> OnGpu:
        return OnGpu(self.array[place if isinstance(place, int) else arrays_of(place)])

    def __setitem__(self, place: tuple[OnGpu, ...], value: OnGpu) -> None:
        self.array[arrays_of(place)] = value.array


def arrays_of(place: tuple[OnGpu, ...]) -> tuple[Array, ...]:
    return tuple(index.array for index in place)


class Interfaced:
    """The same, by the older protocol."""

    def __init__(self, array: Array) -> None:
        self.__cuda_array_interface__ = dict(array.__array_interface__)
        self.array = array


@dataclass
class Arrays:
    """A framework of such tensors."""

    made: int = 0
    turned: int = 0

    def stream(self, device: int) -> int:
        return STREAM

    def empty(self, shape: tuple[int, ...], dtype: str, device: int) -> OnGpu:
        self.made += 1
        return OnGpu(np.full(shape, 1, dtype))

    def zeros(self, shape: tuple[int, ...], dtype: str, device: int) -> OnGpu:
        return OnGpu(np.zeros(shape, dtype))

    def on(self, stream: int, device: int) -> AbstractContextManager[None]:
        assert stream == STREAM
        self.turned += 1
        return nullcontext()

    def converted(self, value: Any, dtype: str) -> OnGpu:
        return OnGpu(np.ascontiguousarray(value.array, dtype))

    def parts(self, value: Any, axis: int) -> OnGpu:
        return OnGpu(np.stack([value.array.real, value.array.imag], axis))

    def clear_beyond(self, value: Any, axis: int, batch: int, lengths: Any, offset: int) -> None:
        steps = np.moveaxis(value.array, (axis, batch), (0, 1))
        for row, length in enumerate(lengths.array):
            steps[max(0, length + offset) :, row] = 0


class Counts(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_int64) for name in ["allocated", "freed", "copies", "waits", "followed"]
    )


@pytest.fixture(scope="module")
def compiled() -> CudaModel:
    sizes = {"X": X, "H": H, "V": V}
    return emulated(Compilation(Source("network.rnn", SPEC), Request("network", sizes)))


@pytest.fixture(scope="module")
def weights(compiled: CudaModel) -> dict[str, Array]:
    return compiled.random_parameters(1)


@pytest.fixture
def bound(compiled: CudaModel, weights: Mapping[str, Array]) -> CudaBoundModel:
    return compiled.bind(weights)


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> Arrays:
    made = Arrays()
    monkeypatch.setattr(calls, "framework_of", lambda values: made)
    return made


def counts(compiled: CudaModel) -> Counts:
    return Counts.in_dll(compiled.code.functions, "rnnc_test_counts")


def inputs() -> dict[str, Array]:
    random = np.random.default_rng(0)
    x = random.normal(size=(T, B, X)).astype(np.float32)
    return {"x": x, "word": random.integers(0, V, (T, B)).astype(np.int32)}


def expected(
    weights: Mapping[str, Array],
    given: Mapping[str, Array],
    lengths: tuple[int, ...] = (T, T),
    resets: Array | None = None,
) -> dict[str, Array]:
    W, U, E = (np.asarray(weights[name], np.float64) for name in "WUE")
    y, last = np.zeros((T, B, H)), np.zeros((B, H))
    for row, length in enumerate(lengths):
        h = start(given, row)
        for t in range(length):
            if resets is not None and resets[t, row]:
                h = start(given, row)
            h = np.tanh(W @ given["x"][t, row] + U @ h + E[given["word"][t, row]])
            y[t, row] = h
        last[row] = h
    return {"y": y, "last": last}


def start(given: Mapping[str, Array], row: int) -> npt.NDArray[np.float64]:
    return np.asarray(given["h0"][row], np.float64) if "h0" in given else np.full(H, 0.5)


def agree(found: Mapping[str, Any], wanted: Mapping[str, Array]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        array = found[name].array if hasattr(found[name], "array") else np.asarray(found[name])
        assert_close(array, value, np.float32, T)


@pytest.mark.usefixtures("framework")
@pytest.mark.parametrize("kind", [OnGpu, Interfaced])
def test_tensors_are_read_where_they_are(
    bound: CudaBoundModel, weights: Mapping[str, Array], kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = inputs()
    wide = np.zeros((B, T, 2 * X), np.float32)
    wide[:, :, :X] = given["x"].swapaxes(0, 1)
    view = wide[:, :, :X].swapaxes(0, 1)  # strides of its own
    seen: list[list[int]] = []
    launch = bound._calls._model.forward.__call__

    def spy(stream: int, pointers: list[int], sizes: object) -> int:
        assert stream == STREAM
        seen.append(pointers)
        return launch(stream, pointers, sizes)  # type: ignore[arg-type]

    monkeypatch.setattr(type(bound._calls._model.forward), "__call__", staticmethod(spy))
    found = bound.run({"x": kind(view), "word": kind(given["word"])})
    assert view.ctypes.data in seen[0] and given["word"].ctypes.data in seen[0]
    assert found["y"].array.ctypes.data in seen[0]
    agree(found, expected(weights, given))


def test_a_second_call_asks_for_nothing(
    bound: CudaBoundModel, compiled: CudaModel, framework: Arrays
) -> None:
    """But for its outputs and workspace, of the framework's pool; it waits for ints alone."""
    given = {name: OnGpu(array) for name, array in inputs().items()}
    bound.run(given)
    before, made = counts(compiled), framework.made
    allocated, waits = before.allocated, before.waits
    bound.run(given)
    after = counts(compiled)
    assert after.allocated == allocated and framework.made == made + 3
    assert after.waits == waits + 1


@pytest.mark.usefixtures("framework")
def test_captures(bound: CudaBoundModel, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {name: OnGpu(array) for name, array in inputs().items()}
    with monkeypatch.context() as patch:
        patch.setenv("RNNC_EMULATOR_CAPTURING", "1")
        refused(lambda: bound.run(given), "RNN753", "first time")
    bound.run(given)
    monkeypatch.setenv("RNNC_EMULATOR_CAPTURING", "1")
    waits = counts(bound.model).waits  # type: ignore[arg-type]
    bound.run(given)
    assert counts(bound.model).waits == waits  # type: ignore[arg-type]
    monkeypatch.setenv("RNNC_EMULATOR_CAPTURING", "2")
    bound.run(given)
    assert set(bound._flags._blocks) == {(STREAM, 0, n) for n in (None, 1, 2)}
    refused(lambda: bound.run(given, lengths=[1, 2]), "RNN753", "lengths")
    refused(lambda: bound.run(given, resets=RESETS), "RNN753", "resets")


@pytest.mark.usefixtures("framework")
def test_lengths_and_batch_first(bound: CudaBoundModel, weights: Mapping[str, Array]) -> None:
    given = inputs()
    beyond = given | {"word": given["word"].copy()}
    beyond["word"][2:, 1] = V + 3  # no step of its row
    tensors = {name: OnGpu(array) for name, array in beyond.items()}
    wanted = expected(weights, given, (T, 2))
    agree(bound.run(tensors, lengths=[T, 2]), wanted)
    agree(bound.run(tensors, lengths=OnGpu(np.array([T, 2]))), wanted)
    turned = {n: OnGpu(np.ascontiguousarray(a.swapaxes(0, 1))) for n, a in beyond.items()}
    found = bound.run(turned, lengths=[T, 2], batch_first=True)
    assert found["y"].array.shape == (B, T, H)
    found["y"].array = found["y"].array.swapaxes(0, 1)
    agree(found, wanted)


RESETS = np.array([[0, 1], [0, 0], [1, 0], [0, 1]], np.bool_)


@pytest.mark.usefixtures("framework")
@pytest.mark.parametrize("lengths", [(T, T), (3, T), (0, 1)])
def test_resets(
    bound: CudaBoundModel, weights: Mapping[str, Array], lengths: tuple[int, ...]
) -> None:
    given = inputs() | {"h0": np.random.default_rng(1).normal(size=(B, H)).astype(np.float32)}
    beyond = given | {"word": given["word"].copy()}
    for row, length in enumerate(lengths):
        beyond["word"][length:, row] = V + 3  # no step of its row
    tensors = {name: OnGpu(array) for name, array in beyond.items()}
    wanted = expected(weights, given, lengths, RESETS)
    agree(bound.run(tensors, lengths=lengths, resets=OnGpu(RESETS)), wanted)
    tensors |= {n: OnGpu(beyond[n].swapaxes(0, 1)) for n in ("x", "word")}
    found = bound.run(tensors, lengths=lengths, resets=RESETS.T, batch_first=True)
    found["y"].array = found["y"].array.swapaxes(0, 1)
    agree(found, wanted)


@pytest.mark.usefixtures("framework")
def test_rows_that_end_apart() -> None:
    """Kernels take rows of one length only, where equations say what is at the end."""
    text = """
model ends{X}:
    dim t in 0..T
    input x[t]: [X]
    z[T-1] = x[T-1]
    z[t < T-1] = 2 * x[t+1]
    output y[t] = z[t]
"""
    bound = emulated(Compilation(Source("ends.rnn", text), Request("ends", {"X": X}))).bind({})
    x = inputs()["x"]
    wanted = np.stack([2 * x[1], 2 * x[2], 2 * x[3], x[3]])
    wanted[1, 1], wanted[2:, 1] = x[1, 1], 0
    agree(bound.run({"x": OnGpu(x)}, lengths=OnGpu(np.array([T, 2]))), {"y": wanted})


def test_another_stream(
    bound: CudaBoundModel, weights: Mapping[str, Array], framework: Arrays
) -> None:
    """The framework's own part of a call stands on it, too."""
    given = {name: OnGpu(array) for name, array in inputs().items()}
    agree(bound.run(given, stream=STREAM), expected(weights, inputs()))
    assert framework.turned == 1


@pytest.mark.usefixtures("framework")
def test_sequences_of_many_lengths(bound: CudaBoundModel, weights: Mapping[str, Array]) -> None:
    """In portions, so that short ones are not padded to the longest; no step; mistakes."""
    steps = 40
    random = np.random.default_rng(2)
    given = {
        "x": random.normal(size=(steps, B, X)).astype(np.float32),
        "word": random.integers(0, V, (steps, B)).astype(np.int32),
    }
    resets = np.arange(steps)[:, None] < np.array([0, 30])
    found = bound.run({n: OnGpu(a) for n, a in given.items()}, resets=OnGpu(resets))
    agree(found, bound.run(given, resets=resets))
    given["word"][35, 1] = V
    tensors = {n: OnGpu(a) for n, a in given.items()}
    refused(lambda: bound.run(tensors, resets=resets), "RNN733", r"7 at \[35, 1\]")
    empty = {name: OnGpu(array[:0]) for name, array in given.items()}
    found = bound.run(empty, resets=resets[:0])
    agree(found, bound.run({n: a[:0] for n, a in given.items()}))


@pytest.mark.usefixtures("framework")
def test_wide_ints_are_narrowed_and_looked_at(
    bound: CudaBoundModel, weights: Mapping[str, Array]
) -> None:
    given = inputs()
    x = OnGpu(given["x"])
    agree(
        bound.run({"x": x, "word": OnGpu(given["word"].astype(np.int64))}), expected(weights, given)
    )
    given["word"][1, 1] = V
    refused(lambda: bound.run({"x": x, "word": OnGpu(given["word"])}), "RNN733", r"7 at \[1, 1\]")


@pytest.mark.usefixtures("framework")
def test_mistakes(bound: CudaBoundModel) -> None:
    given = inputs()
    x, word = OnGpu(given["x"]), OnGpu(given["word"])

    def call(**other: Any) -> None:
        bound.run({"x": x, "word": word, **other})

    refused(lambda: call(x=given["x"]), "RNN743", "host memory")
    refused(lambda: call(x=OnGpu(given["x"], device=1)), "RNN743", "GPU 1")
    refused(lambda: call(z=x), "RNN731", "'z'")
    refused(lambda: bound.run({"x": x}), "RNN731", "'word'")
    refused(lambda: call(x=OnGpu(given["x"][:, :1])), "RNN732", "batch is 1")
    refused(lambda: call(x=OnGpu(given["x"].astype(np.float64))), "RNN733", "float64")
    refused(lambda: call(word=x), "RNN733", "float32")
    refused(lambda: bound.run({"x": x, "word": word}, resets=[1]), "RNN735", "bool")
    marks = OnGpu(np.zeros((T, B), np.int64))
    refused(lambda: bound.run({"x": x, "word": word}, resets=marks), "RNN735", "int64")
    refused(lambda: bound.run({"x": x, "word": word}, lengths=[T, T + 1]), "RNN734", "5")
    refused(lambda: bound.stream(), "RNN738", "GPU")


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = cupy_like.module(STREAM)
    monkeypatch.setitem(sys.modules, "cupy", made)
    return made


def test_arrays_of_cupy(bound: CudaBoundModel, weights: Mapping[str, Array], cupy: Any) -> None:
    """Wide ints, lengths and resets, the batch first; views, with steps that run backwards."""
    given = inputs()
    x, word = (cupy.asarray(given[name]) for name in ("x", "word"))
    found = bound.run({"x": x, "word": word.astype(np.int64)}, lengths=cupy.asarray([3, T]))
    assert isinstance(found["y"], cupy.ndarray)
    agree(found, expected(weights, given, (3, T)))
    agree(
        bound.run({"x": x, "word": word}, resets=cupy.asarray(RESETS)),
        expected(weights, given, resets=RESETS),
    )
    turned = {"x": x.swapaxes(0, 1), "word": word.swapaxes(0, 1)}
    found = bound.run(turned, batch_first=True, lengths=[T, 2])
    agree(found | {"y": found["y"].swapaxes(0, 1)}, expected(weights, given, (T, 2)))
    other = cupy.cuda.ExternalStream(STREAM + 8)
    wide = np.zeros((T, 2 * B, 2 * X), np.float32)
    backwards = cupy.asarray(wide)[::-1, ::2, ::2]
    backwards[:] = given["x"]
    agree(bound.run({"x": backwards, "word": word}, stream=other.ptr), expected(weights, given))
    assert cupy.cuda.get_current_stream().ptr == STREAM


def test_mistakes_with_cupy(bound: CudaBoundModel, cupy: Any) -> None:
    given = {name: cupy.asarray(array) for name, array in inputs().items()}
    elsewhere = cupy.asarray(given["x"])
    elsewhere.holder = 1
    refused(lambda: bound.run(given | {"x": elsewhere}), "RNN743", "GPU 1")
    refused(lambda: bound.run(given | {"x": inputs()["x"]}), "RNN743", "host memory")
    for dtype in ("float16", "float64", "int32"):
        refused(lambda d=dtype: bound.run(given | {"x": given["x"].astype(d)}), "RNN733", dtype)
    refused(lambda: bound.run(given, resets=cupy.asarray(RESETS[:2])), "RNN735", r"bool\[4, 2\]")


def test_interfaces_beside_cupy(
    bound: CudaBoundModel,
    compiled: CudaModel,
    weights: Mapping[str, Array],
    cupy: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a library that makes no outputs: read-only, on a stream of its own; where memory is that
    nobody knows, and masks."""
    given = inputs()
    word = cupy.asarray(given["word"])
    given["x"].flags.writeable = False
    x = Interfaced(given["x"])
    agree(bound.run({"x": x, "word": word}), expected(weights, given))
    x.__cuda_array_interface__["stream"] = STREAM + 16
    agree(bound.run({"x": x, "word": word}), expected(weights, given))
    assert counts(compiled).followed == STREAM + 16
    with monkeypatch.context() as patch:
        patch.setenv("RNNC_EMULATOR_HOLDER", "1")
        refused(lambda: bound.run({"x": x, "word": word}), "RNN743", "GPU 1")
        patch.setenv("RNNC_EMULATOR_MEMORY_KIND", "0")
        refused(lambda: bound.run({"x": x, "word": word}), "RNN743", "host memory")
    x.__cuda_array_interface__["mask"] = given["x"]
    refused(lambda: bound.run({"x": x, "word": word}), "RNN733", "masked")


def test_frameworks_that_are_not_known() -> None:
    refused(lambda: framework_of({"x": OnGpu(np.zeros(1))}), "RNN733", "torch or CuPy")


@pytest.fixture
def torch_on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    let_torch_stand_for_a_gpu(monkeypatch, STREAM)


@pytest.mark.usefixtures("torch_on_gpu")
@pytest.mark.parametrize("requires_grad", [False, True])
def test_tensors_of_torch(
    bound: CudaBoundModel, weights: Mapping[str, Array], requires_grad: bool
) -> None:
    given = inputs()
    x = torch.from_numpy(given["x"]).requires_grad_(requires_grad)
    word = torch.from_numpy(given["word"]).long()
    found = bound.run({"x": x, "word": word}, lengths=torch.tensor([T, 1]))
    assert isinstance(found["y"], torch.Tensor)
    agree(found, expected(weights, given, (T, 1)))
    refused(lambda: bound.run({"x": x.bfloat16(), "word": word}), "RNN733", "holds bfloat16")
    found = bound.run({"x": x, "word": word}, resets=torch.from_numpy(RESETS))
    agree(found, expected(weights, given, resets=RESETS))


@pytest.mark.usefixtures("torch_on_gpu")
def test_modules(compiled: CudaModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module follows its parameters; what it computes is torch's to see."""
    given = {name: torch.from_numpy(array) for name, array in inputs().items()}
    module = Module(SPEC, sizes={"X": X, "H": H, "V": V}).requires_grad_(False)
    weights = {name: value.numpy() for name, value in module.state_dict().items()}
    monkeypatch.setattr("rnnc.compile", lambda *_, **__: compiled)
    module._compile = functools.partial(rnnc.compile)
    module.follow("cuda")
    assert module.network.place == "cuda"
    refused(lambda: module(**given), "RNN743", "kernels run on the GPU")
    monkeypatch.setattr(network, "check_place", lambda name, tensor, place: None)
    wanted = expected(weights, inputs())
    agree(module(**given), wanted)
    agree(torch.compile(module, backend="eager", fullgraph=True)(**given), wanted)
    agree(module(**given, lengths=torch.tensor([T, 2])), expected(weights, inputs(), (T, 2)))


@pytest.mark.usefixtures("torch_on_gpu")
def test_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's own ones, a packed sequence as well."""
    own, wanted = rnnc.torch.RNN(3, 5, bidirectional=True), torch.nn.RNN(3, 5, bidirectional=True)
    own.load_state_dict(wanted.state_dict())

    def compiled(text: str, sizes: dict[str, Any], target: str) -> CudaModel:
        return emulated(Compilation(Source("layers.rnn", text), Request(None, sizes, {}, target)))

    monkeypatch.setattr("rnnc.compile", compiled)
    monkeypatch.setattr(network, "check_place", lambda name, tensor, place: None)
    own.follow("cuda")
    assert own.network.place == "cuda"
    x, h0 = torch.randn(4, 2, 3), torch.randn(2, 2, 5)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([2, 4]), enforce_sorted=False)
    with torch.no_grad():
        for given in (x, packed):
            found, expected = own(given, h0), wanted(given, h0)
            one, other = (y if given is x else y.data for y in (found[0], expected[0]))
            assert_close(one, other, np.float32, T)
            assert_close(found[1], expected[1], np.float32, T)


def test_arrays_of_the_host(bound: CudaBoundModel, weights: Mapping[str, Array]) -> None:
    given = inputs()
    agree(bound.run(given), expected(weights, given))
    agree(bound(x=given["x"], word=given["word"], lengths=[1, T]), expected(weights, given, (1, T)))


def test_jax_calls_models_of_the_cpu(compiled: CudaModel) -> None:
    pytest.importorskip("jax")
    import rnnc.jax

    refused(lambda: rnnc.jax.function(compiled), "RNN743", "runs on a GPU")


@pytest.mark.parametrize(
    "variable, why", [("ALONE", "wait for each other"), ("FULL", "no room for all blocks")]
)
def test_a_gpu_that_cannot_launch_together(
    compiled: CudaModel,
    weights: Mapping[str, Array],
    variable: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The same numbers, kernel by kernel, which the log says once."""
    given = inputs()
    bound = CudaModel(compiled.artifact).bind(weights)
    bound.run(given)
    assert not caplog.records
    monkeypatch.setenv(f"RNNC_EMULATOR_{variable}", "1")
    for _ in range(2):
        agree(bound.run(given), expected(weights, given))
    [record] = caplog.records
    assert record.name == "rnnc" and "'network'" in record.getMessage()
    assert why in record.getMessage()


def test_gpus(compiled: CudaModel, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = compiled.random_parameters(0)
    refused(lambda: compiled.bind(weights, device=1), "RNN751", "sees 1")
    for capability, runs in {"80": True, "86": True, "90": True, "120": True, "75": False}.items():
        monkeypatch.setenv("RNNC_EMULATOR_CAPABILITY", capability)
        if runs:
            compiled.bind(weights)
        else:
            refused(lambda: compiled.bind(weights), "RNN712", "sm_75")
    monkeypatch.setenv("RNNC_EMULATOR_DEVICES", "0")
    refused(lambda: CudaModel(compiled.artifact), "RNN751", "none in this machine")
    monkeypatch.setenv("RNNC_EMULATOR_NO_DEVICE", "35")
    monkeypatch.setattr("rnnc.runtime.cuda.cudart.has_driver", lambda: False)
    refused(lambda: CudaModel(compiled.artifact), "RNN751", "has no NVIDIA driver")
    monkeypatch.setattr("rnnc.runtime.cuda.cudart.has_driver", lambda: True)
    refused(lambda: CudaModel(compiled.artifact), "RNN751", "driver is older than")


def test_memory_that_is_full(bound: CudaBoundModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNC_EMULATOR_MEMORY", "4096")
    given = {name: np.concatenate([array] * 64, 1) for name, array in inputs().items()}
    refused(lambda: bound.run(given), "RNN736", "GPU")


def refused(call: Any, code: str, text: str) -> None:
    with pytest.raises(DiagnosticError) as caught:
        call()
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == code
    assert re.search(text, diagnostic.message)


def test_cudas_runtime_of_a_package_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torch's packages bring it along, where the system's loader does not look."""
    folder = tmp_path / "site" / "nvidia" / "cu99" / "lib"
    folder.mkdir(parents=True)
    runtime, library, empty = folder / "libcudart.so.99", tmp_path / "model.so", tmp_path / "e.c"
    empty.write_text("")
    command = [str(compiler()), "-x", "c", str(empty), "-shared", "-o"]
    subprocess.run([*command, str(runtime), f"-Wl,-soname,{runtime.name}"], check=True)
    needed = ["-x", "none", "-Wl,--no-as-needed", str(runtime)]
    subprocess.run([*command, str(library), *needed], check=True)
    with pytest.raises(OSError, match=r"libcudart\.so\.99"):
        loaded(library)
    monkeypatch.syspath_prepend(tmp_path / "site")
    loaded(library)
