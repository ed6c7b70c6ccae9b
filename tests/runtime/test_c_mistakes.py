"""What the C interface says to mistakes: a code and a text, and nothing is computed."""

from __future__ import annotations

import ctypes
import json
import os
import struct
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from rnnc.ir.interpreter import interpret
from rnnc.ir.pointwise import Array
from rnnc.sampling import random_inputs, random_parameters
from tests.runtime.clibrary import (
    CLibrary,
    Stream,
    c_array,
    c_library,
    c_library_with_weights,
    called,
)
from tests.runtime.networks import assert_outputs, compilation

VERSION, ARGUMENT, WEIGHTS, FILE, LENGTHS, RANGE, WORKSPACE, MEMORY, STREAM = range(1, 10)
NAME, STEPS, BATCH = "stacked_lstm", 5, 3


@pytest.fixture(scope="module")
def library() -> CLibrary:
    return c_library(NAME)


@pytest.fixture(scope="module")
def params() -> dict[str, Array]:
    drawn = random_parameters(compilation(NAME).graph, 0)
    return {name: c_array(array) for name, array in drawn.items()}


def load(library: CLibrary, data: bytes, interface: int | None = None) -> tuple[int, str]:
    """Code and text of loading weights from the bytes of a file."""
    model = ctypes.c_void_p(1)
    number = ctypes.c_uint64(library.interface if interface is None else interface)
    function = library.functions[f"{library.name}_load_bytes"]
    code = function(number, data, ctypes.c_size_t(len(data)), ctypes.byref(model))
    assert (code == 0) == (model.value is not None)
    return code, library.error


def without(params: Mapping[str, Array], name: str) -> dict[str, Array]:
    return {own: array for own, array in params.items() if own != name}


def test_weights(library: CLibrary, params: dict[str, Array]) -> None:
    assert load(library, save(params))[0] == 0
    path = "lstm[1].U_f"
    for wrong, text in (
        (without(params, path), f"parameter '{path}' is missing"),
        ({**params, "lstm[2].U_f": params[path]}, "has no parameter 'lstm[2].U_f'"),
        ({**params, path: params[path][:4]}, f"parameter '{path}' is [4, 5] but must be [5, 5]"),
        ({**params, path: params[path].astype(np.float64)}, "holds F64 but must hold F32"),
    ):
        code, said = load(library, save(dict(wrong)))
        assert code == WEIGHTS and text in said, said
    code, said = load(library, save(params), interface=7)
    assert code == VERSION and "0000000000000007" in said


def test_stacked_weights(library: CLibrary, params: dict[str, Array]) -> None:
    """One array may hold all layers."""
    stacked = {name: a for name, a in params.items() if ".U_" not in name}
    for gate in "ifgo":
        stacked[f"lstm.U_{gate}"] = np.stack([params[f"lstm[{n}].U_{gate}"] for n in range(2)])
    assert load(library, save(stacked))[0] == 0


def test_files(library: CLibrary, params: dict[str, Array], tmp_path: Path) -> None:
    data = save(params)
    size = int(struct.unpack("<Q", data[:8])[0])
    head = json.loads(data[8 : 8 + size])
    head["lstm[0].W_i"]["data_offsets"] = [2**62, 2**62 + 60]
    moved = json.dumps(head).encode()
    for wrong in (
        b"",
        data[:7],
        data[: 8 + size],
        data[:-1],
        struct.pack("<Q", 2**64 - 1) + data[8:],
        data[:8] + b"x" * size + data[8 + size :],
        struct.pack("<Q", len(moved)) + moved + data[8 + size :],
    ):
        code, said = load(library, wrong)
        assert code == FILE and said
    model = ctypes.c_void_p()
    function = library.functions[f"{library.name}_load"]
    number = ctypes.c_uint64(library.interface)
    assert function(number, str(tmp_path / "no").encode(), ctypes.byref(model)) == FILE
    assert "No such file" in library.error
    odd = tmp_path / "odd.safetensors"  # a head of a length that aligns nothing
    text = data[8 : 8 + size].rstrip() + b" " * 3
    odd.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])
    assert function(number, str(odd).encode(), ctypes.byref(model)) == 0


