"""A product with a concatenation is a sum of products with its parts.

    a[t] = W @ concat{axis=0}(x[t], r[t-1])
becomes
    a[t] = W[:, :X] @ x[t] + W[:, X:] @ r[t-1]

Legal for a concatenation along the contracted axis; a stack of vectors that is made one vector is
such a concatenation, too. It lets the part that reads no state be
computed for all points at once, and no concatenation be stored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rnnc.ir.graph import Graph, Node, Operand
from rnnc.ir.ops import op
from rnnc.ir.poly import Poly
from rnnc.passes.rewrite import Rewriter, identity, moved, point_of


@dataclass(frozen=True, slots=True)
class SplitConcatProducts:
    name: ClassVar[str] = "split-concat-products"

    def run(self, graph: Graph) -> Graph:
        rewriter = Rewriter.of(graph)
        pending = [node.id for node in graph.nodes if node.op.name == "matmul"]
        while pending:
            product = rewriter[pending.pop()]
            if product.op.name == "matmul":
                pending += split(rewriter, product)
        return rewriter.finish()


def split(rewriter: Rewriter, product: Node) -> list[str]:
    """Rewrites one product; the ids of the products that this made."""
    left, right = product.operands
    joined = parts(rewriter, right)
    width = rewriter[left.source].type.rank - 1
    terms: list[Node] = []
    offset = Poly()
    for part in joined:
        stop = offset + rewriter[part.source].type.shape[0]
        block = rewriter.derive(product, op("slice", axis=width, start=offset, stop=stop), (left,))
        columns = Operand(block.id, identity(product.domain))
        terms.append(rewriter.derive(product, op("matmul"), (columns, part)))
        offset = stop
    if not terms:
        return []
    total = terms[0]
    for term in terms[1:]:
        reads = tuple(Operand(node.id, identity(product.domain)) for node in (total, term))
        total = rewriter.derive(product, op("add"), reads)
    rewriter.put(replace(total, id=product.id))
    return [term.id for term in terms]


def parts(rewriter: Rewriter, read: Operand) -> tuple[Operand, ...]:
    """What stands one behind the other in a value, along its first axis; empty if that is one."""
    whole = rewriter[read.source]
    values = point_of(whole, read.access)
    if values is None:
        return ()
    inside = tuple(moved(operand, values) for operand in whole.operands)
    if whole.op.name == "concat" and whole.op["axis"] == 0:
        return inside
    if whole.op.name == "reshape" and whole.type.rank == 1:
        stacked = rewriter[inside[0].source]
        values = point_of(stacked, inside[0].access)
        if stacked.op.name == "stack" and stacked.type.rank == 2 and values is not None:
            return tuple(moved(operand, values) for operand in stacked.operands)
    return ()
