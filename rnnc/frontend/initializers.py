"""The first value of a parameter, as the IR keeps it: a number, a list or a distribution."""

from __future__ import annotations

from rnnc.diagnostics import Span
from rnnc.frontend import ast
from rnnc.frontend.context import Context
from rnnc.frontend.tensors import shape_text, type_text
from rnnc.frontend.values import Absent, Condition, Function, ListValue, Number, Value
from rnnc.ir.poly import Poly
from rnnc.ir.types import DTYPES, DType, TensorType

# Number of arguments that each distribution takes.
DISTRIBUTIONS = {
    "normal": (0, 2),
    "uniform": (2, 2),
    "orthogonal": (0, 1),
    "permutation": (1, 1),
    "eye": (1, 1),
    "zeros": (1, 1),
    "ones": (1, 1),
}


def initializer_text(declaration: ast.Declaration, type: TensorType, context: Context) -> str:
    """The initializer in terms of the graph's sizes; '' where none is written."""
    written = declaration.default
    if written is None:
        return ""
    if isinstance(written, ast.Call):
        return _distribution(written, type, context)
    value = context.evaluate(written)
    if isinstance(value, Absent):
        return ""
    text = _number(value, context)
    if isinstance(value, ListValue):
        items = [_number(item, context) for item in value.items]
        if all(item is not None for item in items):
            text = "[" + ", ".join(item for item in items if item is not None) + "]"
    if text is None:
        context.error(
            "RNN307",
            f"'{written.span.text}' is no initializer: a number or a distribution is wanted",
            written.span,
            hints=(f"{declaration.name}: ... = normal(0.01)",),
        )
        return ""
    if isinstance(value, Number) and DTYPES.index(_dtype(value)) > DTYPES.index(type.dtype):
        context.error("RNN307", f"this is no {type.dtype}", written.span)
    return text


def _distribution(written: ast.Call, type: TensorType, context: Context) -> str:
    function = context.evaluate(written.function)
    if isinstance(function, Absent):
        return ""
    if not isinstance(function, Function) or function.name not in DISTRIBUTIONS:
        context.error(
            "RNN307",
            f"'{written.function.span.text}' is no distribution",
            written.function.span,
            hints=("there are  " + ", ".join(DISTRIBUTIONS),),
        )
        return ""
    least, most = DISTRIBUTIONS[function.name]
    if not least <= len(written.arguments) <= most:
        context.error("RNN206", f"'{function.name}' takes {_count(least, most)}", written.span)
        return ""
    values = [context.evaluate(argument.value) for argument in written.arguments]
    if function.name in ("zeros", "ones"):
        return "0" if function.name == "zeros" else "1"
    texts = [_number(value, context) for value in values]
    if any(text is None for text in texts):
        return ""
    if function.name in ("eye", "permutation"):
        _check_size(function.name, values[0], type, context, written.span)
    return f"{function.name}({', '.join(text for text in texts if text is not None)})"


def _check_size(name: str, size: Value, type: TensorType, context: Context, span: Span) -> None:
    if not isinstance(size, Number) or not isinstance(size.value, Poly):
        return
    wanted = (size.value,) * (2 if name == "eye" else 1)
    if not context.sizes.equal_shapes(wanted, type.shape):
        context.error(
            "RNN305",
            f"'{span.text}' is {shape_text(wanted, context.sizes)}, "
            f"the parameter is {type_text(type, context.sizes)}",
            span,
        )


def _count(least: int, most: int) -> str:
    numbers = str(least) if least == most else f"{least} to {most}"
    return f"{numbers} argument" + ("" if most == 1 else "s")


def _dtype(value: Number) -> DType:
    if isinstance(value.value, Poly):
        return "int"
    return "complex" if isinstance(value.value, complex) else "real"


def _number(value: Value, context: Context) -> str | None:
    """A number as the text of an initializer, or None for anything else."""
    match value:
        case Condition(bool() as truth):
            return "1" if truth else "0"
        case Number(Poly() as poly):
            return str(context.sizes.normal(poly))
        case Number(number):
            return repr(number)
    return None
