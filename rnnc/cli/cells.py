"""`rnnc cells`: the standard library, to list, read and copy."""

from __future__ import annotations

import click

from rnnc import driver
from rnnc.cli.group import session_options
from rnnc.cli.session import Session


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
            (module_name, definition.name, (definition.docstring or "").partition("\n")[0])
            for module_name, module in modules.items()
            for definition in module.definitions
        ]
        session.table(("FILE", "NAME", "WHAT"), rows)
        return
    for module_name, module in modules.items():
        if name == module_name or name in [d.name for d in module.definitions]:
            click.echo(module.source.text, nl=False)
            return
    raise click.UsageError(f"the standard library has no '{name}': rnnc cells lists it")
