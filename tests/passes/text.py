"""Passes on graphs in text form."""

from __future__ import annotations

from rnnc.diagnostics import Source
from rnnc.ir.graph import Graph
from rnnc.ir.parser import parse_graph
from rnnc.ir.printer import print_graph
from rnnc.ir.verifier import verify
from rnnc.passes.rewrite import Pass


def graph(text: str) -> Graph:
    """The well-formed graph of a text."""
    found = parse_graph(Source("test.rir", text))
    verify(found)
    return found


def after(step: Pass, text: str) -> list[str]:
    """The lines of the nodes behind a pass; the result is well-formed and stays as it is."""
    result = step.run(graph(text))
    verify(result)
    assert step.run(result) is result
    header = ("graph ", "static ", "extent ", "output ")
    return [line for line in print_graph(result).splitlines() if not line.startswith(header)]