def test_calls(library: CLibrary, params: dict[str, Array]) -> None:
    model = library.create(params)
    inputs = {
        n: c_array(a) for n, a in random_inputs(compilation(NAME).graph, {"T": 5}, 3, 1).items()
    }
    outputs = {"y": np.empty((5, 3, 5)), "h_n": np.empty((2, 3, 5)), "c_n": np.empty((2, 3, 5))}
    kept = {name: array.astype(np.float32) for name, array in outputs.items()}
    workspace = np.empty(1 << 16, np.uint8)

    def made(**changes: int) -> ctypes.Structure:
        call = library.call(T=5, batch=3)
        for name, array in (*inputs.items(), *kept.items()):
            setattr(call, name, array.ctypes.data)
        call.workspace, call.workspace_size = workspace.ctypes.data, workspace.size
        for name, value in changes.items():
            setattr(call, name, value)
        return call

    long, short = np.array([5, 6, 0], np.int32), np.array([5, -1, 0], np.int32)
    size = library.workspace_size(made())
    assert library.forward(model, made(workspace_size=size)) == 0
    for changes, code, text in (
        ({"workspace_size": size - 1}, WORKSPACE, f"{size - 1} bytes, this call needs {size}"),
        ({"workspace": 0}, WORKSPACE, "the workspace has 0 bytes"),
        ({"x": 0}, ARGUMENT, "input 'x' is NULL"),
        ({"y": 0}, ARGUMENT, "output 'y' is NULL"),
        ({"x": inputs["x"].ctypes.data + 1}, ARGUMENT, "input 'x' is not aligned"),
        ({"T": -1}, ARGUMENT, "T is -1"),
        ({"batch": 2**31}, ARGUMENT, "batch is 2147483648"),
        ({"T": 2**31 - 1, "batch": 2**31 - 1}, MEMORY, "no memory is large enough"),
        ({"threads": -1}, ARGUMENT, "threads is -1"),
        ({"lengths_T": long.ctypes.data}, LENGTHS, "length 6 of row 1 is not in 0..5"),
        ({"lengths_T": short.ctypes.data}, LENGTHS, "length -1 of row 1"),
    ):
        assert library.forward(model, made(**changes)) == code, (changes, library.error)
        assert text in library.error
    assert library.forward(ctypes.c_void_p(), made()) == ARGUMENT
    other = c_library("elman_network")
    foreign = other.create(random_parameters(compilation("elman_network").graph, 0))
    assert library.forward(foreign, made()) == ARGUMENT
    assert library.workspace_size(made(T=-1)) == -ARGUMENT


def test_ints() -> None:
    library, graph = c_library("pick"), compilation("pick").graph
    model = library.create({})
    inputs = random_inputs(graph, {"T": 4}, 2, 1)
    shapes = interpret(graph, {"T": 4}, inputs, {})
    inputs["k"][2, 1] = 4
    with pytest.raises(AssertionError, match=r"input 'k' is 4 at \[2, 1\], which is not in 0\.\.4"):
        called(library, model, inputs, {"T": 4}, shapes, 2)


def test_int_parameters() -> None:
    library, graph = c_library("permuted"), compilation("permuted").graph
    params = {n: c_array(a) for n, a in random_parameters(graph, 0).items()}
    assert load(library, save(params))[0] == 0
    params["P[1]"][2] = 3
    code, said = load(library, save(params))
    assert code == WEIGHTS and "parameter 'P[1]' holds 3, which is not in 0..3" in said


def test_streams(library: CLibrary, params: dict[str, Array]) -> None:
    model = library.create(params)
    inputs = random_inputs(compilation(NAME).graph, {"T": 1}, 2, 1)
    stream = Stream(library, model, 2, inputs)
    assert stream.reset(2, {}) == ARGUMENT and "row 2 is not in 0..2" in library.error
    init = library.functions[f"{NAME}_stream_init"]
    place = ctypes.c_void_p()
    memory = stream.memory
    code = init(
        *(model, ctypes.c_int64(3), None, ctypes.c_void_p(memory.ctypes.data)),
        *(ctypes.c_int64(memory.size), ctypes.byref(place)),
    )
    assert code == MEMORY and "the stream needs" in library.error
    size = library.functions[f"{NAME}_stream_size"]
    size.restype = ctypes.c_int64
    for batch in (-1, 2**31, 2**62):
        assert size(ctypes.c_int64(batch)) == -ARGUMENT, batch
        assert f"batch is {batch}" in library.error
        code = init(
            *(model, ctypes.c_int64(batch), None, ctypes.c_void_p(memory.ctypes.data)),
            *(ctypes.c_int64(memory.size), ctypes.byref(place)),
        )
        assert code == ARGUMENT and place.value is None


def test_null(library: CLibrary, params: dict[str, Array]) -> None:
    """Whatever is missing."""
    model, functions = library.create(params), library.functions
    number, out = ctypes.c_uint64(library.interface), ctypes.byref(ctypes.c_void_p())
    call, given = ctypes.byref(library.call(T=2, batch=2)), ctypes.byref(library.parameters())
    stream = Stream(library, model, 2, {})
    room = ctypes.c_void_p(stream.memory.ctypes.data), ctypes.c_int64(stream.memory.size)
    no_room = None, room[1]
    calls: list[tuple[str, tuple[object, ...], int]] = [
        ("create", (number, None, out), ARGUMENT),
        ("create", (number, given, out), WEIGHTS),
        ("create", (number, given, None), ARGUMENT),
        ("load", (number, None, out), ARGUMENT),
        ("load", (number, b"/", out), FILE),
        ("load_bytes", (number, None, ctypes.c_size_t(5), out), ARGUMENT),
        ("forward", (model, None), ARGUMENT),
        ("forward", (None, call), ARGUMENT),
        ("forward", (model, call), WORKSPACE),
        ("stream_init", (None, ctypes.c_int64(2), None, *room, out), ARGUMENT),
        ("stream_init", (model, ctypes.c_int64(2), None, *no_room, out), MEMORY),
        ("stream_init", (model, ctypes.c_int64(2), None, *room, None), ARGUMENT),
        ("stream_reset", (model, None, ctypes.c_int64(0), None), ARGUMENT),
        ("stream_copy", (None, *room, out), ARGUMENT),
        ("stream_copy", (stream.place, *no_room, out), MEMORY),
        ("stream_copy", (stream.place, *room, None), ARGUMENT),
        ("step", (model, stream.place, None), ARGUMENT),
        ("step", (model, None, call), ARGUMENT),
        ("step", (model, stream.place, ctypes.byref(library.struct("step_call")())), ARGUMENT),
    ]
    for name, arguments, code in calls:
        assert functions[f"{NAME}_{name}"](*arguments) == code, (name, arguments, library.error)
    functions[f"{NAME}_free"](None)


