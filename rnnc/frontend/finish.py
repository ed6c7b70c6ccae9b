"""The last touches: weights of one path and type become one node, unread nodes go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnc.analysis.sets import are_disjoint, is_subset
from rnnc.diagnostics import Note
from rnnc.frontend.context import Session
from rnnc.frontend.tensors import type_text
from rnnc.ir.domain import Domain
from rnnc.ir.graph import Graph, Node, Operand, rebuild
from rnnc.ir.placed import Placed


def finish(graph: Graph, session: Session) -> Graph:
    """The graph with unified weights and without what no output needs."""
    # Weights that stand for others: old id -> new id. A merged id may not be merged again.
    nodes = {node.id: node for node in graph.nodes if node.op.name != "param"}
    moved: dict[str, str] = {}
    params: dict[str, list[Node]] = {}
    for node in graph.params():
        params.setdefault(str(node.op["path"]), []).append(node)
    alive = _alive(graph)
    found: dict[str, Node] = {}
    for rows in params.values():
        read = [node for node in rows if node.id in alive]
        for node in _unified(read, moved, session):
            found[node.id] = node
    kept = [
        node
        for node in (*found.values(), *nodes.values())
        if node.id in alive or node.op.name == "input"
    ]
    moved |= _better_names(kept, session)
    graph.outputs = tuple(
        replace(output, node=moved.get(output.node, output.node)) for output in graph.outputs
    )
    return rebuild(
        graph,
        [
            replace(
                node,
                id=moved.get(node.id, node.id),
                operands=tuple(_moved(operand, moved) for operand in node.operands),
            )
            for node in kept
        ],
    )


def _better_names(nodes: Sequence[Node], session: Session) -> dict[str, str]:
    """`lstm.i` for the node that ends the equation of `i`; a number where several do."""
    taken = {node.id for node in nodes}
    found: dict[str, str] = {}
    for node in nodes:
        wanted = session.emitter.names.get(node.id)
        if wanted is None:
            continue
        name, count = wanted, 0
        while name in taken:
            count += 1
            name = f"{wanted}.{count}"
        taken.add(name)
        found[node.id] = name
    return found


def _moved(operand: Operand, moved: dict[str, str]) -> Operand:
    return replace(operand, source=moved.get(operand.source, operand.source))


def _alive(graph: Graph) -> frozenset[str]:
    """Nodes that an output needs."""
    stack = [output.node for output in graph.outputs]
    seen: set[str] = set()
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack += [operand.source for operand in graph[name].operands]
    return frozenset(seen)


def _unified(rows: Sequence[Node], moved: dict[str, str], session: Session) -> list[Node]:
    """Nodes of one path: one for each type, over all points at which it is read.

    Where one node's points include those of another of the same type, it stands for both; a type
    that is alone has all points of its dims.
    """
    known = session.sizes.known
    alike: list[list[Node]] = []
    for node in rows:
        group = next((g for g in alike if _same(g[0], node, session)), None)
        if group is None:
            alike.append([node])
        else:
            group.append(node)
    found: list[tuple[int, Node]] = []  # with the number of its type
    for number, group in enumerate(alike):
        if len(alike) == 1 and len(group) > 1:
            first = replace(group[0], domain=Domain(group[0].domain.dims))
            moved.update({node.id: first.id for node in group})
            found.append((number, first))
            continue
        placed = Placed((node.domain.fixed, node) for node in group)
        for node in group:
            wider = next(
                (
                    other
                    for other in placed.at(node.domain.fixed)
                    if other.id not in moved
                    and other is not node
                    and is_subset(node.domain, other.domain, known)
                ),
                None,
            )
            if wider is None:
                found.append((number, node))
            else:
                moved[node.id] = wider.id
    others = Placed((node.domain.fixed, (number, node)) for number, node in found)
    for number, node in found:
        for type, other in others.at(node.domain.fixed):
            if other is node:
                break
            if type != number and not are_disjoint(node.domain, other.domain, known):
                _conflict(node, other, session)
    return [node for _, node in found]


def _same(left: Node, right: Node, session: Session) -> bool:
    shapes = [[session.sizes.normal(size) for size in node.type.shape] for node in (left, right)]
    return (
        shapes[0] == shapes[1]
        and left.type.dtype == right.type.dtype
        and left.op == right.op
        and left.domain.names == right.domain.names
    )


def _conflict(node: Node, other: Node, session: Session) -> None:
    """RNN305: calls that share weights want them in different shapes."""
    texts = [type_text(n.type, session.sizes) for n in (node, other)]
    if texts[0] == texts[1]:
        return
    name = str(node.op["path"]).rpartition(".")[0].partition("[")[0]
    session.error(
        "RNN305",
        f"the weights '{node.op['path']}' are {texts[0]} for one call and {texts[1]} for another",
        node.spans[0],
        (Note("they are declared here", other.spans[0]),) if other.spans != node.spans else (),
        (f"for weights of their own, declare them:  param first, second: {name}",),
    )
