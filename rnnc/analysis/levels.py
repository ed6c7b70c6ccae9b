"""Recurrences along index arrays (trees): their points have levels, known at run time.

    h[n] = f(h[left[n]], h[right[n]])          level[n] = 1 + max(level[left[n]], level[right[n]])

All points of one level may be computed at once, so that there are as many waves as the longest
chain of reads has points (a tree's height), where an order along n would have one for every point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rnnc.analysis.boxes import tightened
from rnnc.analysis.dependence import sources
from rnnc.ir.graph import DataIndex, Graph, Node, Operand
from rnnc.ir.ops import is_statement
from rnnc.ir.poly import Poly


@dataclass(frozen=True, slots=True)
class LevelRead:
    """A statement's operand that finds its place along the dim in an index array."""

    reader: Node
    operand: Operand
    index: DataIndex


def level_reads(graph: Graph, nodes: Sequence[str], dim: str) -> tuple[LevelRead, ...]:
    """The reads along `dim` of a recurrence that has levels along it; none if it has not.

    Every statement must have the dim, as a run-time dim that begins at zero, and every read inside
    the recurrence must stand still along it or go by an index array.
    """
    inside = set(nodes)
    found: list[LevelRead] = []
    for name in nodes:
        node = graph[name]
        box = tightened(node.domain)
        if dim not in box.names or box.constraints:
            return ()
        own = box.dim(dim)
        if any(dim in end.names for other in box.dims for end in (other.lower, other.upper) if end):
            return ()
        if own.static or own.lower != Poly() or own.upper is None or own.upper.constant is not None:
            return ()
        for operand in node.operands:
            for source, access, _ in sources(graph, operand, True):
                if source.id not in inside:
                    continue
                if dim not in access:
                    return ()
                there = access[dim]
                if there == Poly.of(dim):
                    continue
                read = by_index(graph, node, operand)
                if read is None or isinstance(there, Poly):
                    return ()
                if read not in found:
                    found.append(read)
    return tuple(found)


def by_index(graph: Graph, node: Node, operand: Operand) -> LevelRead | None:
    """The read, if one index array says where in a variable it goes."""
    source = graph[operand.source]
    indices = [index for index in operand.access if isinstance(index, DataIndex)]
    if len(indices) != 1 or not (is_statement(source.op) or source.op.name == "merge"):
        return None
    return LevelRead(node, operand, indices[0])
