"""Weights in narrow types: NumPy's own rounding of them, and nothing else, is what they cost."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

import rnnc
from rnnc.driver import Compilation, Request, StaticValue, standard_source
from rnnc.ir.interpreter import interpret
from rnnc.ir.pointwise import Array
from rnnc.ir.rounding import rounding
from rnnc.runtime.model import Model
from rnnc.runtime.rounding import bfloat16
from rnnc.sampling import random_inputs
from rnnc.weights import WeightType
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


def test_the_nearest_bfloat16() -> None:
    patterns = np.arange(0, 1 << 32, 4093, dtype=np.uint64).astype(np.uint32)
    ties = (np.arange(0x7F80, dtype=np.uint32) << np.uint32(16)) + np.uint32(0x8000)
    values = np.concatenate([patterns, ties, ties | np.uint32(1 << 31)]).view(np.float32)
    values = values[np.isfinite(values)]
    np.testing.assert_array_equal(widened(bfloat16(values)), nearest_bf16(values))


def test_what_is_no_number_stays_so() -> None:
    bits = np.array([0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800000, 0xFF800000], np.uint32)
    found = widened(bfloat16(bits.view(np.float32)))
    np.testing.assert_array_equal(found, np.array([np.nan] * 3 + [np.inf, -np.inf], "f"))
    largest = np.array([3.4028235e38, -3.4028235e38, 1e300], "d")
    np.testing.assert_array_equal(widened(bfloat16(largest)), [np.inf, -np.inf, np.inf])


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


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bits_in_every_run(threads: int) -> None:
    params, inputs = arguments("stacked_lstm", 3)
    bound = compiled("stacked_lstm", "bf16")[1].bind(params)
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
