"""Removes static dims of which a node has one point only.

    a[l in 0..1, t] = exp(x[l, t]);   reader on l == 0:  a[0, t]
becomes
    a[t] = exp(x[0, t]);              reader on l == 0:  a[t]

Legal always: the index is a number. Nodes of one layer, or of one term of a written-out sum, then
have the same dims as what they are combined with and can share its kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rnnc.analysis.boxes import tightened
from rnnc.ir.domain import Domain
from rnnc.ir.graph import Graph, Node
from rnnc.ir.poly import PolyLike
from rnnc.passes.bind_sizes import bind
from rnnc.passes.rewrite import Rewriter


@dataclass(frozen=True, slots=True)
class DropUnitDims:
    name: ClassVar[str] = "drop-unit-dims"

    def run(self, graph: Graph) -> Graph:
        rewriter = Rewriter.of(graph)
        dropped: dict[str, dict[str, PolyLike]] = {}
        for node in graph.nodes:
            units = unit_dims(node)
            if units:
                dropped[node.id] = units
                rewriter.put(without(node, units))
        for node in list(rewriter.nodes.values()):
            operands = tuple(
                replace(
                    read,
                    access=tuple(
                        index
                        for name, index in zip(
                            graph[read.source].domain.names, read.access, strict=True
                        )
                        if name not in dropped[read.source]
                    ),
                )
                if read.source in dropped
                else read
                for read in node.operands
            )
            rewriter.put(replace(node, operands=operands))
        return rewriter.finish()


def unit_dims(node: Node) -> dict[str, PolyLike]:
    """The dims with a single index, and the index."""
    if node.op.name in ("merge", "input", "param"):
        return {}
    return {
        dim.name: dim.lower
        for dim in tightened(node.domain).dims
        if dim.static
        and dim.lower is not None
        and dim.lower.constant is not None
        and dim.upper == dim.lower + 1
    }


def without(node: Node, units: dict[str, PolyLike]) -> Node:
    """The node at the given indices of those dims."""
    fixed = bind(replace(node, domain=tightened(node.domain)), units)
    dims = tuple(dim for dim in fixed.domain.dims if dim.name not in units)
    constraints = tuple(c for c in fixed.domain.constraints if c.poly.constant is None)
    return replace(fixed, domain=Domain(dims, constraints))
