"""Calls: built-in functions, cells (inlined at each call) and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rnnc.diagnostics import Note, Span
from rnnc.frontend import ast
from rnnc.frontend.arguments import Given, arguments
from rnnc.frontend.context import Context
from rnnc.frontend.functions import call_function
from rnnc.frontend.lookup import local
from rnnc.frontend.mentions import names_in
from rnnc.frontend.models import call_model
from rnnc.frontend.scope import CellScope
from rnnc.frontend.sharing import place_of
from rnnc.frontend.solve import default_statics, open_statics, solve, unsolved
from rnnc.frontend.tensors import as_tensor, converted, type_text
from rnnc.frontend.types import declared_type
from rnnc.frontend.values import (
    BAD,
    UNKNOWN,
    Absent,
    Callee,
    Condition,
    Function,
    ListValue,
    Number,
    Record,
    Tensor,
    Value,
)
from rnnc.ir.poly import Poly
from rnnc.ir.types import DTYPES, TensorType


def call(node: ast.Call, context: Context) -> Value:
    function = context.evaluate(node.function)
    match function:
        case Absent():
            for argument in node.arguments:
                context.evaluate(argument.value)
            return function
        case Function(name):
            return call_function(name, node, context)
        case Callee(definition):
            if any(other is definition for other in context.scope.above):
                return BAD  # it uses itself: told with the names
            return _call_definition(function, node, context)
    return context.error(
        "RNN307", f"'{node.function.span.text}' cannot be called", node.function.span
    )


def _call_definition(callee: Callee, node: ast.Call, context: Context) -> Value:
    if not isinstance(callee.definition, ast.Cell):
        return call_model(callee, node, context)
    given = arguments(callee.definition, node, context)
    return BAD if given is None else call_cell(callee, given, node, context)


def call_cell(
    callee: Callee, given: Mapping[str, Given], node: ast.Call, context: Context
) -> Value:
    """The cell's equations in the caller's region: a record of results, or a function's value."""
    definition = callee.definition
    assert isinstance(definition, ast.Cell)
    place = place_of(callee, node, context)
    if isinstance(place, Absent):
        return place
    ids = context.scope.id(callee.name)
    scope = CellScope(
        context.session,
        definition,
        callee.module,
        dict(callee.statics),
        place,
        ids,
        (*context.scope.above, definition),
        region=context.region,
    )
    enter(scope)
    base = Context(context.session, scope, context.region, {}, ids)
    values = {name: _value(part, context) for name, part in given.items()}
    formal, missing = _formal_types(scope, values, node, base, context)
    left = missing.open
    if left and context.session.generic and missing.names:
        return UNKNOWN
    if left and context.session.last:
        return BAD if missing.bad else _cannot_tell(left[0], callee, missing.names, node, context)
    if not context.session.last and not definition.is_function:
        # The declared types of the results are all that inference needs.
        return _signature(scope, formal, base, context)
    if left:
        return UNKNOWN
    for argument in definition.arguments:
        value = values.get(argument.name)
        if value is None:
            assert argument.default is not None
            value, span = base.evaluate(argument.default), argument.default.span
        else:
            span = given[argument.name].span
        type = formal.get(argument.name)
        if type is not None:
            value = _fitted(value, type, argument, span, callee, context)
        scope.arguments[argument.name] = value
    return results(scope, formal, base)


def enter(scope: CellScope) -> None:
    """Fills in what the definition declares."""
    definition = scope.definition
    assert isinstance(definition, ast.Cell)
    for statement in definition.body:
        if isinstance(statement, ast.Params):
            for declaration in statement.declarations:
                rows = scope.params.get(declaration.name, ())
                scope.params[declaration.name] = (*rows, declaration)
        elif isinstance(statement, ast.Equation):
            for position, target in enumerate(statement.targets):
                scope.locals[target.name] = (statement, position)


