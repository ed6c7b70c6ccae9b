"""A product with a concatenation is a sum of products with its parts.

    a[t] = W @ concat{axis=0}(x[t], r[t-1])
becomes
    a[t] = W[:, :X] @ x[t] + W[:, X:] @ r[t-1]

Legal for a concatenation along the contracted axis. It lets the part that reads no state be
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
    whole = rewriter[right.source]
    values = point_of(whole, right.access)
    if whole.op.name != "concat" or whole.op["axis"] != 0 or values is None:
        return []
    width = rewriter[left.source].type.rank - 1
    terms: list[Node] = []
    offset = Poly()
    for part in (moved(operand, values) for operand in whole.operands):
        stop = offset + rewriter[part.source].type.shape[0]
        block = rewriter.derive(product, op("slice", axis=width, start=offset, stop=stop), (left,))
        columns = Operand(block.id, identity(product.domain))
        terms.append(rewriter.derive(product, op("matmul"), (columns, part)))
        offset = stop
    total = terms[0]
    for term in terms[1:]:
        reads = tuple(Operand(node.id, identity(product.domain)) for node in (total, term))
        total = rewriter.derive(product, op("add"), reads)
    rewriter.put(replace(total, id=product.id))
    return [term.id for term in terms]
