"""Models as functions of JAX. The calls from NumPy are the oracle, bit for bit."""

from __future__ import annotations

import functools
import gc
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnc.diagnostics import DiagnosticError
from rnnc.driver import Compilation, Request, StaticValue, standard_source
from rnnc.ir.pointwise import Array
from rnnc.runtime.model import Model
from rnnc.sampling import random_inputs
from tests.runtime.networks import network

jax = pytest.importorskip("jax")

import rnnc.jax  # noqa: E402

MODELS: dict[str, tuple[str, dict[str, StaticValue]]] = {
    "lstm": ("stacked_lstm", {"X": 3, "H": 5, "L": 2}),
    "gru": ("stacked", {"X": 3, "H": 5, "L": 2, "unit": "gru"}),
    "bidirectional": ("bidirectional", {"X": 3, "H": 5}),
    "mdlstm_2d": ("mdlstm_2d", {"X": 3, "H": 5}),
    "orthogonal": ("orthogonal_rnn", {"X": 3, "H": 5, "K": 2}),
}
FILES = {"stacked_lstm": "stacked", "mdlstm_2d": "md_rnn", "orthogonal_rnn": "urnn"}
THREADS = 2  # another number may change the last bits


@functools.cache
def compiled(name: str) -> tuple[Compilation, Model, dict[str, Array]]:
    model, sizes = MODELS[name]
    source = standard_source(FILES.get(model, model))
    compilation = Compilation(source, Request(model, sizes))
    loaded = compilation.load()
    return compilation, loaded, loaded.random_parameters(0)


def inputs_of(name: str, steps: int, batch: int, seed: int = 1) -> dict[str, Any]:
    compilation, model, _ = compiled(name)
    extents = dict.fromkeys(model.manifest.extents, steps)
    inputs = random_inputs(compilation.graph, extents, batch, seed)
    return {name: array.astype(np.float32) for name, array in inputs.items()}


def called(name: str, inputs: Mapping[str, Array], **options: Any) -> dict[str, Array]:
    _, model, params = compiled(name)
    return model.bind(params).run(inputs, threads=THREADS, **options)


def bound(name: str) -> rnnc.jax.BoundFunction:
    _, model, params = compiled(name)
    return rnnc.jax.function(model, threads=THREADS).bind(params)


