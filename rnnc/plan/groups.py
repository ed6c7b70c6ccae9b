"""Which statements share a kernel, and which kernels must wait for which.

A statement is a node that computes. Inside one wave, or among statements computed for all points at
once, a pointwise reader joins the kernel of what it reads at its own point and shape; every other
read waits for a barrier: it stands one *level* higher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rnnc.analysis.dependence import Access, sources
from rnnc.ir.graph import Graph, Node
from rnnc.ir.ops import is_pointwise, is_statement
from rnnc.passes.rewrite import is_identity


@dataclass(frozen=True, slots=True)
class Read:
    """A statement that another one reads, at `access` (over the reader's indices).

    `direct`: by a pointwise op, at the reader's own point, same shape and domain, and not through
    a variable or a view.
    """

    source: Node
    access: Access
    direct: bool


def reads(graph: Graph, node: Node) -> Iterator[Read]:
    """Every statement that a statement reads, through views and variables."""
    for operand in node.operands:
        first = graph[operand.source]
        direct = (
            is_pointwise(node.op)
            and is_statement(first.op)
            and is_identity(node, operand, first)
            and first.domain == node.domain
            and first.type.shape == node.type.shape
        )
        for source, access, _ in sources(graph, operand, True):
            yield Read(source, access, direct)


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
    waiting = {
        node.id: [r for r in reads(graph, node) if r.source.id in inside and waits(node, r)]
        for node in nodes
    }
    levels: dict[str, int] = {}
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for node in sorted_by_dependence(nodes, waiting):
        leader[node.id] = node.id
        level = 0
        joined: list[str] = []
        for read in waiting[node.id]:
            name = read.source.id
            if name not in levels:
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
    nodes: tuple[Node, ...], waiting: Mapping[str, Sequence[Read]]
) -> list[Node]:
    """Sources before readers, along the reads that wait.

    No schedule may let statements of one step wait for each other: that is a mistake in rnnc.
    """
    inside = {node.id: node for node in nodes}
    done: dict[str, None] = {}

    def visit(root: Node) -> None:
        stack = [(root, iter(waiting[root.id]))]
        path = {root.id: None}
        while stack:
            node, pending = stack[-1]
            following = next((r.source for r in pending if r.source.id not in done), None)
            if following is None:
                stack.pop()
                del path[node.id]
                done[node.id] = None
            else:
                assert following.id not in path, cycle_text([*path], following.id)
                path[following.id] = None
                stack.append((following, iter(waiting[following.id])))

    for node in nodes:
        if node.id not in done:
            visit(node)
    return [inside[name] for name in done]


def cycle_text(path: list[str], again: str) -> str:
    """What is wrong where the last of `path` reads a statement that is on it."""
    names = [*path[path.index(again) :], again]
    return f"statements of one wave wait for each other: {' <- '.join(names)}"