def _value(part: Given, context: Context) -> Value:
    """An argument; a record of one field is its field, a list is a vector."""
    value = part.value
    if isinstance(value, ListValue):
        return as_tensor(value, context, part.span)
    if isinstance(value, Record) and len(value.fields) == 1:
        return next(iter(value.fields.values()))
    return value


@dataclass(frozen=True, slots=True)
class Missing:
    """Arguments without a known value, and the statics that stay open for it."""

    names: tuple[str, ...]
    open: tuple[str, ...]
    bad: bool


def _formal_types(
    scope: CellScope,
    values: Mapping[str, Value],
    node: ast.Call,
    base: Context,
    context: Context,
) -> tuple[dict[str, TensorType], Missing]:
    """The declared types of the arguments, with sizes solved from the values that are passed."""
    definition = scope.definition
    assert isinstance(definition, ast.Cell)
    opened = open_statics(scope, base)
    types: dict[str, TensorType] = {}
    for argument in definition.arguments:
        if isinstance(argument.type, ast.TensorType):
            type = declared_type(argument.type, base)
            if isinstance(type, TensorType):
                types[argument.name] = type
    shapes: list[tuple[Sequence[Poly], Sequence[Poly]]] = []
    missing: list[str] = []
    bad = False
    for name, type in types.items():
        value = values.get(name)
        if isinstance(value, Absent):
            missing.append(name)
            bad = bad or value is BAD
            continue
        if value is None or isinstance(value, Number | Condition):
            continue
        tensor = as_tensor(value, context, node.span)
        if isinstance(tensor, Tensor) and tensor.type.rank == type.rank:
            shapes.append((type.shape, tensor.type.shape))
    solve(shapes, context.sizes)
    default_statics(scope, opened, base)
    left = tuple(unsolved(scope, opened))
    return {
        name: TensorType(type.dtype, tuple(map(context.sizes.normal, type.shape)), type.range)
        for name, type in types.items()
    }, Missing(tuple(missing), left, bad)


def _signature(
    scope: CellScope, formal: Mapping[str, TensorType], base: Context, context: Context
) -> Record:
    """Values of the declared types of the results, as far as these are known."""
    definition = scope.definition
    assert isinstance(definition, ast.Cell)
    fields: dict[str, Value] = {}
    for result in definition.results:
        type = _result_type(result, formal, base)
        known = type is not None and not any(
            name in context.sizes.unified
            for size in type.shape
            for name in context.sizes.normal(size).names
        )
        name = result.name.removesuffix("'")
        fields[name] = UNKNOWN
        if known and type is not None:
            fields[name] = _typed(replace(type, range=None), context, result.span)
    return Record(fields)


def _cannot_tell(
    static: str, callee: Callee, missing: Sequence[str], node: ast.Call, context: Context
) -> Absent:
    """RNN303."""
    definition = callee.definition
    assert isinstance(definition, ast.Cell)
    mention = [
        argument.name
        for argument in definition.arguments
        if argument.name in missing
        and isinstance(argument.type, ast.TensorType)
        and any(static == name for e in argument.type.shape or () for name, _ in names_in(e))
    ]
    if mention:
        listed = " and ".join(", ".join(mention).rsplit(", ", 1))
        verb = "occurs" if len(mention) == 1 else "occur"
        reason = f"{listed} {verb} on both sides only"
    else:
        reason = "no argument's shape has it"
    declared = next(s for s in definition.statics if s.name == static)
    written = node.function.span.text
    rest = node.span.text[len(written) :]
    given = f"{written[:-1]}, {static}}}" if written.endswith("}") else f"{written}{{{static}}}"
    return context.error(
        "RNN303",
        f"cannot tell the size {static} of '{definition.name}': {reason}",
        callee.span,
        (Note(f"{static} is a static of '{definition.name}'", declared.span),),
        (f"pass it:  {given}{rest}",),
    )


