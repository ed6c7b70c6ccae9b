"""Groups the terms of a sum by whether they take part in the recurrence.

    a[t] = (W @ x[t] + U @ h[t-1]) + b            (h depends on a)
becomes
    p[t] = W @ x[t] + b;   a[t] = p[t] + U @ h[t-1]

so that everything that reads no state is computed for all points at once, bias included. Products
of one sum that take part in the recurrence come together: kernels add them up in one accumulator.
Legal up to rounding (addition is reassociated); terms keep their order within each group. Sums
outside a recurrence stay as written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import networkx as nx

from rnnc.ir.graph import Graph, Index, Node, Operand
from rnnc.ir.ops import op
from rnnc.ir.poly import Poly
from rnnc.ir.reads import value_operands
from rnnc.passes.rewrite import Rewriter, identity, is_identity, moved, point_of

Read = tuple[str, tuple[Index, ...]]


@dataclass(frozen=True, slots=True)
class HoistSums:
    name: ClassVar[str] = "hoist-sums"

    def run(self, graph: Graph) -> Graph:
        rewriter = Rewriter.of(graph)
        component = recurrences(graph)
        inner = {
            operand.source
            for node in graph.nodes
            if node.op.name == "add" and node.id in component
            for operand in node.operands
            if is_term_tree(graph, node, operand)
        }
        for node in graph.nodes:
            if node.op.name == "add" and node.id in component and node.id not in inner:
                regroup(rewriter, graph, component, node)
        return rewriter.finish()


def recurrences(graph: Graph) -> dict[str, int]:
    """Nodes on a dependence cycle that static dims cannot break, with their component's number.

    A step along a static dim (the layer below) may be taken by an outer loop, inside which what
    comes over that edge is invariant.
    """
    known: dict[Read, tuple[str, ...]] = {}
    inner: nx.DiGraph[str] = nx.DiGraph(
        (source, node.id)
        for node in graph.nodes
        if node.op.name != "merge"
        for operand in node.operands
        if not steps_statically(graph[operand.source], node, operand)
        for source in computed(graph, operand, known)
    )
    found: dict[str, int] = {}
    for number, component in enumerate(nx.strongly_connected_components(inner)):
        if len(component) > 1:
            found |= dict.fromkeys(component, number)
    return found


def computed(graph: Graph, operand: Operand, known: dict[Read, tuple[str, ...]]) -> tuple[str, ...]:
    """The nodes that may have computed what is read: of a variable, the cases that are met.

    `known` are the reads of which they have been found.
    """
    source = graph[operand.source]
    if source.op.name != "merge":
        return (source.id,)
    read = source.id, operand.access
    if read not in known:
        values = point_of(source, operand.access)
        found: dict[str, None] = {}
        for case in value_operands(source) if values is None else source.cases_at(values):
            assert case.guard is not None
            guards = (*case.guard.bounds, *case.guard.constraints)
            limits = [] if values is None else [guard.substitute(values) for guard in guards]
            if all(limit.poly.constant is None or limit.holds({}) for limit in limits):
                inner = case if values is None else moved(case, values)
                found.update(dict.fromkeys(computed(graph, inner, known)))
        known[read] = tuple(found)
    return known[read]


def steps_statically(source: Node, reader: Node, operand: Operand) -> bool:
    """Whether the edge goes from one point of a static dim to another."""
    return any(
        dim.static
        and dim.name in reader.domain.names
        and isinstance(index, Poly)
        and index != Poly.of(dim.name)
        for dim, index in zip(source.domain.dims, operand.access, strict=True)
    )


def is_term_tree(graph: Graph, node: Node, operand: Operand) -> bool:
    """Whether the operand is itself a sum that only this node reads, at its own point."""
    source = graph[operand.source]
    return (
        source.op.name == "add"
        and is_identity(node, operand, source)
        and source.domain == node.domain
        and source.type == node.type
        and graph.structure.out_degree(source.id) == 1
    )


def terms(graph: Graph, node: Node) -> list[Operand]:
    """The summands from left to right."""
    found: list[Operand] = []
    for operand in node.operands:
        if is_term_tree(graph, node, operand):
            found += terms(graph, graph[operand.source])
        else:
            found.append(operand)
    return found


def regroup(rewriter: Rewriter, graph: Graph, component: dict[str, int], node: Node) -> None:
    summands = terms(graph, node)
    here = component[node.id]
    invariant = [read for read in summands if component.get(read.source) != here]
    recurrent = [read for read in summands if component.get(read.source) == here]
    products = [read for read in recurrent if graph[read.source].op.name == "matmul"]
    others = [read for read in recurrent if read not in products]
    # The widest shape first: a partial sum must have the shape of the whole.
    invariant.sort(key=lambda read: -graph[read.source].type.rank)
    groups = [group for group in (invariant, products, others) if group]
    shapes = {graph[group[0].source].type.shape for group in groups[:2]}
    in_order = [read for group in groups for read in group] == summands
    if len(groups) < 2 or shapes != {node.type.shape} or (in_order and len(products) < 2):
        return
    if not products and not worth_hoisting(graph, invariant):
        return
    total, *rest = [added(rewriter, node, group) for group in groups]
    for read in rest[:-1]:
        total = added(rewriter, node, [total, read])
    rewriter.put(replace(node, operands=(total, rest[-1])))


def worth_hoisting(graph: Graph, invariant: list[Operand]) -> bool:
    """Whether there is a sum to compute, and not only of weights."""
    computed = [graph[read.source].op.name not in ("param", "constant") for read in invariant]
    return len(computed) > 1 and any(computed)


def added(rewriter: Rewriter, node: Node, summands: list[Operand]) -> Operand:
    """The sum of a group, from left to right."""
    total = summands[0]
    for read in summands[1:]:
        partial = rewriter.derive(node, op("add"), (total, read))
        total = Operand(partial.id, identity(node.domain))
    return total
