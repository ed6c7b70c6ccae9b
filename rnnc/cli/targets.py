"""`rnnc targets`: what --target takes on this machine."""

from __future__ import annotations

import click

from rnnc.cli.exit_codes import MISSING_TOOL, OK
from rnnc.cli.group import session_options
from rnnc.cli.session import Session


@click.command()
@session_options
@click.pass_obj
def command(session: Session) -> int:
    """List what can be compiled for, and what runs, on this machine, and what the rest lacks."""
    from rnnc.registry import backend_names, find_backend

    rows = []
    usable = 0
    for name in backend_names():
        backend, _ = find_backend(name)
        for target in backend.targets():
            usable += target.problem is None
            state = (target.problem or "ready", target.unfit or "ready")
            rows.append((target.name, *state, target.description))
    session.table(("TARGET", "BUILDS", "RUNS", "DESCRIPTION"), rows)
    return OK if usable else MISSING_TOOL
