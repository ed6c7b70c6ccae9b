"""Values as nodes: numbers, conditions and lists become tensors; types are brought together."""

from __future__ import annotations

from collections.abc import Sequence

from rnnc.diagnostics import Span
from rnnc.frontend.conditions import Conjunction, Disjunction, Formula, Negation, cut
from rnnc.frontend.context import Context, Split
from rnnc.frontend.sizes import Sizes
from rnnc.frontend.values import (
    BAD,
    UNKNOWN,
    Absent,
    Callee,
    Condition,
    Function,
    Instance,
    ListValue,
    Number,
    Parts,
    Record,
    Tensor,
    Value,
    Whole,
)
from rnnc.ir.domain import Constraint
from rnnc.ir.graph import Operand
from rnnc.ir.ops import op
from rnnc.ir.poly import Poly
from rnnc.ir.types import DType, TensorType, promote


def shape_text(shape: Sequence[Poly], sizes: Sizes) -> str:
    """`[4*H, X]`; sizes that are not inferred yet are shown as `?`."""
    return "[" + ", ".join(sizes.text(size) for size in shape) + "]"


def type_text(type: TensorType, sizes: Sizes) -> str:
    """A type as the source writes it: `[H]`, `real`, `complex[N]`, `int`."""
    if not type.shape:
        return type.dtype
    return ("" if type.dtype == "real" else type.dtype) + shape_text(type.shape, sizes)


# ---- to tensors -------------------------------------------------------------------------------


def as_tensor(value: Value, context: Context, span: Span) -> Tensor | Absent:
    """The value as a tensor; reports what is none."""
    emitter = context.session.emitter
    match value:
        case Tensor() | Absent():
            return value
        case Number(Poly() as poly):
            constant = poly.constant
            if constant is not None:
                return emitter.constant(constant, "int", span)
            return emitter.index(poly, context.region, span)
        case Number(number):
            assert not isinstance(number, Poly)
            return emitter.constant(
                number, "complex" if isinstance(number, complex) else "real", span
            )
        case Condition(formula):
            return _truth(formula, context, span)
        case ListValue(items):
            return _vector(items, context, span)
        case Record(fields) if len(fields) == 1:
            return as_tensor(next(iter(fields.values())), context, span)
        case Record(fields):
            names = ", ".join(fields)
            first = next(iter(fields))
            return context.error(
                "RNN307",
                f"this is a record of {names}, a single value is wanted",
                span,
                hints=(f"take one of its fields:  .{first}",),
            )
        case Parts(items):
            return context.error(
                "RNN307", f"split gives {len(items)} values, a single one is wanted", span
            )
        case Whole(variable):
            names = ", ".join(dim.name for dim in variable.positions)
            return context.error(
                "RNN205",
                f"'{variable.name}' is read without its grid indices",
                span,
                hints=(f"read one point:  {variable.name}[{names}]",),
            )
        case Callee(definition):
            return context.error(
                "RNN307", f"'{definition.name}' is a definition, a value is wanted", span
            )
        case Function(name):
            return context.error("RNN307", f"'{name}' is a function, a value is wanted", span)
        case Instance(scope):
            return context.error(
                "RNN307",
                f"this is the model '{scope.definition.name}', a value is wanted",
                span,
                hints=("read one of its outputs with  .name",),
            )


def _truth(formula: Formula, context: Context, span: Span) -> Tensor | Absent:
    """A condition as a bool value."""
    emitter = context.session.emitter
    match formula:
        case bool():
            return emitter.constant(formula, "bool", span)
        case Constraint(poly, relation):
            if context.implies(formula):
                return emitter.constant(True, "bool", span)
            if context.excludes((formula,)):
                return emitter.constant(False, "bool", span)
            name = "eq" if relation == "==" else "ge"
            left = as_tensor(Number(poly - poly.offset), context, span)
            right = as_tensor(Number(Poly.of(-poly.offset)), context, span)
            return emit(name, (left, right), context, span)
        case Negation(operand):
            return emit("not", (_truth(operand, context, span),), context, span)
        case Conjunction(left_side, right_side) | Disjunction(left_side, right_side):
            name = "and" if isinstance(formula, Conjunction) else "or"
            sides = (_truth(left_side, context, span), _truth(right_side, context, span))
            return emit(name, sides, context, span)


def _vector(items: Sequence[Value], context: Context, span: Span) -> Tensor | Absent:
    """`[a, b]` as a vector of scalars."""
    tensors = [as_tensor(item, context, span) for item in items]
    found: list[Tensor] = []
    for tensor in tensors:
        if isinstance(tensor, Absent):
            return tensor
        if tensor.type.shape:
            return context.error(
                "RNN305",
                f"a list holds scalars, this one a {type_text(tensor.type, context.sizes)}",
                span,
                hints=("to put tensors together, write stack(...) or concat(...)",),
            )
        found.append(tensor)
    if not found:
        return context.error("RNN305", "an empty list has no type", span)
    return emit("stack", found, context, span)


