"""Numbers for the statics of a graph that has been read as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.ir.graph import Graph


def with_statics(graph: Graph, given: Mapping[str, object]) -> Graph:
    """The graph with these numbers; one that has a number already gets the new one.

    Raises DiagnosticError: RNN206 for what is no static of the graph, RNN305 for what is no size.
    """
    known = [size.name for size in graph.sizes if size.kind == "static"]
    hints = (f"it has:  {', '.join(known)}",) if known else ()
    numbers: dict[str, int] = {}
    found: list[Diagnostic] = []
    for name, value in given.items():
        if name not in known:
            found.append(
                Diagnostic("RNN206", f"'{graph.name}' has no static '{name}'", hints=hints)
            )
        elif isinstance(value, bool) or not isinstance(value, int) or value < 0:
            found.append(Diagnostic("RNN305", f"'{name}' is a size, not {value}"))
        else:
            numbers[name] = value
    if found:
        raise DiagnosticError(found)
    if not numbers:
        return graph
    sizes = tuple(replace(s, value=numbers.get(s.name, s.value)) for s in graph.sizes)
    made = Graph(graph.name, sizes)
    made.structure, made.outputs = graph.structure, graph.outputs
    return made