def assert_same(found: Mapping[str, Any], expected: Mapping[str, Array]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(np.asarray(found[name]), array, name)


def refused(code: str, call: Callable[[], object]) -> str:
    with pytest.raises(DiagnosticError) as caught:
        call()
    assert {diagnostic.code for diagnostic in caught.value.diagnostics} == {code}
    return caught.value.diagnostics[0].message


def test_importing_rnnc_does_not_import_jax() -> None:
    code = "import sys, rnnc; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("steps", [1, 6])
@pytest.mark.parametrize("name", MODELS)
def test_calls_and_jit(name: str, steps: int, batch: int) -> None:
    inputs = inputs_of(name, steps, batch)
    expected = called(name, inputs)
    function = bound(name)
    assert_same(function(**inputs), expected)
    assert_same(jax.jit(lambda given: function(**given))(inputs), expected)


def test_no_steps() -> None:
    inputs = inputs_of("lstm", 0, 2)
    assert_same(bound("lstm")(**inputs), called("lstm", inputs))


@pytest.mark.parametrize("name", ["lstm", "gru", "bidirectional"])
def test_lengths(name: str) -> None:
    inputs, lengths = inputs_of(name, 6, 3), np.array([6, 1, 3])
    expected = called(name, inputs, lengths=lengths)
    function = bound(name)
    assert_same(function(**inputs, lengths=lengths), expected)
    assert_same(function(**inputs, lengths={"T": lengths.tolist()}), expected)
    traced = jax.jit(lambda given, own: function(**given, lengths=own))
    assert_same(traced(inputs, lengths), expected)


def test_lengths_of_two_extents() -> None:
    net = network("two")
    inputs: dict[str, Any] = {k: v.astype(np.float32) for k, v in net.inputs(6, 3).items()}
    lengths = {"S": np.array([6, 2, 1]), "T": np.array([1, 6, 4])}
    function = rnnc.jax.function(net.model, threads=THREADS).bind(net.params)
    for own in (lengths, {"S": lengths["S"]}):
        expected = net.bound.run(inputs, lengths=own, threads=THREADS)
        assert_same(jax.jit(lambda i, o: function(**i, lengths=o))(inputs, own), expected)


def test_an_extent_that_no_input_tells() -> None:
    net = network("generate")
    inputs: dict[str, Any] = {k: v.astype(np.float32) for k, v in net.inputs(6, 3).items()}
    function = rnnc.jax.function(net.model, threads=THREADS).bind(net.params)
    extents = {"T": 4}
    found = jax.vmap(lambda i: function(**i, extents=extents))(
        {name: np.stack([array, array]) for name, array in inputs.items()}
    )
    expected = net.bound.run(inputs, extents=extents, threads=THREADS)
    for n in range(2):
        assert_same({name: array[n] for name, array in found.items()}, expected)


@pytest.mark.parametrize("name", MODELS)
def test_vmap_adds_rows(name: str) -> None:
    """As many rows at once are as good as so many calls: here with one that has all rows."""
    many = [inputs_of(name, 4, 2, seed) for seed in range(3)]
    stacked = {key: np.stack([inputs[key] for inputs in many]) for key in many[0]}
    found = jax.jit(jax.vmap(lambda given: bound(name)(**given)))(stacked)
    manifest = compiled(name)[1].manifest
    axes = {port.name: len(port.dims) for port in (*manifest.inputs, *manifest.outputs)}
    rows = {key: np.concatenate([i[key] for i in many], axes[key]) for key in many[0]}
    expected = called(name, rows)
    for n in range(3):
        own = {key: np.split(array, 3, axes[key])[n] for key, array in expected.items()}
        assert_same({key: array[n] for key, array in found.items()}, own)


def test_vmap_of_one_input_and_of_lengths() -> None:
    inputs, lengths = inputs_of("gru", 5, 2), np.array([[5, 2], [1, 4], [3, 3]])
    function = bound("gru")
    shared = {name: array for name, array in inputs.items() if name != "x"}
    by_lengths = jax.vmap(lambda own: function(**inputs, lengths=own))(lengths)
    twice = np.stack([inputs["x"], inputs["x"]], axis=1)
    by_x = jax.vmap(lambda x: function(x=x, **shared), in_axes=1)(twice)
    whole = {
        port.name: np.concatenate([inputs[port.name]] * 3, len(port.dims))
        for port in function.model.manifest.inputs
        if port.name in inputs
    }
    expected = called("gru", whole, lengths=lengths.ravel())
    for n in range(3):
        np.testing.assert_array_equal(by_lengths["y"][n], expected["y"][:, 2 * n : 2 * n + 2])
    np.testing.assert_array_equal(by_x["y"][0], by_x["y"][1])


def test_loops_and_branches() -> None:
    inputs = inputs_of("lstm", 6, 3)
    function = bound("lstm")

    def looped(x: Any) -> Any:
        def add(_: int, sum: Any) -> Any:
            return sum + function(x=x)["y"]

        y = jax.lax.fori_loop(0, 2, add, jax.numpy.zeros((6, 3, 5)))
        return jax.lax.cond(x[0, 0, 0] > 1e9, lambda: y, lambda: y / 2)

    expected = called("lstm", {"x": inputs["x"]})["y"]
    np.testing.assert_array_equal(jax.jit(looped)(inputs["x"]), expected)


def test_a_program_keeps_what_it_calls() -> None:
    inputs = inputs_of("lstm", 6, 3)

    def program_of(function: rnnc.jax.BoundFunction) -> Any:
        return jax.jit(lambda given: function(**given)).lower(inputs).compile()

    program = program_of(bound("lstm"))
    gc.collect()
    assert_same(program(inputs), called("lstm", inputs))


def test_ints_are_taken_to_their_range() -> None:
    net = network("pick")
    inputs: dict[str, Any] = {"x": net.inputs(4, 2)["x"].astype(np.float32)}
    function = rnnc.jax.function(net.model, threads=THREADS).bind(net.params)
    wild = np.array([[0, 9], [-5, 1], [3, 2], [2**30, 0]], np.int32)
    own = np.array([4, 2])
    expected = net.bound.run(
        {**inputs, "k": np.clip(wild, 0, own - 1)}, lengths=own, threads=THREADS
    )
    assert_same(function(**inputs, k=wild, lengths=own), expected)


def test_lengths_are_taken_to_their_range_where_they_are_traced() -> None:
    inputs = inputs_of("lstm", 6, 3)
    function = bound("lstm")
    found = jax.jit(lambda own: function(**inputs, lengths=own))(np.array([9, -1, 3]))
    assert_same(found, called("lstm", inputs, lengths=[6, 0, 3]))
    message = refused("RNN734", lambda: function(**inputs, lengths=[9, 1, 3]))
    assert message == "a length of 9 is not in 0..6 ('T')"


def test_lengths_of_rows_that_must_end_together() -> None:
    text = """model ends{D}:
    dim t in 0..T
    input x[t]: [D]
    output y[t] = x[t] + (x[t+1] if t < T-1 else 3 * x[t])
"""
    function = rnnc.jax.function(text, sizes={"D": 3}).bind({})
    x = np.ones((4, 2, 3), np.float32)
    assert function(x=x)["y"].shape == x.shape
    message = refused("RNN734", lambda: function(x=x, lengths=np.array([4, 2])))
    assert "is cut before its end" in message


def test_other_dtypes() -> None:
    inputs = inputs_of("lstm", 6, 3)
    x = inputs["x"]
    function = bound("lstm")
    half = x.astype(np.float16)
    assert_same(function(x=half), called("lstm", {"x": half}))
    for odd in (x.astype(np.complex64), x.astype(jax.numpy.bfloat16)):
        refused("RNN733", functools.partial(function, x=odd))
        refused("RNN733", functools.partial(jax.jit(lambda x: function(x=x)), odd))


def test_what_does_not_fit_is_refused() -> None:
    x = inputs_of("lstm", 6, 3)["x"]
    function = bound("lstm")
    refused("RNN731", lambda: function(z=x))
    refused("RNN731", function)
    refused("RNN732", lambda: function(x=x[0]))
    refused("RNN732", lambda: function(x=x, extents={"T": 5}))
    refused("RNN734", lambda: function(x=x, lengths=jax.numpy.zeros(2, int)))
    refused("RNN734", lambda: function(x=x, lengths=np.zeros(3)))
    refused("RNN737", lambda: rnnc.jax.function(compiled("lstm")[1], threads=0))
    refused("RNN721", lambda: rnnc.jax.function(compiled("lstm")[1]).bind({}))


def test_gradients_are_refused() -> None:
    x = inputs_of("lstm", 6, 3)["x"]
    function = bound("lstm")
    refused("RNN741", lambda: jax.grad(lambda x: function(x=x)["y"].sum())(x))
    stopped = jax.grad(lambda x: function(x=jax.lax.stop_gradient(x))["y"].sum())(x)
    assert not stopped.any()


def test_a_library_is_a_function(tmp_path: Path) -> None:
    _, model, params = compiled("lstm")
    inputs = inputs_of("lstm", 6, 3)
    model.save(tmp_path / "lstm.rnnlib")
    function = rnnc.jax.function(tmp_path / "lstm.rnnlib", threads=THREADS)
    assert_same(function.bind(params)(**inputs), called("lstm", inputs))


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    from rnnc.jax.handler import registered

    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    refused("RNN702", registered.__wrapped__)
