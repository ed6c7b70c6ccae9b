"""Whether a graph is well-formed. A graph that is not is a mistake of the compiler."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import networkx as nx

from rnnc.analysis.sets import is_empty
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import DataIndex, Graph, Index, Node, Operand
from rnnc.ir.ops import OPS, TypeRuleError, infer
from rnnc.ir.poly import Poly
from rnnc.ir.reads import index_positions, value_operands
from rnnc.ir.types import TensorType, promote

_GRID = frozenset(("reduce", "stack_points", "concat_points"))  # the ops that bind dims
_DECLARED = frozenset(("input", "param", "stack_points", "concat_points"))  # types not inferred

# A cycle without distance is sought among so many; more have never been seen in one component.
_CYCLES = 1000


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with a node ('' for the graph itself)."""

    node: str
    message: str

    def __str__(self) -> str:
        return f"{self.node}: {self.message}" if self.node else self.message


class InvalidIR(Exception):
    """A graph that is not well-formed: a compiler bug, with everything that was found."""

    def __init__(self, found: Iterable[Violation]) -> None:
        self.violations = tuple(found)
        super().__init__("\n".join(str(violation) for violation in self.violations))


def verify(graph: Graph, sound: Graph | None = None) -> None:
    """Raises InvalidIR unless the graph is well-formed.

    `sound` is one that is: what it has in common with the graph is not looked at again.
    """
    found = violations(graph, sound)
    if found:
        raise InvalidIR(found)


def violations(graph: Graph, sound: Graph | None = None) -> list[Violation]:
    """Everything that is wrong, in the order of the nodes.

    Each node by itself: known op, arity, attributes, names, accesses, type; then the whole: edges
    as the operands say, outputs, no cycle without a merge or without a distance.
    """
    if graph is sound:
        return []
    found = [Violation("", message) for message in _header(graph)]
    for name in graph.structure.nodes:
        if "node" not in graph.structure.nodes[name]:
            found.append(Violation(name, "is read but was never added"))
    if found:
        return found
    sizes = frozenset(size.name for size in graph.sizes)
    before = sound if sound is not None and sound.sizes == graph.sizes else None
    for node in graph.nodes:
        if before is not None and _is_known(graph, node, before):
            found += [Violation(node.id, message) for message in _edges(graph, node)]
        else:
            found += [Violation(node.id, message) for message in _node(graph, node, sizes)]
    # Cycles are looked for among nodes that are sound by themselves.
    return found or [Violation(node, message) for node, message in _cycles(graph)]


# ---- the header -------------------------------------------------------------------------------


def _header(graph: Graph) -> Iterator[str]:
    names = [size.name for size in graph.sizes]
    yield from (f"size {name} is declared twice" for name in _repeated(names))
    yield from (f"output {n} is named twice" for n in _repeated(o.name for o in graph.outputs))
    for output in graph.outputs:
        if output.node not in graph or "node" not in graph.structure.nodes[output.node]:
            yield f"output {output.name}: there is no node {output.node}"
            continue
        domain = graph[output.node].domain
        if len(domain.dims) != len(output.domain.dims):
            yield f"output {output.name} has not the dims of its node, {domain}"
        if any(dim.lower is None or dim.upper is None for dim in output.domain.dims):
            yield f"output {output.name} is unbounded"
        yield from _domain(output.domain, frozenset(names), f"output {output.name}")


def _repeated(names: Iterable[str]) -> list[str]:
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    return [name for name, count in seen.items() if count > 1]


# ---- one node ---------------------------------------------------------------------------------


def _is_known(graph: Graph, node: Node, sound: Graph) -> bool:
    """Whether a sound graph has this very node, and it reads the very nodes that it read there."""
    return (
        node.id in sound
        and sound[node.id] is node
        and all(sound[operand.source] is graph[operand.source] for operand in node.operands)
    )


