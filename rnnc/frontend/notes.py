"""Where the names of an expression are declared, for the notes of a diagnostic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnc.diagnostics import Note, Span
from rnnc.frontend import ast
from rnnc.frontend.context import Context
from rnnc.frontend.tensors import type_text
from rnnc.ir.types import TensorType


def origin_notes(
    written: Sequence[ast.Expression], types: Sequence[TensorType], context: Context
) -> list[Note]:
    """For each operand that is a name: where it is declared or defined, and as what."""
    notes: list[Note] = []
    for expression, type in zip(written, types, strict=True):
        name = _root(expression)
        if name is None:
            continue
        found = declaration_span(context.scope.definition, name)
        if found is None:
            continue
        verb, span = found
        text = type_text(type, context.sizes)
        notes.append(Note(f"'{name}' is {verb} here as {text}", span))
    return list(dict.fromkeys(notes))


def _root(expression: ast.Expression) -> str | None:
    match expression:
        case ast.Name(text):
            return text
        case ast.Indexed(ast.Name(text)):
            return text
    return None


def declaration_span(definition: ast.Definition, name: str) -> tuple[str, Span] | None:
    """('declared' or 'defined', where) for a name of a cell or model."""
    for group in _groups(definition):
        for declaration in group:
            if declaration.name == name:
                return "declared", own_span(declaration, group)
    for statement in definition.body:
        if isinstance(statement, ast.Equation):
            for target in statement.targets:
                if target.name == name:
                    return "defined", target.span
    return None


def own_span(declaration: ast.Declaration, group: Sequence[ast.Declaration]) -> Span:
    """The declaration with its type, or the name alone where a group shares the type."""
    shared = sum(other.type is declaration.type for other in group) > 1
    return declaration.name_span if shared else declaration.span


def _groups(definition: ast.Definition) -> Iterator[Sequence[ast.Declaration]]:
    if isinstance(definition, ast.Cell):
        yield definition.arguments
    for statement in definition.body:
        if isinstance(statement, ast.Params | ast.Inputs):
            yield statement.declarations
    if isinstance(definition, ast.Cell):
        yield definition.results
