"""`rnnc opt`: chosen passes on the IR, for who develops or doubts them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnnc import driver
from rnnc.atomic import write_text
from rnnc.cli.group import session_options
from rnnc.cli.options import model_options
from rnnc.cli.session import Session
from rnnc.driver import Request, StaticValue

if TYPE_CHECKING:
    from rnnc.ir.graph import Graph
    from rnnc.passes.rewrite import Pass


@click.command()
@click.argument("source", metavar="FILE", required=False, type=click.Path(allow_dash=True))
@click.option(
    "-p",
    "--passes",
    "pipeline",
    metavar="NAME,...",
    help="Which passes, in this order: 'push-views,unroll-reductions{limit=4}'.",
)
@click.option("--list", "list_passes", is_flag=True, help="Show every pass and its options.")
@click.option(
    "--print-after",
    "shown",
    metavar="NAME",
    multiple=True,
    help="Show the IR behind this pass, on stderr. Repeatable.",
)
@click.option("--print-after-all", is_flag=True, help="Show the IR behind every pass, on stderr.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to; else stdout.")
@model_options
@session_options
@click.pass_obj
def command(
    session: Session,
    source: str | None,
    pipeline: str | None,
    list_passes: bool,
    shown: tuple[str, ...],
    print_after_all: bool,
    output: Path | None,
    sizes: dict[str, StaticValue],
    model: str | None,
) -> None:
    """Run passes on FILE (.rir, or a model of .rnn; '-' for stdin) and print the IR.

    Without -p all passes run that `rnnc compile` runs, and every static needs its number. The IR
    is verified behind each pass.
    """
    if list_passes:
        _list(session)
        return
    if source is None:
        raise click.UsageError("which FILE? (rnnc opt --list shows the passes)")
    passes = _read(pipeline)
    missing = [name for name in shown if name not in {step.name for step in passes}]
    if missing:
        raise click.UsageError(f"--print-after {missing[0]}: this pass does not run")
    compilation = driver.Compilation(driver.read_source(source), Request(model, sizes))
    if pipeline is None:
        driver.require_sizes(compilation.graph)
    printed = frozenset(step.name for step in passes) if print_after_all else frozenset(shown)
    text = _run(compilation.graph, passes, printed)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)
        session.say(f"wrote {output}")


def _list(session: Session) -> None:
    from rnnc.passes.registry import PASSES, options, summary

    rows = []
    for name, kind in PASSES.items():
        given = ",".join(f"{option}={default}" for option, default in options(kind).items())
        rows.append((f"{name}{{{given}}}" if given else name, summary(kind)))
    session.table(("PASS", "WHAT"), rows)


def _read(text: str | None) -> tuple[Pass, ...]:
    from rnnc.passes.pipeline import pipeline
    from rnnc.passes.registry import PipelineError, read_pipeline

    if text is None:
        return pipeline()
    try:
        return read_pipeline(text)
    except PipelineError as error:
        raise click.UsageError(f"-p: {error}") from None


def _run(graph: Graph, passes: tuple[Pass, ...], printed: frozenset[str]) -> str:
    """The IR behind all passes; that behind some goes to stderr on the way."""
    from rnnc.ir.printer import print_graph

    numbers = iter(range(1, len(passes) + 1))
    before = graph

    def show(name: str, found: Graph) -> None:
        nonlocal before
        place = f"// {name} ({next(numbers)} of {len(passes)})"
        if name in printed:
            text = " changes nothing\n" if found == before else f"\n{print_graph(found)}"
            click.echo(place + text, err=True)
        before = found

    return print_graph(driver.run_passes(graph, passes, show))
