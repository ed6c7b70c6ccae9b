"""Graphs in text form, for tests."""

from pathlib import Path

from rnnc.diagnostics import Source
from rnnc.ir.graph import Graph
from rnnc.ir.parser import parse_graph


def graph_text(name: str) -> str:
    return (Path(__file__).parent / f"{name}.rir").read_text(encoding="utf-8")


def graph(name: str) -> Graph:
    """The well-formed graph in file `name`."""
    return parse_graph(Source(f"{name}.rir", graph_text(name)))
