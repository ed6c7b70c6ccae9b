"""Runs the command line so that whatever happens ends in one clear message and an exit code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

import click

from rnnc.cli.exit_codes import INTERNAL, OK, USAGE
from rnnc.cli.group import rnnc
from rnnc.cli.session import Session
from rnnc.diagnostics import DiagnosticError


def run_guarded(arguments: Sequence[str]) -> int:
    """The exit code of `rnnc arguments`. No exception leaves this function."""
    session = Session()
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *where: session.say(f"warning: {message}")
        return _run(session, arguments)


def _run(session: Session, arguments: Sequence[str]) -> int:
    try:
        code = rnnc.main(list(arguments), prog_name="rnnc", obj=session, standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else OK
    except DiagnosticError as error:
        return session.report(error.diagnostics)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:
        # Whoever read our output (`head`) has seen enough; the interpreter must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        from rnnc.cli.crash import write_crash_report

        path = write_crash_report(error, arguments)
        click.echo(
            f"internal error: {type(error).__name__}: {error}\n"
            "  This is a mistake in rnnc, not in your file.\n"
            f"  hint: please send {path} to the developers",
            err=True,
        )
        return INTERNAL
