"""Grid points of statements and what each one reads, straight from the IR: the oracle of schedules.

Nothing here comes from `rnnc.analysis`: domains are enumerated, accesses evaluated, variables and
views looked through point by point.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from rnnc.ir.domain import Domain
from rnnc.ir.graph import DataIndex, Graph, Node, Operand
from rnnc.ir.ops import is_statement, is_view

Point = tuple[int, ...]
Instance = tuple[str, Point]  # a statement at a point, indices in the order of its domain
Reads = Mapping[Instance, tuple[Instance, ...]]


def instances(graph: Graph, extents: Mapping[str, int]) -> dict[Instance, tuple[Instance, ...]]:
    """Every instance of a statement with the instances that it reads."""
    finder = _Finder(graph, {**graph.values, **extents})
    found: dict[Instance, tuple[Instance, ...]] = {}
    for node in graph.nodes:
        if is_statement(node.op):
            for point in node.domain.points(finder.sizes):
                reads = dict.fromkeys(finder.operands(node, point))
                found[node.id, tuple(point.values())] = tuple(reads)
    return found


@dataclass(frozen=True, slots=True)
class _Finder:
    graph: Graph
    sizes: Mapping[str, int]

    def operands(self, node: Node, point: Mapping[str, int]) -> Iterator[Instance]:
        for bound in (node.bound or Domain()).points({**self.sizes, **point}):
            values = {**self.sizes, **point, **bound}
            for operand in node.operands:
                yield from self.through(operand, values)

    def through(self, operand: Operand, values: Mapping[str, int]) -> Iterator[Instance]:
        """The statements behind one read; a data-dependent index may be any of its range."""
        source = self.graph[operand.source]
        ranges = [
            range(index.lower.evaluate(values), index.upper.evaluate(values))
            if isinstance(index, DataIndex)
            else (index.evaluate(values),)
            for index in operand.access
        ]
        for indices in itertools.product(*ranges):
            point = dict(zip(source.domain.names, indices, strict=True))
            if source.op.name == "merge":
                at = {**self.sizes, **point}
                for case in source.operands:
                    if case.guard is not None and case.guard.contains(at, at):
                        yield from self.through(case, at)
            elif not source.domain.contains(point, self.sizes):
                continue
            elif is_statement(source.op):
                yield source.id, indices
            elif is_view(source.op):
                yield from self.operands(source, point)


def longest_path(reads: Reads, weight: Callable[[Instance | None, Instance], int]) -> int:
    """The largest sum of weights along a chain; `weight(None, i)` is what instance i starts with.

    AssertionError if instances need each other.
    """
    known: dict[Instance, int] = {}
    for root in reads:
        pending, entered = [root], set[Instance]()
        while pending:
            top = pending[-1]
            missing = [read for read in reads[top] if read not in known]
            if top in known or not missing:
                pending.pop()
                before = (known[read] + weight(read, top) for read in reads[top])
                known[top] = max((weight(None, top), *before))
            else:
                assert top not in entered, f"{top} needs itself"
                entered.add(top)
                pending += missing
    return max(known.values(), default=0)
