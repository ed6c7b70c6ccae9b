"""`rnnc fmt`: the canonical format, in place."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from rnnc import driver
from rnnc.atomic import write_text
from rnnc.cli.exit_codes import DIAGNOSTICS, OK
from rnnc.cli.group import session_options
from rnnc.cli.session import Session


@click.command()
@click.argument("sources", metavar="FILE...", nargs=-1, required=True)
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Change nothing; show what would change.")
@session_options
@click.pass_obj
def command(session: Session, sources: tuple[str, ...], check: bool, diff: bool) -> int:
    """Bring .rnn files into the canonical format ('-' formats stdin to stdout).

    A file with a syntax error is left as it is.
    """
    changed = 0
    code = OK
    for name in sources:
        source = driver.read_source(name)
        text = driver.format_source(source)
        if name == "-" and not (check or diff):
            click.echo(text, nl=False)
            continue
        if text == source.text:
            session.detail(f"{source.name}: as it should be")
            continue
        changed += 1
        if diff:
            click.echo(_difference(source.name, source.text, text), nl=False)
        if check or diff:
            code = DIAGNOSTICS
            session.say(f"{source.name}: would change")
        else:
            write_text(Path(name), text)
            session.say(f"{source.name}: formatted")
    session.detail(f"{len(sources)} files, {changed} changed")
    return code


def _difference(name: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), name, f"{name} formatted"
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)
