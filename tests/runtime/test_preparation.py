"""What parameters alone decide is computed when they are bound, and never again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import rnnc
from rnnc.diagnostics import DiagnosticError
from rnnc.runtime.model import BoundModel
from tests.runtime.networks import Network, network
from tests.tolerance import assert_close

Array = npt.NDArray[Any]
NAMES = ("householder", "masked")
STEPS, BATCH = 6, 3


def recurrent_weight(name: str, params: Mapping[str, Array]) -> Array:
    """The matrix by its definition."""
    if name == "masked":
        return params["M"] * params["U"]
    result = np.eye(5)
    for k in range(4):
        v = params[f"v[{k}]"]
        result = result @ (np.eye(5) - 2 * np.outer(v, v) / (v @ v))
    return result


def oracle(name: str, params: Mapping[str, Array], x: Array) -> Array:
    weight = recurrent_weight(name, params)
    masked = params["W"] * params.get("keep", np.ones((5, 3)))
    h = np.zeros((BATCH, 5))
    found = []
    for step in x:
        h = np.tanh(h @ weight.T + step @ masked.T + params.get("b", np.zeros(5)))
        found.append(h)
    return np.stack(found)


def drawn(net: Network, seed: int) -> dict[str, Array]:
    found = net.model.random_parameters(seed)
    return {path: array.astype(np.float64) for path, array in found.items()}


def as_bound(net: Network, params: Mapping[str, Array]) -> dict[str, Array]:
    dtypes = {path: dtype for path, (dtype, _) in net.model.parameters.items()}
    return {path: a > 0 if dtypes[path] == "bool" else a for path, a in params.items()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("threads", [1, 2])
def test_it_is_what_numpy_says(name: str, threads: int) -> None:
    net = network(name)
    x = net.inputs(STEPS, BATCH)["x"]
    for seed in range(3):
        params = drawn(net, seed)
        if "keep" in params:
            params["keep"] = np.random.default_rng(seed).integers(0, 2, (5, 3))
        actual = net.model.bind(as_bound(net, params)).run({"x": x}, threads=threads)["y"]
        assert_close(actual, oracle(name, params, x), np.float32, STEPS)


def test_scalars_at_grid_points() -> None:
    net = network("decaying")
    x: Array = net.inputs(STEPS, BATCH)["x"]
    params: dict[str, Array] = dict(net.params)
    state = {point: np.zeros((BATCH, 2)) for point in np.ndindex(2, 2)}
    for step, actual in zip(x, net.bound.run({"x": x})["y"], strict=True):
        expected = np.zeros((BATCH, 2))
        for d, n in state:
            rate = np.exp(-np.exp(params[f"log_rate[{d + 1},{n}]"]))
            state[d, n] = rate * state[d, n] + step
            expected += params[f"scale[{d + 1},{n}]"] * state[d, n]
            expected += rate * step * ((d, n) == (0, 1))
        assert_close(actual, expected, np.float32, STEPS)


@pytest.mark.parametrize("name", NAMES)
def test_bound_weights_are_independent(name: str) -> None:
    """Of the arrays that were given, and of other weights of the same model."""
    net = network(name)
    inputs = net.inputs(STEPS, BATCH)
    params = {path: array.copy() for path, array in net.params.items()}
    first = net.model.bind(params)
    expected = first.run(inputs, threads=1)["y"]
    for array in params.values():
        array[...] = 1
    other = net.model.bind(net.model.random_parameters(7))
    assert not np.array_equal(other.run(inputs, threads=1)["y"], expected)
    np.testing.assert_array_equal(first.run(inputs, threads=1)["y"], expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_user_sees_no_difference(name: str) -> None:
    model = network(name).model
    expected = set(network(name).params)
    assert set(model.parameters) == expected == set(model.random_parameters(0))
    assert "prepared" not in model.signature


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("file", ["model.rnnlib", "folder"])
def test_saved_and_loaded(name: str, file: str, tmp_path: Path) -> None:
    net = network(name)
    net.model.save(tmp_path / file)
    loaded = rnnc.load(tmp_path / file)
    assert loaded.manifest == net.model.manifest
    assert loaded.manifest.preparation is not None
    inputs = net.inputs(STEPS, BATCH)
    bound: BoundModel = loaded.bind(net.params)
    np.testing.assert_array_equal(
        bound.run(inputs, threads=1)["y"], net.bound.run(inputs, threads=1)["y"]
    )


def test_wrong_weights() -> None:
    """Those that only the preparation reads are checked like all others."""
    net = network("householder")
    params = dict(net.params)
    del params["v[0]"]
    params["v[1]"] = params["v[1]"][:-1]
    with pytest.raises(DiagnosticError) as caught:
        net.model.bind(params)
    assert [d.code for d in caught.value.diagnostics] == ["RNN721", "RNN723"]


def test_not_a_number_goes_through() -> None:
    net = network("householder")
    bound = net.model.bind({**net.params, "v[2]": np.zeros(5)})
    assert np.isnan(bound.run(net.inputs(2, 1))["y"]).all()
