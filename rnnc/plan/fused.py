"""Which matrix products of a plan share a kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnc.ir.graph import Graph
from rnnc.plan.plan import Phase, Step


def fused_products(steps: Sequence[Step], graph: Graph) -> Iterator[tuple[str, ...]]:
    """The products of every kernel that has several, by their nodes of the planned graph."""
    for step in steps:
        if not isinstance(step, Phase):
            yield from fused_products(step.body, graph)
            continue
        for kernel in step.kernels:
            names = (define.name for define in kernel.defines if define.name in graph)
            products = tuple(name for name in names if graph[name].op.name == "matmul")
            if len(products) > 1:
                yield products
