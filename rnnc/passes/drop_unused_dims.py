"""Removes dims on which the value of a node does not depend.

    p[i, t] = matmul(W, s[i - 1]);   e[i, t] = add(p[i, t], q[t])
becomes
    p[i] = matmul(W, s[i - 1]);      e[i, t] = add(p[i], q[t])

Legal where nothing in the node names the dim, and where dropping it makes no new points (the dim
may be empty when the others are not) or what is read at those exists as surely as at the old ones:
its extent does not come from the sizes that may make the dropped dim empty. It pays unless all that
is saved is an element in the storage of a variable, to which the value had to be copied instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from rnnc.analysis.sets import Assumptions, is_empty
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import Attribute, DataIndex, Graph, Node, Operand
from rnnc.ir.ops import is_pointwise
from rnnc.ir.poly import Poly
from rnnc.passes.rewrite import Rewriter, ordered

# A variable keeps its dims; leaves outside have those of their arrays; dropout draws at each point.
_KEPT = frozenset(("merge", "input", "param", "dropout"))


@dataclass(frozen=True, slots=True)
class DropUnusedDims:
    name: ClassVar[str] = "drop-unused-dims"

    def run(self, graph: Graph) -> Graph:
        rewriter = Rewriter.of(graph)
        fixed = {output.node for output in graph.outputs}
        fixed |= {node.id for node in graph.nodes if node.op.name in _KEPT}
        dropped: dict[str, set[str]] = {}
        # Sources first: a reader of what lost a dim may no longer need it either.
        for name in ordered(rewriter.nodes, dict.fromkeys(rewriter.nodes)):
            node = adapted(rewriter, rewriter[name], dropped)
            if name not in fixed and pays(graph, node):
                unused = unused_dims(rewriter, node) - data_indexed(graph, node)
                if unused:
                    dropped[name] = unused
                    node = replace(node, domain=without(node.domain, unused))
            rewriter.put(node)
        # Variables come before their cases.
        for node in list(rewriter.nodes.values()):
            if node.op.name == "merge":
                rewriter.put(adapted(rewriter, graph[node.id], dropped))
        return rewriter.finish()


def adapted(rewriter: Rewriter, node: Node, dropped: dict[str, set[str]]) -> Node:
    """The node with its reads at what is left of the dims of their sources."""

    def read(operand: Operand) -> Operand:
        gone = dropped.get(operand.source)
        if gone is None:
            return operand
        names = rewriter.graph[operand.source].domain.names
        kept = zip(names, operand.access, strict=True)
        return replace(operand, access=tuple(index for name, index in kept if name not in gone))

    return replace(node, operands=tuple(read(operand) for operand in node.operands))


# ---- legality ---------------------------------------------------------------------------------


def unused_dims(rewriter: Rewriter, node: Node) -> set[str]:
    """Dims that can go, one after another."""
    found: set[str] = set()
    named = set(names_in(node))
    for dim in reversed(node.domain.dims):  # bounds may name the dims before
        rest = without(node.domain, found | {dim.name})
        if dim.name not in named | set(domain_names(rest)) and is_safe(rewriter, node, dim, rest):
            found.add(dim.name)
    return found


def names_in(node: Node) -> Iterator[str]:
    """Every name by which the value of the node is told, its domain aside."""
    for operand in node.operands:
        for index in operand.access:
            parts = (index.lower, index.upper) if isinstance(index, DataIndex) else (index,)
            for part in parts:
                yield from part.names
    for _, value in node.op.attributes:
        yield from attribute_names(value)
    for poly in node.type.range or ():
        yield from poly.names
    if node.bound is not None:
        yield from domain_names(node.bound)


def attribute_names(value: Attribute) -> Iterator[str]:
    if isinstance(value, Poly):
        yield from value.names
    elif isinstance(value, tuple):
        for item in value:
            yield from attribute_names(item)


def domain_names(domain: Domain) -> Iterator[str]:
    for dim in domain.dims:
        yield from bound_names(dim)
    for constraint in domain.constraints:
        yield from constraint.poly.names


def bound_names(dim: Dim) -> tuple[str, ...]:
    return tuple(name for end in (dim.lower, dim.upper) if end is not None for name in end.names)


def without(domain: Domain, gone: set[str]) -> Domain:
    return replace(domain, dims=tuple(dim for dim in domain.dims if dim.name not in gone))


def is_safe(rewriter: Rewriter, node: Node, dim: Dim, rest: Domain) -> bool:
    """Whether the node may be computed at all points of `rest` even where the dim is empty."""
    if dim.lower is None or dim.upper is None:
        return True
    empty = Constraint(dim.lower - dim.upper, ">=")
    if is_empty(rest.restrict(empty), Assumptions.of(rewriter.graph.sizes)):
        return True
    blamed = set(bound_names(dim))
    return all(
        blamed.isdisjoint(domain_names(domain))
        for operand in node.operands
        for domain in extents(rewriter[operand.source])
    )


def extents(source: Node) -> Iterator[Domain]:
    """The domains that say at which points a node has a value."""
    yield source.domain
    for case in source.operands:
        if case.guard is not None:
            yield case.guard


def data_indexed(graph: Graph, node: Node) -> set[str]:
    """Dims at which some reader's index is a value: that operand would be left without a use."""
    return {
        name
        for reader, position in graph.readers(node.id)
        for name, index in zip(node.domain.names, reader.operands[position].access, strict=True)
        if isinstance(index, DataIndex)
    }


# ---- profitability ----------------------------------------------------------------------------


def pays(graph: Graph, node: Node) -> bool:
    """Whether anybody but the storage of a variable reads the node, or its elements are dear."""
    cases = all(reader.op.name == "merge" for reader, _ in graph.readers(node.id))
    return not (cases and is_pointwise(node.op))
