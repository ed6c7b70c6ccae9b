"""Arguments: what does not fit is a diagnostic; every legal layout gives the same numbers."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from rnnc.diagnostics import DiagnosticError, Source
from rnnc.driver import Compilation, Request
from rnnc.ir.pointwise import Array
from rnnc.runtime.model import BoundModel
from tests.runtime.networks import Network, assert_outputs, network

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
    try:
        bound.run(inputs, **options)  # type: ignore[arg-type]
    except DiagnosticError as error:
        return [diagnostic.code for diagnostic in error.diagnostics]
    return []


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


def test_everything_that_is_wrong_is_told_at_once(stacked: Network) -> None:
    inputs = {"x": np.zeros(3), "h0": np.zeros((2, 2, 5), "U3"), "c0": [[1], [1, 2]]}
    assert codes(stacked.bound, inputs) == ["RNN732", "RNN733", "RNN733"]  # type: ignore[arg-type]


class Tensor:
    """What refuses to be an array, as tensors on a GPU and with gradients do."""

    def __array__(self, *_: object, **__: object) -> Array:
        raise RuntimeError("call detach() first")


def test_what_is_no_array(stacked: Network) -> None:
    tensor = Tensor()
    assert codes(stacked.bound, {"x": tensor}) == ["RNN733"]  # type: ignore[dict-item]
    for option, code in (("lengths", "RNN734"), ("resets", "RNN735")):
        assert codes(stacked.bound, stacked.inputs(4, 2), **{option: tensor}) == [code]


def test_lists_are_arrays(stacked: Network) -> None:
    inputs = stacked.inputs(4, 2)
    expected = stacked.bound.run(inputs, threads=1)
    lists = {name: array.tolist() for name, array in inputs.items()}
    for name, value in stacked.bound.run(lists, threads=1).items():
        np.testing.assert_array_equal(value, expected[name])


@pytest.mark.parametrize("extent", [-1, 2.5, "5", 2**31], ids=repr)
def test_extent_that_is_no_number_of_steps(extent: object) -> None:
    net = network("generate")
    assert codes(net.bound, net.inputs(1, 2), extents={"T": extent}) == ["RNN732"]


def test_more_than_fits_into_memory() -> None:
    net = network("generate")
    for batch in (2**19, 0):
        row = np.zeros((1, 3), np.float32)
        rows = np.broadcast_to(row, (batch, 3))  # takes no memory itself
        expected = ["RNN736"] if batch else []
        assert codes(net.bound, {"h0": rows}, extents={"T": 2**31 - 1}) == expected


def test_extent_that_nobody_tells() -> None:
    net = network("generate")
    assert codes(net.bound, net.inputs(1, 2)) == ["RNN732"]


@pytest.mark.parametrize("extent", [0, 1, np.int32(5)], ids=repr)
def test_extent_by_name(extent: int) -> None:
    net = network("generate")
    steps = int(extent)
    inputs = net.inputs(steps, 2)
    found = net.bound.run(inputs, extents={"T": extent})
    assert_outputs(found, net.expected(inputs, steps), steps)


def test_inputs_that_differ_in_an_extent() -> None:
    net = network("pick")
    inputs = net.inputs(4, 2)
    assert codes(net.bound, {**inputs, "x": inputs["x"][:3]}) == ["RNN732"]
    pairs = network("pairs")
    assert codes(pairs.bound, {"a": np.zeros((3, 4, 2, 3))}) == ["RNN732"]


def test_message_has_the_order_of_the_caller(stacked: Network) -> None:
    with pytest.raises(DiagnosticError, match=r"\[2, 4, 4\] but must be real\[batch, T, 3\]"):
        stacked.bound(x=np.zeros((2, 4, 4)), batch_first=True)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2"])
def test_threads(stacked: Network, threads: object) -> None:
    assert codes(stacked.bound, stacked.inputs(4, 2), threads=threads) == ["RNN737"]


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


def test_range_is_of_the_rows_own_length() -> None:
    """`int in 0..T` in a row of two steps is 0 or 1."""
    net = network("pick")
    inputs = net.inputs(4, 2)
    inputs["k"][:] = [[0, 1], [1, 0], [3, 2], [2, 2]]
    assert codes(net.bound, inputs, lengths=[4, 2]) == []
    inputs["k"][1, 1] = 2
    assert codes(net.bound, inputs) == []
    assert codes(net.bound, inputs, lengths=[4, 2]) == ["RNN733"]


def test_range_is_of_the_sequence_and_told_of_the_row() -> None:
    net = network("pick")
    inputs = net.inputs(4, 2)
    inputs["k"][:] = [[0, 1], [1, 0], [1, 3], [0, 2]]
    resets = np.zeros((4, 2), np.bool_)
    resets[2, 0] = True
    assert codes(net.bound, inputs, resets=resets) == []
    inputs["k"][3, 0] = 2
    with pytest.raises(DiagnosticError, match=r"'k' is 2 at \[3, 0\], which is not in 0..2"):
        net.bound.run(inputs, resets=resets)


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


def misaligned(array: Array) -> Array:
    buffer = np.zeros(array.nbytes + 1, np.uint8)
    found = buffer[1:].view(array.dtype).reshape(array.shape)
    found[...] = array
    assert array.size == 0 or not found.flags.aligned
    return found


def field(array: Array) -> Array:
    """Strides that are no multiple of the item's size."""
    row = np.dtype([("flag", np.int8), ("value", array.dtype, array.shape[-1:])])
    records = np.zeros(array.shape[:-1], row)
    records["value"] = array
    return records["value"]


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
        "not aligned": misaligned(array),
        "field of records": field(array),
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
    assert found["y"].flags.c_contiguous


def test_batch_first_lengths_and_resets(stacked: Network) -> None:
    inputs = stacked.inputs(4, 2)
    turned = {**inputs, "x": inputs["x"].swapaxes(0, 1)}
    resets = np.array([[0, 0], [1, 0], [0, 1], [1, 0]], np.bool_)
    for options, other in (
        ({"lengths": [4, 2]}, {"lengths": [4, 2]}),
        ({"resets": resets}, {"resets": resets.T}),
        ({"resets": resets, "lengths": [1, 3]}, {"resets": resets.T, "lengths": [1, 3]}),
    ):
        expected = stacked.bound.run(inputs, threads=1, **options)
        found = stacked.bound.run(turned, threads=1, batch_first=True, **other)
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