# ---- new nodes --------------------------------------------------------------------------------


def emit(
    name: str,
    operands: Sequence[Tensor | Absent],
    context: Context,
    span: Span,
    **attributes: object,
) -> Tensor | Absent:
    """A node over the region; absent operands make it absent. Shapes must have been checked."""
    known: list[Tensor] = []
    for operand in operands:
        if isinstance(operand, Absent):
            return BAD if BAD in operands else UNKNOWN
        known.append(operand)
    hint = f"{context.hint}.{name}" if context.hint else name
    return context.session.emitter.add(op(name, **attributes), known, context.region, hint, span)


def cast(tensor: Tensor, dtype: DType, context: Context, span: Span) -> Tensor:
    if tensor.type.dtype == dtype:
        return tensor
    result = emit("cast", (tensor,), context, span, dtype=dtype)
    assert isinstance(result, Tensor)
    return result


def fill(tensor: Tensor, shape: tuple[Poly, ...], context: Context, span: Span) -> Tensor:
    """The tensor repeated along new leading axes."""
    missing = len(shape) - tensor.type.rank
    if not missing:
        return tensor
    axes = tuple(range(missing, len(shape)))
    result = emit("broadcast", (tensor,), context, span, shape=shape, axes=axes)
    assert isinstance(result, Tensor)
    return result


def converted(value: Value, type: TensorType, context: Context, span: Span) -> Tensor | Absent:
    """The value with the dtype and shape of `type`, into which it must fit."""
    if isinstance(value, Number) and not isinstance(value.value, Poly):
        tensor: Tensor | Absent = context.session.emitter.constant(value.value, type.dtype, span)
    else:
        known = _integer(value)
        if known is not None:
            tensor = context.session.emitter.constant(known, type.dtype, span)
        else:
            tensor = as_tensor(value, context, span)
    if isinstance(tensor, Absent):
        return tensor
    return fill(cast(tensor, type.dtype, context, span), type.shape, context, span)


def _integer(value: Value) -> int | None:
    """An int that is known."""
    if isinstance(value, Number) and isinstance(value.value, Poly):
        return value.value.constant
    return None


# ---- several values for one -------------------------------------------------------------------


def common_type(
    values: Sequence[Tensor | Absent], sizes: Sizes
) -> TensorType | Absent | tuple[TensorType, TensorType]:
    """The type that scalars fill and numbers widen to; two types that have none in common."""
    types = [value.type for value in values if isinstance(value, Tensor)]
    if not types:
        return BAD if BAD in values else UNKNOWN
    shaped = next((type for type in types if type.shape), types[0])
    for other in types:
        if other.shape and not sizes.equal_shapes(shaped.shape, other.shape):
            return shaped, other
    ranges = {type.range for type in types}
    dtype = promote(*(type.dtype for type in types))
    shape = tuple(map(sizes.normal, shaped.shape))
    return TensorType(dtype, shape, types[0].range if len(ranges) == 1 else None)


def one_of(parts: Sequence[tuple[Context, Value]], context: Context, span: Span) -> Value:
    """One value for parts of the region that have each their own."""
    if len(parts) == 1:
        return parts[0][1]
    values = [value for _, value in parts]
    if all(isinstance(value, Record) for value in values):
        records = [value for value in values if isinstance(value, Record)]
        return Record(
            {
                name: one_of(
                    [(c, r.fields[name]) for (c, _), r in zip(parts, records, strict=True)],
                    context,
                    span,
                )
                for name in records[0].fields
            }
        )
    if any(isinstance(value, Parts | Callee | Function | Instance | Whole) for value in values):
        raise Split(_difference(parts, context))
    tensors = [as_tensor(value, part, span) for part, value in parts]
    type = common_type(tensors, context.sizes)
    if isinstance(type, tuple):
        raise Split(_difference(parts, context))
    if isinstance(type, Absent):
        return type
    if BAD in tensors:
        return BAD
    cases: list[Operand] = []
    for (part, value), tensor in zip(parts, tensors, strict=True):
        if isinstance(tensor, Tensor):
            tensor = converted(value, type, part, span)
        if isinstance(tensor, Tensor):
            cases.append(
                Operand(tensor.read.source, tensor.read.access, part.region, tensor.read.span)
            )
    hint = f"{context.hint}.cases" if context.hint else "cases"
    return context.session.emitter.merge(cases, context.region, type, hint, span)


def _difference(parts: Sequence[tuple[Context, Value]], context: Context) -> Constraint:
    """A constraint that cuts the region between the parts."""
    for part, _ in parts:
        for constraint in part.region.constraints:
            if constraint not in context.region.constraints:
                return constraint
    raise AssertionError("parts of a region that do not differ")


def decide(formula: Formula, context: Context) -> tuple[list[Context], list[Context]]:
    """The parts of the region where the formula holds, and where it does not."""
    holds, fails = cut(formula)
    return list(context.parts(holds)), list(context.parts(fails))
