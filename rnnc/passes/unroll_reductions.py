"""Writes out short reductions over static grid points, and over short leading axes.

    a[t] = reduce{kind=sum}(b[d, t]) over d in 0..2       becomes      a[t] = b[0, t] + b[1, t]
    a[t]: real[H] = reduce_axis{kind=sum, axis=0}(b[t]: real[2, H])
becomes
    a[t] = pick{axis=0, at=0}(b[t]) + pick{axis=0, at=1}(b[t])

Legal always (the terms keep their order). It pays where the terms differ in more than the index:
each then meets its own neighbour or weight without a test. The states of a recurrence that the
reduction is no part of are not copied into the terms: they are computed, and there, in any case.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar, cast

from rnnc.ir.domain import Domain
from rnnc.ir.graph import Graph, Node, Op, Operand
from rnnc.ir.ops import op
from rnnc.ir.poly import Poly, PolyLike
from rnnc.passes.bind_sizes import bind
from rnnc.passes.rewrite import Rewriter, cycles, identity, moved

COMBINERS = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "any": "or", "all": "and"}


@dataclass(frozen=True, slots=True)
class UnrollReductions:
    """`limit`: the most terms that are written out."""

    limit: int = 8
    name: ClassVar[str] = "unroll-reductions"

    def run(self, graph: Graph) -> Graph:
        rewriter = Rewriter.of(graph)
        cycle_of = cycles(graph)
        for node in graph.nodes:
            if node.op.name == "reduce_axis":
                unroll_axis(rewriter, node, self.limit)
            points = static_points(node, self.limit)
            if points is not None:
                own = cycle_of.get(node.id)
                finished = frozenset(name for name, cycle in cycle_of.items() if cycle != own)
                unroll(Terms(rewriter, finished), rewriter[node.id], points)
        return rewriter.finish()


def static_points(node: Node, limit: int) -> list[dict[str, int]] | None:
    """The bound points of a reduction if they are few and the same for every reader."""
    bound = node.bound
    if bound is None or (node.op.name == "reduce" and node.op["kind"] not in COMBINERS):
        return None
    count = 1
    for dim in bound.dims:
        lower = None if dim.lower is None else dim.lower.constant
        upper = None if dim.upper is None else dim.upper.constant
        if lower is None or upper is None:
            return None
        count *= max(0, upper - lower)
    if not 0 < count <= limit:
        return None
    ranges = [
        range(cast(Poly, dim.lower).offset, cast(Poly, dim.upper).offset) for dim in bound.dims
    ]
    points = [dict(zip(bound.names, values, strict=True)) for values in product(*ranges)]
    kept: list[dict[str, int]] = []
    for point in points:
        verdicts = []
        for constraint in bound.constraints:
            value = constraint.poly.substitute(dict[str, PolyLike](point)).constant
            if value is None:
                return None
            verdicts.append(value >= 0 if constraint.relation == ">=" else value == 0)
        if all(verdicts):
            kept.append(point)
    return kept or None


def unroll_axis(rewriter: Rewriter, node: Node, limit: int) -> None:
    """Writes out a reduction over a short leading axis of a matrix or more."""
    [read] = node.operands
    shape = rewriter[read.source].type.shape
    size = shape[0].constant if shape else None
    kind = cast(str, node.op["kind"])
    if node.op["axis"] != 0 or len(shape) < 2 or kind not in COMBINERS:
        return
    if size is None or not 1 < size <= limit:
        return
    rows = [
        rewriter.derive(node, op("pick", axis=0, at=Poly.of(number)), (read,))
        for number in range(size)
    ]
    fold(rewriter, node, kind, [Operand(row.id, identity(node.domain)) for row in rows])


def fold(rewriter: Rewriter, node: Node, kind: str, terms: list[Operand]) -> None:
    """Makes the node the combination of two or more terms, from left to right."""
    combine = op(COMBINERS[kind])
    total = terms[0]
    for term in terms[1:-1]:
        partial = rewriter.derive(node, combine, (total, term))
        total = Operand(partial.id, identity(node.domain))
    rewriter.put(replace(node, op=combine, operands=(total, terms[-1]), bound=None))


def unroll(terms: Terms, node: Node, points: list[dict[str, int]]) -> None:
    rewriter = terms.rewriter
    made = [terms.instance(node.operands[0], point) for point in points]
    if node.op.name == "reduce":
        if len(made) == 1:
            only = op("cast", dtype=node.type.dtype)
            rewriter.put(replace(node, op=only, operands=(made[0],), bound=None))
        else:
            fold(rewriter, node, cast(str, node.op["kind"]), made)
    elif node.op.name == "stack_points":
        rewriter.put(replace(node, op=op("stack"), operands=tuple(made), bound=None))
    else:
        rewriter.put(replace(node, op=op("concat", axis=0), operands=tuple(made), bound=None))


@dataclass(frozen=True, slots=True)
class Terms:
    """Writes the terms of a reduction out; what is `finished` has its value already."""

    rewriter: Rewriter
    finished: frozenset[str]

    def instance(self, operand: Operand, point: dict[str, int]) -> Operand:
        """The term at one bound point: the body's nodes again, with the bound dims gone.

        Only nodes that carry the bound dims are copied; what they read elsewhere is shared.
        """
        values: dict[str, PolyLike] = dict(point)
        body = self.rewriter[operand.source]
        access = moved(operand, values)
        if self.has_value(body) or not set(point) & set(body.domain.names):
            return access
        copied = self.copy_at(body, values)
        kept = tuple(
            index
            for name, index in zip(body.domain.names, access.access, strict=True)
            if name not in point
        )
        return Operand(copied.id, kept)

    def has_value(self, node: Node) -> bool:
        """Whether reading a node at one point costs nothing."""
        return node.op.name in ("merge", "input", "param") or node.id in self.finished

    def copy_at(self, node: Node, values: dict[str, PolyLike]) -> Node:
        """The node at fixed values of some of its dims."""
        operands: list[Operand] = []
        moved_node = bind(node, values)
        dims = tuple(dim for dim in moved_node.domain.dims if dim.name not in values)
        constraints = tuple(c for c in moved_node.domain.constraints if c.poly.constant is None)
        domain = Domain(dims, constraints)
        for original, read in zip(node.operands, moved_node.operands, strict=True):
            source = self.rewriter[original.source]
            fixed = {
                name: index
                for name, index in zip(source.domain.names, original.access, strict=True)
                if name in values and index == Poly.of(name)
            }
            if fixed and not self.has_value(source):
                inner = self.copy_at(source, {name: values[name] for name in fixed})
                kept = tuple(
                    index
                    for name, index in zip(source.domain.names, read.access, strict=True)
                    if name not in fixed
                )
                operands.append(Operand(inner.id, kept))
            else:
                operands.append(read)
        return self.rewriter.derive(
            moved_node,
            Op(moved_node.op.name, moved_node.op.attributes),
            tuple(operands),
            type=moved_node.type,
            domain=domain,
            bound=moved_node.bound,
        )
