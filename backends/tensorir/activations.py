"""Pointwise ops as vector code: one row an op, keyed by its name in the recurrence IR.

Every emitter takes whole vectors and is exact at the edges as NumPy is: NaN passes through,
tanh(inf) = 1, exp(-inf) = 0, log(0) = -inf. In float32 the common functions are polynomials with
an error of at most ERROR_ULPS units in the last place (results below the normal range may be zero)
and call nothing. Their float64 forms, and sin, cos, pow in both, are LLVM intrinsics, which become
one libm call a lane. There are no less exact forms: with approximate reciprocals in place of the
divisions of sigmoid and tanh, LSTMs of 64 to 256 units gain 0 to 3 %.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tvm import tirx

from .tir import (
    Builder,
    Expr,
    constant,
    dtype_of,
    element_of,
    int32,
    intrinsic,
    lanes_of,
    maximum,
    minimum,
    multiply_add,
    splat,
    with_lanes,
)

ERROR_ULPS = 4

Emitter = Callable[[Builder, Sequence[Expr]], Expr]

# exp(r) = 1 + r + r^2 P(r) on |r| <= log(2)/2: minimax, error 3.2e-9.
_EXP = (5.0000000962801480e-1, 1.6666517711623471e-1, 4.1666202272818070e-2,
        8.3690248472432400e-3, 1.3950726686786867e-3)  # fmt: skip
# 2 atanh(s) = 2 s + s^3 P(s^2) on s^2 <= 1/9: minimax, error 2.3e-10.
_ATANH = (6.6666675621927480e-1, 3.9998877745897554e-1, 2.8616884750417343e-1,
          2.1427658139059622e-1, 2.4300934161278260e-1)  # fmt: skip
# tanh(x) = x P(x^2) / Q(x^2) on |x| <= 9, where tanh is 1 in float32 (as in Eigen).
_TANH_P = (4.89352455891786e-03, 6.37261928875436e-04, 1.48572235717979e-05,
           5.12229709037114e-08, -8.60467152213735e-11, 2.00018790482477e-13,
           -2.76076847742355e-16)  # fmt: skip
_TANH_Q = (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04,
           1.19825839466702e-06)  # fmt: skip

_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4  # the high part times |n| < 2^9 is exact
_ROUND = 12582912.0  # 1.5 * 2^23: adding it leaves the nearest integer in the low bits
_ROUND_BITS = 0x4B400000
_ONE_BITS = 0x3F800000


def _polynomial(x: Expr, coefficients: Sequence[float]) -> Expr:
    value = constant(coefficients[-1], x)
    for coefficient in reversed(coefficients[:-1]):
        value = multiply_add(value, x, constant(coefficient, x))
    return value


def _bits(x: Expr) -> Expr:
    return tirx.reinterpret(with_lanes("int32", lanes_of(x)), x)


def _from_bits(x: Expr) -> Expr:
    return tirx.reinterpret(with_lanes("float32", lanes_of(x)), x)


def _int(value: int, like: Expr) -> Expr:
    return splat(int32(value), lanes_of(like))


def _libm(name: str) -> Emitter:
    """The function of libm, called once a lane."""

    def emit(_: Builder, x: Sequence[Expr]) -> Expr:
        return intrinsic(f"llvm.{name}", dtype_of(x[0]), *x)

    return emit


def _by_width(single: Callable[[Builder, Expr], Expr], double: Emitter) -> Emitter:
    """float32 by our own polynomial, float64 by other means."""

    def emit(b: Builder, x: Sequence[Expr]) -> Expr:
        return single(b, x[0]) if element_of(dtype_of(x[0])) == "float32" else double(b, x)

    return emit


# ---- exponentials -----------------------------------------------------------------------------


def _exp_parts(b: Builder, x: Expr) -> tuple[Expr, Expr]:
    """(n, exp(x - n log 2)), n the bits of the nearest integer to x / log 2 plus _ROUND."""
    rounded = b.let(multiply_add(x, constant(_LOG2_E, x), constant(_ROUND, x)))
    n = b.let(rounded - constant(_ROUND, x))
    r = b.let(multiply_add(n, constant(-_LN2_HIGH, x), x))
    r = b.let(multiply_add(n, constant(-_LN2_LOW, x), r))
    power = _polynomial(r, _EXP)
    return _bits(rounded), multiply_add(power, b.let(r * r), r + constant(1, x))


def _exp_saturating(b: Builder, x: Expr) -> Expr:
    """exp(x), but infinite from 88.4 and at least 1e-38: where 1 is added to it, as good."""
    x = b.let(minimum(constant(89, x), b.let(maximum(constant(-87, x), x))))
    n, power = _exp_parts(b, x)
    return power * _from_bits((n << _int(23, x)) + _int(_ONE_BITS, x))


def _exp(b: Builder, x: Expr) -> Expr:
    x = b.let(minimum(constant(89, x), b.let(maximum(constant(-104, x), x))))
    rounded, power = _exp_parts(b, x)
    # 2^n in two factors: n = 128 is beyond one, and so are the denormals.
    n = b.let(rounded - _int(_ROUND_BITS, x))
    half = b.let(n >> _int(1, x))
    first = _from_bits((half << _int(23, x)) + _int(_ONE_BITS, x))
    second = _from_bits(((n - half) << _int(23, x)) + _int(_ONE_BITS, x))
    return power * first * second


def _sigmoid(b: Builder, x: Expr) -> Expr:
    one = constant(1, x)
    return one / (one + _exp_saturating(b, constant(0, x) - x))


def _tanh(b: Builder, x: Expr) -> Expr:
    x = b.let(minimum(constant(9, x), b.let(maximum(constant(-9, x), x))))
    square = b.let(x * x)
    # The division first: x times a coefficient would be a denormal for small x.
    return x * (_polynomial(square, _TANH_P) / _polynomial(square, _TANH_Q))


# ---- logarithms -------------------------------------------------------------------------------


def _twice_atanh(b: Builder, s: Expr) -> Expr:
    square = b.let(s * s)
    tail = b.let(square * s)
    return multiply_add(tail, _polynomial(square, _ATANH), s + s)


def _softplus(b: Builder, x: Expr) -> Expr:
    # log(1 + e) = 2 atanh(e / (2 + e)) keeps the relative accuracy far left.
    small = b.let(_exp(b, b.let(constant(0, x) - intrinsic("llvm.fabs", dtype_of(x), x))))
    s = b.let(small / (small + constant(2, x)))
    return maximum(constant(0, x), x) + _twice_atanh(b, s)


def _log(b: Builder, x: Expr) -> Expr:
    # x = m 2^n with m in [sqrt(1/2), sqrt(2)); denormals are scaled into the normal range first.
    tiny = b.let(tirx.LT(x, constant(1.17549435e-38, x)))
    scaled = b.let(tirx.Select(tiny, x * constant(8388608.0, x), x))
    offset = b.let(_bits(scaled) - _int(0x3F3504F3, x))
    n = b.let(tirx.Cast(dtype_of(x), offset >> _int(23, x)))
    n = b.let(n - tirx.Select(tiny, constant(23, x), constant(0, x)))
    mantissa = b.let(_from_bits((offset & _int(0x007FFFFF, x)) + _int(0x3F3504F3, x)))
    one = constant(1, x)
    s = b.let((mantissa - one) / (mantissa + one))
    value = multiply_add(n, constant(_LN2_LOW, x), _twice_atanh(b, s))
    value = b.let(multiply_add(n, constant(_LN2_HIGH, x), value))
    infinity, zero = constant(float("inf"), x), constant(0, x)
    value = tirx.Select(tirx.EQ(x, infinity), infinity, value)
    value = tirx.Select(tirx.EQ(x, zero), constant(float("-inf"), x), value)
    return tirx.Select(tirx.GE(x, zero), value, constant(float("nan"), x))


def _sigmoid_double(_: Builder, x: Sequence[Expr]) -> Expr:
    one = constant(1, x[0])
    return one / (one + intrinsic("llvm.exp", dtype_of(x[0]), constant(0, x[0]) - x[0]))


def _softplus_double(b: Builder, x: Sequence[Expr]) -> Expr:
    dtype, value, one = dtype_of(x[0]), x[0], constant(1, x[0])
    magnitude = intrinsic("llvm.fabs", dtype, value)
    small = b.let(intrinsic("llvm.exp", dtype, constant(0, value) - magnitude))
    # log(1 + e), corrected for the rounding of 1 + e.
    total = b.let(one + small)
    correction = (small - (total - one)) / total
    return maximum(constant(0, value), value) + intrinsic("llvm.log", dtype, total) + correction


# ---- arithmetic, order, logic ------------------------------------------------------------------


def is_float(x: Expr) -> bool:
    return dtype_of(x).startswith("float")


def _equal(a: Expr, b: Expr) -> Expr:
    if element_of(dtype_of(a)) != "bool":
        return tirx.EQ(a, b)
    # TVM's code generator would compare truth values as floats.
    return tirx.Or(tirx.And(a, b), tirx.Not(tirx.Or(a, b)))


def _unequal(a: Expr, b: Expr) -> Expr:
    """Not tirx.NE, which is false where an operand is NaN."""
    return tirx.Not(_equal(a, b))


def _is_nan(x: Expr) -> Expr:
    return _unequal(x, x)


def _relu(_: Builder, x: Sequence[Expr]) -> Expr:
    return maximum(constant(0, x[0]), x[0])


def _neg(_: Builder, x: Sequence[Expr]) -> Expr:
    # -0.0 - x, not 0 - x: the negative of 0 is -0.
    return constant(-0.0 if is_float(x[0]) else 0, x[0]) - x[0]


def _abs(_: Builder, x: Sequence[Expr]) -> Expr:
    if is_float(x[0]):
        return intrinsic("llvm.fabs", dtype_of(x[0]), x[0])
    zero = constant(0, x[0])
    return tirx.Select(tirx.LT(x[0], zero), zero - x[0], x[0])


def _floor(_: Builder, x: Sequence[Expr]) -> Expr:
    return intrinsic("llvm.floor", dtype_of(x[0]), x[0]) if is_float(x[0]) else x[0]


def _ordered(choose: Callable[[Expr, Expr], Expr]) -> Emitter:
    """min or max, NaN if either operand is."""

    def emit(_: Builder, x: Sequence[Expr]) -> Expr:
        chosen = choose(x[0], x[1])
        return tirx.Select(_is_nan(x[0]), x[0], chosen) if is_float(x[0]) else chosen

    return emit


def logaddexp(absolute: Emitter, softplus: Emitter) -> Emitter:
    """The larger one and softplus of minus the distance, which equal infinities do not have."""

    def emit(b: Builder, x: Sequence[Expr]) -> Expr:
        zero, larger = constant(0, x[0]), b.let(_ordered(maximum)(b, x))
        distance = absolute(b, [b.let(x[0] - x[1])])
        distance = b.let(tirx.Select(tirx.EQ(x[0], x[1]), zero, distance))
        return larger + softplus(b, [b.let(zero - distance)])

    return emit


def _nonzero(b: Builder, divisor: Expr) -> tuple[Expr, Expr]:
    """(is zero, the divisor or 1): an integer division by zero would trap."""
    is_zero = b.let(tirx.EQ(divisor, constant(0, divisor)))
    return is_zero, b.let(tirx.Select(is_zero, constant(1, divisor), divisor))


def _floordiv(b: Builder, x: Sequence[Expr]) -> Expr:
    if is_float(x[0]):
        return intrinsic("llvm.floor", dtype_of(x[0]), x[0] / x[1])
    is_zero, divisor = _nonzero(b, x[1])
    return tirx.Select(is_zero, constant(0, x[0]), tirx.FloorDiv(x[0], divisor))


def _mod(b: Builder, x: Sequence[Expr]) -> Expr:
    """The remainder with the sign of the divisor, as Python and NumPy have it."""
    if not is_float(x[0]):
        is_zero, divisor = _nonzero(b, x[1])
        return tirx.Select(is_zero, constant(0, x[0]), tirx.FloorMod(x[0], divisor))
    zero = constant(0, x[0])
    truncated = b.let(tirx.Mod(x[0], x[1]))
    other_sign = _unequal(tirx.LT(truncated, zero), tirx.LT(x[1], zero))
    adjust = tirx.And(tirx.NE(truncated, zero), other_sign)
    return tirx.Select(adjust, truncated + x[1], truncated)


def _pow(_: Builder, x: Sequence[Expr]) -> Expr:
    if is_float(x[0]):
        return intrinsic("llvm.pow", dtype_of(x[0]), *x)
    double = with_lanes("float64", lanes_of(x[0]))
    wide = [tirx.Cast(double, operand) for operand in x]
    return tirx.Cast(dtype_of(x[0]), intrinsic("llvm.pow", double, *wide))


def _unary(make: Callable[[Expr], Expr]) -> Emitter:
    return lambda _, x: make(x[0])


def _binary(make: Callable[[Expr, Expr], Expr]) -> Emitter:
    return lambda _, x: make(x[0], x[1])


# ---- the table --------------------------------------------------------------------------------

# Operands and result have the dtype of the op's type rule; the caller has cast them.
POINTWISE: dict[str, Emitter] = {
    "exp": _by_width(_exp, _libm("exp")),
    "log": _by_width(_log, _libm("log")),
    "sqrt": _libm("sqrt"),
    "sin": _libm("sin"),
    "cos": _libm("cos"),
    "tanh": _by_width(_tanh, _libm("tanh")),
    "sigmoid": _by_width(_sigmoid, _sigmoid_double),
    "softplus": _by_width(_softplus, _softplus_double),
    "neg": _neg,
    "relu": _relu,
    "abs": _abs,
    "floor": _floor,
    "not": _unary(tirx.Not),
    "stop_gradient": _unary(lambda x: x),
    "dropout": _unary(lambda x: x),  # the identity outside training
    "add": _binary(tirx.Add),
    "sub": _binary(tirx.Sub),
    "mul": _binary(tirx.Mul),
    "min": _ordered(minimum),
    "max": _ordered(maximum),
    "floordiv": _floordiv,
    "mod": _mod,
    "div": _binary(tirx.Div),
    "logaddexp": logaddexp(_abs, _by_width(_softplus, _softplus_double)),
    "pow": _pow,
    "eq": _binary(_equal),
    "ne": _binary(_unequal),
    "lt": _binary(tirx.LT),
    "le": _binary(tirx.LE),
    "gt": _binary(tirx.GT),
    "ge": _binary(tirx.GE),
    "and": _binary(tirx.And),
    "or": _binary(tirx.Or),
    "straight_through": _binary(lambda value, _: value),
    "select": lambda _, x: tirx.Select(x[0], x[1], x[2]),
}
