"""What narrow types do to a product, in NumPy: for the interpreter. Weights are rounded as they are
stored, or both operands as tensor cores multiply them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from rnnc.ir.graph import Graph, Node
from rnnc.ir.pointwise import Array
from rnnc.weights import MathType, WeightType

# The operands of a matmul, with the position of its weights -> operands as they are multiplied.
Rounding = Callable[[Sequence[Array], int], Sequence[Array]]
Change = Callable[[Array], Array]

_BF16_SIGNIFICAND, _TF32_SIGNIFICAND = 8, 11  # bits, the first one implied
_TOO_LARGE = 2.0**128  # for both
_INT8_TINY = 2.0**-100  # rows without anything as large are zero


def rounding(weights: WeightType, math: MathType = "float32") -> Rounding | None:
    """None where nothing is rounded; types of weights and of operands exclude each other."""
    if math != "float32":
        return partial(_both, _OPERANDS[math])
    return {"float32": None, "bf16": _bf16, "int8": _int8, "sparse": None}[weights]


def weight_position(graph: Graph, node: Node) -> int | None:
    """Which operand of a matmul holds weights: a matrix that no input takes part in."""
    for position, operand in enumerate(node.operands[:2]):
        source = graph[operand.source]
        rank = source.type.rank
        if rank >= 2 and not _reads_inputs(graph, source):
            return position
    return None


def _reads_inputs(graph: Graph, node: Node) -> bool:
    pending, seen = [node.id], {node.id}
    while pending:
        here = graph[pending.pop()]
        if here.op.name == "input":
            return True
        new = [read.source for read in here.operands if read.source not in seen]
        seen.update(new)
        pending += new
    return False


def _bf16(operands: Sequence[Array], position: int) -> Sequence[Array]:
    """The weights rounded to the nearest bfloat16, ties to even."""
    rounded = list(operands)
    rounded[position] = _by_parts(operands[position], _nearest_bf16)
    return rounded


def _by_parts(values: Array, change: Change) -> Array:
    if np.iscomplexobj(values):
        return np.stack([change(values.real), change(values.imag)], -1).view(values.dtype)[..., 0]
    return change(values)


def _both(change: Change, operands: Sequence[Array], _: int) -> Sequence[Array]:
    return [_by_parts(operand, change) for operand in operands]


def _nearest_bf16(values: Array) -> Array:
    return _nearest(values, _BF16_SIGNIFICAND, np.rint)


def _nearest_tf32(values: Array) -> Array:
    """Ties go away from zero."""
    return _nearest(values, _TF32_SIGNIFICAND, lambda n: np.copysign(np.floor(np.abs(n) + 0.5), n))


def _nearest(values: Array, significand: int, whole: Change) -> Array:
    """So many bits of significand, by a function to whole numbers."""
    with np.errstate(invalid="ignore", over="ignore"):
        fraction, exponent = np.frexp(values)
        scale = 2.0**significand
        nearest = np.ldexp(np.divide(whole(fraction * scale), scale), exponent)
        return np.where(np.abs(nearest) >= _TOO_LARGE, np.copysign(np.inf, values), nearest)


def _nearest_fp16(values: Array) -> Array:
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(values.dtype)


def _two_tf32(values: Array) -> Array:
    """The sum of two: the first is the nearest, the second that of what is left."""
    first = _nearest_tf32(values)
    with np.errstate(invalid="ignore"):
        return np.where(
            np.isfinite(first), np.add(first, _nearest_tf32(np.subtract(values, first))), first
        )


_OPERANDS: dict[MathType, Change] = {
    "tf32": _nearest_tf32,
    "3xtf32": _two_tf32,
    "bf16": _nearest_bf16,
    "fp16": _nearest_fp16,
}


def _int8(operands: Sequence[Array], _: int) -> Sequence[Array]:
    """Both operands in steps of 1/127 of the largest magnitude along the axis that is summed."""
    left, right = operands
    return [
        _by_parts(left, lambda values: _in_steps(values, -1)),
        _by_parts(right, lambda values: _in_steps(values, 1)),
    ]


def _in_steps(values: Array, axis: int) -> Array:
    largest = np.abs(values).max(axis=axis, keepdims=True, initial=0)
    with np.errstate(invalid="ignore"):
        step = np.where(np.isfinite(largest), largest, np.nan) / 127
        safe = np.where(largest >= _INT8_TINY, step, 1)
        return np.where(largest >= _INT8_TINY, np.rint(values / safe) * step, step * 0)
