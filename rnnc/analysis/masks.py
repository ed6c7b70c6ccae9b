"""Which weights have a mask: parameters say which of their entries are zero.

    W if keep else 0        W * keep        W if abs(W) > threshold else 0

How many entries are left is only known when parameters are bound; that a mask is written at all
says that somebody expects few. A mask that indices alone decide (a triangle) is none: half of it is
left for certain.
"""

from __future__ import annotations

from rnnc.ir.graph import Graph, Node
from rnnc.ir.ops import is_view


def masked(preparation: Graph) -> tuple[str, ...]:
    """The matrices with a mask among what is computed when parameters are bound, by name."""
    found = (
        output.name
        for output in preparation.outputs
        if preparation[output.node].type.rank == 2 and has_mask(preparation, output.node)
    )
    return tuple(found)


def has_mask(graph: Graph, name: str) -> bool:
    """Whether a condition on parameters makes entries of a value, or of a part of it, zero."""
    node = graph[name]
    if node.op.name == "merge" or is_view(node.op):
        return any(has_mask(graph, operand.source) for operand in node.operands)
    sources = [graph[operand.source] for operand in node.operands]
    match node.op.name:
        case "select":
            condition, *branches = sources
            return any(map(is_zero, branches)) and tells_entries(graph, condition)
        case "mul":
            return any(is_condition(graph, one) and tells_entries(graph, one) for one in sources)
    return False


def is_zero(node: Node) -> bool:
    return node.op.name == "constant" and node.op["value"] == 0


def is_condition(graph: Graph, node: Node) -> bool:
    """Whether a number is true or false."""
    if node.op.name == "cast":
        [operand] = node.operands
        return is_condition(graph, graph[operand.source])
    return node.type.dtype == "bool"


def tells_entries(graph: Graph, condition: Node) -> bool:
    """Whether parameters say it, and not of the whole at once."""
    return condition.type.rank > 0 and has_parameters(graph, condition)


def has_parameters(graph: Graph, node: Node) -> bool:
    """Whether a value depends on parameters."""
    return node.op.name == "param" or any(
        has_parameters(graph, graph[operand.source]) for operand in node.operands
    )
