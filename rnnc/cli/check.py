"""`rnnc check`: every mistake of every file, in source order."""

from __future__ import annotations

import click

from rnnc import driver
from rnnc.cli.exit_codes import DIAGNOSTICS, OK
from rnnc.cli.group import session_options
from rnnc.cli.session import Session
from rnnc.diagnostics import Diagnostic, DiagnosticError


@click.command()
@click.argument("sources", metavar="FILE...", nargs=-1, required=True)
@session_options
@click.pass_obj
def command(session: Session, sources: tuple[str, ...]) -> int:
    """Report every mistake in .rnn files ('-' reads stdin).

    Sizes need not be known: shapes are compared as formulas.
    """
    found: list[Diagnostic] = []
    for name in sources:
        try:
            of_file = driver.diagnose(driver.read_source(name))
        except DiagnosticError as error:
            of_file = error.diagnostics
        # A file that two others import is one source of mistakes, not two.
        found += [diagnostic for diagnostic in of_file if diagnostic not in found]
    session.report(found, to_stdout=True)
    errors = sum(diagnostic.severity == "error" for diagnostic in found)
    session.say(_summary(len(sources), errors, len(found) - errors))
    return DIAGNOSTICS if errors else OK


def _summary(files: int, errors: int, warnings: int) -> str:
    parts = [_count(files, "file")]
    if errors:
        parts.append(_count(errors, "error"))
    if warnings:
        parts.append(_count(warnings, "warning"))
    return ", ".join(parts) + ("" if errors or warnings else ": no mistakes found")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
