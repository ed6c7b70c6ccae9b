"""What the pointwise operations mean, in NumPy, and which arrays stand for which dtype.

Arrays broadcast as NumPy does: this serves any layout of batch and axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rnnc.ir.graph import Op
from rnnc.ir.ops import infer
from rnnc.ir.types import DType, TensorType, promote

Array = NDArray[np.generic]
Real = type[np.float64] | type[np.float32]


def numpy_dtype(dtype: DType, real: Real = np.float64) -> np.dtype[np.generic]:
    """The NumPy type that stands for a dtype at a precision."""
    match dtype:
        case "bool":
            return np.dtype(np.bool_)
        case "int":
            return np.dtype(np.int64)
        case "real":
            return np.dtype(real)
        case "complex":
            return np.dtype(np.complex128 if real is np.float64 else np.complex64)


def dtype_of(array: Array) -> DType:
    kinds: dict[str, DType] = {"b": "bool", "i": "int", "u": "int", "f": "real", "c": "complex"}
    return kinds[array.dtype.kind]


def convert(array: Array, dtype: DType, real: Real = np.float64) -> Array:
    """The values as another dtype; a complex number loses its imaginary part on the way down."""
    if dtype_of(array) == "complex" and dtype != "complex":
        array = array.real
    with np.errstate(all="ignore"):
        return array.astype(numpy_dtype(dtype, real), copy=False)


# ---- pointwise --------------------------------------------------------------------------------


def pointwise(op: Op, operands: Sequence[Array], real: Real = np.float64) -> Array:
    """A pointwise op on arrays that broadcast as NumPy does; NaN and infinity pass silently."""
    kinds = [dtype_of(operand) for operand in operands]
    result = infer(op, [TensorType(kind) for kind in kinds]).dtype
    kinds = _OPERAND_DTYPES.get(op.name, _as_result)(result, kinds)
    operands = [convert(x, kind, real) for x, kind in zip(operands, kinds, strict=True)]
    with np.errstate(all="ignore"):
        return convert(np.asarray(POINTWISE[op.name](*operands)), result, real)


def _as_result(result: DType, kinds: list[DType]) -> list[DType]:
    return [result] * len(kinds)


def _as_is(_: DType, kinds: list[DType]) -> list[DType]:
    return kinds


def _as_bool(_: DType, kinds: list[DType]) -> list[DType]:
    return ["bool"] * len(kinds)


def _as_real(_: DType, kinds: list[DType]) -> list[DType]:
    return ["real"] * len(kinds)


def _promoted(_: DType, kinds: list[DType]) -> list[DType]:
    return [promote(*kinds)] * len(kinds)


def _selected(result: DType, _: list[DType]) -> list[DType]:
    return ["bool", result, result]


# The dtype in which an op works on its operands, where that is not the dtype of its result.
_OPERAND_DTYPES: dict[str, Callable[[DType, list[DType]], list[DType]]] = {
    **dict.fromkeys(("abs", "re", "im", "cast", "straight_through"), _as_is),
    **dict.fromkeys(("not", "and", "or"), _as_bool),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge"), _promoted),
    "complex": _as_real,
    "select": _selected,
}


def _sigmoid(x: Array) -> Array:
    if np.iscomplexobj(x):
        return np.asarray(1 / (1 + np.exp(np.negative(x))))
    # Each branch where its exponential cannot overflow, so that tails keep their relative accuracy.
    small = np.exp(np.negative(np.abs(x)))
    return np.where(np.greater_equal(x, 0), 1 / (1 + small), small / (1 + small))


def _softplus(x: Array) -> Array:
    if np.iscomplexobj(x):
        return np.asarray(np.log(1 + np.exp(x)))
    return np.asarray(np.logaddexp(np.zeros_like(x), x))


def _power(base: Array, exponent: Array) -> Array:
    if exponent.dtype.kind != "i":
        return np.asarray(np.power(base, exponent))
    # NumPy refuses negative integer powers; as integers they are zero but for the units.
    whole = np.power(base, np.maximum(exponent, 0))
    unit = np.where(np.mod(exponent, 2) == 0, 1, base)
    return np.where(np.greater_equal(exponent, 0), whole, np.where(np.abs(base) == 1, unit, 0))


def _complex(re: Array, im: Array) -> Array:
    # Not re + 1j * im: an infinite part would make the other one NaN.
    re, im = np.broadcast_arrays(re, im)
    result = np.empty(re.shape, np.result_type(re.dtype, np.complex64))
    result.real, result.imag = re, im
    return result


def _first(value: Array, *others: Array) -> Array:
    shape = np.broadcast_shapes(value.shape, *(other.shape for other in others))
    return np.broadcast_to(value, shape)


def _relu(x: Array) -> Array:
    return np.asarray(np.maximum(x, np.zeros_like(x)))


POINTWISE: dict[str, Callable[..., Array]] = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "neg": np.negative,
    "relu": _relu,
    "abs": np.abs,
    "floor": np.floor,
    "not": np.logical_not,
    "re": np.real,
    "im": np.imag,
    "conj": np.conj,
    "cast": _first,  # the conversion to the result's dtype does it
    "stop_gradient": _first,
    "dropout": _first,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
    "floordiv": np.floor_divide,
    "mod": np.mod,
    "div": np.divide,
    "logaddexp": np.logaddexp,
    "pow": _power,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "and": np.logical_and,
    "or": np.logical_or,
    "complex": _complex,
    "straight_through": _first,
    "select": np.where,
}
