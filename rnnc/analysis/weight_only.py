"""Which values the parameters alone decide: the same in every call, at every run-time point.

A value may stand on a dim that it does not depend on: in `h[t] = (W * M) @ h[t-1]` the masked
weight stands on t. Only the dims that it *needs* count: those that an access, an attribute or the
bounds of another needed dim name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rnnc.ir.domain import Domain
from rnnc.ir.graph import DataIndex, Graph, Node, Operand
from rnnc.ir.poly import Poly

Dims = tuple[str, ...]


def weight_only(graph: Graph) -> dict[str, Dims]:
    """The nodes that parameters and constants alone decide, with the dims that each needs.

    No value that an output exports: it belongs to the call.
    """
    needed = needed_dims(graph)
    exported = {output.node for output in graph.outputs}
    extents = {size.name for size in graph.sizes if size.kind == "extent"}
    others = {
        node.id: None
        for node in graph.nodes
        if node.op.name == "input"
        or node.id in exported
        or any(not node.domain.dim(name).static for name in needed[node.id])
        or extents & {name for poly in deciding(graph, node, needed) for name in poly.names}
    }
    pending = list(others)
    while pending:
        for reader, _ in graph.readers(pending.pop()):
            if reader.id not in others:
                others[reader.id] = None
                pending.append(reader.id)
    return {node.id: needed[node.id] for node in graph.nodes if node.id not in others}


def needed_dims(graph: Graph) -> dict[str, Dims]:
    """For each node the dims of its domain on which its value may depend: the least fixed point.

    Variables and what arrays hold have a value of their own at each of their points.
    """
    stored = ("merge", "input", "param")
    needed: dict[str, Dims] = {
        node.id: node.domain.names if node.op.name in stored else () for node in graph.nodes
    }
    pending = {node.id: None for node in graph.nodes if node.op.name not in stored}
    while pending:
        name = next(iter(pending))
        del pending[name]
        node = graph[name]
        found = closed(node.domain, {n for p in deciding(graph, node, needed) for n in p.names})
        if found != needed[name]:
            needed[name] = found
            readers = (reader for reader, _ in graph.readers(name))
            pending |= {reader.id: None for reader in readers if reader.op.name not in stored}
    return needed


def deciding(graph: Graph, node: Node, needed: Mapping[str, Dims]) -> Iterator[Poly]:
    """The polynomials on which a node's value depends."""
    yield from node.type.shape
    for _, value in node.op.attributes:
        yield from polynomials(value)
    if node.bound is not None:
        yield from polynomials_of(node.bound)
    for name in needed[node.id]:
        dim = node.domain.dim(name)
        yield from (bound for bound in (dim.lower, dim.upper) if bound is not None)
    for operand in node.operands:
        if operand.guard is not None:
            yield from polynomials_of(operand.guard)
        for name, index in zip(graph[operand.source].domain.names, operand.access, strict=True):
            if name in needed[operand.source]:
                yield from (index.lower, index.upper) if isinstance(index, DataIndex) else (index,)


def polynomials_of(domain: Domain) -> Iterator[Poly]:
    for dim in domain.dims:
        yield from (bound for bound in (dim.lower, dim.upper) if bound is not None)
    for constraint in domain.constraints:
        yield constraint.poly


def polynomials(value: object) -> Iterator[Poly]:
    """Those inside an attribute."""
    if isinstance(value, Poly):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from polynomials(item)


def closed(domain: Domain, names: set[str]) -> Dims:
    """The dims among `names` with those that bound or constrain them, in the domain's order."""
    found = {name for name in domain.names if name in names}
    while True:
        more = {
            name
            for constraint in (*domain.constraints, *domain.bounds)
            if found & set(constraint.poly.names)
            for name in constraint.poly.names
            if name in domain.names
        }
        if more <= found:
            return tuple(name for name in domain.names if name in found)
        found |= more


def access_to(source: Node, operand: Operand, dims: Dims) -> tuple[Poly | DataIndex, ...]:
    """The entries of an access for some dims of its source."""
    entries = dict(zip(source.domain.names, operand.access, strict=True))
    return tuple(entries[name] for name in dims)
