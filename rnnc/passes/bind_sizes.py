"""Replaces the static sizes by their numbers.

    h[l in 0..L, t in 0..T]: real[H]
becomes, with L=2, H=4,
    h[l in 0..2, t in 0..T]: real[4]

Legal always; every static must have a value (the driver has asked for those that lack one).
Run-time extents stay names: one artifact serves them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from rnnc.ir.graph import Attribute, Graph, Node, Op, Operand
from rnnc.ir.poly import Poly, PolyLike
from rnnc.passes.rewrite import moved


@dataclass(frozen=True, slots=True)
class BindSizes:
    name: ClassVar[str] = "bind-sizes"

    def run(self, graph: Graph) -> Graph:
        values: dict[str, PolyLike] = {
            size.name: size.value
            for size in graph.sizes
            if size.kind == "static" and size.value is not None
        }
        if not values:
            return graph
        bound = Graph(graph.name, tuple(s for s in graph.sizes if s.name not in values))
        for node in graph.nodes:
            bound.structure.add_node(node.id, node=bind(node, values))
        for node in list(bound.nodes):
            for position, operand in enumerate(node.operands):
                bound.structure.add_edge(operand.source, node.id, key=position, operand=operand)
        bound.outputs = tuple(
            replace(output, domain=output.domain.substitute(values)) for output in graph.outputs
        )
        return bound


def bind(node: Node, values: Mapping[str, PolyLike]) -> Node:
    """The node with names of sizes replaced everywhere."""

    def attribute(value: Attribute) -> Attribute:
        if isinstance(value, Poly):
            return value.substitute(values)
        if isinstance(value, tuple):
            return tuple(attribute(item) for item in value)
        return value

    def operand(read: Operand) -> Operand:
        guard = None if read.guard is None else read.guard.substitute(values)
        return replace(moved(read, values), guard=guard)

    op = Op(node.op.name, tuple((key, attribute(value)) for key, value in node.op.attributes))
    return replace(
        node,
        op=op,
        operands=tuple(operand(read) for read in node.operands),
        domain=node.domain.substitute(values),
        type=node.type.substitute(values),
        bound=None if node.bound is None else node.bound.substitute(values),
    )
