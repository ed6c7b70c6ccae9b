"""`rnnc tune`: finds faster tilings for a model on this machine, and remembers them."""

from __future__ import annotations

import re
import sys

import click

from rnnc import driver
from rnnc.cli.group import session_options
from rnnc.cli.options import (
    hint_option,
    order_option,
    request_options,
    source_argument,
    threads_option,
)
from rnnc.cli.session import Session
from rnnc.driver import Request

_DEFAULT_EXTENT = 100
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0}


def _read_seconds(_: click.Context, __: click.Parameter, text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min)?", text)
    if match is None:
        raise click.BadParameter(f"'{text}' is no time: say 90, 90s or 2m")
    return float(match[1]) * _UNITS[match[2] or ""]


def _read_batches(_: click.Context, __: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        batches = tuple(int(part) for part in text.split(","))
    except ValueError:
        batches = (0,)
    if min(batches) < 1:
        raise click.BadParameter(f"'{text}' is no list of batches: say 1,32")
    return batches


@click.command()
@source_argument
@click.option(
    "--batch",
    "batches",
    default="1,32",
    show_default=True,
    metavar="ROWS,...",
    callback=_read_batches,
    help="Batches that count: what is kept is faster for one and slower for none.",
)
@click.option(
    "--budget",
    default="60s",
    show_default=True,
    metavar="TIME",
    callback=_read_seconds,
    help="How long to search: 90s, 5m.",
)
@request_options(hint_option, order_option)
@threads_option
@session_options
@click.pass_obj
def command(
    session: Session,
    source: str,
    batches: tuple[int, ...],
    budget: float,
    request: Request,
    threads: int | None,
) -> None:
    """Search faster tilings for the matrix products of a model on this machine.

    Each candidate is compiled, compared with the results of the best so far and timed beside it, on
    made-up arrays whose extents are those of --hint, or 100. Winners are remembered by shape of the
    product, processor and versions; later compilations for this machine use them. Ctrl-C ends the
    search and keeps what was found.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from rnnc.cli.extents import checked_extents, made_up_extents
    from rnnc.comparison import Comparison
    from rnnc.registry import Trial, find_backend

    compilation = driver.Compilation(driver.read_source(source), request)
    graph = compilation.graph
    extents = made_up_extents(
        graph, checked_extents(graph, request.hints, "--hint"), _DEFAULT_EXTENT
    )
    compare = Comparison(graph, extents, batches, threads, min(1.0, budget / 40))
    backend, _ = find_backend("cpu")
    trials = backend.tune(compilation.plan, compilation.origin, compare, budget)
    found: dict[str, Trial] = {}
    console = Console(stderr=True)
    quiet = session.verbosity < 0 or session.message_format == "json" or not sys.stderr.isatty()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task(f"tuning {source}", total=budget)
        try:
            for trial in trials:
                found[trial.shape] = trial
                progress.update(task, description=trial.shape, completed=trial.seconds)
        except KeyboardInterrupt:
            session.say("interrupted: what was found is kept")
    if not found:
        session.say(f"nothing to tune: {graph.name} has no matrix products")
        return
    session.table(
        ("SHAPE", "GAIN", "DEFAULT", "BEST"),
        [
            (t.shape, f"{t.gain:.2f}x", t.default, "the default" if t.best == t.default else t.best)
            for t in found.values()
        ],
    )
