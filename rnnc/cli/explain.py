"""`rnnc explain`: a diagnostic code in depth, or what the compiler found in a model."""

from __future__ import annotations

import json
from difflib import get_close_matches

import click

from rnnc import driver
from rnnc.cli.group import session_options
from rnnc.cli.options import (
    extent_option,
    hint_option,
    math_option,
    order_option,
    request_options,
    target_option,
)
from rnnc.cli.session import Session
from rnnc.driver import Request, StaticValue
from rnnc.explanations import CODE, explained_codes, explanation, title


@click.command()
@click.argument("subject", metavar="CODE|FILE", required=False)
@request_options(target_option, math_option, hint_option, order_option)
@extent_option
@click.option(
    "--format",
    "output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or one JSON object with stable keys (docs/schedules.md).",
)
@session_options
@click.pass_obj
def command(
    session: Session,
    subject: str | None,
    request: Request,
    extents: dict[str, StaticValue],
    output: str,
) -> None:
    """Explain a diagnostic (RNN301), or the parallelism of a model.

    Without an argument: all codes. For a model: what was found in each recurrence, what was
    rejected and why, and the critical path. --hint and --extent give numbers beside the formulas;
    hints decide between schedules as well. --target cuda adds which loops are one launch, and where
    weights are while it runs.
    """
    if subject is None:
        session.table(("CODE", "TITLE"), [(code, title(code)) for code in explained_codes()])
    elif CODE.fullmatch(subject.upper()):
        _explain_code(session, subject.upper())
    else:
        from rnnc.analysis.report import report
        from rnnc.cli.extents import checked_extents
        from rnnc.cli.json_explanation import explanation_to_json

        compilation = driver.Compilation(driver.read_source(subject), request)
        numbers = checked_extents(compilation.graph, request.hints, "--hint")
        numbers |= checked_extents(compilation.graph, extents)
        found = driver.explain(compilation, numbers)
        if output == "json":
            session.echo(json.dumps(explanation_to_json(found), indent=2))
        else:
            session.echo(report(found))


def _explain_code(session: Session, code: str) -> None:
    text = explanation(code)
    if text is None:
        near = get_close_matches(code, explained_codes(), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise click.UsageError(f"there is no diagnostic {code}{hint} (rnnc explain lists all)")
    heading, _, rest = text.partition("\n")
    session.echo(click.style(heading.removeprefix("# "), bold=True))
    session.echo(rest.rstrip())
