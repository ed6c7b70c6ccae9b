"""Weights in narrow types: NumPy's own rounding of them, and nothing else, is what they cost."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnc
from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request, StaticValue, standard_source
from rnnc.ir.interpreter import interpret
from rnnc.ir.pointwise import Array
from rnnc.ir.rounding import rounding
from rnnc.runtime.model import Model
from rnnc.sampling import random_inputs, random_parameters
from rnnc.weights import WeightType
from tests.runtime.packs import packs
from tests.threads import share_everything
from tests.tolerance import assert_close

Floats = NDArray[np.float32]
STEPS = 6
OLDER = ("cpu:x86-64-v3", "cpu:x86-64")

# Whose matrices are only multiplied. Odd sizes; a model with hoisted products and one with a wave.
MODELS: dict[str, tuple[str, dict[str, StaticValue]]] = {
    "stacked_lstm": ("stacked", {"X": 1, "H": 65, "L": 2}),
    "stacked": ("stacked", {"X": 7, "H": 33, "L": 3, "unit": "gru"}),
    "elman_network": ("elman", {"X": 3, "H": 5, "Y": 2}),
    "bidirectional": ("bidirectional", {"X": 9, "H": 16}),
}


def nearest_bf16(values: Floats) -> Floats:
    """Of the two neighbours whose lower 16 bits are zero the nearer one; the even one of equals."""
    low = values.view(np.uint32) & np.uint32(0xFFFF0000)
    high = low + np.uint32(0x10000)
    below = np.abs(values.astype("d") - low.view(np.float32))
    # The neighbour of the largest number is 2^128, as far from it as from any other.
    next_one = np.abs(high.view(np.float32).astype("d"))
    reach = np.where(np.isinf(next_one), 2.0**128, next_one)
    above = reach - np.abs(values.astype("d"))
    is_odd = (low >> np.uint32(16)) & np.uint32(1) == 1
    up = (above < below) | ((above == below) & is_odd)
    return np.where(up, high, low).astype(np.uint32).view(np.float32)


@cache
def compiled(name: str, weights: WeightType, target: str = "cpu") -> tuple[Compilation, Model]:
    file, sizes = MODELS[name]
    request = Request(name, sizes, {}, target, weights=weights)
    compilation = Compilation(standard_source(file), request)
    return compilation, share_everything(compilation.load())


def arguments(name: str, batch: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """Parameters and inputs."""
    compilation, model = compiled(name, "float32")
    inputs = random_inputs(compilation.graph, {"T": STEPS}, batch, 1)
    return model.random_parameters(0), dict(inputs)


def widened(bits: NDArray[np.uint16]) -> Floats:
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def bf16_pack(values: Array) -> NDArray[np.uint16]:
    """What binding makes of these weights, in a matrix of two columns."""
    model = product(2, "cpu", "bf16", 2**16)
    found: list[NDArray[np.uint16]] = []
    for part in np.split(values, range(2**17, len(values), 2**17)):
        weights = np.zeros((2**16, 2), values.dtype)
        weights.ravel()[: len(part)] = part
        [pack] = model.manifest.packs
        assert (pack.group, len(pack.gates)) == (2, 1)
        codes = packs(model.bind({"W": weights}))[0].view(np.uint16)
        found.append(codes[: len(part)])
    return np.concatenate(found)


def test_the_nearest_bfloat16() -> None:
    patterns = np.arange(0, 1 << 32, 4093, dtype=np.uint64).astype(np.uint32)
    ties = (np.arange(0x7F80, dtype=np.uint32) << np.uint32(16)) + np.uint32(0x8000)
    values = np.concatenate([patterns, ties, ties | np.uint32(1 << 31)]).view(np.float32)
    values = values[np.isfinite(values)]
    np.testing.assert_array_equal(widened(bf16_pack(values)), nearest_bf16(values))


def test_what_is_no_number_stays_so() -> None:
    bits = np.array([0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800000, 0xFF800000], np.uint32)
    found = widened(bf16_pack(bits.view(np.float32)))
    np.testing.assert_array_equal(found, np.array([np.nan] * 3 + [np.inf, -np.inf], "f"))
    largest = np.array([3.4028235e38, -3.4028235e38, 1e300], "d")
    np.testing.assert_array_equal(widened(bf16_pack(largest)), [np.inf, -np.inf, np.inf])


def test_the_interpreter_rounds_alike() -> None:
    round_bf16 = rounding("bf16")
    assert round_bf16 is not None
    random = np.random.default_rng(0)
    values = (random.normal(size=20000) * np.exp(random.uniform(-60, 60, 20000))).astype("f")
    [found, other] = round_bf16([values, values], 0)
    np.testing.assert_array_equal(found, nearest_bf16(values))
    assert other is values


@pytest.mark.parametrize(
    ("name", "target"),
    [*((name, "cpu") for name in MODELS), *(("stacked_lstm", target) for target in OLDER)],
)
def test_bf16(name: str, target: str) -> None:
    for batch in (1, 3, 13):
        check_bf16(name, target, batch)


def check_bf16(name: str, target: str, batch: int) -> None:
    params, inputs = arguments(name, batch)
    compilation, model = compiled(name, "bf16", target)
    graph = compilation.graph
    rounded = {
        path: nearest_bf16(array.astype("f")) if array.ndim == 2 else array
        for path, array in params.items()
    }
    expected = interpret(graph, {"T": STEPS}, inputs, rounded)
    plain = interpret(graph, {"T": STEPS}, inputs, params)
    for threads in (1, 2):
        found = model.bind(params).run(inputs, threads=threads)
        for output, values in expected.items():
            assert_close(found[output], values, np.float32, STEPS)
            assert np.abs(np.subtract(found[output], plain[output])).max() > 1e-5, "not rounded"


# ---- int8 -------------------------------------------------------------------------------------


def in_int8(values: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Codes and scale of each row, one number at a time."""
    codes = np.zeros(values.shape, np.int64)
    scales = np.zeros(len(values), np.float32)
    for number, row in enumerate(values):
        largest = np.float32(max(abs(entry) for entry in row))
        if largest == 0:
            continue
        scales[number] = largest / np.float32(127)
        factor = np.float32(127) / largest
        codes[number] = [round(float(entry * factor)) for entry in row]
    return codes, scales


