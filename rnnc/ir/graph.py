"""The recurrence IR: a graph of typed operations over grid domains.

A node computes one tensor at every point of its domain. An operand says which node it reads and at
which point, as affine functions of the reader's indices: recurrence is a property of the edge
(`h[t-1]` is an edge whose access is `t - 1`), not an operation. The batch is implicit.

`merge` nodes stand for the variables of the source: a case for each equation, guarded by the set of
points that it defines; zero (false) elsewhere. They are the only cycles' way round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeVar, cast

import networkx as nx

from rnnc.diagnostics import Span
from rnnc.ir.domain import Domain
from rnnc.ir.placed import Placed
from rnnc.ir.poly import Poly
from rnnc.ir.types import TensorType

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class DataIndex:
    """An index that is a value: the operand at `operand` of the same node, in lower..upper.

    The bounds are polynomials in the reader's indices; a dependence is assumed on every point of
    the range.
    """

    operand: int
    lower: Poly
    upper: Poly

    def __str__(self) -> str:
        return f"operand {self.operand} in {self.lower}..{self.upper}"


Index = Poly | DataIndex


@dataclass(frozen=True, slots=True)
class Operand:
    """Reads node `source` at the point `access` (one index for each dim of the source's domain).

    Polynomials are over the reader's dims, its bound dims (reductions) and sizes. `guard` is for
    `merge` alone: the points (over the merge's own dims) at which this case holds. `span` is where
    the read (or the equation of a case) is written; it does not count when operands are compared.
    """

    source: str
    access: tuple[Index, ...] = ()
    guard: Domain | None = None
    span: Span | None = field(default=None, compare=False)


Attribute = int | float | complex | bool | str | Poly | tuple["Attribute", ...] | None


@dataclass(frozen=True, slots=True)
class Op:
    """An operation: a row of `rnnc.ir.ops.OPS` and its attributes, in the row's order."""

    name: str
    attributes: tuple[tuple[str, Attribute], ...] = ()

    def __getitem__(self, key: str) -> Attribute:
        return dict(self.attributes)[key]

    def __str__(self) -> str:
        if not self.attributes:
            return self.name
        return self.name + "{" + ", ".join(f"{k}={v}" for k, v in self.attributes) + "}"


@dataclass(frozen=True)
class Node:
    """`id[domain]: type = op(operands)`.

    `bound` holds the dims of a grid reduction (`reduce`, `stack_points`, `concat_points`): the
    operand is read at all its points, which may be constrained by the node's own indices.
    """

    id: str
    op: Op
    operands: tuple[Operand, ...]
    domain: Domain
    type: TensorType
    bound: Domain | None = None
    spans: tuple[Span, ...] = ()

    @cached_property
    def _cases(self) -> Placed[str, Operand]:
        rows = ((case.guard.fixed, case) for case in self.operands if case.guard is not None)
        return Placed(rows)

    def cases_at(self, access: Mapping[str, object]) -> list[Operand]:
        """The cases of a variable that an access may meet, by the static indices in it."""
        return self._cases.at(access)


@dataclass(frozen=True, slots=True)
class Size:
    """A name that stands for a number.

    `kind` is `static` (bound when compiling) or `extent` (given by the arrays at run time).
    """

    name: str
    kind: Literal["static", "extent"]
    value: int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """`name` is exported; `domain` is the box that must be covered, in the order of its axes."""

    name: str
    node: str
    domain: Domain


class Graph:
    """An IR program. Nodes are immutable; only a `Builder` adds them.

    `structure` is a MultiDiGraph from source to reader, keyed by operand position; its node
    attribute `node` and edge attribute `operand` hold the frozen data.
    """

    def __init__(self, name: str, sizes: tuple[Size, ...]) -> None:
        self.name = name
        self.sizes = sizes
        self.outputs: tuple[Output, ...] = ()
        self.structure: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        self._found: dict[object, object] = {}

    def __getitem__(self, node: str) -> Node:
        found: Node = self.structure.nodes[node]["node"]
        return found

    def __contains__(self, node: str) -> bool:
        return node in self.structure

    def __len__(self) -> int:
        return len(self.structure)

    @property
    def nodes(self) -> Iterator[Node]:
        """All nodes in the order in which they were added."""
        return (self[node] for node in self.structure.nodes)

    def readers(self, node: str) -> Iterator[tuple[Node, int]]:
        """(reader, operand position) for every edge that leaves `node`."""
        for _, reader, position in self.structure.out_edges(node, keys=True):
            yield self[reader], position

    def once(self, analysis: Callable[[Graph], Found]) -> Found:
        """What an analysis finds in the whole graph, computed when it is first asked for."""
        if analysis not in self._found:
            self._found[analysis] = analysis(self)
        return cast(Found, self._found[analysis])

    def inputs(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.op.name == "input")

    def params(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.op.name == "param")

    @property
    def values(self) -> dict[str, int]:
        """The sizes whose value is known."""
        return {size.name: size.value for size in self.sizes if size.value is not None}

    def __eq__(self, other: object) -> bool:
        """Same sizes, outputs and nodes, in the same order; spans do not count."""
        if not isinstance(other, Graph):
            return NotImplemented
        mine = [replace(node, spans=()) for node in self.nodes]
        theirs = [replace(node, spans=()) for node in other.nodes]
        return (self.name, self.sizes, self.outputs, mine) == (
            other.name,
            other.sizes,
            other.outputs,
            theirs,
        )

    __hash__ = None  # type: ignore[assignment]


class Builder:
    """Grows a graph. Ids are unique and made from the hint: `h`, `h.1`, `h.2`."""

    def __init__(self, name: str, sizes: tuple[Size, ...] = ()) -> None:
        self.graph = Graph(name, sizes)
        self._taken: dict[str, int] = {}

    def fresh(self, hint: str) -> str:
        """An unused id."""
        count = self._taken.get(hint)
        self._taken[hint] = 0 if count is None else count + 1
        name = hint if count is None else f"{hint}.{count + 1}"
        return self.fresh(hint) if name in self.graph else name

    def add(self, node: Node) -> Node:
        """Adds a node, or replaces the one of the same id (keeping its place and readers)."""
        structure = self.graph.structure
        self.graph._found.clear()
        if node.id in structure:
            structure.remove_edges_from(list(structure.in_edges(node.id, keys=True)))
        structure.add_node(node.id, node=node)
        for position, operand in enumerate(node.operands):
            structure.add_edge(operand.source, node.id, key=position, operand=operand)
        return node

    def finish(self, outputs: tuple[Output, ...]) -> Graph:
        self.graph.outputs = outputs
        return self.graph


def rebuild(graph: Graph, nodes: Mapping[str, Node] | list[Node]) -> Graph:
    """A graph of the given nodes with the sizes and outputs of `graph`: how passes make new IR."""
    builder = Builder(graph.name, graph.sizes)
    for node in nodes.values() if isinstance(nodes, Mapping) else nodes:
        builder.graph.structure.add_node(node.id, node=node)
    for node in nodes.values() if isinstance(nodes, Mapping) else nodes:
        builder.add(node)
    return builder.finish(graph.outputs)
