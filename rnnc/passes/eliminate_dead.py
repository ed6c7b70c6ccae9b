"""Drops what no output needs.

    h[t] = ...;  z[t] = h[t] * 2;  output y = h[T-1]
becomes
    h[t] = ...;  output y = h[T-1]

Inputs stay: they are the model's signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rnnc.ir.graph import Graph
from rnnc.passes.rewrite import assemble


@dataclass(frozen=True, slots=True)
class EliminateDead:
    name: ClassVar[str] = "eliminate-dead"

    def run(self, graph: Graph) -> Graph:
        alive = assemble(graph, {node.id: node for node in graph.nodes}, graph.outputs)
        return graph if len(alive) == len(graph) else alive
