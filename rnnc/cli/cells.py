"""`rnnc cells`: the standard library, to list, read and copy."""

from __future__ import annotations

import click

from rnnc import driver
from rnnc.citation import citation, critical_path, first_line
from rnnc.cli.group import session_options
from rnnc.cli.session import Session
from rnnc.frontend import ast


@click.command()
@click.argument("name", required=False)
@session_options
@click.pass_obj
def command(session: Session, name: str | None) -> None:
    """List the standard library; with NAME, print the file of that name or definition.

    Every file is ordinary .rnn: copy it beside yours and change it, and imports find your copy.
    """
    modules = driver.standard_library()
    if name is None:
        rows = [
            row(module_name, definition)
            for module_name, module in modules.items()
            for definition in module.definitions
        ]
        session.table(("FILE", "NAME", "DIMS", "CRITICAL PATH", "YEAR", "PAPER", "WHAT"), rows)
        return
    for module_name, module in modules.items():
        if name == module_name or name in [d.name for d in module.definitions]:
            click.echo(module.source.text, nl=False)
            return
    raise click.UsageError(f"the standard library has no '{name}': rnnc cells lists it")


def row(file: str, definition: ast.Definition) -> tuple[str, ...]:
    """File, name, dims of a model's grid, critical path, year, paper, and what it is."""
    path = critical_path(definition.docstring) or ""
    start = file, definition.name, dims(definition), path
    source = citation(definition.docstring)
    if source is None:
        return *start, "", "", first_line(definition.docstring)
    return *start, str(source.year), source.paper, source.what


def dims(definition: ast.Definition) -> str:
    """The grid dims of a model, in order; those of a reduction are among them."""
    if not isinstance(definition, ast.Model):
        return ""
    groups = [statement for statement in definition.body if isinstance(statement, ast.Dims)]
    names = [dim.element for group in groups for dim in group.ranges]
    return " ".join(name.text for name in names if isinstance(name, ast.Name))
