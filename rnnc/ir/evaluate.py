"""What every operation means, in NumPy: the reference that kernels are held against.

Arrays carry the batch as axis 0, of length 1 where a value is the same for all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from rnnc.ir.graph import Op
from rnnc.ir.ops import constant_dtype
from rnnc.ir.pointwise import POINTWISE, Array, Real, convert, numpy_dtype, pointwise
from rnnc.ir.poly import Poly
from rnnc.ir.types import DType, TensorType


class EvaluationError(ValueError):
    """Data that a program does not take: an index out of its range, an array of a wrong shape."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where an op is evaluated.

    `values` are the sizes and grid indices; `points` the bound points of a grid reduction, whose
    operands are the values at these points, in this order.
    """

    type: TensorType
    values: Mapping[str, int]
    real: Real
    points: Sequence[Mapping[str, int]] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(size.evaluate(self.values) for size in self.type.shape)


# ---- pointwise --------------------------------------------------------------------------------


def _rowwise(op: Op, operands: Sequence[Array], site: Site) -> Array:
    """Pointwise on arrays with a leading batch axis: short shapes are suffixes of the longest."""
    rank = max(operand.ndim for operand in operands)
    aligned = [
        operand.reshape(operand.shape[0], *(1,) * (rank - operand.ndim), *operand.shape[1:])
        for operand in operands
    ]
    return pointwise(op, aligned, site.real)


# ---- leaves -----------------------------------------------------------------------------------


def _constant(op: Op, _: Sequence[Array], site: Site) -> Array:
    value = cast(complex, op["value"])
    return np.asarray([value], numpy_dtype(constant_dtype(value), site.real))


def _index(op: Op, _: Sequence[Array], site: Site) -> Array:
    return np.asarray([cast(Poly, op["value"]).evaluate(site.values)], np.int64)


def _eye(_: Op, __: Sequence[Array], site: Site) -> Array:
    return np.eye(site.shape[0], dtype=site.real)[None]


# ---- tensors ----------------------------------------------------------------------------------


def _matmul(_: Op, operands: Sequence[Array], site: Site) -> Array:
    left, right = (convert(operand, site.type.dtype, site.real) for operand in operands)
    rows = left if left.ndim == 3 else left[:, None, :]
    columns = right if right.ndim == 3 else right[:, :, None]
    product = np.asarray(np.matmul(rows, columns))
    if right.ndim == 2:
        product = product[..., 0]
    return product if left.ndim == 3 else product[:, 0]


_REDUCERS: dict[str, np.ufunc] = {
    "sum": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "any": np.logical_or,
    "all": np.logical_and,
}


def neutral(kind: str, dtype: DType) -> bool | int | float:
    """What a reduction over nothing gives."""
    match kind, dtype:
        case ("any", _) | ("max", "bool"):
            return False
        case ("all", _) | ("min", "bool"):
            return True
        case "max", "int":
            return int(np.iinfo(np.int64).min)
        case "min", "int":
            return int(np.iinfo(np.int64).max)
        case "max", _:
            return -np.inf
        case "min", _:
            return np.inf
        case "prod", _:
            return 1
        case _:
            return 0


def _reduce_axis(op: Op, operands: Sequence[Array], site: Site) -> Array:
    kind, axis = cast(str, op["kind"]), cast(int, op["axis"]) + 1
    [value] = operands
    if kind == "argmax":
        return np.asarray(np.argmax(value, axis=axis))
    value = convert(value, site.type.dtype, site.real)
    return np.asarray(
        _REDUCERS[kind].reduce(value, axis=axis, initial=neutral(kind, site.type.dtype))
    )


def _cumsum(op: Op, operands: Sequence[Array], site: Site) -> Array:
    value = convert(operands[0], site.type.dtype, site.real)
    return np.cumsum(value, axis=cast(int, op["axis"]) + 1)


def _together(operands: Sequence[Array], site: Site) -> list[Array]:
    """The operands with one dtype and one batch."""
    batch = max((operand.shape[0] for operand in operands), default=1)
    return [
        np.broadcast_to(convert(x, site.type.dtype, site.real), (batch, *x.shape[1:]))
        for x in operands
    ]


def _concat(op: Op, operands: Sequence[Array], site: Site) -> Array:
    return np.concatenate(_together(operands, site), axis=cast(int, op["axis"]) + 1)


def _stack(_: Op, operands: Sequence[Array], site: Site) -> Array:
    return np.stack(_together(operands, site), axis=1)


def _slice(op: Op, operands: Sequence[Array], site: Site) -> Array:
    axis = cast(int, op["axis"]) + 1
    start = cast(Poly, op["start"]).evaluate(site.values)
    stop = cast(Poly, op["stop"]).evaluate(site.values)
    size = operands[0].shape[axis]
    if not 0 <= start <= stop <= size:
        raise EvaluationError(f"slice {start}..{stop} of an axis of {size}")
    return operands[0][(slice(None),) * axis + (slice(start, stop),)]


def _pick(op: Op, operands: Sequence[Array], site: Site) -> Array:
    axis = cast(int, op["axis"]) + 1
    at, size = cast(Poly, op["at"]).evaluate(site.values), operands[0].shape[axis]
    if not 0 <= at < size:
        raise EvaluationError(f"element {at} of an axis of {size}")
    return np.asarray(np.take(operands[0], at, axis=axis))


def _gather(op: Op, operands: Sequence[Array], site: Site) -> Array:
    tensor, index = operands
    axis, batch = cast(int, op["axis"]) + 1, max(tensor.shape[0], index.shape[0])
    check_range(index, 0, tensor.shape[axis])
    tensor = np.moveaxis(np.broadcast_to(tensor, (batch, *tensor.shape[1:])), axis, 1)
    index = np.broadcast_to(index, (batch, *index.shape[1:]))
    rows = np.arange(batch).reshape(-1, *(1,) * (index.ndim - 1))
    taken: Array = tensor[rows, index.astype(np.int64)]
    return taken if index.ndim == 1 else np.moveaxis(taken, 1, axis)


def check_range(index: Array, lower: int, upper: int) -> None:
    """Raises EvaluationError for an index outside lower..upper."""
    wrong = index[np.less(index, lower) | np.greater_equal(index, upper)]
    if wrong.size:
        raise EvaluationError(f"index {wrong.flat[0]} is outside {lower}..{upper}")


def _reshape(_: Op, operands: Sequence[Array], site: Site) -> Array:
    return operands[0].reshape(operands[0].shape[0], *site.shape)


def _broadcast(op: Op, operands: Sequence[Array], site: Site) -> Array:
    axes, shape = cast(tuple[int, ...], op["axes"]), site.shape
    order = sorted(range(len(axes)), key=lambda position: axes[position])
    value = operands[0].transpose(0, *(position + 1 for position in order))
    kept = [shape[axis] if axis in axes else 1 for axis in range(len(shape))]
    return np.broadcast_to(value.reshape(value.shape[0], *kept), (value.shape[0], *shape))


def _flip(op: Op, operands: Sequence[Array], _: Site) -> Array:
    return np.flip(operands[0], cast(int, op["axis"]) + 1)


def _fft(_: Op, operands: Sequence[Array], __: Site) -> Array:
    return np.asarray(np.fft.fft(operands[0], norm="ortho"))


def _ifft(_: Op, operands: Sequence[Array], __: Site) -> Array:
    return np.asarray(np.fft.ifft(operands[0], norm="ortho"))


# ---- over grid points -------------------------------------------------------------------------


def _reduce(op: Op, operands: Sequence[Array], site: Site) -> Array:
    kind = cast(str, op["kind"])
    if kind == "argmax":
        return _argmax(operands, site)
    total = np.full((1, *site.shape), neutral(kind, site.type.dtype))
    total = convert(total, site.type.dtype, site.real)
    for operand in operands:
        total = _REDUCERS[kind](total, convert(operand, site.type.dtype, site.real))
    return total


def _argmax(operands: Sequence[Array], site: Site) -> Array:
    """The bound index of the first greatest value; 0 over nothing. NaN counts as greatest."""
    if not operands:
        return np.zeros((1, *site.shape), np.int64)
    batch = max(operand.shape[0] for operand in operands)
    values = np.stack([np.broadcast_to(x, (batch, *x.shape[1:])) for x in operands])
    indices = np.asarray([next(iter(point.values())) for point in site.points], np.int64)
    return np.asarray(indices[np.argmax(values, axis=0)])


def _stack_points(_: Op, operands: Sequence[Array], site: Site) -> Array:
    if not operands:
        return np.zeros((1, *site.shape), numpy_dtype(site.type.dtype, site.real))
    stacked = np.stack(_together(operands, site), axis=1)
    return stacked.reshape(stacked.shape[0], *site.shape)


def _concat_points(_: Op, operands: Sequence[Array], site: Site) -> Array:
    if not operands:
        return np.zeros((1, *site.shape), numpy_dtype(site.type.dtype, site.real))
    return np.concatenate(_together(operands, site), axis=1)


Evaluator = Callable[[Op, Sequence[Array], Site], Array]

# Inputs, params and merges are read, not computed: the interpreter does it.
EVALUATORS: dict[str, Evaluator] = {
    **dict.fromkeys(POINTWISE, _rowwise),
    "constant": _constant,
    "index": _index,
    "eye": _eye,
    "matmul": _matmul,
    "reduce_axis": _reduce_axis,
    "cumsum": _cumsum,
    "concat": _concat,
    "stack": _stack,
    "slice": _slice,
    "pick": _pick,
    "gather": _gather,
    "reshape": _reshape,
    "broadcast": _broadcast,
    "flip": _flip,
    "fft": _fft,
    "ifft": _ifft,
    "reduce": _reduce,
    "stack_points": _stack_points,
    "concat_points": _concat_points,
}


def evaluate(op: Op, operands: Sequence[Array], site: Site) -> Array:
    """The op on arrays with a leading batch axis; the result has the site's dtype and shape.

    Raises EvaluationError for an index that is out of range.
    """
    with np.errstate(all="ignore"):
        value = EVALUATORS[op.name](op, operands, site)
    if value.shape[1:] != site.shape:
        raise AssertionError(f"{op}: shape {value.shape[1:]}, but its type says {site.type}")
    return convert(value, site.type.dtype, site.real)
