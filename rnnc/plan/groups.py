"""Which statements share a kernel, and which kernels must wait for which.

A statement is a node that computes. Inside one wave, or among statements computed for all points at
once, a pointwise reader joins the kernel of what it reads at its own point and shape; every other
read waits for a barrier: it stands one *level* higher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from rnnc.ir.graph import Graph, Node, Operand
from rnnc.ir.ops import is_pointwise, is_statement, is_view
from rnnc.ir.poly import Poly
from rnnc.passes.rewrite import is_identity


@dataclass(frozen=True, slots=True)
class Read:
    """A statement that another one reads: directly at the same point, or otherwise."""

    source: Node
    direct: bool  # pointwise, at the reader's own point, same shape and domain
    here: bool  # possibly at the reader's own point


def reads(graph: Graph, node: Node) -> Iterator[Read]:
    """Every statement that a statement reads, through views and variables."""
    for operand in node.operands:
        yield from _reads(graph, node, operand, is_pointwise(node.op), True)


def _reads(
    graph: Graph, reader: Node, operand: Operand, pointwise: bool, here: bool
) -> Iterator[Read]:
    source = graph[operand.source]
    own = here and all(
        index == Poly.of(name)
        for name, index in zip(source.domain.names, operand.access, strict=True)
    )
    if is_statement(source.op):
        direct = (
            pointwise
            and own
            and is_identity(reader, operand, source)
            and source.domain == reader.domain
            and source.type.shape == reader.type.shape
        )
        yield Read(source, direct, own)
    elif source.op.name == "merge":
        for case in source.operands:
            yield Read(graph[case.source], False, own)
    elif is_view(source.op):
        for inner in source.operands:
            yield from _reads(graph, reader, inner, False, own)


@dataclass(frozen=True, slots=True)
class Group:
    """Statements of one kernel, sources before readers."""

    nodes: tuple[Node, ...]
    level: int


def group(
    graph: Graph,
    nodes: tuple[Node, ...],
    key: Mapping[str, object],
    waits: Callable[[Node, Read], bool],
) -> tuple[Group, ...]:
    """The kernels of `nodes`, which run in the same step; ordered by level, then as given.

    `key` tells statements apart that run at different points of the step; `waits` says whether a
    read of another statement of the step needs it finished first.
    """
    inside = {node.id: node for node in nodes}
    levels: dict[str, int] = {}
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for node in sorted_by_dependence(graph, nodes, waits):
        leader[node.id] = node.id
        level = 0
        joined: list[str] = []
        for read in reads(graph, node):
            name = read.source.id
            if name not in inside or name not in levels or not waits(node, read):
                continue
            fusable = read.direct and key[name] == key[node.id]
            level = max(level, levels[name] + (not fusable))
            if fusable:
                joined.append(name)
        levels[node.id] = level
        for name in joined:
            if levels[name] == level:
                leader[find(node.id)] = find(name)
    members: dict[str, list[Node]] = {}
    for name in levels:
        members.setdefault(find(name), []).append(inside[name])
    groups = [Group(tuple(found), levels[found[0].id]) for found in members.values()]
    return tuple(sorted(groups, key=lambda found: found.level))


def sorted_by_dependence(
    graph: Graph, nodes: tuple[Node, ...], waits: Callable[[Node, Read], bool]
) -> list[Node]:
    """Sources before readers, along the reads that wait."""
    inside = {node.id: node for node in nodes}
    done: dict[str, None] = {}

    def visit(root: Node) -> None:
        stack: list[tuple[Node, Iterator[Read]]] = [(root, reads(graph, root))]
        open_nodes = {root.id}
        while stack:
            node, pending = stack[-1]
            following = next(
                (
                    read.source
                    for read in pending
                    if waits(node, read)
                    and read.source.id in inside
                    and read.source.id not in done
                    and read.source.id not in open_nodes
                ),
                None,
            )
            if following is None:
                stack.pop()
                done[node.id] = None
            else:
                open_nodes.add(following.id)
                stack.append((following, reads(graph, following)))

    for node in nodes:
        if node.id not in done:
            visit(node)
    return [inside[name] for name in done]