def int8_product(weights: Floats, vectors: Floats) -> Array:
    """vectors[row] -> weights @ vector, summed as integers."""
    codes, scales = in_int8(weights)
    others, factors = in_int8(vectors)
    sums: Array = others @ codes.T
    return np.asarray(sums * np.multiply.outer(factors.astype("d"), scales.astype("d")))


PRODUCT = """model product{X, H}:
    dim t in 0..T
    input x[t]: [X]
    param W: [H, X]
    v[t] = W @ x[t]
    output y[t] = v[t]
"""


@cache
def product(width: int, target: str, weights: WeightType = "int8", rows: int = 21) -> Model:
    request = Request(None, {"X": width, "H": rows}, {}, target, weights=weights)
    return Compilation(Source("product.rnn", PRODUCT), request).load()


@pytest.mark.parametrize("target", ["cpu", "cpu:x86-64-v4", "cpu:x86-64-v3-vnni", *OLDER])
@pytest.mark.parametrize("width", [1, 6, 65])
def test_int8_products_are_exact(width: int, target: str) -> None:
    random = np.random.default_rng(width)
    weights = random.normal(size=(21, width)).astype("f")
    weights[3] = 0
    weights[4] = -1e30
    for steps, batch in ((1, 1), (4, 7)):
        x = random.normal(size=(steps, batch, width)).astype("f")
        x[0, 0] = 0 if batch > 1 else x[0, 0]
        found = product(width, target).bind({"W": weights})(x=x)["y"]
        expected = int8_product(weights, x.reshape(-1, width)).reshape(found.shape)
        assert_close(found, expected, np.float32)


@pytest.mark.parametrize("target", ["cpu", *OLDER])
def test_sums_of_the_largest_codes(target: str) -> None:
    """Nothing saturates: neither pairs of products nor their sums."""
    for sign in (1, -1):
        weights = np.full((21, 65), 3, "f")
        x = np.full((1, 1, 65), sign * 2, "f")
        found = product(65, target).bind({"W": weights})(x=x)["y"]
        assert_close(found, np.full((1, 1, 21), sign * 390), np.float32)


