"""`rnnc compile`: a model to a library, or any stage on the way to text."""

from __future__ import annotations

from pathlib import Path

import click

from rnnc import driver
from rnnc.analysis.orders import Order
from rnnc.atomic import write_text
from rnnc.cli.group import session_options
from rnnc.cli.options import (
    hint_option,
    model_options,
    order_option,
    source_argument,
    target_option,
    weights_option,
)
from rnnc.cli.session import Session
from rnnc.driver import Request, StaticValue
from rnnc.weights import WeightType

# The kinds of output in the order of the stages, with the suffix of their files.
_SUFFIXES = {
    "ast": ".ast",
    "ir": ".rir",
    "opt": ".opt.rir",
    "plan": ".plan",
    "tir": ".tir",
    "asm": ".s",
    "lib": ".rnnlib",
    "c-library": "",
}


def _read_kinds(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    """The kinds asked for, in the order of the stages."""
    asked = [part.strip() for part in text.split(",")]
    for kind in asked:
        if kind not in _SUFFIXES:
            raise click.BadParameter(f"'{kind}' is none of {', '.join(_SUFFIXES)}")
    return tuple(kind for kind in _SUFFIXES if kind in asked)


@click.command()
@source_argument
@click.option(
    "--emit",
    "kinds",
    default="lib",
    show_default=True,
    metavar="KIND,...",
    callback=_read_kinds,
    help="ast, ir, opt (the IR after all passes), plan, tir, asm, lib, c-library (a folder).",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Where to; several kinds are written beside each other, each with its own suffix.",
)
@click.option(
    "--embed-weights",
    "embedded",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A .safetensors or .npz file whose arrays go into the C library.",
)
@model_options
@target_option
@weights_option
@hint_option
@order_option
@session_options
@click.pass_obj
def command(
    session: Session,
    source: str,
    kinds: tuple[str, ...],
    output: Path | None,
    embedded: Path | None,
    sizes: dict[str, StaticValue],
    model: str | None,
    target: str,
    weights: WeightType,
    hints: dict[str, StaticValue],
    order: Order,
) -> None:
    """Compile a model of FILE (.rnn, or .rir as --emit=ir writes it; '-' for stdin).

    A single text goes to stdout unless -o says where; a library goes to NAME.rnnlib here, a C
    library (header, .so, .a, pkg-config and CMake files) into the folder NAME.
    """
    if embedded is not None and "c-library" not in kinds:
        raise click.UsageError("--embed-weights goes with --emit c-library")
    request = Request(model, sizes, hints, target, order, weights)
    with session.progress(f"compiling {source}"):
        compilation = driver.Compilation(driver.read_source(source), request)
        for kind in kinds:
            path = _place(kind, output, len(kinds) > 1, source)
            if path is None:
                click.echo(compilation.text(kind), nl=False)
                continue
            if kind == "lib":
                compilation.build(path)
            elif kind == "c-library":
                compilation.build_c_library(path, embedded)
            else:
                write_text(path, compilation.text(kind))
            session.say(f"wrote {path}")


def _place(kind: str, output: Path | None, several: bool, source: str) -> Path | None:
    """Where `kind` goes; None is stdout, which no library goes to."""
    own = Path(Path(source).stem if source != "-" else "model")
    if several:
        base = output or own
        return base.with_name(base.name + _SUFFIXES[kind])
    if output is None and kind in ("lib", "c-library"):
        return own.with_name(own.name + _SUFFIXES[kind])
    return output
