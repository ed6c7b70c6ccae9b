"""Where something stands in a source, and what is wrong there.

One `Diagnostic` feeds the terminal, JSON and (later) the language server. It is plain data; how it
looks is decided in `render`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Source:
    """A text with the name under which diagnostics cite it (a path, or '<text>')."""

    name: str
    text: str

    def line(self, number: int) -> str:
        """Line `number`, counted from 1, without its end."""
        lines = self.text.removeprefix("\ufeff").split("\n")
        return lines[number - 1].removesuffix("\r") if 1 <= number <= len(lines) else ""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a source; lines and columns count from 1, `end_column` is exclusive."""

    source: Source
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"

    def __repr__(self) -> str:
        return f"Span({self})"

    @property
    def text(self) -> str:
        """What the span covers; of a span over several lines, its first line."""
        line = self.source.line(self.line)
        end = self.end_column if self.end_line == self.line else len(line) + 1
        return line[self.column - 1 : end - 1]


@dataclass(frozen=True, slots=True)
class Note:
    """Another place that takes part in a diagnostic."""

    message: str
    span: Span


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake: code (docs/diagnostics.md), message, caret, other places, hints to paste."""

    code: str
    message: str
    span: Span | None = None
    severity: Severity = "error"
    notes: tuple[Note, ...] = ()
    hints: tuple[str, ...] = ()


class DiagnosticError(Exception):
    """Raised when a stage cannot go on; carries everything that was found, in source order."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(render(diagnostic) for diagnostic in diagnostics))


@dataclass(slots=True)
class DiagnosticSink:
    """Collects diagnostics; every stage reports all that it finds, then the driver decides."""

    found: list[Diagnostic] = field(default_factory=list)

    def report(self, diagnostic: Diagnostic) -> None:
        if diagnostic not in self.found:
            self.found.append(diagnostic)

    def error(
        self,
        code: str,
        message: str,
        span: Span | None,
        notes: Iterable[Note] = (),
        hints: Iterable[str] = (),
    ) -> None:
        self.report(Diagnostic(code, message, span, "error", tuple(notes), tuple(hints)))

    def warning(
        self,
        code: str,
        message: str,
        span: Span | None,
        notes: Iterable[Note] = (),
        hints: Iterable[str] = (),
    ) -> None:
        self.report(Diagnostic(code, message, span, "warning", tuple(notes), tuple(hints)))

    def sorted(self) -> tuple[Diagnostic, ...]:
        """In source order: by file, line, column."""
        return tuple(sorted(self.found, key=_position))

    @property
    def has_errors(self) -> bool:
        return any(diagnostic.severity == "error" for diagnostic in self.found)

    def raise_errors(self) -> None:
        """Raise all that was found if any of it is an error."""
        if self.has_errors:
            raise DiagnosticError(self.sorted())


def _position(diagnostic: Diagnostic) -> tuple[str, int, int, str]:
    span = diagnostic.span
    if span is None:
        return ("", 0, 0, diagnostic.code)
    return (span.source.name, span.line, span.column, diagnostic.code)


def render(diagnostic: Diagnostic) -> str:
    """Plain text with carets, in the form of docs/diagnostics.md."""
    where = f"{diagnostic.span}: " if diagnostic.span else ""
    lines = [f"{where}{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}"]
    if diagnostic.span:
        lines += excerpt(diagnostic.span)
    for note in diagnostic.notes:
        lines.append(f"{note.span}: note: {note.message}")
        lines += excerpt(note.span)
    lines += [f"  hint: {hint}" for hint in diagnostic.hints]
    return "\n".join(lines)


def excerpt(span: Span) -> list[str]:
    """The source line indented by four, and carets under the span (on its first line)."""
    line = span.source.line(span.line)
    end = span.end_column if span.end_line == span.line else len(line) + 1
    width = max(1, end - span.column)
    # A tab is as wide above as below; what else a terminal would obey is shown as a replacement.
    before = "".join("\t" if character == "\t" else " " for character in line[: span.column - 1])
    shown = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in line)
    return ["    " + shown, "    " + before.ljust(span.column - 1) + "^" * width]
