"""Axes of a tensor: `v[3]`, `v[a..b]`, `v[i]`, gathers; reductions along an axis."""

from __future__ import annotations

from rnnc.diagnostics import Span
from rnnc.frontend import ast
from rnnc.frontend.context import Context, Unroll
from rnnc.frontend.patterns import affine, as_index
from rnnc.frontend.tensors import as_tensor, emit, shape_text
from rnnc.frontend.values import BAD, Absent, Number, Tensor, Value
from rnnc.ir.poly import Poly
from rnnc.ir.types import TensorType


def index_axes(base: Value, node: ast.Indexed, context: Context) -> Tensor | Absent:
    """A tensor at elements, ranges or gathered places of its leading axes."""
    tensor = as_tensor(base, context, node.base.span)
    if isinstance(tensor, Absent):
        for index in node.indices:
            if not isinstance(index, ast.Range):
                context.evaluate(index)
        return tensor
    if len(node.indices) > tensor.type.rank:
        text = shape_text(tensor.type.shape, context.sizes)
        return context.error(
            "RNN305",
            f"'{node.base.span.text}' is {text if tensor.type.rank else 'a scalar'}: "
            f"it has {tensor.type.rank} {'axis' if tensor.type.rank == 1 else 'axes'}, "
            f"{len(node.indices)} {'index is' if len(node.indices) == 1 else 'indices are'} given",
            node.span,
        )
    axis = 0
    current: Tensor | Absent = tensor
    for index in node.indices:
        if isinstance(current, Absent):
            return current
        if isinstance(index, ast.Range):
            current = _slice(current, axis, index, context)
            axis += 1
            continue
        step = _element(current, axis, index, context)
        if isinstance(step, Absent):
            return step
        current, kept = step
        axis += kept
    return current


def _slice(tensor: Tensor, axis: int, index: ast.Range, context: Context) -> Tensor | Absent:
    ends: list[Poly] = [Poly(), tensor.type.shape[axis]]
    for position, end in enumerate((index.lower, index.upper)):
        if end is not None:
            found = affine(end, context)
            if found is None:
                return BAD
            ends[position] = found
    for name in (name for end in ends for name in end.names if name in context.region.names):
        if context.region.dim(name).static:
            raise Unroll(name, index.span)
    if not all(context.sizes.is_static(end) for end in ends):
        return context.error("RNN308", "the ends of a slice are known when compiling", index.span)
    return slice_of(tensor, axis, ends[0], ends[1], context, index.span)


def slice_of(
    tensor: Tensor, axis: int, start: Poly, stop: Poly, context: Context, span: Span
) -> Tensor | Absent:
    """Elements start..stop of an axis; the very tensor where that is all of it."""
    size = context.sizes.normal(tensor.type.shape[axis])
    start, stop = context.sizes.normal(start), context.sizes.normal(stop)
    if start == Poly() and stop == size:
        return tensor
    length, beyond = (stop - start).constant, (stop - size).constant
    below = start.constant
    if (
        (length is not None and length < 0)
        or (beyond is not None and beyond > 0)
        or (below is not None and below < 0)
    ):
        return context.error("RNN308", f"{start}..{stop} is not within the axis 0..{size}", span)
    return emit("slice", (tensor,), context, span, axis=axis, start=start, stop=stop)


def _element(
    tensor: Tensor, axis: int, index: ast.Expression, context: Context
) -> tuple[Tensor, int] | Absent:
    """One element, or gathered ones, and how many axes these have."""
    value = context.evaluate(index)
    at = as_index(value, context, index.span)
    if at is not None:
        size = context.sizes.normal(tensor.type.shape[axis])
        constant, beyond = at.constant, (at - size).constant
        if (constant is not None and constant < 0) or (beyond is not None and beyond >= 0):
            return context.error(
                "RNN308",
                f"the axis has {size} elements, counted from 0: there is no number {at}",
                index.span,
            )
        picked = pick(tensor, axis, at, context, index.span)
        return picked if isinstance(picked, Absent) else (picked, 0)
    place = as_tensor(value, context, index.span)
    if isinstance(place, Absent):
        return place
    if place.type.dtype != "int" or place.type.rank > 1:
        return context.error(
            "RNN308", f"'{index.span.text}' is no index: an int or int[K] is wanted", index.span
        )
    result = emit("gather", (tensor, place), context, index.span, axis=axis)
    return result if isinstance(result, Absent) else (result, place.type.rank)


def pick(tensor: Tensor, axis: int, at: Poly, context: Context, span: Span) -> Tensor | Absent:
    return emit("pick", (tensor,), context, span, axis=axis, at=at)


# ---- along an axis ----------------------------------------------------------------------------


def axis_number(value: Value, rank: int, context: Context, span: Span) -> int | None:
    """A written axis; negative ones count from the end."""
    if isinstance(value, Number) and isinstance(value.value, Poly):
        number = value.value.constant
        if number is not None and -rank <= number < rank:
            return number % rank
        if number is not None:
            context.error("RNN308", f"there is no axis {number} in {rank} axes", span)
            return None
    context.error("RNN308", "an axis is a number", span)
    return None


def reduce_axis(
    kind: str, tensor: Tensor, axis: int, context: Context, span: Span
) -> Tensor | Absent:
    result = emit("reduce_axis", (tensor,), context, span, kind=kind, axis=axis)
    if kind == "argmax" and isinstance(result, Tensor):
        limits = (Poly(), context.sizes.normal(tensor.type.shape[axis]))
        return Tensor(TensorType("int", result.type.shape, limits), result.read)
    return result


def reduce_all(kind: str, tensor: Tensor, context: Context, span: Span) -> Tensor | Absent:
    """Over every axis, the last first."""
    current: Tensor | Absent = tensor
    while isinstance(current, Tensor) and current.type.rank:
        current = reduce_axis(kind, current, current.type.rank - 1, context, span)
    return current


def along(
    tensor: Tensor, shape: tuple[Poly, ...], axis: int, context: Context, span: Span
) -> Tensor | Absent:
    """The result of a reduction, repeated along the axis that it lost."""
    if axis == 0:
        return tensor  # its shape is the end of the whole one
    axes = tuple(other for other in range(len(shape)) if other != axis)
    return emit("broadcast", (tensor,), context, span, shape=shape, axes=axes)


def count_of(size: Poly, context: Context, span: Span) -> Tensor | Absent:
    """A size as a value."""
    return as_tensor(Number(size), context, span)