def _node(graph: Graph, node: Node, sizes: frozenset[str]) -> Iterator[str]:
    row = OPS.get(node.op.name)
    if row is None:
        yield f"there is no operation {node.op.name}"
        return
    keys = tuple(key for key, _ in node.op.attributes)
    if keys != row.attributes:
        yield f"attributes {keys} instead of {row.attributes}"
        return
    values = value_operands(node)
    if row.arity is not None and len(values) != row.arity:
        yield f"{node.op.name} takes {row.arity} operands, not {len(values)}"
        return
    yield from _domain(node.domain, sizes, "the domain")
    yield from (f"{name} is a size and a dim" for name in node.domain.names if name in sizes)
    yield from _bound(node, sizes)
    names = sizes | frozenset(node.domain.names)
    for key, value in node.op.attributes:
        for poly in _polys(value):
            yield from _unbound(poly, names, f"attribute {key}")
    for size in node.type.shape:
        yield from _unbound(size, sizes, "the shape")
    for poly in node.type.range or ():
        yield from _unbound(poly, names, "the range")
    operands = [
        message
        for position, operand in enumerate(node.operands)
        for message in _operand(graph, node, position, operand, names)
    ]
    yield from operands
    yield from _edges(graph, node)
    if not operands:
        yield from _type(graph, node)


def _domain(domain: Domain, sizes: frozenset[str], what: str) -> Iterator[str]:
    yield from (f"{what} has dim {name} twice" for name in _repeated(domain.names))
    names = sizes - frozenset(domain.names)
    for dim in domain.dims:  # bounds may name the dims before
        for bound in (dim.lower, dim.upper):
            if bound is not None:
                yield from _unbound(bound, names, f"{what}, {dim.name}")
        names = names | {dim.name}
    for constraint in domain.constraints:
        yield from _unbound(constraint.poly, names, what)


def _bound(node: Node, sizes: frozenset[str]) -> Iterator[str]:
    if (node.bound is not None) != (node.op.name in _GRID):
        yield f"{node.op.name} binds dims" if node.bound is None else f"{node.op.name} binds none"
        return
    if node.bound is None:
        return
    yield from (f"dim {n} is bound twice" for n in node.bound.names if n in node.domain.names)
    outer = sizes | frozenset(node.domain.names) - frozenset(node.bound.names)
    yield from _domain(node.bound, outer, "the bound dims")
    if any(dim.lower is None or dim.upper is None for dim in node.bound.dims):
        yield "the bound dims are unbounded"
    if node.op.name == "reduce" and node.op["kind"] == "argmax" and len(node.bound.dims) != 1:
        yield "argmax wants one bound dim"


def _polys(value: object) -> Iterator[Poly]:
    if isinstance(value, Poly):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _polys(item)


def _unbound(poly: Poly, names: frozenset[str], what: str) -> Iterator[str]:
    yield from (f"{what}: {name} is not bound" for name in poly.names if name not in names)


# ---- operands ---------------------------------------------------------------------------------


def _operand(
    graph: Graph, node: Node, position: int, operand: Operand, names: frozenset[str]
) -> Iterator[str]:
    where = f"operand {position}"
    source = graph[operand.source]
    is_index = position in index_positions(node)
    if len(operand.access) != len(source.domain.dims):
        yield f"{where} gives {len(operand.access)} indices, {source.id} has {source.domain}"
        return
    if node.bound is not None:
        names = names | frozenset(node.bound.names)
    for index in operand.access:
        yield from _index(graph, node, index, names, where)
    if is_index:
        if source.type.dtype != "int" or source.type.shape:
            yield f"{where} is an index but no single int"
        if any(isinstance(index, DataIndex) for index in operand.access):
            yield f"{where} is an index at a data-dependent index"
        if operand.guard is not None:
            yield f"{where} is an index and has a guard"
        if position < len(value_operands(node)):
            yield f"{where} is an index and stands before a value"
    elif (operand.guard is not None) != (node.op.name == "merge"):
        yield f"{where} has no guard" if operand.guard is None else f"{where} has a guard"
    elif operand.guard is not None:
        yield from _guard(node, operand.guard, where, names)


def _index(
    graph: Graph, node: Node, index: Index, names: frozenset[str], where: str
) -> Iterator[str]:
    if isinstance(index, Poly):
        yield from _unbound(index, names, where)
        return
    if not 0 <= index.operand < len(node.operands):
        yield f"{where} is read at operand {index.operand}, which is none"
    yield from _unbound(index.lower, names, where)
    yield from _unbound(index.upper, names, where)


def _guard(node: Node, guard: Domain, where: str, names: frozenset[str]) -> Iterator[str]:
    if [(d.name, d.static) for d in guard.dims] != [(d.name, d.static) for d in node.domain.dims]:
        yield f"{where}: the guard {guard} is not over {node.domain}"
        return
    for dim in guard.dims:
        for bound in (dim.lower, dim.upper):
            if bound is not None:
                yield from _unbound(bound, names, where)
    for constraint in guard.constraints:
        yield from _unbound(constraint.poly, names, where)


