"""Drops what no output needs.

    h[t] = ...;  z[t] = h[t] * 2;  output y = h[T-1]
becomes
    h[t] = ...;  output y = h[T-1]

Equations of a variable that all its readers miss go as well: those for `h[1, t]` where all read
`h[0, t]`. Inputs stay: they are the model's signature.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rnnc.analysis.boxes import tightened
from rnnc.analysis.dependence import beyond
from rnnc.ir.domain import Domain
from rnnc.ir.graph import DataIndex, Graph, Node, Operand
from rnnc.ir.reads import index_positions
from rnnc.passes.rewrite import assemble


@dataclass(frozen=True, slots=True)
class EliminateDead:
    name: ClassVar[str] = "eliminate-dead"

    def run(self, graph: Graph) -> Graph:
        nodes = {node.id: without_missed_cases(graph, node) for node in graph.nodes}
        alive = assemble(graph, nodes, graph.outputs)
        unchanged = all(node is graph[name] for name, node in nodes.items())
        return graph if unchanged and len(alive) == len(graph) else alive


def without_missed_cases(graph: Graph, node: Node) -> Node:
    """A variable with the cases that some reader may meet; all of them where it is exported."""
    exported = any(output.node == node.id for output in graph.outputs)
    if node.op.name != "merge" or exported or index_positions(node):
        return node
    reads = [reader.operands[position] for reader, position in graph.readers(node.id)]
    kept = tuple(
        case
        for case in node.operands
        if case.guard is None or any(meets(node, tightened(case.guard), read) for read in reads)
    )
    return node if kept == node.operands else replace(node, operands=kept)


def meets(node: Node, guard: Domain, read: Operand) -> bool:
    """Whether a read may find a point of the guard, as far as its constant indices tell."""
    access = {
        name: (index.lower, index.upper) if isinstance(index, DataIndex) else index
        for name, index in zip(node.domain.names, read.access, strict=True)
    }
    return not beyond(guard, access)
