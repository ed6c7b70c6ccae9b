"""Arguments: what does not fit is a diagnostic; every legal layout gives the same numbers."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from rnnc.diagnostics import DiagnosticError, Source
from rnnc.driver import Compilation, Request
from rnnc.ir.pointwise import Array
from rnnc.runtime.model import BoundModel
from tests.runtime.networks import Network, network

EMBEDDING = """model embed{V, H}:
    dim t in 0..T
    input word[t]: int in 0..V
    param E: [V, H]
    h[t] = tanh(E[word[t]] + h[t-1])
    output y[t] = h[t]
"""


@pytest.fixture(scope="module")
def stacked() -> Network:
    return network("stacked_lstm")


@functools.cache
def embedding() -> BoundModel:
    source = Source("embed.rnn", EMBEDDING)
    model = Compilation(source, Request("embed", {"V": 6, "H": 3})).load()
    return model.bind({"E": np.arange(18.0).reshape(6, 3) / 18})


def codes(bound: BoundModel, inputs: dict[str, Array], **options: object) -> list[str]:
    with pytest.raises(DiagnosticError) as caught:
        bound.run(inputs, **options)  # type: ignore[arg-type]
    return [diagnostic.code for diagnostic in caught.value.diagnostics]


def test_wrong_names_are_told_at_once(stacked: Network) -> None:
    assert codes(stacked.bound, {"X": np.zeros(1), "z": np.zeros(1)}) == ["RNN731"] * 3


@pytest.mark.parametrize("shape", [(), (4,), (4, 2), (4, 2, 4), (4, 2, 3, 1), (4, 2, 0)], ids=str)
def test_wrong_shape(stacked: Network, shape: tuple[int, ...]) -> None:
    assert codes(stacked.bound, {"x": np.zeros(shape)}) == ["RNN732"]


def test_batches_that_differ(stacked: Network) -> None:
    inputs = {**stacked.inputs(4, 2), "h0": np.zeros((2, 3, 5))}
    assert codes(stacked.bound, inputs) == ["RNN732"]


def test_extent_that_differs_from_what_was_said(stacked: Network) -> None:
    assert codes(stacked.bound, stacked.inputs(4, 2), extents={"T": 5}) == ["RNN732"]
    assert codes(stacked.bound, stacked.inputs(4, 2), extents={"S": 5}) == ["RNN732"]


@pytest.mark.parametrize("dtype", [np.complex64, "U3", object, "M8[s]"])
def test_wrong_dtype(stacked: Network, dtype: str) -> None:
    assert codes(stacked.bound, {"x": np.zeros((4, 2, 3), dtype)}) == ["RNN733"]


@pytest.mark.parametrize("threads", [0, -1])
def test_threads(stacked: Network, threads: int) -> None:
    assert codes(stacked.bound, stacked.inputs(4, 2), threads=threads) == ["RNN732"]


@pytest.mark.parametrize("word", [-1, 6, 2**40, -(2**40), 2**32])
def test_int_out_of_range(word: int) -> None:
    words = np.array([[0, 1], [2, 0], [5, word]], np.int64)
    assert codes(embedding(), {"word": words}) == ["RNN733"]


def test_int_beyond_the_length_is_not_looked_at() -> None:
    words = np.array([[0, 1], [2, 0], [5, 77]], np.int64)
    legal = np.where(words == 77, 0, words)
    lengths = [3, 2]
    found = embedding()(word=words, lengths=lengths)["y"]
    np.testing.assert_array_equal(found, embedding()(word=legal, lengths=lengths)["y"])


def test_floats_are_no_ints() -> None:
    assert codes(embedding(), {"word": np.zeros((3, 2))}) == ["RNN733"]


@pytest.mark.parametrize(
    "lengths",
    [[5, 1], [-1, 2], [1], [1, 2, 3], [[1, 2]], [1.0, 2.0], {"S": [1, 2]}, 3, [2**40, 1]],
    ids=str,
)
def test_wrong_lengths(stacked: Network, lengths: object) -> None:
    assert codes(stacked.bound, stacked.inputs(4, 2), lengths=lengths) == ["RNN734"]


@pytest.mark.parametrize("resets", [np.zeros((4, 2)), np.zeros((3, 2), bool), True], ids=repr)
def test_wrong_resets(stacked: Network, resets: object) -> None:
    assert codes(stacked.bound, stacked.inputs(4, 2), resets=resets) == ["RNN735"]


def layouts(array: Array) -> dict[str, Array]:
    """The same values, laid out otherwise in memory."""
    wide = np.zeros((*array.shape[:-1], array.shape[-1] + 3), array.dtype)
    wide[..., 1:-2] = array
    return {
        "fortran": np.asfortranarray(array),
        "part of rows": wide[..., 1:-2],
        "every other step": np.repeat(array, 2, 0)[::2],
        "every other row": np.repeat(array, 2, 1)[:, ::2],
        "backward in memory": np.ascontiguousarray(array[::-1])[::-1],
        "batch first in memory": np.ascontiguousarray(array.swapaxes(0, 1)).swapaxes(0, 1),
        "float64": array.astype(np.float64),
        "other byte order": array.astype(">f4"),
        "read only": np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape),
    }


@pytest.mark.parametrize("layout", layouts(np.zeros((1, 1, 1), np.float32)))
def test_layouts(stacked: Network, layout: str) -> None:
    inputs = stacked.inputs(4, 2)
    expected = stacked.bound.run(inputs, threads=1)
    other = {name: layouts(array)[layout] for name, array in inputs.items()}
    before = {name: array.copy() for name, array in other.items()}
    for name, value in stacked.bound.run(other, threads=1).items():
        np.testing.assert_array_equal(value, expected[name])
    for name, array in before.items():
        np.testing.assert_array_equal(other[name], array, "an input was changed")


def test_one_row_for_all(stacked: Network) -> None:
    """A stride of zero."""
    row = stacked.inputs(4, 1)
    many = {name: np.repeat(array, 3, 1) for name, array in row.items()}
    views = {name: np.broadcast_to(array, many[name].shape) for name, array in row.items()}
    for name, value in stacked.bound.run(views, threads=1).items():
        np.testing.assert_array_equal(value, stacked.bound.run(many, threads=1)[name])


def test_batch_first(stacked: Network) -> None:
    inputs = stacked.inputs(4, 2)
    expected = stacked.bound.run(inputs, threads=1)
    turned = {**inputs, "x": inputs["x"].swapaxes(0, 1)}  # the layers are not of run time
    found = stacked.bound.run(turned, threads=1, batch_first=True)
    np.testing.assert_array_equal(found["y"], expected["y"].swapaxes(0, 1))
    np.testing.assert_array_equal(found["h_n"], expected["h_n"])


def test_defaults(stacked: Network) -> None:
    x = stacked.inputs(4, 2)["x"]
    zeros = np.zeros((2, 2, 5))
    for name, value in stacked.bound(x=x, threads=1).items():
        explicit = stacked.bound(x=x, h0=zeros, c0=zeros, threads=1)
        np.testing.assert_array_equal(value, explicit[name])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_stays_in_its_row_and_its_future(stacked: Network, bad: float) -> None:
    inputs = stacked.inputs(4, 3)
    expected = stacked.bound.run(inputs, threads=1)["y"]
    inputs["x"][2, 1, 0] = bad
    found = stacked.bound.run(inputs, threads=1)["y"]
    np.testing.assert_array_equal(found[:2], expected[:2])
    np.testing.assert_array_equal(found[:, [0, 2]], expected[:, [0, 2]])
    if np.isnan(bad):
        assert np.all(np.isnan(found[2:, 1]))
    else:
        assert not np.array_equal(found[2:, 1], expected[2:, 1])