@pytest.mark.parametrize("target", ["cpu", *OLDER])
def test_what_int8_cannot_hold(target: str) -> None:
    weights = np.ones((21, 6), "f")
    weights[1, 2], weights[2, 0], weights[3] = np.nan, np.inf, 1e-35
    bound = product(6, target).bind({"W": weights})
    x = np.ones((1, 5, 6), "f")
    x[0, 1, 3], x[0, 2, 0], x[0, 3], x[0, 4, 5] = np.nan, -np.inf, 1e-38, 3e38
    found = bound(x=x)["y"][0]
    assert np.isnan(found[:, [1, 2]]).all(), "a row of weights with an infinity or NaN"
    assert np.isnan(found[[1, 2]]).all(), "a vector with one"
    assert (found[[0, 3, 4], 3] == 0).all(), "weights below 2^-100"
    assert (found[3, [0, 3, 4, 5]] == 0).all(), "a vector below 2^-100"
    assert_close(found[0, [0, 4, 20]], np.full(3, 6), np.float32)
    assert_close(found[4, [0, 4, 20]], np.full(3, 3e38), np.float32)


def test_quantized_rows() -> None:
    random = np.random.default_rng(0)
    values = (random.normal(size=(21, 65)) * np.exp(random.uniform(-40, 40, (21, 1)))).astype("f")
    values[7] = 0
    model = product(65, "cpu")
    [pack] = model.manifest.packs
    steps = -(-pack.depth // pack.group)
    shape = (pack.tiles, steps + 1, pack.lanes, pack.group)
    tiles = packs(model.bind({"W": values}))[0].view(np.int8)[: np.prod(shape)].reshape(shape)
    rows = tiles.transpose(0, 2, 1, 3).reshape(pack.tiles * pack.lanes, -1)[:21]
    codes, scales = rows[:, :65], rows[:, -pack.group :].copy().view(np.float32)[:, 0]
    expected, factors = in_int8(values)
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(scales, factors)
    assert abs(codes).max() == 127


@pytest.mark.parametrize("name", MODELS)
def test_int8(name: str) -> None:
    """Sums are exact, but a state that is rounded in single precision may fall on the other side of
    a tie: what differs from the interpreter's rounding is less than what the rounding costs."""
    compilation, model = compiled(name, "int8")
    for batch in (1, 3, 13):
        params, inputs = arguments(name, batch)
        expected = interpret(compilation.graph, {"T": STEPS}, inputs, params, weights="int8")
        exact = interpret(compilation.graph, {"T": STEPS}, inputs, params)
        for threads in (1, 2):
            found = model.bind(params).run(inputs, threads=threads)
            for output, values in expected.items():
                cost = np.abs(np.subtract(values, exact[output]))
                assert 1e-4 < cost.max() < 3e-2
                difference = np.abs(np.subtract(found[output], values))
                assert difference.mean() < 0.25 * cost.mean()
                assert difference.max() < cost.max()


@pytest.mark.parametrize("weights", ["bf16", "int8"])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bits_in_every_run(threads: int, weights: WeightType) -> None:
    params, inputs = arguments("stacked_lstm", 3)
    bound = compiled("stacked_lstm", weights)[1].bind(params)
    first = bound.run(inputs, threads=threads)["y"]
    for _ in range(5):
        np.testing.assert_array_equal(bound.run(inputs, threads=threads)["y"], first)


def test_the_library_says_how_it_stores_weights() -> None:
    narrow, wide = compiled("stacked_lstm", "bf16")[1], compiled("stacked_lstm", "float32")[1]
    assert (narrow.manifest.weight_type, wide.manifest.weight_type) == ("bf16", "float32")
    assert {pack.type for pack in narrow.manifest.packs} == {"bf16"}


def test_python_names_the_type() -> None:
    spec = str(standard_source("elman").name)
    model = rnnc.compile(spec, sizes={"X": 3, "H": 5, "Y": 2}, weights="bf16")
    assert model.manifest.weight_type == "bf16"
    with pytest.raises(rnnc.DiagnosticError) as caught:
        rnnc.compile(spec, sizes={"X": 3, "H": 5, "Y": 2}, weights="int4")  # type: ignore[arg-type]
    assert caught.value.diagnostics[0].code == "RNN705"


def test_products_of_nothing_are_zero() -> None:
    request = Request(None, {"X": 0, "H": 3, "Y": 2}, weights="int8")
    made = Compilation(standard_source("elman"), request)
    values = random_parameters(made.graph, 0)
    values["elman.U"] = np.zeros((3, 3))
    found = made.load().bind(values)(x=np.zeros((4, 1, 0), np.float32))
    state = np.tanh(np.asarray(values["elman.b"], np.float64))
    expected = np.asarray(values["V"], np.float64) @ state + np.asarray(values["b_y"], np.float64)
    assert np.max(np.abs(np.asarray(found["y"], np.float64) - expected)) < 0.01
