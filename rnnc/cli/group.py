"""`rnnc` itself: finds the subcommand, imports only that one, and knows the options of all."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TypeVar

import click

from rnnc.cli.session import Session
from rnnc.version import VERSION

# Name, module of rnnc.cli, and the line in `rnnc --help`, which must not import the module.
SUBCOMMANDS = (
    ("check", "check", "Report every mistake in .rnn files."),
    ("fmt", "fmt", "Bring .rnn files into the canonical format."),
    ("compile", "compile", "Compile a model to a library, or show a stage on the way."),
    ("opt", "opt", "Run chosen passes on the IR and print it."),
    ("import", "import_", "Turn an ONNX model into a spec and its weights."),
    ("export", "export", "Turn a model into an ONNX model."),
    ("weights", "weights", "Bring weights into the form of another framework."),
    ("run", "run", "Run a model on arrays from a file."),
    ("verify", "verify", "Compare compiled results with the interpreter."),
    ("explain", "explain", "What a diagnostic means, or what was found in a model."),
    ("bench", "bench", "Time a compiled model."),
    ("tune", "tune", "Search faster tilings for a model on this machine."),
    ("targets", "targets", "List what can be compiled for on this machine."),
    ("cells", "cells", "List the standard library, or show one of its files."),
    ("demo", "demo", "Compile, check and time a stacked LSTM."),
)


class _LazyGroup(click.Group):
    """Imports a subcommand's module when it is asked for: `rnnc check` never pays for TVM."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, _, _ in SUBCOMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for name, module, _ in SUBCOMMANDS:
            if name == cmd_name:
                command = import_module(f"rnnc.cli.{module}").command
                assert isinstance(command, click.Command)
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, _, text in SUBCOMMANDS])


def _set_verbosity(step: int) -> Callable[[click.Context, click.Parameter, bool], None]:
    def set_verbosity(ctx: click.Context, _: click.Parameter, given: bool) -> None:
        if given:
            ctx.ensure_object(Session).verbosity = step

    return set_verbosity


def _set(field: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    def set_field(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            setattr(ctx.ensure_object(Session), field, value)

    return set_field


_F = TypeVar("_F", bound=Callable[..., object])


def session_options(function: _F) -> _F:
    """-q, -v, --color and --message-format, before or behind the subcommand."""
    for option in (
        click.option(
            "--message-format",
            type=click.Choice(["text", "json"]),
            expose_value=False,
            callback=_set("message_format"),
            help="Diagnostics for people, or one JSON object a line.",
        ),
        click.option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            expose_value=False,
            callback=_set("color"),
            help="Colours: on a terminal only, always, or never.",
        ),
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            expose_value=False,
            callback=_set_verbosity(1),
            help="Say more.",
        ),
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            expose_value=False,
            callback=_set_verbosity(-1),
            help="Say nothing but errors.",
        ),
    ):
        function = option(function)
    return function


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 fine, 1 diagnostics, 2 wrong usage, 3 verification found a mismatch, "
    "4 a tool or backend is missing, 70 internal error.",
)
@click.version_option(VERSION, prog_name="rnnc")
@session_options
def rnnc() -> None:
    """Compile recurrent neural networks, written as equations, to native kernels."""
