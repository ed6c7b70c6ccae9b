"""Reads of a variable go straight to the equation that defines the point.

    h[l, t] merges  x[t] if l == -1,  a[l, t] if 0 <= l;   reader on l == 0:  h[l-1, t]
becomes
    reader on l == 0:  x[t]

Legal when every point that the reader reads lies in the guard of one case. Reads that meet several
cases (`h[l, t-1]` at t = 0 and after) stay on the merge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import networkx as nx

from rnnc.analysis.regions import region
from rnnc.analysis.sets import implies, sample
from rnnc.ir.domain import Domain
from rnnc.ir.graph import DataIndex, Graph, Node, Operand
from rnnc.ir.poly import Poly, PolyLike
from rnnc.passes.rewrite import Rewriter, moved, point_of

# Of more cases than these, those are tried that may hold at some point.
_FEW = 4


@dataclass(frozen=True, slots=True)
class ResolveReads:
    name: ClassVar[str] = "resolve-reads"

    def run(self, graph: Graph) -> Graph:
        rewriter = Rewriter.of(graph)
        for node in graph.nodes:
            operands = tuple(
                operand
                if operand.source == node.id  # a variable that copies itself: `hold-copies`
                else resolve(rewriter, region(node, operand), operand)
                for operand in node.operands
            )
            rewriter.put(replace(rewriter[node.id], operands=operands))
        keep_variables_on_cycles(rewriter)
        return rewriter.finish()


def keep_variables_on_cycles(rewriter: Rewriter) -> None:
    """Undoes what closed a cycle without a variable: a recurrence goes round through one."""
    inner: nx.DiGraph[str] = nx.DiGraph(
        (operand.source, node.id)
        for node in rewriter.nodes.values()
        if node.op.name != "merge"
        for operand in node.operands
        if rewriter[operand.source].op.name != "merge"
    )
    component: dict[str, int] = {}
    for number, members in enumerate(nx.strongly_connected_components(inner)):
        component |= dict.fromkeys(members, number)
    for node in list(rewriter.graph.nodes):
        now = rewriter[node.id]
        if now.op.name == "merge":
            continue
        operands = tuple(
            before
            if after.source != before.source
            and component.get(after.source, -1) == component.get(node.id, -2)
            else after
            for before, after in zip(node.operands, now.operands, strict=True)
        )
        rewriter.put(replace(now, operands=operands))


def resolve(rewriter: Rewriter, points: Domain, operand: Operand) -> Operand:
    """Follows merges as long as one case covers all points."""
    while True:
        source = rewriter[operand.source]
        case = covering_case(source, points, operand)
        if case is None:
            return operand
        operand = replace(case, guard=operand.guard)


def covering_case(source: Node, points: Domain, operand: Operand) -> Operand | None:
    """The case of a merge that defines all points read, as seen by the reader."""
    if source.op.name != "merge":
        return None
    values = point_of(source, operand.access)
    if values is None:
        return None
    for case in cases_met(source, points, values):
        assert case.guard is not None
        # Constraints first: a box seldom tells cases apart.
        limits = (*case.guard.constraints, *case.guard.bounds)
        if all(implies(points, limit.substitute(values)) for limit in limits):
            if any(isinstance(index, DataIndex) for index in case.access):
                return None  # a data-dependent index belongs to the merge
            return moved(case, values)
    return None


def cases_met(source: Node, points: Domain, values: Mapping[str, PolyLike]) -> Sequence[Operand]:
    """The cases of which one may hold at all points that are read: of many, those at one point."""
    cases = source.cases_at(values)
    point = sample(points) if len(cases) > _FEW else None
    if point is None:
        return cases
    access = {name: Poly.of(index) for name, index in values.items()}
    sizes = {name: 1 for index in access.values() for name in index.names}  # if not in the points
    return source.cases_at({name: i.evaluate({**sizes, **point}) for name, i in access.items()})
