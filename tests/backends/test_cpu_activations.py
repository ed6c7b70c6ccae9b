"""Every pointwise op as vector code against NumPy in higher precision, and at the edges."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from numpy.typing import NDArray
from rnnc.backends.cpu.target import host
from rnnc.backends.tensorir.activations import ERROR_ULPS, POINTWISE
from rnnc.backends.tensorir.tir import Builder, Function, load

from rnnc.ir.ops import OPS
from tests.backends.native import build

Floats = NDArray[np.float64]
inf, nan = np.inf, np.nan

# In float64, so that rounding the result to float32 is all that the reference adds.
UNARY: dict[str, Callable[[Floats], Floats]] = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "neg": np.negative,
    "relu": lambda x: np.where(x < 0, 0, x),
    "abs": np.abs,
    "floor": np.floor,
    "stop_gradient": lambda x: x,
    "dropout": lambda x: x,
}
BINARY: dict[str, Callable[[Floats, Floats], Floats]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "logaddexp": np.logaddexp,
    "min": np.minimum,
    "max": np.maximum,
    "mod": np.mod,
    "floordiv": lambda a, b: np.floor((a.astype("f") / b.astype("f")).astype("d")),
    "pow": np.power,
    "straight_through": lambda a, _: a,
}
COMPARED: tuple[str, ...] = ("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "select")


def function(name: str, arity: int, dtype: str) -> Function:
    lanes = host().lanes(dtype)
    b = Builder(f"{name}_{dtype}")
    operands = [b.pointer(f"x{n}", dtype) for n in range(arity)]
    result, count = b.pointer("result", dtype), b.scalar("count")
    with b.loop(0, count, lanes) as i:
        values = [b.let(load(operand, i, lanes)) for operand in operands]
        b.store(result, i, POINTWISE[name](b, values))
    return b.finish()


@cache
def library() -> ctypes.CDLL:
    rows = [(name, arity) for arity, t in ((1, UNARY), (2, BINARY)) for name in t]
    functions, glue = [], '#include "rnnc_runtime.h"\n'
    for dtype in ("float32", "float64"):
        for name, arity in rows:
            functions.append(function(name, arity, dtype))
            pointers = ", ".join(["void *"] * (arity + 1))
            glue += f"int32_t {name}_{dtype}({pointers}, int64_t);\n"
            named = ", ".join(f"void *p{n}" for n in range(arity + 1))
            passed = ", ".join(f"p{n}" for n in range(arity + 1))
            glue += (
                f"RNNC_EXPORT void call_{name}_{dtype}({named}, int64_t n)"
                f" {{ {name}_{dtype}({passed}, n); }}\n"
            )
    return build(Path(mkdtemp()), functions, glue)


def run(name: str, *operands: Floats, dtype: str = "float32") -> Floats:
    """The kernel's result, as float64. Arrays are made unaligned on purpose."""
    count, size = len(operands[0]), np.dtype(dtype).itemsize
    padded = -(-count // 16) * 16
    arrays = []
    for operand in (*operands, np.zeros(count)):
        raw = np.zeros(padded * size + 65, np.uint8)
        start = -raw.ctypes.data % 64 + size
        array = raw[start : start + padded * size].view(dtype)
        with np.errstate(over="ignore"):
            array[:count] = operand
        arrays.append(array)
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
    getattr(library(), f"call_{name}_{dtype}")(*pointers, ctypes.c_int64(padded))
    return arrays[-1][:count].astype(np.float64)


def samples() -> Floats:
    random = np.random.default_rng(7)
    spread = random.standard_normal(20000) * np.exp(random.uniform(-12, 4.6, 20000))
    edges = [0.0, -0.0, 1.0, -1.0, 8.99, -8.99, 9.01, 88.5, 88.8, -87.3, -103.0, 1e-38, 5e-42]
    return np.concatenate([spread, np.linspace(-20, 20, 4001), edges]).astype("f").astype("d")


def every_magnitude() -> Floats:
    """Float32 numbers evenly among all bit patterns: from denormals to the largest."""
    patterns = np.arange(0, 1 << 32, 4093, dtype=np.uint64).astype(np.uint32)
    x = patterns.view(np.float32)
    return x[np.isfinite(x)].astype("d")


def in_ulps(actual: Floats, expected: Floats, dtype: str) -> Floats:
    """The error in units of the last place; what is below the normal range may be zero."""
    smallest = np.finfo(dtype).smallest_normal
    with np.errstate(invalid="ignore"):
        difference = np.where(actual == expected, 0, np.abs(actual - expected))
    counted = np.where(
        np.abs(expected) < smallest, np.maximum(difference - smallest, 0), difference
    )
    unit = np.finfo(dtype).eps * np.maximum(np.abs(expected), smallest)
    return np.asarray(counted / unit, np.float64)


def test_every_pointwise_op_has_a_kernel() -> None:
    by_others = {"constant", "index", "re", "im", "conj", "cast", "complex", "merge"}
    pointwise = {name for name, row in OPS.items() if row.pointwise}
    assert set(POINTWISE) == pointwise - by_others
    assert set(POINTWISE) == set(UNARY) | set(BINARY) | set(COMPARED)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UNARY)
def test_unary_error(name: str, dtype: str) -> None:
    x = np.abs(samples()) if name in ("log", "sqrt") else samples()
    with np.errstate(all="ignore"):
        expected = UNARY[name](x).astype(dtype).astype("d")
    actual = run(name, x, dtype=dtype)
    assert in_ulps(actual, expected, dtype).max() <= ERROR_ULPS


@pytest.mark.parametrize("name", UNARY)
def test_error_at_every_magnitude(name: str) -> None:
    x = every_magnitude()
    x = np.abs(x) if name in ("log", "sqrt") else x
    with np.errstate(all="ignore"):
        exact = UNARY[name](x)
        expected = exact.astype("f").astype("d")
        actual = run(name, x)
        assert in_ulps(actual, expected, "float32").max() <= ERROR_ULPS
    bounded = np.abs(exact) <= 1
    assert np.abs(actual[bounded] - exact[bounded]).max() < 3e-7


@pytest.mark.parametrize("name", [name for name in BINARY if name != "logaddexp"])
def test_binary_error(name: str) -> None:
    x, y = samples(), samples()[::-1].copy()
    if name == "pow":
        x, y = np.abs(x), np.clip(y, -8, 8)
    with np.errstate(all="ignore"):
        expected = BINARY[name](x, y).astype("f").astype("d")
        actual = run(name, x, y)
        assert in_ulps(actual, expected, "float32")[np.isfinite(expected)].max() <= ERROR_ULPS


def test_error_of_logaddexp() -> None:
    """In units of what its operands contribute too, which may cancel."""
    x, y = samples(), samples()[::-1].copy()
    with np.errstate(all="ignore"):
        exact = np.logaddexp(x, y)
        parts = sum(np.abs(operand) * np.exp(operand - exact) for operand in (x, y))
    known = np.isfinite(exact)
    unit = np.finfo("f").eps * (np.abs(exact) + parts)
    assert (np.abs(run("logaddexp", x, y) - exact) <= ERROR_ULPS * unit)[known].all()
    np.testing.assert_array_equal(
        run("logaddexp", np.array([-inf, inf, inf, 1, nan]), np.array([-inf, inf, -inf, -inf, 1])),
        np.array([-inf, inf, inf, 1, nan]),
    )


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp", [-inf, inf, 89.0, -104.0, 0.0], [0, inf, inf, 0, 1]),
        ("log", [0.0, inf, -1.0, 1.0], [-inf, inf, nan, 0]),
        ("tanh", [-inf, inf, 0.0], [-1, 1, 0]),
        ("sigmoid", [-inf, inf, 0.0], [0, 1, 0.5]),
        ("softplus", [-inf, inf, 200.0], [0, inf, 200]),
        ("relu", [-inf, inf, -0.5], [0, inf, 0]),
        ("sqrt", [inf, -1.0, 0.0], [inf, nan, 0]),
        ("sin", [-inf, inf, 0.0], [nan, nan, 0]),
        ("cos", [-inf, inf, 0.0], [nan, nan, 1]),
        ("abs", [-inf, -0.0, -3.4e38], [inf, 0, np.float32(3.4e38)]),
        ("floor", [-inf, inf, -1e-45, 3e38], [-inf, inf, -1, np.float32(3e38)]),
        ("exp", [3.4e38, -3.4e38, 1e-45], [inf, 0, 1]),
        ("tanh", [3.4e38, -3.4e38, 1e-45], [1, -1, np.float32(1e-45)]),
        ("sigmoid", [3.4e38, 1e-45], [1, 0.5]),
        ("softplus", [3.4e38, -3.4e38], [np.float32(3.4e38), 0]),
        ("log", [3.4e38, -1e-45, -0.0], [np.log(np.float32(3.4e38)), nan, -inf]),
    ],
)
def test_edges(name: str, x: list[float], expected: list[float]) -> None:
    np.testing.assert_array_equal(run(name, np.array(x)), np.array(expected))


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([2.0, -2.0, -2.0, 0.0], [3.0, 3.0, 0.5, 0.0], [8, -8, nan, 1]),
        ([inf, 0.0, 0.5, 2.0], [-1.0, -1.0, inf, -inf], [0, inf, 0, 0]),
        ([nan, 1.0, nan, 2.0], [0.0, nan, 1.0, nan], [1, 1, nan, nan]),
    ],
)
def test_edges_of_powers(x: list[float], y: list[float], expected: list[float]) -> None:
    np.testing.assert_array_equal(run("pow", np.array(x), np.array(y)), np.array(expected))


@pytest.mark.parametrize("name", ["neg", "tanh", "floor", "sqrt", "sin"])
def test_the_sign_of_zero(name: str) -> None:
    with np.errstate(all="ignore"):
        expected = np.signbit(UNARY[name](np.array([0.0, -0.0])))
    np.testing.assert_array_equal(np.signbit(run(name, np.array([0.0, -0.0]))), expected)


@pytest.mark.parametrize("name", UNARY)
def test_nan_passes_through(name: str) -> None:
    assert np.isnan(run(name, np.array([nan, 1.0, -nan]))[[0, 2]]).all()


@pytest.mark.parametrize("name", ["add", "mul", "div", "min", "max", "mod"])
def test_nan_passes_through_from_either_operand(name: str) -> None:
    assert np.isnan(run(name, np.array([nan, 1.0]), np.array([1.0, nan]))).all()
