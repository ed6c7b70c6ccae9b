"""Reads of a copy go to what was copied.

    n[i, j] = cast{dtype=real}(h[i - 1, j]);   reader:  n[i, j]
becomes
    reader:  h[i - 1, j]

Legal for a cast to the dtype that the value has already. A copy at a data-dependent index stays:
the index is read once. Cases of variables keep their copies: each is a node that writes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rnnc.ir.graph import Graph, Node, Operand
from rnnc.ir.reads import index_positions
from rnnc.passes.rewrite import Rewriter, moved, point_of


@dataclass(frozen=True, slots=True)
class PropagateCopies:
    name: ClassVar[str] = "propagate-copies"

    def run(self, graph: Graph) -> Graph:
        rewriter = Rewriter.of(graph)
        for node in graph.nodes:
            if node.op.name == "merge":
                continue
            operands = tuple(original(rewriter, read) for read in node.operands)
            rewriter.put(replace(node, operands=operands))
        return rewriter.finish()


def original(rewriter: Rewriter, read: Operand) -> Operand:
    """What a read of a copy, or of a copy of a copy, really reads."""
    while True:
        source = rewriter[read.source]
        values = point_of(source, read.access)
        if values is None or not is_copy(rewriter, source):
            return read
        inner = moved(source.operands[0], values)
        read = replace(inner, guard=read.guard, span=read.span)


def is_copy(rewriter: Rewriter, node: Node) -> bool:
    if node.op.name != "cast" or index_positions(node):
        return False
    source = rewriter[node.operands[0].source]
    return source.type.dtype == node.type.dtype and source.type.shape == node.type.shape
