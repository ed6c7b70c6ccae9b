"""Inputs of the compiled model."""

from __future__ import annotations

from rnnc.frontend import ast
from rnnc.frontend.context import Context
from rnnc.frontend.patterns import bind
from rnnc.frontend.scope import ModelScope
from rnnc.frontend.types import declared_type
from rnnc.frontend.values import Absent, Condition, Number
from rnnc.frontend.variables import Piece
from rnnc.frontend.weights import guard_of
from rnnc.ir.graph import Operand
from rnnc.ir.poly import Poly
from rnnc.ir.types import TensorType


def declare_inputs(scope: ModelScope) -> None:
    """Gives every input its node and its type; sizes of a state stay those of earlier rounds."""
    for statement in scope.definition.body:
        if isinstance(statement, ast.Inputs):
            for declaration in statement.declarations:
                _declare(declaration, scope)


def _declare(declaration: ast.Declaration, scope: ModelScope) -> None:
    variable = scope.variables[declaration.name]
    before = next((p for p in variable.pieces if p.declaration is declaration), None)
    variable.pieces = [p for p in variable.pieces if p.declaration is not declaration]
    context = Context(scope.session, scope, scope.outer, {}, scope.id(declaration.name))
    bound = bind(declaration.indices or (), context)
    if (
        bound is None
        or isinstance(declaration.type, ast.CellType)
        or len(bound.access) != len(variable.positions)
    ):
        variable.is_bad = variable.is_partial = True
        return
    places = {
        binder.name: Poly.of(position.name)
        for binder, position in zip(bound.binders, variable.positions, strict=True)
        if binder is not None
    }
    types: dict[str, TensorType]
    if before is not None and before.types is not None:
        types = {name: type for name, type in before.types.items() if type is not None}
    else:
        found = declared_type(declaration.type, bound.context)
        if isinstance(found, Absent):
            variable.is_bad = variable.is_partial = True
            return
        types = found if isinstance(found, dict) else {"": found}
        types = {name: type.substitute(places) for name, type in types.items()}
    guard = guard_of(variable, bound.access, bound.binders, bound.context.region.constraints)
    default = _default(declaration, bound.context)
    direct: dict[str, Operand] = {}
    for name, type in types.items():
        label = f"{variable.id}.{name}" if len(types) > 1 else variable.id
        shape = tuple(map(scope.session.sizes.normal, type.shape))
        types[name] = type = TensorType(type.dtype, shape, type.range)
        node = scope.session.emitter.input(label, default, guard, type, declaration.name_span)
        direct[name] = Operand(node, tuple(Poly.of(n) for n in variable.names))
    variable.pieces.insert(
        0, Piece(guard, types, declaration.span, direct=direct, declaration=declaration)
    )
    variable.settle(scope.session.sizes)


def _default(declaration: ast.Declaration, context: Context) -> int | float | complex | bool | None:
    """The number that an absent array means."""
    if declaration.default is None:
        return None
    value = context.evaluate(declaration.default)
    match value:
        case Condition(bool() as truth):
            return truth
        case Number(Poly() as poly):
            if poly.constant is not None:
                return poly.constant
            if context.sizes.is_static(poly):
                return context.sizes.number(poly, declaration.default.span)
        case Number(number):
            assert not isinstance(number, Poly)
            return number
        case Absent():
            return None
    context.error("RNN307", "the default of an input is a number", declaration.default.span)
    return None