def _fitted(
    value: Value,
    type: TensorType,
    argument: ast.Declaration,
    span: Span,
    callee: Callee,
    context: Context,
) -> Value:
    """The value with the declared type of the argument; reports what does not fit."""
    if isinstance(value, Absent):
        return value
    if isinstance(value, Number) and not type.shape and type.dtype == "real":
        return value  # a number stays exact: `scale = 1`
    if isinstance(value, Number) and not type.shape and isinstance(value.value, Poly):
        return value
    if isinstance(value, Condition) and type == TensorType("bool"):
        return value
    tensor = as_tensor(value, context, span)
    if isinstance(tensor, Absent):
        return tensor
    fills = not tensor.type.shape and isinstance(value, Number)
    narrower = DTYPES.index(tensor.type.dtype) <= DTYPES.index(type.dtype)
    if narrower and (fills or context.sizes.equal_shapes(type.shape, tensor.type.shape)):
        if tensor.type.dtype == type.dtype and tensor.type.shape == type.shape:
            return tensor
        return (
            converted(replace(tensor), type, context, span)
            if not fills
            else converted(value, type, context, span)
        )
    return context.error(
        "RNN305",
        f"argument '{argument.name}' of '{callee.definition.name}' is "
        f"{type_text(type, context.sizes)}, this is {type_text(tensor.type, context.sizes)}",
        span,
        (Note(f"'{argument.name}' is declared here", argument.span),),
    )


# ---- results ----------------------------------------------------------------------------------


def results(scope: CellScope, formal: Mapping[str, TensorType], base: Context) -> Value:
    """What the cell gives back: a record by name, without the primes."""
    definition = scope.definition
    assert isinstance(definition, ast.Cell)
    if definition.is_function:
        return local("", scope, base)
    fields: dict[str, Value] = {}
    for result in definition.results:
        name = result.name.removesuffix("'")
        if result.name not in scope.locals:
            fields[name] = BAD
            continue
        type = _result_type(result, formal, base)
        value = local(result.name, scope, base)
        fields[name] = value if type is None else _checked(value, type, result, scope, base)
    return Record(fields)


def _result_type(
    result: ast.Declaration, formal: Mapping[str, TensorType], base: Context
) -> TensorType | None:
    if isinstance(result.type, ast.TensorType):
        type = declared_type(result.type, base)
        return type if isinstance(type, TensorType) else None
    return formal.get(result.name.removesuffix("'"))


def _checked(
    value: Value, type: TensorType, result: ast.Declaration, scope: CellScope, base: Context
) -> Value:
    """The value of a result as its declared type, which it has even where the value is bad."""
    context = base.named(scope.id(result.name))
    equation, position = scope.locals[result.name]
    span = equation.targets[position].span
    plain = replace(type, range=None)
    if isinstance(value, Absent):
        return value
    tensor = as_tensor(value, context, span)
    if isinstance(tensor, Absent):
        return tensor
    fits = not tensor.type.shape or context.sizes.equal_shapes(type.shape, tensor.type.shape)
    if fits and DTYPES.index(tensor.type.dtype) <= DTYPES.index(type.dtype):
        if tensor.type.dtype == type.dtype and tensor.type.shape == type.shape:
            return tensor
        return converted(value, plain, context, span)
    return context.error(
        "RNN306",
        f"'{result.name}' is {type_text(tensor.type, context.sizes)}, "
        f"but it is declared as {type_text(type, context.sizes)}",
        span,
        (Note(f"'{result.name}' is declared here", _declared_at(result, scope)),),
    )


def _typed(type: TensorType, context: Context, span: Span) -> Value:
    """A stand-in of a declared type, while the value is not known yet."""
    zero = context.session.emitter.constant(0, type.dtype, span)
    return Tensor(type, zero.read)


def _declared_at(result: ast.Declaration, scope: CellScope) -> Span:
    definition = scope.definition
    assert isinstance(definition, ast.Cell)
    if result.type is None:
        name = result.name.removesuffix("'")
        for argument in definition.arguments:
            if argument.name == name:
                return argument.span
    return result.span
