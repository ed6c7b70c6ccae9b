"""Parameters: every mistake at once; every accepted form of them gives the same numbers."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from rnnc.diagnostics import DiagnosticError, Source
from rnnc.driver import Compilation, Request
from rnnc.ir.pointwise import Array
from rnnc.runtime.manifest import Affine, Manifest
from rnnc.runtime.memory import Array as Memory
from tests.runtime.networks import SIZES, SPECS, Network, network
from tests.runtime.packs import packs


@pytest.fixture(scope="module")
def stacked() -> Network:
    return network("stacked_lstm")


def run(net: Network, params: dict[str, Array] | Path) -> Array:
    return net.model.bind(params).run(net.inputs(3, 2), threads=1)["y"]


def assert_same(net: Network, params: dict[str, Array] | Path) -> None:
    np.testing.assert_array_equal(run(net, params), run(net, net.params))


def codes(net: Network, params: dict[str, Array] | Path) -> list[str]:
    with pytest.raises(DiagnosticError) as caught:
        net.model.bind(params)
    return sorted(diagnostic.code for diagnostic in caught.value.diagnostics)


def test_every_mistake_is_told_at_once(stacked: Network) -> None:
    first, second, third, fourth, *_ = stacked.params
    params = dict(stacked.params)
    del params[first], params[second]
    params[third] = params[third][:-1]
    params[fourth] = params[fourth].astype(np.complex64)
    params["unknown"] = np.zeros(3)
    assert codes(stacked, params) == ["RNN721", "RNN721", "RNN722", "RNN723", "RNN724"]


def test_a_misspelled_name_is_recognized(stacked: Network) -> None:
    name = next(iter(stacked.params))
    with pytest.raises(DiagnosticError) as caught:
        stacked.model.bind({**stacked.params, name + "_": np.zeros(1)})
    [diagnostic] = caught.value.diagnostics
    assert any(name in hint for hint in diagnostic.hints)


def test_names_are_those_of_the_model(stacked: Network) -> None:
    shapes = {path: shape for path, (_, shape) in stacked.model.parameters.items()}
    assert shapes == {path: array.shape for path, array in stacked.params.items()}


def test_the_signature_names_everything(stacked: Network) -> None:
    text = stacked.model.signature
    for name in (*stacked.model.inputs, *stacked.model.outputs, *stacked.params, "stacked_lstm"):
        assert name in text


def test_random_parameters_fit() -> None:
    """They bind, so shapes, dtypes and ranges are right; seeds tell them apart."""
    for name in (*SIZES, *SPECS):
        net = network(name)
        first, same, other = (net.model.random_parameters(seed) for seed in (1, 1, 2))
        net.model.bind(first)
        for path, array in first.items():
            np.testing.assert_array_equal(array, same[path])
        assert not first or any(not np.array_equal(first[path], other[path]) for path in first)


def test_random_parameters_are_as_the_spec_says() -> None:
    text = "model m{H}:\n    dim t in 0..T\n    input x[t]: [H]\n"
    text += "    param A: [H, H] = eye(H), b: [H] = 0.25, P: int[H] in 0..H = permutation(H)\n"
    text += "    output y[t] = (A @ x[t])[P] + b\n"
    model = Compilation(Source("m.rnn", text), Request("m", {"H": 4})).load()
    found = model.random_parameters(0)
    np.testing.assert_array_equal(found["A"], np.eye(4))
    np.testing.assert_array_equal(found["b"], np.full(4, 0.25))
    np.testing.assert_array_equal(np.sort(found["P"]), np.arange(4))


@pytest.mark.parametrize(
    ("path", "value"),
    [("P[0]", [0, 1, 3]), ("P[1]", [-1, 0, 1]), ("K[0]", 1), ("K[1]", 2), ("P[0]", [0, 0, 2**32])],
)
def test_ints_out_of_range(path: str, value: object) -> None:
    """The range of K[l] is 0..l+1."""
    net = network("permuted")
    net.model.bind({**net.params, "K[0]": np.array(0), "K[1]": np.array(1)})
    assert codes(net, {**net.params, path: np.asarray(value)}) == ["RNN725"]


def test_what_is_no_array(stacked: Network) -> None:
    name = next(iter(stacked.params))
    ragged = [[1.0], [1.0, 2.0]]
    assert codes(stacked, {**stacked.params, name: ragged}) == ["RNN724"]  # type: ignore[dict-item]


@pytest.mark.parametrize("dtype", [np.float64, ">f4", "<f8"])
def test_other_floats(stacked: Network, dtype: str) -> None:
    assert_same(stacked, {path: array.astype(dtype) for path, array in stacked.params.items()})


def test_strided_arrays(stacked: Network) -> None:
    strided = {path: np.repeat(array, 2, -1)[..., ::2] for path, array in stacked.params.items()}
    assert_same(stacked, strided)


def stacks(net: Network) -> dict[str, Array]:
    """One array for all layers, by the path without brackets."""
    found: dict[str, list[Array]] = {}
    for path, array in net.params.items():  # in the order of the layers
        found.setdefault(path.replace("[0]", "").replace("[1]", ""), []).append(array)
    same = {name: arrays for name, arrays in found.items() if equal_shapes(arrays)}
    rest = {
        path: array
        for path, array in net.params.items()
        if path.replace("[0]", "").replace("[1]", "") not in same
    }
    assert same
    return {**rest, **{name: np.stack(arrays) for name, arrays in same.items()}}


def equal_shapes(arrays: list[Array]) -> bool:
    return len({array.shape for array in arrays}) == 1


def test_stacked_arrays(stacked: Network) -> None:
    assert_same(stacked, stacks(stacked))


def test_stack_of_another_size(stacked: Network) -> None:
    params = stacks(stacked)
    name = next(name for name in params if "[" not in name)
    assert "RNN723" in codes(stacked, {**params, name: params[name][:1]})


def test_files(stacked: Network, tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **stacked.params)  # type: ignore[arg-type]
    save_file(stacked.params, tmp_path / "w.safetensors")
    assert_same(stacked, tmp_path / "w.npz")
    assert_same(stacked, tmp_path / "w.safetensors")


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_files_cut_short(stacked: Network, tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"w.{suffix}"
    if suffix == "npz":
        np.savez(path, **stacked.params)  # type: ignore[arg-type]
    else:
        save_file(stacked.params, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    assert codes(stacked, path) == ["RNN791"]


def value(form: Affine, point: dict[str, int]) -> int:
    return sum(factor * point.get(name, 1) for name, factor in form.items())


def packs_by_hand(manifest: Manifest, params: dict[str, Array]) -> list[Memory]:
    """Element by element, from the definition of a pack, from arrays by path."""
    found: list[Memory] = []
    for pack in manifest.packs:
        sizes = [upper - lower for _, lower, upper in pack.loops]
        steps = -(-pack.depth // pack.group)
        shape = (*sizes, pack.tiles, steps, len(pack.gates), pack.lanes, pack.group)
        result = np.zeros(shape)
        for place in np.ndindex(*sizes):
            point = {name: lower + i for i, (name, lower, _) in zip(place, pack.loops, strict=True)}
            for (g, block), tile, lane in itertools.product(
                enumerate(pack.gates), range(pack.tiles), range(pack.lanes)
            ):
                row = tile * pack.lanes + lane
                if row >= block.rows:
                    continue
                spec = manifest.parameters[block.stored]
                index = tuple(value(form, point) for form in block.index)
                array = params[spec.paths[spec.points.index(index)]]
                matrix = array[tuple(value(form, point) for form in block.leading)]
                for k in range(block.columns):
                    at = (block.row + row, block.column + k)
                    element = matrix[at[::-1]] if block.transposed else matrix[at]
                    result[(*place, tile, k // pack.group, g, lane, k % pack.group)] = element
        found.append(result)
    return found


@pytest.mark.parametrize("name", SIZES)
def test_packs(name: str) -> None:
    net = network(name)
    manifest = net.model.manifest
    assert manifest.packs, "nothing is packed"
    for found, expected in zip(packs(net.bound), packs_by_hand(manifest, net.params), strict=True):
        array = found.view(np.float32)[: expected.size].reshape(expected.shape)
        np.testing.assert_array_equal(array, expected)
