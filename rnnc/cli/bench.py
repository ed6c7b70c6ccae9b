"""`rnnc bench`: how long a call of a compiled model takes."""

from __future__ import annotations

import json

import click

from rnnc import driver
from rnnc.cli.group import session_options
from rnnc.cli.options import (
    call_options,
    extent_option,
    hint_option,
    math_option,
    order_option,
    source_argument,
)
from rnnc.cli.session import Session
from rnnc.driver import Request, StaticValue

_DEFAULT_EXTENT = 100


@click.command()
@source_argument
@click.option("--batch", type=click.IntRange(0), default=1, show_default=True, help="Rows.")
@click.option(
    "--seconds",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="How long to measure.",
)
@click.option("--json", "as_json", is_flag=True, help="The numbers as one JSON object.")
@call_options(math_option, hint_option, order_option)
@extent_option
@session_options
@click.pass_obj
def command(
    session: Session,
    source: str,
    batch: int,
    seconds: float,
    as_json: bool,
    request: Request,
    extents: dict[str, StaticValue],
    threads: int | None,
) -> None:
    """Time a model on made-up arrays: the median call, the fastest, and what compiling took.

    Extents are 100 unless given.
    """
    from rnnc.cli.extents import made_up_extents
    from rnnc.sampling import random_inputs, random_parameters
    from rnnc.timing import Timing, stopwatch, time_calls

    compilation = driver.Compilation(driver.read_source(source), request)
    graph = compilation.graph
    numbers = made_up_extents(graph, extents, _DEFAULT_EXTENT)
    with session.progress(f"compiling {source}"), stopwatch() as compiling:
        loaded = compilation.load()
    with stopwatch() as packing:
        bound = loaded.bind(random_parameters(graph, 0))
    arrays = random_inputs(graph, numbers, batch, 0)
    with session.progress("measuring"):
        calls: Timing = time_calls(
            lambda: bound.run(arrays, extents=numbers, threads=threads), seconds
        )
    if as_json:
        report = {
            "model": graph.name,
            "batch": batch,
            "extents": numbers,
            "threads": threads,
            "compile_ms": compiling.milliseconds,
            "bind_ms": packing.milliseconds,
            "median_ms": calls.median_ms,
            "best_ms": calls.best_ms,
            "calls": calls.count,
        }
        click.echo(json.dumps(report))
        return
    where = ", ".join([f"batch {batch}", *(f"{name} {n}" for name, n in numbers.items())])
    session.echo(f"{graph.name}, {where}")
    session.echo(f"  compile  {compiling.milliseconds:10.1f} ms")
    session.echo(f"  bind     {packing.milliseconds:10.3f} ms")
    session.echo(f"  call     {calls.median_ms:10.3f} ms   median of {calls.count}")
    session.echo(f"  fastest  {calls.best_ms:10.3f} ms")
