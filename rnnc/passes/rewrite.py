"""What rewriting passes share: composing accesses, replacing nodes, dropping what is unread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import networkx as nx

from rnnc.ir.domain import Domain
from rnnc.ir.graph import Builder, DataIndex, Graph, Index, Node, Op, Operand, Output
from rnnc.ir.ops import infer
from rnnc.ir.poly import Poly, PolyLike
from rnnc.ir.types import TensorType


class Pass(Protocol):
    """A pure rewrite; returns its very input when nothing changes.

    A pass is a dataclass whose fields are its options, with defaults; the first line of its module
    says what it does, the module's name with hyphens is its name.
    """

    name: ClassVar[str]

    def run(self, graph: Graph) -> Graph: ...


def is_identity(node: Node, operand: Operand, source: Node) -> bool:
    """Whether the operand is read at the reader's own point."""
    return node.domain.names == source.domain.names and operand.access == tuple(
        Poly.of(name) for name in node.domain.names
    )


def point_of(source: Node, access: tuple[Index, ...]) -> dict[str, PolyLike] | None:
    """The values of the source's dims under an access, or None if one is data-dependent."""
    values: dict[str, PolyLike] = {}
    for name, index in zip(source.domain.names, access, strict=True):
        if isinstance(index, DataIndex):
            return None
        values[name] = index
    return values


def moved(operand: Operand, values: Mapping[str, PolyLike]) -> Operand:
    """The operand as seen from another point: its access with dims replaced."""
    access = tuple(
        index.substitute(values)
        if isinstance(index, Poly)
        else DataIndex(
            index.operand, index.lower.substitute(values), index.upper.substitute(values)
        )
        for index in operand.access
    )
    return replace(operand, access=access)


def cycles(graph: Graph) -> dict[str, str]:
    """The nodes that read themselves through others; those of one cycle have the same value."""
    parts = map(sorted, nx.strongly_connected_components(graph.structure))
    return {name: part[0] for part in parts if len(part) > 1 for name in part}


def identity(domain: Domain) -> tuple[Index, ...]:
    """The access that reads a source of the same dims at the reader's point."""
    return tuple(Poly.of(name) for name in domain.names)


@dataclass(slots=True)
class Rewriter:
    """A graph under change: nodes by id, in order, with fresh ids for new ones."""

    graph: Graph
    nodes: dict[str, Node]
    builder: Builder
    changed: bool = False

    @staticmethod
    def of(graph: Graph) -> Rewriter:
        builder = Builder(graph.name, graph.sizes)
        builder.graph = graph  # only to find ids that are not taken
        return Rewriter(graph, {node.id: node for node in graph.nodes}, builder)

    def __getitem__(self, node: str) -> Node:
        return self.nodes[node]

    def put(self, node: Node) -> None:
        """Replaces the node of the same id."""
        if self.nodes.get(node.id) != node:
            self.nodes[node.id] = node
            self.changed = True

    def derive(self, model: Node, op: Op, operands: tuple[Operand, ...], **fields: object) -> Node:
        """A new node on `model`'s domain with an inferred type; placed before it by the caller."""
        name = self.builder.fresh(model.id)
        while name in self.nodes:
            name = self.builder.fresh(model.id)
        type = fields.pop("type", None)
        if type is None:
            type = infer(op, [self[operand.source].type for operand in operands])
        assert isinstance(type, TensorType)
        node = replace(model, id=name, op=op, operands=operands, type=type, bound=None)
        node = replace(node, **fields)  # type: ignore[arg-type]
        self.nodes[name] = node
        self.changed = True
        return node

    def finish(self, outputs: tuple[Output, ...] | None = None) -> Graph:
        """The new graph without unread nodes, or the very input when nothing changed."""
        if not self.changed and outputs is None:
            return self.graph
        outputs = self.graph.outputs if outputs is None else outputs
        return assemble(self.graph, self.nodes, outputs)


def assemble(
    graph: Graph, nodes: Mapping[str, Node], outputs: tuple[Output, ...], inputs: bool = True
) -> Graph:
    """A graph of the nodes that the outputs (and the interface) need, sources before readers.

    With `inputs`, those stay even if unread: they are the model's signature.
    """
    alive: dict[str, None] = {}
    stack = [output.node for output in reversed(outputs)]
    stack += [node.id for node in nodes.values() if inputs and node.op.name == "input"]
    while stack:
        name = stack.pop()
        if name not in alive:
            alive[name] = None
            stack += [operand.source for operand in reversed(nodes[name].operands)]
    builder = Builder(graph.name, graph.sizes)
    for name in ordered(nodes, alive):
        builder.graph.structure.add_node(name, node=nodes[name])
    for name in list(builder.graph.structure):
        builder.add(nodes[name])
    return builder.finish(outputs)


def ordered(nodes: Mapping[str, Node], alive: Mapping[str, None]) -> list[str]:
    """Sources before readers where no merge closes a cycle; otherwise in the given order."""
    order: list[str] = []
    state: dict[str, bool] = {}
    for root in (name for name in nodes if name in alive):
        stack: list[tuple[str, int]] = [(root, 0)]
        while stack:
            name, position = stack.pop()
            if position == 0:
                if name in state:
                    continue
                state[name] = False
            operands = nodes[name].operands
            # A merge's cases may read the merge again: they are placed by their own turn.
            limit = 0 if nodes[name].op.name == "merge" else len(operands)
            if position < limit:
                stack.append((name, position + 1))
                source = operands[position].source
                if source not in state:
                    stack.append((source, 0))
            else:
                state[name] = True
                order.append(name)
    return order
