"""Statements that live on every m-th point of a dim count those points instead.

    a[t in 0..T : t % 2 == 0] = f(h[t-2], x[t]);     h[t] merges  a[t] if t % 2 == 0, ...
becomes
    a[t in 0..ceil(T/2)] = f(h[2*t - 2], x[2*t]);    h[t] merges  a[floor(t/2)] if t % 2 == 0, ...

so that a recurrence from every second point to the next has distance 1 and half the waves, and no
point is visited to be skipped. Wants complete variables (`complete-variables`); then it is legal
always: it renames points. All statements of one recurrence take the same stride, the largest that
all of them have, since distances between points of unlike strides are not constant. Variables stay
as they are: storage keeps the places of all points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd
from typing import ClassVar

import networkx as nx

from rnnc.analysis.dependence import limited_sources
from rnnc.analysis.lattice import Lattice, lattice
from rnnc.analysis.regions import region
from rnnc.analysis.sets import is_empty
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import Graph, Index, Node, Operand, rebuild
from rnnc.ir.ops import is_statement
from rnnc.ir.poly import Poly
from rnnc.passes.bind_sizes import bind


@dataclass(frozen=True, slots=True)
class StrideDomains:
    name: ClassVar[str] = "stride-domains"

    def run(self, graph: Graph) -> Graph:
        for dim in run_time_dims(graph):
            strides = strides_along(graph, dim)
            if strides:
                nodes = [with_strides(graph, node, dim, strides) for node in graph.nodes]
                graph = rebuild(graph, nodes)
        return graph


def run_time_dims(graph: Graph) -> tuple[str, ...]:
    """Dims along which some statement skips points, if their extents come at run time."""
    return tuple(
        sorted(
            {
                dim.name
                for node in graph.nodes
                for dim in node.domain.dims
                if not dim.static and is_statement(node.op) and node.domain.constraints
            }
        )
    )


# ---- which stride -----------------------------------------------------------------------------


def strides_along(graph: Graph, dim: str) -> dict[str, Lattice]:
    """The points of the statements that get a stride."""
    own = {
        node.id: lattice(node.domain, dim)
        for node in graph.nodes
        if is_statement(node.op) and dim in node.domain.names
    }
    if all(points.step == 1 for points in own.values()):
        return {}
    found: dict[str, Lattice] = {}
    for members in nx.strongly_connected_components(recurrences(graph)):
        points = [own[name] for name in members if name in own]
        step = gcd(*(p.step for p in points))
        if step > 1 and len(points) == len(members):
            found |= {name: Lattice(step, own[name].offset % step) for name in members}
    return found


def recurrences(graph: Graph) -> nx.DiGraph[str]:
    """Which statement reads which; reads that only unlike residues would make are left out."""
    structure: nx.DiGraph[str] = nx.DiGraph()
    for node in graph.nodes:
        if not is_statement(node.op):
            continue
        structure.add_node(node.id)
        for operand in node.operands:
            for source, _, _, limits in limited_sources(graph, operand, True):
                if not limits or not is_empty(region(node, operand).restrict(*limits)):
                    structure.add_edge(source.id, node.id)
    return structure


# ---- the rewrite ------------------------------------------------------------------------------


def with_strides(graph: Graph, node: Node, dim: str, strides: dict[str, Lattice]) -> Node:
    """The node at its new points, with reads of other nodes at theirs."""
    if node.id in strides:
        points = strides[node.id]
        domain = counted(node.domain, dim, points)
        node = replace(bind(node, {dim: points.point(Poly.of(dim))}), domain=domain)
    operands = tuple(relocated(graph[read.source], read, dim, strides) for read in node.operands)
    return replace(node, operands=operands)


def relocated(source: Node, read: Operand, dim: str, strides: dict[str, Lattice]) -> Operand:
    if source.id not in strides:
        return read
    points = strides[source.id]
    access: list[Index] = []
    for name, index in zip(source.domain.names, read.access, strict=True):
        if name == dim:
            assert isinstance(index, Poly), "what is read at a data-dependent index is a variable"
            index = points.position(index)
        access.append(index)
    return replace(read, access=tuple(access))


def counted(domain: Domain, dim: str, points: Lattice) -> Domain:
    """The domain whose dim counts the points of a lattice, which all its points lie on."""
    dims = tuple(counted_dim(own, dim, points) for own in domain.dims)
    values = {dim: points.point(Poly.of(dim))}
    limits = (reduced(constraint.substitute(values)) for constraint in domain.constraints)
    kept = tuple(c for c in limits if c.poly.constant is None or not c.holds({}))
    return Domain(dims, kept)


def counted_dim(own: Dim, dim: str, points: Lattice) -> Dim:
    if own.name != dim:
        values = {dim: points.point(Poly.of(dim))}
        lower = None if own.lower is None else own.lower.substitute(values)
        upper = None if own.upper is None else own.upper.substitute(values)
        return replace(own, lower=lower, upper=upper)
    lower, upper = (
        None if end is None else points.position(end + points.step - 1)
        for end in (own.lower, own.upper)
    )
    return replace(own, lower=lower, upper=upper)


def reduced(constraint: Constraint) -> Constraint:
    """The constraint on integers without a common factor of its coefficients."""
    poly = constraint.poly
    factor = gcd(*(coefficient for monomial, coefficient in poly.terms if monomial))
    if factor <= 1 or (constraint.relation == "==" and poly.offset % factor):
        return constraint
    return Constraint(poly // factor, constraint.relation)
