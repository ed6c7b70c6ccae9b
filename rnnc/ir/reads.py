"""Which operands of a node are values, and which only say where another operand is read.

An operand that a `DataIndex` of the same node names is an *index operand*: `h[left[n]]` is one
value operand (`h`, at a data index) and one index operand (`left[n]`). Index operands are not
operands of the op: they do not count in its arity and stand after the value operands. A value that
is both stands twice.
"""

from __future__ import annotations

from rnnc.ir.domain import Domain
from rnnc.ir.graph import DataIndex, Node, Operand


def index_positions(node: Node) -> frozenset[int]:
    """The positions of the index operands."""
    return frozenset(
        index.operand
        for operand in node.operands
        for index in operand.access
        if isinstance(index, DataIndex)
    )


def value_operands(node: Node) -> tuple[Operand, ...]:
    """The operands that the op itself takes, in order."""
    indices = index_positions(node)
    return tuple(
        operand for position, operand in enumerate(node.operands) if position not in indices
    )


def index_guard(node: Node, position: int) -> Domain | None:
    """Where the index operand of a merge is needed: the guard of the case that it indexes."""
    for operand in node.operands:
        if any(isinstance(i, DataIndex) and i.operand == position for i in operand.access):
            return operand.guard
    return None
