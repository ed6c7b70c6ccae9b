"""Frozen data as an indented outline: how `--emit=ast` shows a tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from rnnc.diagnostics import Source, Span


def outline(value: object) -> str:
    """One line a node and a leaf; where things stand in the source is left out."""
    return "\n".join(_lines("", value)) + "\n"


def _lines(label: str, value: object) -> Iterator[str]:
    prefix = f"{label}: " if label else ""
    if isinstance(value, Span):
        return
    if isinstance(value, Source):
        yield f"{prefix}{value.name}"
    elif is_dataclass(value) and not isinstance(value, type):
        yield f"{prefix}{type(value).__name__}"
        for field in fields(value):
            for line in _lines(field.name, getattr(value, field.name)):
                yield "  " + line
    elif isinstance(value, tuple) and value:
        yield f"{label}:"
        for item in value:
            for line in _lines("", item):
                yield "  " + line
    else:
        yield f"{prefix}{value!r}"
