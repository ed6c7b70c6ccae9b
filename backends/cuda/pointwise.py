"""Pointwise ops as CUDA code: those that the CPU computes by polynomials call CUDA's library.

CUDA's own functions without fast-math: exp, log, tanh 1 to 2 ulp, right at infinities and NaN
(CUDA C++ Programming Guide, "Mathematical Functions").
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from ..tensorir.activations import POINTWISE as SHARED
from ..tensorir.activations import Emitter, is_float, logaddexp
from ..tensorir.tir import Builder, Expr, constant, dtype_of


def _library(name: str) -> Emitter:
    """A function of CUDA's mathematics library."""

    def emit(_: Builder, x: Sequence[Expr]) -> Expr:
        return call(name, *x)

    return emit


def call(name: str, *x: Expr) -> Expr:
    return tirx.call_extern(dtype_of(x[0]), name, *x)


def _sigmoid(_: Builder, x: Sequence[Expr]) -> Expr:
    one = constant(1, x[0])
    return one / (one + call("expf", constant(0, x[0]) - x[0]))


def _softplus(b: Builder, x: Sequence[Expr]) -> Expr:
    small = call("expf", constant(0, x[0]) - call("fabsf", x[0]))
    positive = tirx.Select(tirx.LT(x[0], constant(0, x[0])), constant(0, x[0]), x[0])
    return positive + call("log1pf", small)


def _abs(b: Builder, x: Sequence[Expr]) -> Expr:
    return call("fabsf", x[0]) if is_float(x[0]) else SHARED["abs"](b, x)


def _floor(b: Builder, x: Sequence[Expr]) -> Expr:
    return call("floorf", x[0]) if is_float(x[0]) else x[0]


def _floordiv(b: Builder, x: Sequence[Expr]) -> Expr:
    return call("floorf", x[0] / x[1]) if is_float(x[0]) else SHARED["floordiv"](b, x)


def _mod(b: Builder, x: Sequence[Expr]) -> Expr:
    """The remainder with the sign of the divisor, as Python and NumPy have it."""
    if not is_float(x[0]):
        return SHARED["mod"](b, x)
    zero = constant(0, x[0])
    truncated = b.let(call("fmodf", x[0], x[1]))
    other_sign = SHARED["ne"](b, (tirx.LT(truncated, zero), tirx.LT(x[1], zero)))
    adjust = tirx.And(tirx.NE(truncated, zero), other_sign)
    return tirx.Select(adjust, truncated + x[1], truncated)


def _pow(_: Builder, x: Sequence[Expr]) -> Expr:
    if is_float(x[0]):
        return call("powf", *x)
    wide = [tirx.Cast("float64", operand) for operand in x]
    return tirx.Cast(dtype_of(x[0]), tirx.call_extern("float64", "pow", *wide))


POINTWISE: dict[str, Emitter] = {
    **SHARED,
    "exp": _library("expf"),
    "log": _library("logf"),
    "sqrt": _library("sqrtf"),
    "sin": _library("sinf"),
    "cos": _library("cosf"),
    "tanh": _library("tanhf"),
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "logaddexp": logaddexp(_abs, _softplus),
    "abs": _abs,
    "floor": _floor,
    "floordiv": _floordiv,
    "mod": _mod,
    "pow": _pow,
}