def test_memory_of_the_caller(library: CLibrary, params: dict[str, Array]) -> None:
    size = library.functions[f"{NAME}_model_size"]
    size.restype = ctypes.c_int64
    memory, model = np.empty(size(), np.uint8), ctypes.c_void_p()
    function = library.functions[f"{NAME}_load_bytes_in"]
    data, number = save(params), ctypes.c_uint64(library.interface)

    def made(address: int, room: int) -> int:
        place = ctypes.c_void_p(address)
        length = ctypes.c_size_t(len(data))
        return int(function(number, data, length, place, ctypes.c_int64(room), ctypes.byref(model)))

    assert made(memory.ctypes.data, memory.size - 1) == MEMORY
    assert made(0, memory.size) == ARGUMENT
    assert made(memory.ctypes.data, memory.size) == 0
    start = memory.ctypes.data
    assert model.value is not None and start <= model.value < start + memory.size
    check(library, model, params)


def check(library: CLibrary, model: ctypes.c_void_p, params: Mapping[str, Array]) -> None:
    graph = compilation(library.name).graph
    inputs = random_inputs(graph, {"T": STEPS}, BATCH, 1)
    expected = interpret(graph, {"T": STEPS}, inputs, params)
    found = called(library, model, inputs, {"T": STEPS}, expected, BATCH)
    assert_outputs(found, expected, STEPS)


def test_embedded_weights(params: dict[str, Array]) -> None:
    library = c_library_with_weights(NAME)
    model = ctypes.c_void_p()
    function = library.functions[f"{NAME}_load_embedded"]
    assert function(ctypes.c_uint64(library.interface), ctypes.byref(model)) == 0
    check(library, model, params)


def test_one_model_in_many_threads(library: CLibrary, params: dict[str, Array]) -> None:
    """A model never changes; each call has its own workspace, errors are each thread's own."""
    model = library.create(params)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(3):
                check(library, model, params)
                assert library.error == ""
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_models_share_a_pool(library: CLibrary, params: dict[str, Array]) -> None:
    """Two libraries in one process, called at once on the threads of one of them."""
    pool = library.functions[f"{NAME}_pool"]
    pool.restype = ctypes.c_void_p
    failures: list[BaseException] = []

    def work(own: CLibrary, given: Mapping[str, Array]) -> None:
        try:
            model, graph = own.create(given), compilation(own.name).graph
            inputs, extents = random_inputs(graph, {"T": 200}, 64, 1), {"T": 200}
            names = {"y": (200, 64, 5), "h_n": (2, 64, 5), "c_n": (2, 64, 5)}
            if own.name != NAME:
                names = {"y": (200, 64, 2)}
            shapes = {name: np.zeros(shape) for name, shape in names.items()}
            expected = called(own, model, inputs, extents, shapes, 64)
            for _ in range(5):
                found = called(own, model, inputs, extents, shapes, 64, threads=3, pool=pool())
                assert_outputs(found, expected, 200)
        except BaseException as error:
            failures.append(error)

    other = c_library("elman_network")
    drawn = random_parameters(compilation("elman_network").graph, 0)
    pairs = [(library, params), (other, drawn)] * 2
    threads = [threading.Thread(target=work, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_forked_process_has_threads_of_its_own(
    library: CLibrary, params: dict[str, Array]
) -> None:
    model = library.create(params)
    graph = compilation(NAME).graph
    inputs = random_inputs(graph, {"T": 200}, 64, 1)
    shapes = {"y": np.zeros((200, 64, 5)), "h_n": np.zeros((2, 64, 5)), "c_n": np.zeros((2, 64, 5))}
    before = called(library, model, inputs, {"T": 200}, shapes, 64, threads=2)
    child = os.fork()
    if child == 0:
        found = called(library, model, inputs, {"T": 200}, shapes, 64, threads=2)
        os._exit(0 if all(np.array_equal(found[n], before[n]) for n in found) else 1)
    assert os.waitpid(child, 0)[1] == 0
