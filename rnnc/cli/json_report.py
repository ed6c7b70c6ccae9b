"""A diagnostic as JSON: the same fields as in `rnnc.diagnostics`, one object a diagnostic."""

from __future__ import annotations

from rnnc.diagnostics import Diagnostic, Span

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def to_json(diagnostic: Diagnostic) -> dict[str, Json]:
    """`span` is null for what stands nowhere in a source."""
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "span": _span(diagnostic.span) if diagnostic.span else None,
        "notes": [{"message": n.message, "span": _span(n.span)} for n in diagnostic.notes],
        "hints": list(diagnostic.hints),
    }


def _span(span: Span) -> Json:
    """Lines and columns count from 1, `end_column` is exclusive."""
    return {
        "file": span.source.name,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }
