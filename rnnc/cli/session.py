"""How one invocation talks: how much, in which colours, and in which format."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Literal

import click

from rnnc.cli.exit_codes import of_diagnostics
from rnnc.cli.json_report import to_json
from rnnc.diagnostics import Diagnostic, render

# Shorter work shows no progress.
_PATIENCE_SECONDS = 1.0


@dataclass(slots=True)
class Session:
    """The options that every subcommand has."""

    verbosity: int = 0  # -1 quiet, 0, 1 verbose
    color: Literal["auto", "always", "never"] = "auto"
    message_format: Literal["text", "json"] = "text"

    def report(self, diagnostics: Iterable[Diagnostic], *, to_stdout: bool = False) -> int:
        """Shows all of them and returns the exit code; `-q` leaves warnings out."""
        shown = [d for d in diagnostics if self.verbosity >= 0 or d.severity == "error"]
        for diagnostic in shown:
            if self.message_format == "json":
                click.echo(json.dumps(to_json(diagnostic)), err=not to_stdout)
            else:
                self.echo(_in_color(render(diagnostic)), err=not to_stdout)
        return of_diagnostics(shown)

    def say(self, text: str) -> None:
        """A remark on stderr; silent with `-q` and where a program listens."""
        if self.verbosity >= 0 and self.message_format == "text":
            self.echo(text, err=True)

    def detail(self, text: str) -> None:
        """A remark for `-v`."""
        if self.verbosity > 0:
            self.echo(text, err=True)

    def echo(self, text: str, *, err: bool = False) -> None:
        """`text` with its colours, or without them where nobody would see them."""
        choice = {"auto": None, "always": True, "never": False}[self.color]
        click.echo(text, err=err, color=choice)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns on stdout; the last one is wrapped to the terminal, and to nothing else."""
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for position, name in enumerate(header):
            table.add_column(name, no_wrap=position < len(header) - 1)
        for row in rows:
            table.add_row(*row)
        is_terminal = {"auto": None, "always": True, "never": False}[self.color]
        width = None if sys.stdout.isatty() else 1000
        console = Console(force_terminal=is_terminal, width=width, markup=False, highlight=False)
        with console.capture() as capture:
            console.print(table)
        for line in capture.get().splitlines():
            self.echo(line.rstrip())

    @contextmanager
    def progress(self, label: str) -> Iterator[None]:
        """Shows `label` on stderr while the body takes over a second, on a terminal only."""
        if self.verbosity < 0 or self.message_format == "json" or not sys.stderr.isatty():
            yield
            return
        done = Event()

        def show() -> None:
            if not done.wait(_PATIENCE_SECONDS):
                click.echo(f"{label} ...", err=True, nl=False)
                done.wait()
                click.echo("\r\x1b[K", err=True, nl=False)

        thread = Thread(target=show, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _in_color(text: str) -> str:
    """Severity, code, carets, notes and hints of one rendered diagnostic stand out."""
    lines = []
    for line in text.splitlines():
        if line.strip() and not line.strip(" ^"):
            line = click.style(line, fg="green", bold=True)
        elif line.startswith("  hint: "):
            line = "  " + click.style("hint:", fg="cyan") + line.removeprefix("  hint:")
        else:
            for mark, hue in (("error[", "red"), ("warning[", "yellow"), ("note:", "blue")):
                where, found, rest = line.partition(mark)
                if found and not line.startswith("    "):
                    word, closing, message = (found + rest).partition("]:" if "[" in mark else ":")
                    line = where + click.style(word + closing, fg=hue, bold=True) + message
                    break
        lines.append(line)
    return "\n".join(lines)
