"""One node for what several nodes compute alike (common subexpressions).

    a[t] = exp(x[t]);  b[t] = exp(x[t]);  y[t] = a[t] * b[t]      becomes      y[t] = a[t] * a[t]

Legal when op, operands, domain, type and bound are equal. Merges are variables and stay apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rnnc.ir.graph import Graph, Node
from rnnc.passes.rewrite import assemble


@dataclass(frozen=True, slots=True)
class EliminateCommon:
    name: ClassVar[str] = "eliminate-common"

    def run(self, graph: Graph) -> Graph:
        kept = {node.id: node for node in graph.nodes}
        outputs, changed = graph.outputs, False
        while True:
            same: dict[str, str] = {}
            seen: dict[Node, str] = {}
            for node in kept.values():
                if node.op.name in ("merge", "input"):
                    continue
                key = replace(node, id="", spans=())
                first = seen.setdefault(key, node.id)
                if first != node.id:
                    same[node.id] = first
            if not same:
                return assemble(graph, kept, outputs) if changed else graph
            changed = True
            kept = {
                name: replace(
                    node,
                    operands=tuple(
                        replace(read, source=same.get(read.source, read.source))
                        for read in node.operands
                    ),
                )
                for name, node in kept.items()
                if name not in same
            }
            outputs = tuple(
                replace(output, node=same.get(output.node, output.node)) for output in outputs
            )
