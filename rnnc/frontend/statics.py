"""Statics of the compiled model: what -D gives, defaults, and open sizes."""

from __future__ import annotations

from collections.abc import Mapping

from rnnc.diagnostics import Span
from rnnc.frontend import ast
from rnnc.frontend.builtins import BUILTINS
from rnnc.frontend.context import Context
from rnnc.frontend.mentions import children
from rnnc.frontend.modules import Library
from rnnc.frontend.scope import Scope
from rnnc.frontend.values import (
    UNKNOWN,
    Callee,
    Condition,
    Function,
    ListValue,
    Number,
    Value,
)
from rnnc.ir.domain import Domain
from rnnc.ir.poly import Poly

# What -D can give: a size, a switch, a list, or the name of a cell or function.
StaticValue = int | float | bool | str | tuple["StaticValue", ...]


def top_statics(scope: Scope, given: Mapping[str, StaticValue], numbers: Mapping[str, int]) -> None:
    """Binds every static: sizes as symbols (with their numbers, if known), others as they are."""
    context = Context(scope.session, scope, Domain(), {}, "")
    known = [static.name for static in scope.definition.statics]
    for name in given:
        if name not in known:
            context.error(
                "RNN206",
                f"'{scope.definition.name}' has no static '{name}'",
                scope.definition.name_span,
                hints=(f"it has:  {', '.join(known)}",) if known else (),
            )
    called = cell_statics(scope.definition)
    for static in scope.definition.statics:
        name = static.name
        if name in given:
            scope.statics[name] = _given(name, given[name], static.span, scope, context)
        elif static.default is not None:
            scope.statics[name] = _default(static, static.default, scope, context)
        elif name in called:
            # A cell that only the caller knows: nothing about it can be checked.
            scope.statics[name] = UNKNOWN
        else:
            number = numbers.get(name)
            if number is not None:
                scope.session.sizes.guessed.add(name)
            scope.statics[name] = Number(scope.session.sizes.declare_static(name, number))


def _default(static: ast.Static, default: ast.Expression, scope: Scope, context: Context) -> Value:
    value = context.named(static.name).evaluate(default)
    if isinstance(value, Number) and isinstance(value.value, Poly):
        constant = value.value.constant
        if constant is not None:
            return Number(scope.session.sizes.declare_static(static.name, constant))
    return value


def _given(name: str, value: StaticValue, span: Span, scope: Scope, context: Context) -> Value:
    match value:
        case bool():
            return Condition(value)
        case int():
            return Number(scope.session.sizes.declare_static(name, value))
        case float():
            return Number(value)
        case str():
            found = _definition(value, scope, span)
            if found is None:
                context.error(
                    "RNN201",
                    f"-D {name}={value}: no cell or function is called '{value}'",
                    span,
                )
                return UNKNOWN
            return found
        case tuple():
            return ListValue(tuple(_item(item) for item in value))


def _item(value: StaticValue) -> Value:
    match value:
        case bool():
            return Condition(value)
        case int():
            return Number(Poly.of(value))
        case float():
            return Number(value)
        case tuple():
            return ListValue(tuple(_item(item) for item in value))
    return UNKNOWN


def _definition(name: str, scope: Scope, span: Span) -> Value | None:
    """A cell by name: of the file, built in, or from the standard library's file of that name.

    `file.cell` names a cell of another file of the standard library.
    """
    found = scope.module.find(name)
    if found is not None:
        return Callee(found[1], found[0], name, span)
    if name in BUILTINS:
        return Function(name)
    return _from_library(name, scope.session.library, span)


def _from_library(name: str, library: Library, span: Span) -> Value | None:
    path, _, own = name.rpartition(".")
    module = library.standard(path or own)
    if module is None or own not in module.own:
        return None
    return Callee(module.own[own], module, own, span)


def cell_statics(definition: ast.Definition) -> frozenset[str]:
    """Statics without default that are used as a cell."""
    found: set[str] = set()

    def callee(node: ast.Expression) -> None:
        while isinstance(node, ast.WithStatics | ast.Indexed):
            node = node.base
        if isinstance(node, ast.Name):
            found.add(node.text)

    for statement in definition.body:
        if isinstance(statement, ast.Params | ast.Inputs):
            for declaration in statement.declarations:
                match declaration.type:
                    case ast.CellType(name):
                        found.add(name.text)
                    case ast.StateType(cell):
                        found.add(cell.text)
        if not isinstance(statement, ast.Equation):
            continue
        stack: list[ast.Expression] = [case.value for case in statement.cases]
        while stack:
            node = stack.pop()
            if isinstance(node, ast.Call | ast.Reduction):
                callee(node.function)
            if isinstance(node, ast.WithStatics):
                callee(node)
            stack += children(node)
    return frozenset(found)
