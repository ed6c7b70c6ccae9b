"""Parameters as arguments: packed by JAX. Functions that hold packed weights are the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnc.weights import WeightType
from tests.runtime.networks import compilation, network

jax = pytest.importorskip("jax")

import rnnc.jax  # noqa: E402
from tests.jax.test_function import (  # noqa: E402
    MODELS,
    THREADS,
    assert_same,
    compiled,
    inputs_of,
    refused,
)


@pytest.mark.parametrize("name", MODELS)
def test_traced_parameters(name: str) -> None:
    _, model, params = compiled(name)
    inputs = inputs_of(name, 5, 3)
    function = rnnc.jax.function(model, threads=THREADS)
    expected = model.bind(params).run(inputs, threads=THREADS)
    assert_same(function(params, **inputs), expected)
    assert_same(jax.jit(lambda p, given: function(p, **given))(params, inputs), expected)


@pytest.mark.parametrize("name", ["householder", "masked", "decaying", "permuted", "ages"])
def test_parameters_of_every_kind(name: str) -> None:
    """Prepared ones, bools, scalars at grid points, ints."""
    net = network(name)
    inputs: dict[str, Any] = {k: v.astype(np.float32) for k, v in net.inputs(5, 3).items()}
    params = {path: np.asarray(array) for path, array in net.params.items()}
    function = rnnc.jax.function(net.model, threads=THREADS)
    assert_same(function(params, **inputs), net.bound.run(inputs, threads=THREADS))


@pytest.mark.parametrize("weights", ["bf16", "int8"])
def test_narrow_weights(weights: WeightType) -> None:
    model = compilation("stacked_lstm", weights).load()
    params = model.random_parameters(0)
    inputs = inputs_of("lstm", 5, 3)
    found = rnnc.jax.function(model, threads=THREADS)(params, **inputs)
    assert_same(found, model.bind(params).run(inputs, threads=THREADS))


def test_sparse_weights() -> None:
    model = compilation("stacked_lstm", "sparse").load()
    params = model.random_parameters(0)
    inputs = inputs_of("lstm", 5, 3)
    function = rnnc.jax.function(model, threads=THREADS)
    expected = model.bind(params).run(inputs, threads=THREADS)
    assert_same(function.bind(params)(**inputs), expected)
    assert_same(function(params, **inputs), expected)


def test_one_array_for_all_layers() -> None:
    _, model, params = compiled("lstm")
    inputs = inputs_of("lstm", 5, 3)
    first = [path for path in params if path.startswith("lstm[0].U")]
    stacked = {path: array for path, array in params.items() if ".U" not in path}
    for path in first:
        layers = [params[path], params[path.replace("[0]", "[1]")]]
        stacked[path.replace("[0]", "")] = np.stack(layers)
    found = rnnc.jax.function(model, threads=THREADS)(stacked, **inputs)
    assert_same(found, model.bind(params).run(inputs, threads=THREADS))


@pytest.mark.parametrize("name", ["lstm", "orthogonal"])
def test_vmap_over_parameters(name: str) -> None:
    _, model, params = compiled(name)
    others = model.random_parameters(1)
    inputs = inputs_of(name, 5, 3)
    function = rnnc.jax.function(model, threads=THREADS)
    both = {path: np.stack([params[path], others[path]]) for path in params}
    found = jax.jit(jax.vmap(lambda p: function(p, **inputs)))(both)
    for n, own in enumerate((params, others)):
        expected = model.bind(own).run(inputs, threads=THREADS)
        assert_same({key: array[n] for key, array in found.items()}, expected)


def test_what_does_not_fit_is_refused() -> None:
    _, model, params = compiled("lstm")
    inputs = inputs_of("lstm", 5, 3)
    function = rnnc.jax.function(model, threads=THREADS)
    path = "lstm[0].W_i"
    without = {name: array for name, array in params.items() if name != path}
    refused("RNN721", lambda: function(without, **inputs))
    refused("RNN722", lambda: function({**params, "lstm[0].W_q": params[path]}, **inputs))
    refused("RNN723", lambda: function({**params, path: params[path].T}, **inputs))
    refused(
        "RNN724", lambda: function({**params, path: params[path].astype(np.complex64)}, **inputs)
    )
    refused("RNN724", lambda: jax.jit(function.bind)(params))
    refused("RNN741", lambda: jax.grad(lambda p: function(p, **inputs)["y"].sum())(params))
