"""Built-in functions that move elements: concat, stack, split, repeat, reshape, outer, ..."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rnnc.diagnostics import Span
from rnnc.frontend import ast
from rnnc.frontend.arithmetic import pointwise
from rnnc.frontend.axes import axis_number, slice_of
from rnnc.frontend.context import Context
from rnnc.frontend.tensors import as_tensor, cast, emit, fill, shape_text, type_text
from rnnc.frontend.values import BAD, UNKNOWN, Absent, ListValue, Number, Parts, Tensor, Value
from rnnc.frontend.variables import combined_shape
from rnnc.ir.poly import Poly
from rnnc.ir.types import TensorType, promote

Given = tuple[Value, ast.Expression]
Arguments = Mapping[str, Given]


def _tensors(values: Sequence[Given], context: Context) -> list[Tensor] | Absent:
    found = [as_tensor(value, context, written.span) for value, written in values]
    if BAD in found:
        return BAD
    known = [tensor for tensor in found if isinstance(tensor, Tensor)]
    return known if len(known) == len(found) else UNKNOWN


def _widened(tensors: Sequence[Tensor], context: Context, span: Span) -> list[Tensor]:
    dtype = promote(*(tensor.type.dtype for tensor in tensors))
    return [_normal(cast(tensor, dtype, context, span), context) for tensor in tensors]


def _normal(tensor: Tensor, context: Context) -> Tensor:
    shape = tuple(map(context.sizes.normal, tensor.type.shape))
    return Tensor(TensorType(tensor.type.dtype, shape, tensor.type.range), tensor.read)


# ---- together ---------------------------------------------------------------------------------


def concat(
    values: Sequence[Given], axis_given: Given | None, context: Context, span: Span
) -> Tensor | Absent:
    """Along an axis, the first unless another is given."""
    tensors = _tensors(values, context)
    if isinstance(tensors, Absent):
        return tensors
    if not tensors:
        return context.error("RNN206", "'concat' needs at least one tensor", span)
    for tensor, (_, written) in zip(tensors, values, strict=True):
        if not tensor.type.rank:
            return context.error(
                "RNN305",
                f"'{written.span.text}' is a scalar: concat puts vectors together",
                written.span,
                hints=(f"as a vector of one element:  [{written.span.text}]",),
            )
    rank = tensors[0].type.rank
    axis: int | None = 0
    if axis_given is not None:
        axis = axis_number(axis_given[0], rank, context, axis_given[1].span)
    if axis is None:
        return BAD
    first = tensors[0].type.shape
    for tensor in tensors[1:]:
        shape = tensor.type.shape
        rest, others = first[:axis] + first[axis + 1 :], shape[:axis] + shape[axis + 1 :]
        if len(shape) != rank or not context.sizes.equal_shapes(rest, others):
            texts = [shape_text(s, context.sizes) for s in (first, shape)]
            return context.error(
                "RNN305",
                f"concat of {texts[0]} and {texts[1]}: they differ beside axis {axis}",
                span,
            )
    if len(tensors) == 1:
        return tensors[0]
    return emit("concat", _widened(tensors, context, span), context, span, axis=axis)


def stack(values: Sequence[Given], context: Context, span: Span) -> Tensor | Absent:
    """Along a new leading axis; scalars fill the shape of the others."""
    tensors = _tensors(values, context)
    if isinstance(tensors, Absent):
        if tensors is UNKNOWN:
            return _like_known(values, context, span)
        return tensors
    if not tensors:
        return context.error("RNN206", "'stack' needs at least one tensor", span)
    shape: tuple[Poly, ...] = ()
    for tensor in tensors:
        combined = combined_shape(shape, tensor.type.shape, context.sizes)
        if combined is None:
            texts = [shape_text(s, context.sizes) for s in (shape, tensor.type.shape)]
            return context.error("RNN305", f"stack of {texts[0]} and {texts[1]}: they differ", span)
        shape = combined
    same = [fill(t, shape, context, span) for t in _widened(tensors, context, span)]
    return emit("stack", same, context, span)


def _like_known(values: Sequence[Given], context: Context, span: Span) -> Tensor | Absent:
    """While types are inferred: what is unknown is like what is known beside it."""
    found = [as_tensor(value, context, written.span) for value, written in values]
    known = next((tensor for tensor in found if isinstance(tensor, Tensor)), None)
    if known is None or context.session.last or not (known.type.shape or context.session.guessing):
        return UNKNOWN
    return emit("stack", [known] * len(found), context, span)


def _outer(arguments: Arguments, context: Context, span: Span) -> Value:
    """Every product of an element of `a` with one of `b`."""
    sides = [arguments[key] for key in ("a", "b")]
    tensors = _tensors(sides, context)
    if isinstance(tensors, Absent):
        return tensors
    for tensor, (_, written) in zip(tensors, sides, strict=True):
        if tensor.type.rank != 1:
            text = type_text(tensor.type, context.sizes)
            return context.error("RNN305", f"'outer' takes vectors, this is {text}", written.span)
    [rows], [columns] = (_normal(tensor, context).type.shape for tensor in tensors)
    shape = (rows, columns)
    left = emit("broadcast", (_normal(tensors[0], context),), context, span, shape=shape, axes=(0,))
    right = _normal(tensors[1], context)
    return pointwise("mul", (left, right), [written for _, written in sides], context, span)


# ---- apart ------------------------------------------------------------------------------------


def _split(arguments: Arguments, context: Context, span: Span) -> Value:
    """Equal parts, or parts of the sizes in a list."""
    value, written = arguments["x"]
    tensor = as_tensor(value, context, written.span)
    parts_value, parts_written = arguments["parts"]
    sizes = _part_sizes(parts_value, tensor, arguments, parts_written, context)
    if isinstance(sizes, Absent):
        return sizes
    count = len(sizes) if isinstance(sizes, list) else sizes
    if isinstance(tensor, Absent):
        return Parts((tensor,) * count)
    if not tensor.type.rank:
        return context.error("RNN305", "'split' of a scalar: a tensor is wanted", written.span)
    axis = _axis(arguments, tensor, context)
    if axis is None:
        return BAD
    whole = context.sizes.normal(tensor.type.shape[axis])
    if isinstance(sizes, int):
        each = whole.divide_exactly(Poly.of(sizes))
        if each is None and context.sizes.is_static(whole) and whole.constant is None:
            each = context.sizes.quotient(whole, Poly.of(sizes), span)
        if each is None:
            return context.error(
                "RNN305", f"{whole} elements do not split into {sizes} equal parts", span
            )
        sizes = [each] * sizes
    total = sum(sizes, Poly())
    if not context.sizes.equal(total, whole):
        return context.error(
            "RNN305",
            f"the parts have {context.sizes.normal(total)} elements together, "
            f"'{written.span.text}' has {whole}",
            span,
        )
    found: list[Value] = []
    start = Poly()
    for size in sizes:
        found.append(slice_of(tensor, axis, start, start + size, context, span))
        start = start + size
    return Parts(tuple(found))


def _part_sizes(
    value: Value,
    tensor: Tensor | Absent,
    arguments: Arguments,
    written: ast.Expression,
    context: Context,
) -> list[Poly] | int | Absent:
    if isinstance(value, Absent):
        return value
    if isinstance(value, ListValue):
        shape = shape_of(value, written, context)
        return shape if isinstance(shape, Absent) else list(shape)
    if isinstance(value, Number) and isinstance(value.value, Poly):
        count = context.sizes.number(value.value, written.span)
        if count > 0:
            return count
    return context.error("RNN308", "split takes a number of parts or their sizes", written.span)


def _axis(arguments: Arguments, tensor: Tensor, context: Context) -> int | None:
    if "axis" not in arguments:
        return 0
    value, written = arguments["axis"]
    return axis_number(value, tensor.type.rank, context, written.span)


def shape_of(value: Value, written: ast.Expression, context: Context) -> tuple[Poly, ...] | Absent:
    """A static list of sizes."""
    if isinstance(value, Absent):
        return value
    items = value.items if isinstance(value, ListValue) else (value,)
    shape: list[Poly] = []
    for item in items:
        if not isinstance(item, Number) or not isinstance(item.value, Poly):
            if isinstance(item, Absent):
                return item
            return context.error(
                "RNN308",
                f"'{written.span.text}' is no shape: static integers are wanted",
                written.span,
            )
        if not context.sizes.is_static(item.value):
            return context.error(
                "RNN308",
                f"'{written.span.text}' changes at run time: a shape is known when compiling",
                written.span,
            )
        shape.append(context.sizes.as_size(item.value, written.span))
    return tuple(shape)


# ---- in another shape -------------------------------------------------------------------------


def _reshape(arguments: Arguments, context: Context, span: Span) -> Value:
    value, written = arguments["x"]
    tensor = as_tensor(value, context, written.span)
    shape = shape_of(*arguments["shape"], context)
    if isinstance(shape, Absent):
        return shape
    if isinstance(tensor, Absent):
        return tensor
    before, after = Poly.of(1), Poly.of(1)
    for size in tensor.type.shape:
        before = before * size
    for size in shape:
        after = after * size
    if not context.sizes.equal(before, after):
        texts = [shape_text(s, context.sizes) for s in (tensor.type.shape, shape)]
        return context.error(
            "RNN305",
            f"reshape of {texts[0]} to {texts[1]}: {context.sizes.normal(before)} elements "
            f"against {context.sizes.normal(after)}",
            span,
        )
    return emit("reshape", (tensor,), context, span, shape=shape)


def _repeat(arguments: Arguments, context: Context, span: Span) -> Value:
    """Every element `count` times, one after the other."""
    value, written = arguments["x"]
    tensor = as_tensor(value, context, written.span)
    shape = shape_of(*arguments["count"], context)
    if isinstance(shape, Absent):
        return shape
    if isinstance(tensor, Absent):
        return tensor
    if tensor.type.rank != 1 or len(shape) != 1:
        text = type_text(tensor.type, context.sizes)
        return context.error("RNN305", f"'repeat' takes a vector, this is {text}", written.span)
    [size], [count] = _normal(tensor, context).type.shape, shape
    pairs = emit(
        "broadcast", (_normal(tensor, context),), context, span, shape=(size, count), axes=(0,)
    )
    total = context.sizes.normal(size * count)
    return emit("reshape", (pairs,), context, span, shape=(total,))


def _flip(arguments: Arguments, context: Context, span: Span) -> Value:
    value, written = arguments["x"]
    tensor = as_tensor(value, context, written.span)
    if isinstance(tensor, Absent):
        return tensor
    if not tensor.type.rank:
        return context.error("RNN305", "'flip' of a scalar: a tensor is wanted", written.span)
    axis = tensor.type.rank - 1 if "axis" not in arguments else _axis(arguments, tensor, context)
    return BAD if axis is None else emit("flip", (tensor,), context, span, axis=axis)


def _transform(name: str) -> Callable[[Arguments, Context, Span], Value]:
    def call(arguments: Arguments, context: Context, span: Span) -> Value:
        value, written = arguments["x"]
        tensor = as_tensor(value, context, written.span)
        if isinstance(tensor, Tensor) and not tensor.type.rank:
            return context.error("RNN305", f"'{name}' of a scalar: a vector is wanted", span)
        return emit(name, (tensor,), context, span)

    return call


def _filled(number: int) -> Callable[[Arguments, Context, Span], Value]:
    def call(arguments: Arguments, context: Context, span: Span) -> Value:
        shape = shape_of(*arguments["shape"], context)
        if isinstance(shape, Absent):
            return shape
        scalar = context.session.emitter.constant(number, "real", span)
        return fill(scalar, shape, context, span)

    return call


def _eye(arguments: Arguments, context: Context, span: Span) -> Value:
    shape = shape_of(*arguments["size"], context)
    if isinstance(shape, Absent):
        return shape
    if len(shape) != 1:
        return context.error("RNN308", "'eye' takes one size", span)
    return emit("eye", (), context, span, size=shape[0])


REARRANGING: dict[str, Callable[[Arguments, Context, Span], Value]] = {
    "split": _split,
    "repeat": _repeat,
    "reshape": _reshape,
    "outer": _outer,
    "flip": _flip,
    "fft": _transform("fft"),
    "ifft": _transform("ifft"),
    "zeros": _filled(0),
    "ones": _filled(1),
    "eye": _eye,
}
