"""Calls of built-in functions on tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rnnc.diagnostics import Span
from rnnc.frontend import ast
from rnnc.frontend.arithmetic import exact_function, pointwise, truth
from rnnc.frontend.axes import along, axis_number, count_of, reduce_all, reduce_axis
from rnnc.frontend.builtins import DISTRIBUTIONS, PARAMETERS, POINTWISE, VARIADIC
from rnnc.frontend.context import Context
from rnnc.frontend.rearrange import REARRANGING, concat, stack
from rnnc.frontend.tensors import as_tensor, emit, type_text
from rnnc.frontend.values import BAD, Absent, Number, Tensor, Value
from rnnc.ir.poly import Poly

Arguments = Mapping[str, tuple[Value, ast.Expression]]


def call_function(name: str, node: ast.Call, context: Context) -> Value:
    """A built-in function of evaluated arguments."""
    if name in DISTRIBUTIONS:
        return context.error(
            "RNN307", f"'{name}' is an initializer: it stands in a param only", node.span
        )
    values = [(context.evaluate(a.value), a.value) for a in node.arguments]
    if any(argument.splat for argument in node.arguments):
        return context.error("RNN206", "'*' passes the fields of a record to a cell", node.span)
    if name in VARIADIC:
        named = {
            argument.name: value
            for argument, value in zip(node.arguments, values, strict=True)
            if argument.name is not None
        }
        plain = [v for a, v in zip(node.arguments, values, strict=True) if a.name is None]
        if name == "concat":
            return concat(plain, named.get("axis"), context, node.span)
        return stack(plain, context, node.span)
    arguments = _matched(name, node, values, context)
    if isinstance(arguments, Absent):
        return arguments
    if name in POINTWISE:
        return _pointwise(name, arguments, context, node.span)
    if name in REARRANGING:
        return REARRANGING[name](arguments, context, node.span)
    return _TABLE[name](arguments, context, node.span)


def _matched(
    name: str,
    node: ast.Call,
    values: Sequence[tuple[Value, ast.Expression]],
    context: Context,
) -> Absent | dict[str, tuple[Value, ast.Expression]]:
    """The arguments by parameter name."""
    parameters = [parameter.lstrip("?") for parameter in PARAMETERS[name]]
    required = [parameter for parameter in PARAMETERS[name] if not parameter.startswith("?")]
    found: dict[str, tuple[Value, ast.Expression]] = {}
    position = 0
    for argument, value in zip(node.arguments, values, strict=True):
        key = argument.name
        if key is None:
            key = parameters[position] if position < len(parameters) else None
            position += 1
        if key is None or key not in parameters or key in found:
            return context.error(
                "RNN206",
                f"'{name}' takes {', '.join(p.replace('?', '') for p in PARAMETERS[name])}",
                argument.span,
            )
        found[key] = value
    missing = [parameter for parameter in required if parameter not in found]
    if missing:
        return context.error("RNN206", f"'{name}' needs '{missing[0]}'", node.span)
    return found


def _tensor(arguments: Arguments, key: str, context: Context) -> Tensor | Absent:
    value, written = arguments[key]
    return as_tensor(value, context, written.span)


def _pointwise(name: str, arguments: Arguments, context: Context, span: Span) -> Value:
    value, _ = arguments["x"]
    if isinstance(value, Number):
        exact = exact_function(name, value)
        if exact is not None:
            return exact
    if name == "identity":
        return value
    tensor = _tensor(arguments, "x", context)
    dtype = tensor.type.dtype if isinstance(tensor, Tensor) else "real"
    if dtype == "complex" and name in ("sigmoid", "relu", "softplus", "floor"):
        return context.error("RNN307", f"'{name}' of complex numbers is not defined", span)
    if dtype == "bool" and name in ("re", "im"):
        return context.error("RNN307", f"'{name}' takes numbers, not bool", span)
    return emit(name, (tensor,), context, span)


# ---- reductions -------------------------------------------------------------------------------


def _axis(
    arguments: Arguments, tensor: Tensor, context: Context, default: int | None
) -> int | Absent | None:
    """The axis that is written, or the default; BAD where it is none."""
    if "axis" not in arguments:
        return default
    value, written = arguments["axis"]
    number = axis_number(value, tensor.type.rank, context, written.span)
    return BAD if number is None else number


def _needs_axis(name: str, tensor: Tensor, context: Context, span: Span) -> Absent | None:
    if tensor.type.rank:
        return None
    return context.error(
        "RNN305",
        f"'{name}' of a scalar: a tensor is wanted",
        span,
        hints=(f"over grid points, write  {name}(i: ...)",),
    )


def _reduce(kind: str) -> Callable[[Arguments, Context, Span], Value]:
    def call(arguments: Arguments, context: Context, span: Span) -> Value:
        if "y" in arguments:
            return _extremum(kind, arguments, context, span)
        tensor = _tensor(arguments, "x", context)
        if isinstance(tensor, Absent):
            return tensor
        problem = _needs_axis(kind, tensor, context, span)
        if problem is not None:
            return problem
        if kind in ("any", "all"):
            tensor = truth(tensor, context, span)
        if isinstance(tensor, Absent):
            return tensor
        if kind in ("max", "min", "argmax") and tensor.type.dtype == "complex":
            return context.error("RNN307", "complex numbers have no order", span)
        last = tensor.type.rank - 1 if kind == "argmax" else None
        axis = _axis(arguments, tensor, context, last)
        if isinstance(axis, Absent):
            return axis
        if axis is None:
            return reduce_all(kind, tensor, context, span)
        return reduce_axis(kind, tensor, axis, context, span)

    return call


def _extremum(kind: str, arguments: Arguments, context: Context, span: Span) -> Value:
    (left, one), (right, other) = arguments["x"], arguments["y"]
    if isinstance(left, Number) and isinstance(right, Number):
        numbers = [_known(value) for value in (left, right)]
        if None not in numbers:
            pick_left = (numbers[0] or 0) >= (numbers[1] or 0)
            return left if pick_left == (kind == "max") else right
    sides = [as_tensor(left, context, one.span), as_tensor(right, context, other.span)]
    constant = isinstance(left, Number) or isinstance(right, Number)
    return pointwise(kind, sides, (one, other), context, span, constant)


def _known(number: Number) -> float | None:
    if isinstance(number.value, Poly):
        constant = number.value.constant
        return None if constant is None else float(constant)
    return None if isinstance(number.value, complex) else number.value


def _mean(arguments: Arguments, context: Context, span: Span) -> Value:
    tensor = _tensor(arguments, "x", context)
    if isinstance(tensor, Absent):
        return tensor
    problem = _needs_axis("mean", tensor, context, span)
    if problem is not None:
        return problem
    axis = _axis(arguments, tensor, context, None)
    if isinstance(axis, Absent):
        return axis
    count = Poly.of(1)
    for position, size in enumerate(tensor.type.shape):
        if axis is None or position == axis:
            count = count * size
    total = (
        reduce_all("sum", tensor, context, span)
        if axis is None
        else reduce_axis("sum", tensor, axis, context, span)
    )
    return emit("div", (total, count_of(count, context, span)), context, span)


def _along_axis(
    name: str,
) -> Callable[[Arguments, Context, Span], tuple[Tensor, int] | Absent]:
    """The tensor and the axis of a function whose axis defaults to the last."""

    def find(arguments: Arguments, context: Context, span: Span) -> tuple[Tensor, int] | Absent:
        tensor = _tensor(arguments, "x", context)
        if isinstance(tensor, Absent):
            return tensor
        problem = _needs_axis(name, tensor, context, span)
        if problem is not None:
            return problem
        axis = _axis(arguments, tensor, context, tensor.type.rank - 1)
        if axis is None or isinstance(axis, Absent):
            return BAD
        return tensor, axis

    return find


def _softmax(arguments: Arguments, context: Context, span: Span) -> Value:
    """exp(x - max x) / sum of these: no overflow however large x is."""
    found = _along_axis("softmax")(arguments, context, span)
    if isinstance(found, Absent):
        return found
    tensor, axis = found
    shape = tensor.type.shape
    largest = reduce_axis("max", tensor, axis, context, span)
    if isinstance(largest, Absent):
        return largest
    shifted = emit("sub", (tensor, along(largest, shape, axis, context, span)), context, span)
    powers = emit("exp", (shifted,), context, span)
    if isinstance(powers, Absent):
        return powers
    total = reduce_axis("sum", powers, axis, context, span)
    if isinstance(total, Absent):
        return total
    return emit("div", (powers, along(total, shape, axis, context, span)), context, span)


def _logsumexp(arguments: Arguments, context: Context, span: Span) -> Value:
    tensor = _tensor(arguments, "x", context)
    if isinstance(tensor, Absent):
        return tensor
    problem = _needs_axis("logsumexp", tensor, context, span)
    if problem is not None:
        return problem
    axis = _axis(arguments, tensor, context, None)
    if isinstance(axis, Absent):
        return axis

    def reduced(kind: str, value: Tensor) -> Tensor | Absent:
        if axis is None:
            return reduce_all(kind, value, context, span)
        return reduce_axis(kind, value, axis, context, span)

    largest = reduced("max", tensor)
    if isinstance(largest, Absent):
        return largest
    spread = largest if axis is None else along(largest, tensor.type.shape, axis, context, span)
    powers = emit("exp", (emit("sub", (tensor, spread), context, span),), context, span)
    if isinstance(powers, Absent):
        return powers
    logarithm = emit("log", (reduced("sum", powers),), context, span)
    return emit("add", (largest, logarithm), context, span)


def _norm(arguments: Arguments, context: Context, span: Span) -> Value:
    """The Euclidean norm along the last axis."""
    found = _along_axis("norm")(arguments, context, span)
    if isinstance(found, Absent):
        return found
    tensor, axis = found
    size = emit("abs", (tensor,), context, span) if tensor.type.dtype == "complex" else tensor
    squares = emit("mul", (size, size), context, span)
    if isinstance(squares, Absent):
        return squares
    return emit("sqrt", (reduce_axis("sum", squares, axis, context, span),), context, span)


def _cumsum(arguments: Arguments, context: Context, span: Span) -> Value:
    found = _along_axis("cumsum")(arguments, context, span)
    if isinstance(found, Absent):
        return found
    tensor, axis = found
    return emit("cumsum", (tensor,), context, span, axis=axis)


# ---- others -----------------------------------------------------------------------------------


def _complex(arguments: Arguments, context: Context, span: Span) -> Value:
    sides = [_tensor(arguments, key, context) for key in ("re", "im")]
    written = [arguments[key][1] for key in ("re", "im")]
    for side, expression in zip(sides, written, strict=True):
        if isinstance(side, Tensor) and side.type.dtype == "complex":
            return context.error("RNN307", "this is complex already", expression.span)
    return pointwise("complex", sides, written, context, span)


def _logaddexp(arguments: Arguments, context: Context, span: Span) -> Value:
    sides = [_tensor(arguments, key, context) for key in ("x", "y")]
    written = [arguments[key][1] for key in ("x", "y")]
    for side, expression in zip(sides, written, strict=True):
        if isinstance(side, Tensor) and side.type.dtype == "complex":
            message = "'logaddexp' of complex numbers is not defined"
            return context.error("RNN307", message, expression.span)
    return pointwise("logaddexp", sides, written, context, span)


def _straight_through(arguments: Arguments, context: Context, span: Span) -> Value:
    sides = [_tensor(arguments, key, context) for key in ("value", "gradient")]
    written = [arguments[key][1] for key in ("value", "gradient")]
    if BAD in sides:
        return BAD
    if isinstance(sides[0], Absent) or isinstance(sides[1], Absent):
        return sides[0]
    if not context.sizes.equal_shapes(sides[0].type.shape, sides[1].type.shape):
        texts = [type_text(s.type, context.sizes) for s in sides if isinstance(s, Tensor)]
        return context.error(
            "RNN305", f"the value is {texts[0]}, what gives its gradient {texts[1]}", span
        )
    return pointwise("straight_through", sides, written, context, span)


def _dropout(arguments: Arguments, context: Context, span: Span) -> Value:
    value, written = arguments["rate"]
    rate = _known(value) if isinstance(value, Number) else None
    if isinstance(value, Absent):
        return value
    if rate is None or not 0 <= rate < 1:
        return context.error(
            "RNN308", "the rate of dropout is a static number from 0 to below 1", written.span
        )
    return emit("dropout", (_tensor(arguments, "x", context),), context, span, rate=rate)


_TABLE: dict[str, Callable[[Arguments, Context, Span], Value]] = {
    **{kind: _reduce(kind) for kind in ("sum", "prod", "max", "min", "any", "all", "argmax")},
    "mean": _mean,
    "logsumexp": _logsumexp,
    "softmax": _softmax,
    "cumsum": _cumsum,
    "norm": _norm,
    "complex": _complex,
    "logaddexp": _logaddexp,
    "straight_through": _straight_through,
    "dropout": _dropout,
}
