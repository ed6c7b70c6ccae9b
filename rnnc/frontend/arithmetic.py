"""Operators: exact on numbers and conditions, nodes on tensors."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence

from rnnc.diagnostics import Span
from rnnc.frontend import ast
from rnnc.frontend.conditions import (
    comparison,
    conjunction,
    disjunction,
    negation,
)
from rnnc.frontend.context import Context, Unroll
from rnnc.frontend.notes import origin_notes
from rnnc.frontend.tensors import as_tensor, emit, shape_text, type_text
from rnnc.frontend.values import (
    BAD,
    UNKNOWN,
    Absent,
    Condition,
    Number,
    Tensor,
    Value,
)
from rnnc.frontend.variables import combined_shape
from rnnc.ir.poly import Poly
from rnnc.ir.types import TensorType

OPERATORS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "//": "floordiv",
    "%": "mod",
    "^": "pow",
    "and": "and",
    "or": "or",
    "==": "eq",
    "!=": "ne",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
}


def unary(node: ast.Unary, operand: Value, context: Context) -> Value:
    """`-x` and `not x`."""
    span = node.operand.span
    if node.operator == "not":
        if isinstance(operand, Condition):
            return Condition(negation(operand.formula))
        tensor = truth(operand, context, span)
        return emit("not", (tensor,), context, node.span)
    if isinstance(operand, Number):
        return Number(-operand.value)
    return emit("neg", (as_tensor(operand, context, span),), context, node.span)


def binary(node: ast.Binary, left: Value, right: Value, context: Context) -> Value:
    """`left operator right`, except `@`."""
    operator, span = node.operator, node.span
    if operator in ("and", "or"):
        if isinstance(left, Condition) and isinstance(right, Condition):
            both = conjunction if operator == "and" else disjunction
            return Condition(both(left.formula, right.formula))
        sides = (truth(left, context, node.left.span), truth(right, context, node.right.span))
        return pointwise(operator, sides, (node.left, node.right), context, span)
    if isinstance(left, Number) and isinstance(right, Number):
        exact = _exact(operator, left.value, right.value, context, span)
        if exact is not None:
            return exact
    sides = (
        as_tensor(left, context, node.left.span),
        as_tensor(right, context, node.right.span),
    )
    constant = isinstance(left, Number) or isinstance(right, Number)
    return pointwise(operator, sides, (node.left, node.right), context, span, constant)


def truth(value: Value, context: Context, span: Span) -> Tensor | Absent:
    """The value as a bool tensor."""
    tensor = as_tensor(value, context, span)
    if isinstance(tensor, Tensor) and tensor.type.dtype != "bool":
        return context.error(
            "RNN307",
            f"'{span.text}' is {_kind(tensor.type, context)}, a condition is wanted",
            span,
            hints=(f"compare it:  {span.text} != 0",),
        )
    return tensor


def _kind(type: TensorType, context: Context) -> str:
    return type_text(type, context.sizes)


def pointwise(
    operator: str,
    sides: Sequence[Tensor | Absent],
    written: Sequence[ast.Expression],
    context: Context,
    span: Span,
    constant: bool = False,
) -> Tensor | Absent:
    """A pointwise operation on two tensors; an unknown one is taken to be like the other.

    `constant`: one of them is a number, which says little about the type of the other.
    """
    left, right = sides
    if BAD in sides:
        return BAD
    if isinstance(left, Absent) or isinstance(right, Absent):
        other = right if isinstance(left, Absent) else left
        if isinstance(other, Absent) or context.session.last:
            return UNKNOWN
        if constant and not context.session.guessing:
            return UNKNOWN
        left = right = other
    name = OPERATORS.get(operator, operator)
    shape = combined_shape(left.type.shape, right.type.shape, context.sizes)
    if shape is None:
        return _mismatch(left, right, written, context, span)
    if name in ("lt", "le", "gt", "ge", "min", "max", "floordiv", "mod"):
        for side, expression in zip((left, right), written, strict=True):
            if side.type.dtype == "complex":
                return context.error("RNN307", "complex numbers have no order", expression.span)
    return emit(name, (_reshaped(left, context), _reshaped(right, context)), context, span)


def _reshaped(tensor: Tensor, context: Context) -> Tensor:
    """The tensor with its sizes in normal form, so that equal shapes are equal polynomials."""
    shape = tuple(map(context.sizes.normal, tensor.type.shape))
    return Tensor(TensorType(tensor.type.dtype, shape, tensor.type.range), tensor.read)


def _mismatch(
    left: Tensor,
    right: Tensor,
    written: Sequence[ast.Expression],
    context: Context,
    span: Span,
) -> Absent:
    shapes = [shape_text(side.type.shape, context.sizes) for side in (left, right)]
    hints: list[str] = []
    if left.type.rank == right.type.rank == 1 and "*" in span.text:
        rows, columns = (str(side.type.shape[0]) for side in (left, right))
        names = [expression.span.text for expression in written]
        if all(name.isidentifier() for name in (rows, columns)):
            pair = f"{names[0]}[{rows.lower()}] * {names[1]}[{columns.lower()}]"
            hints.append(
                f"for every pair {pair}, an [{rows}, {columns}], "
                f"write outer({names[0]}, {names[1]})"
            )
    return context.error(
        "RNN302",
        f"'{span.text}' combines {shapes[0]} with {shapes[1]}: neither shape ends in the other",
        span,
        origin_notes(written, (left.type, right.type), context),
        hints,
    )


# ---- exact ------------------------------------------------------------------------------------


def compare(node: ast.Comparison, values: Sequence[Value], context: Context) -> Value:
    """A chain of comparisons: each link, and all of them."""
    result: Value = Condition(True)
    for position, operator in enumerate(node.operators):
        left, right = values[position], values[position + 1]
        written = (node.operands[position], node.operands[position + 1])
        link = _link(operator, left, right, written, context, node.span)
        if isinstance(result, Condition) and isinstance(link, Condition):
            result = Condition(conjunction(result.formula, link.formula))
        elif result == Condition(True):
            result = link
        else:
            sides = (truth(result, context, node.span), truth(link, context, node.span))
            result = pointwise("and", sides, written, context, node.span)
    return result


def _link(
    operator: str,
    left: Value,
    right: Value,
    written: Sequence[ast.Expression],
    context: Context,
    span: Span,
) -> Value:
    if isinstance(left, Number) and isinstance(right, Number):
        if isinstance(left.value, Poly) and isinstance(right.value, Poly):
            return Condition(comparison(operator, left.value, right.value))
        numbers = _floats(left.value, right.value)
        if numbers is not None:
            one, other = numbers
            return Condition(
                {
                    "==": one == other,
                    "!=": one != other,
                    "<": one.real < other.real,
                    "<=": one.real <= other.real,
                    ">": one.real > other.real,
                    ">=": one.real >= other.real,
                }[operator]
            )
    sides = [
        as_tensor(value, context, expression.span)
        for value, expression in zip((left, right), written, strict=True)
    ]
    return pointwise(operator, sides, written, context, span)


def _floats(
    left: Poly | float | complex, right: Poly | float | complex
) -> tuple[complex, complex] | None:
    """Both as Python numbers, or None where one is no number."""
    numbers: list[complex] = []
    for value in (left, right):
        if isinstance(value, Poly):
            constant = value.constant
            if constant is None:
                return None
            numbers.append(constant)
        else:
            numbers.append(value)
    return numbers[0], numbers[1]


def _exact(
    operator: str,
    left: Poly | float | complex,
    right: Poly | float | complex,
    context: Context,
    span: Span,
) -> Number | None:
    """The result on exact numbers, or None where a node must compute it."""
    if isinstance(left, Poly) and isinstance(right, Poly):
        match operator:
            case "+":
                return Number(left + right)
            case "-":
                return Number(left - right)
            case "*":
                return Number(left * right)
            case "//" | "%":
                return _divided(operator, left, right, context, span)
            case "^":
                found = _power(left, right, context, span)
                if found is not None:
                    return found
    numbers = _floats(left, right)
    if numbers is None:
        return None
    try:
        result = _number(operator, *numbers)
    except (ZeroDivisionError, OverflowError, ValueError):
        return None
    if isinstance(result, complex) and not any(isinstance(v, complex) for v in (left, right)):
        result = result.real
    return Number(result)


def _number(operator: str, left: complex, right: complex) -> float | complex:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
        case "^":
            return left**right
        case "//":
            return float(math.floor(left.real / right.real))
        case "%":
            return math.fmod(left.real, right.real) % right.real
    raise ValueError(operator)


def _divided(operator: str, left: Poly, right: Poly, context: Context, span: Span) -> Number | None:
    """`//` and `%` by a positive static size."""
    divisor = right.constant
    if divisor is None:
        if operator == "//" and context.sizes.is_static(left) and context.sizes.is_static(right):
            return Number(context.sizes.quotient(left, right, span, context.hint))
        moving = [name for name in right.names if name in context.region.names]
        for name in moving:
            if context.region.dim(name).static:
                raise Unroll(name, span)
        if moving or not context.sizes.is_static(right):
            return None
        divisor = context.sizes.number(right, span)
    if divisor <= 0:
        context.error("RNN308", f"a divisor must be positive, this one is {divisor}", span)
        return None
    return Number(left // divisor if operator == "//" else left % divisor)


def _power(base: Poly, exponent: Poly, context: Context, span: Span) -> Number | None:
    """An integer power; a static dim in the exponent is taken point by point."""
    power = exponent.constant
    if power is None:
        for name in exponent.names:
            if name in context.region.names:
                if not context.region.dim(name).static:
                    return None
                raise Unroll(name, span)
        if not context.sizes.is_static(exponent):
            return None
        power = context.sizes.number(exponent, span)
    if power < 0:
        constant = base.constant
        return None if not constant else Number(float(constant) ** power)
    result = Poly.of(1)
    for _ in range(power):
        result = result * base
    return Number(result)


def exact_function(name: str, value: Number) -> Number | None:
    """A built-in function of a number that is known, or None where a node must compute it."""
    if isinstance(value.value, Poly):
        constant = value.value.constant
        if constant is None:
            return None
        number: complex = constant
    else:
        number = value.value
    functions = {"exp": cmath.exp, "sqrt": cmath.sqrt, "sin": cmath.sin, "cos": cmath.cos}
    if name == "identity":
        return value
    if name in functions and math.isfinite(abs(number)):
        result = functions[name](number)
        return Number(result if isinstance(number, complex) and number.imag else result.real)
    if name == "log" and number.real > 0 and not number.imag:
        return Number(math.log(number.real))
    if name == "abs" and not isinstance(value.value, Poly):
        return Number(abs(number))
    return None