def _edges(graph: Graph, node: Node) -> Iterator[str]:
    edges = graph.structure.in_edges(node.id, keys=True, data="operand")
    held = {position: (source, operand) for source, _, position, operand in edges}
    wanted = {place: (operand.source, operand) for place, operand in enumerate(node.operands)}
    if held != wanted:
        yield "the edges are not those of the operands"


# ---- types ------------------------------------------------------------------------------------


def _type(graph: Graph, node: Node) -> Iterator[str]:
    types = [graph[operand.source].type for operand in value_operands(node)]
    if node.op.name == "merge":
        yield from _merge_type(node.type, types)
        return
    if node.op.name in _DECLARED:
        return
    try:
        inferred = infer(node.op, types)
    except TypeRuleError as error:
        yield str(error)
        return
    # Sizes that are equal by a division (`N = H // C`) are equal for the elaborator alone.
    if (inferred.dtype, inferred.shape) != (node.type.dtype, node.type.shape):
        yield f"its type is {node.type}, but {node.op.name} gives {inferred}"


def _merge_type(type: TensorType, cases: list[TensorType]) -> Iterator[str]:
    for case in cases:
        if promote(type.dtype, case.dtype) != type.dtype:
            yield f"a case is {case.dtype}, the variable {type.dtype}"
        if case.shape and case.shape != type.shape[len(type.shape) - len(case.shape) :]:
            yield f"a case is {case}, the variable {type}"


# ---- cycles -----------------------------------------------------------------------------------


def _cycles(graph: Graph) -> Iterator[tuple[str, str]]:
    unmerged = _structure(graph, lambda node, _: node.op.name != "merge")
    if not nx.is_directed_acyclic_graph(unmerged):  # linear, as the search for a cycle is not
        cycle = [source for source, _ in nx.find_cycle(unmerged)][::-1]
        yield cycle[0], f"needs itself and no merge is between: {' <- '.join(cycle)}"
        return
    standing = _structure(graph, lambda _, operand: _is_identity(graph, operand))
    if nx.is_directed_acyclic_graph(standing):
        return
    place = {name: position for position, name in enumerate(graph.structure.nodes)}
    cycles = list(itertools.islice(nx.simple_cycles(standing), _CYCLES))
    # The order in which networkx finds them depends on hashes.
    turned = [_turned([place[name] for name in cycle]) for cycle in cycles]
    names = list(place)
    for positions in sorted(turned, key=lambda cycle: (len(cycle), cycle)):
        nodes = [names[position] for position in positions]
        if _can_happen(graph, nodes):
            order = [nodes[0], *reversed(nodes[1:])]
            yield order[0], f"needs itself at the same point: {' <- '.join(order)}"
            return


def _turned(cycle: list[int]) -> list[int]:
    """The cycle from its least member on."""
    start = cycle.index(min(cycle))
    return cycle[start:] + cycle[:start]


def _structure(graph: Graph, keep: Callable[[Node, Operand], bool]) -> nx.DiGraph[str]:
    structure: nx.DiGraph[str] = nx.DiGraph()
    structure.add_nodes_from(graph.structure.nodes)
    for node in graph.nodes:
        for operand in node.operands:
            if keep(node, operand):
                structure.add_edge(operand.source, node.id)
    return structure


def _is_identity(graph: Graph, operand: Operand) -> bool:
    """Whether the read is at the reader's own point, as far as the source has its dims."""
    names = graph[operand.source].domain.names
    return operand.access == tuple(Poly.of(name) for name in names)


def _can_happen(graph: Graph, nodes: list[str]) -> bool:
    """Whether the guards of a cycle of reads at the same point have a point in common."""
    pairs = list(zip(nodes, [*nodes[1:], nodes[0]], strict=True))
    choices: list[list[tuple[Constraint, ...]]] = []
    dims: dict[str, None] = {}
    for source, reader in pairs:
        node = graph[reader]
        dims.update(dict.fromkeys(node.domain.names))
        guards = [
            node.domain if operand.guard is None else operand.guard
            for operand in node.operands
            if operand.source == source and _is_identity(graph, operand)
        ]
        choices.append([(*guard.bounds, *guard.constraints) for guard in guards])
    space = Domain(tuple(Dim(name, None, None, False) for name in dims))
    return any(
        not is_empty(space.restrict(*itertools.chain.from_iterable(choice)))
        for choice in itertools.product(*choices)
    )
