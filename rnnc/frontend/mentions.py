"""What a definition declares and what it mentions: the syntax tree as lists of names."""

from __future__ import annotations

from collections.abc import Iterator

from rnnc.diagnostics import Span
from rnnc.frontend import ast


def declared_names(definition: ast.Definition) -> Iterator[tuple[str, Span, str]]:
    """Every name that means something inside the definition, as often as it is declared: what."""
    for static in definition.statics:
        yield static.name, static.span, "a static"
    equation = "an equation"
    if isinstance(definition, ast.Cell):
        equation = "an equation of a cell"
        for argument in definition.arguments:
            yield argument.name, argument.name_span, "an argument"
    for statement in definition.body:
        match statement:
            case ast.Dims(ranges):
                for row in ranges:
                    if isinstance(row.element, ast.Name):
                        yield row.element.text, row.element.span, "a dim"
            case ast.Params(declarations):
                for declaration in declarations:
                    yield declaration.name, declaration.name_span, "a parameter"
            case ast.Inputs(declarations):
                for declaration in declarations:
                    yield declaration.name, declaration.name_span, "an input"
            case ast.Equation(targets):
                for target in targets:
                    yield target.name, target.name_span, equation


def dims_of(definition: ast.Definition) -> Iterator[ast.Membership]:
    for statement in definition.body:
        if isinstance(statement, ast.Dims):
            yield from statement.ranges


def mentioned_names(definition: ast.Definition) -> Iterator[tuple[str, Span]]:
    """Every name that the definition mentions in an expression or type."""
    for expression in _expressions(definition):
        yield from names_in(expression)
    for declaration in _declarations(definition):
        match declaration.type:
            case ast.CellType(name):
                yield name.text, name.span
            case ast.StateType(cell):
                yield cell.text, cell.span


def _declarations(definition: ast.Definition) -> Iterator[ast.Declaration]:
    if isinstance(definition, ast.Cell):
        yield from definition.arguments
        yield from definition.results
    for statement in definition.body:
        if isinstance(statement, ast.Params | ast.Inputs):
            yield from statement.declarations


def _expressions(definition: ast.Definition) -> Iterator[ast.Expression]:
    for static in definition.statics:
        if static.default is not None:
            yield static.default
    for declaration in _declarations(definition):
        yield from declaration.indices or ()
        yield from type_expressions(declaration.type)
        if declaration.default is not None:
            yield declaration.default
    for statement in definition.body:
        if isinstance(statement, ast.Dims):
            yield from statement.ranges
        if isinstance(statement, ast.Equation):
            for target in statement.targets:
                yield from target.indices or ()
                yield from type_expressions(target.type)
            for case in statement.cases:
                yield case.value
                if case.condition is not None:
                    yield case.condition


def type_expressions(type: ast.Type | None) -> Iterator[ast.Expression]:
    match type:
        case ast.TensorType():
            yield from type.shape or ()
            if type.range is not None:
                yield type.range
        case ast.CellType(_, arguments):
            for argument in arguments:
                yield argument.value


def names_in(expression: ast.Expression) -> Iterator[tuple[str, Span]]:
    if isinstance(expression, ast.Name):
        yield expression.text, expression.span
    for child in children(expression):
        yield from names_in(child)


def names_of(equation: ast.Equation) -> Iterator[str]:
    """Names that occur on the right side of an equation."""
    for case in equation.cases:
        for expression in (case.value, case.condition):
            if expression is not None:
                yield from (name for name, _ in names_in(expression))


def children(node: ast.Expression) -> list[ast.Expression]:
    """The expressions directly inside an expression."""
    match node:
        case ast.ListLiteral(items):
            return list(items)
        case ast.Unary():
            return [node.operand]
        case ast.Binary():
            return [node.left, node.right]
        case ast.Comparison():
            return list(node.operands)
        case ast.Membership():
            return [node.element, node.range]
        case ast.Range():
            return [end for end in (node.lower, node.upper) if end is not None]
        case ast.Conditional():
            return [node.value, node.condition, node.otherwise]
        case ast.Indexed():
            return [node.base, *node.indices]
        case ast.WithStatics():
            return [node.base, *(argument.value for argument in node.arguments)]
        case ast.Call():
            return [node.function, *(argument.value for argument in node.arguments)]
        case ast.Reduction():
            return [node.function, *node.patterns, node.body]
        case ast.Field():
            return [node.base]
    return []
