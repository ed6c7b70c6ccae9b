"""The arguments of a cell by name: positional, named, and `*record`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rnnc.diagnostics import Note, Span
from rnnc.frontend import ast
from rnnc.frontend.bindings import counted
from rnnc.frontend.context import Context
from rnnc.frontend.values import BAD, UNKNOWN, Absent, Record, Value


@dataclass(frozen=True, slots=True)
class Given:
    """An argument as it is passed."""

    value: Value
    span: Span


def arguments(definition: ast.Cell, node: ast.Call, context: Context) -> dict[str, Given] | None:
    """The arguments of a cell by name; None where they do not fit its list."""
    names = [argument.name for argument in definition.arguments]
    found: dict[str, Given] = {}
    position = 0
    fits = True
    for argument in node.arguments:
        value = context.evaluate(argument.value)
        if argument.splat:
            record = _fields(value, definition)
            if isinstance(record, Absent):
                if record is BAD and value is not BAD:
                    context.error(
                        "RNN206", "'*' passes the fields of a record by name", argument.span
                    )
                if record is BAD:
                    fits = False
                # While types are inferred: whatever is not given otherwise comes from here.
                for name in names[position:]:
                    found.setdefault(name, Given(record, argument.span))
                continue
            given = {name: Given(part, argument.span) for name, part in record.items()}
        elif argument.name is not None:
            given = {argument.name: Given(value, argument.span)}
        elif position < len(names):
            given = {names[position]: Given(value, argument.span)}
            position += 1
        else:
            context.error(
                "RNN206",
                f"'{definition.name}' takes {counted(len(names), 'argument')}, this is one more",
                argument.span,
                (Note("its arguments are declared here", definition.name_span),),
            )
            fits = False
            continue
        for name, part in given.items():
            if name not in names:
                context.error(
                    "RNN206",
                    f"'{definition.name}' has no argument '{name}'",
                    part.span,
                    hints=(f"it takes:  {', '.join(names)}",),
                )
                fits = False
            elif name in found and found[name].value is not UNKNOWN:
                context.error("RNN206", f"argument '{name}' is given twice", part.span)
                fits = False
            else:
                found[name] = part
    for argument_ in definition.arguments:
        if argument_.name not in found and argument_.default is None and fits:
            context.error(
                "RNN206",
                f"'{definition.name}' needs '{argument_.name}'",
                node.span,
                (Note("it is declared here", argument_.span),),
            )
            fits = False
    return found if fits else None


def _fields(value: Value, definition: ast.Cell) -> Mapping[str, Value] | Absent:
    """The fields of a record; a plain value is the state of a cell that has one."""
    if isinstance(value, Record):
        return value.fields
    if isinstance(value, Absent):
        return value
    states = [r.name.removesuffix("'") for r in definition.results if r.name.endswith("'")]
    return {states[0]: value} if len(states) == 1 else BAD
