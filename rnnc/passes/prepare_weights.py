"""Divides a graph: what the parameters alone decide is computed once, when they are bound.

    m[t] = M * W;   a[t] = m[t] @ h[t-1]
becomes two graphs, the preparation and the main graph:
    m = M * W;   output m.prepared = m
    m.prepared = param;   a[t] = m.prepared @ h[t-1]

The main graph reads each result of the preparation as a parameter, so a product with it is one with
packed weights. Legal for values that read neither inputs nor run-time extents and have no run-time
dims (DropUnusedDims has removed those on which a value does not depend). A matrix that is
multiplied is made whole (`flip(W) @ x`): packing takes blocks of plain matrices.

A value is worth preparing unless it takes much more memory than what it is made of; then its
operands are looked at in its stead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from rnnc.analysis.boxes import box_of, hull, tightened
from rnnc.analysis.regions import region
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import Graph, Node, Operand, Output
from rnnc.ir.ops import is_statement, is_view, op
from rnnc.ir.poly import Poly
from rnnc.passes.complete_variables import reach
from rnnc.passes.drop_unused_dims import domain_names, names_in
from rnnc.passes.rewrite import Rewriter, assemble

_SMALL = 1 << 20  # elements that may always be stored
_GROWTH = 4  # how many times the elements of its parameters a larger value may have

Read = tuple[Node, Operand]


@dataclass(frozen=True, slots=True)
class Divided:
    """`preparation` is None where the parameters alone decide nothing that has to be computed.

    Each of its outputs has the name of the parameter of `main` that stands for it. `params` are
    those of the whole, in its order.
    """

    params: tuple[Node, ...]
    preparation: Graph | None
    main: Graph


@dataclass(frozen=True, slots=True)
class Prepared:
    """A value of the preparation: `source` over `domain`, at fixed indices of its other dims."""

    source: str
    domain: Domain
    fixed: Mapping[str, Poly]


def prepare_weights(graph: Graph) -> Divided:
    main = others(graph)
    weights = {node.id: node for node in graph.nodes if node.id not in main}
    while True:
        reads = frontier(graph, main)
        found = {
            name: made
            for name, own in reads.items()
            if has_to_be_computed(graph, graph[name], own)
            and is_worth(graph, made := prepared(graph[name], own))
        }
        if len(found) == len(reads):
            break
        main |= {name: None for name in reads if name not in found}
    if not found:
        return Divided(graph.params(), None, graph)
    rewriter = Rewriter.of(graph)
    names = {name: rewriter.builder.fresh(f"{name}.prepared") for name in found}
    return Divided(
        graph.params(),
        preparation(graph, weights, {names[name]: made for name, made in found.items()}),
        remainder(graph, main, names, found),
    )


def frontier(graph: Graph, main: Mapping[str, None]) -> dict[str, list[Read]]:
    """What is read by the main graph and not in it, with all those reads."""
    found: dict[str, list[Read]] = {}
    for name in main:
        for operand in graph[name].operands:
            if operand.source not in main:
                found.setdefault(operand.source, []).append((graph[name], operand))
    return found


# ---- what parameters decide -------------------------------------------------------------------


def others(graph: Graph) -> dict[str, None]:
    """The nodes that parameters and constants alone do not decide, or that belong to the call."""
    exported = {output.node for output in graph.outputs}
    extents = {size.name for size in graph.sizes if size.kind == "extent"}
    found = {
        node.id: None
        for node in graph.nodes
        if node.op.name == "input"
        or node.id in exported
        or any(not dim.static for dim in node.domain.dims)
        or not extents.isdisjoint((*names_in(node), *names_of_points(node)))
    }
    pending = list(found)
    while pending:
        for reader, _ in graph.readers(pending.pop()):
            if reader.id not in found:
                found[reader.id] = None
                pending.append(reader.id)
    return found


def names_of_points(node: Node) -> Iterator[str]:
    """Every name that says at which points a node, or one of its cases, has a value."""
    yield from domain_names(node.domain)
    for case in node.operands:
        if case.guard is not None:
            yield from domain_names(case.guard)


# ---- what is prepared -------------------------------------------------------------------------


def has_to_be_computed(graph: Graph, node: Node, reads: list[Read]) -> bool:
    """Whether the value is no plain number, and cannot be read in place from parameters."""
    if is_view(node.op):
        return any(is_matrix(graph, *read) for read in reads) and not is_block(graph, node)
    if not is_statement(node.op) and node.op.name != "merge":
        return False
    made_of = {graph[name].op.name for name in origins(graph, node.id)}
    return "param" in made_of or (node.type.rank > 0 and bool(made_of & {"index", "eye"}))


def is_matrix(graph: Graph, reader: Node, operand: Operand) -> bool:
    """Whether the read is of a matrix that is multiplied."""
    return reader.op.name == "matmul" and graph[operand.source].type.rank == 2


def is_block(graph: Graph, node: Node) -> bool:
    """Whether a view is a block of a stored matrix or of its transpose."""
    if not is_view(node.op):
        return True
    match node.op.name:
        case "slice" | "pick":
            return is_block(graph, graph[node.operands[0].source])
        case "broadcast":
            source = graph[node.operands[0].source]
            return source.type.rank == node.type.rank and is_block(graph, source)
    return False


def origins(graph: Graph, name: str) -> dict[str, None]:
    """The node and everything that it is made of."""
    found: dict[str, None] = {}
    pending = [name]
    while pending:
        node = graph[pending.pop()]
        if node.id not in found:
            found[node.id] = None
            pending += [operand.source for operand in node.operands]
    return found


def prepared(node: Node, reads: list[Read]) -> Prepared:
    """The points of a value that are read; a dim that all read at one index is fixed there."""
    fixed: dict[str, Poly] = {}
    for axis, name in enumerate(node.domain.names):
        indices = {operand.access[axis] for _, operand in reads}
        [index] = indices if len(indices) == 1 else [None]
        if isinstance(index, Poly) and index.constant is not None:
            fixed[name] = index
    own = node.domain.substitute(fixed)
    dims = tuple(dim for dim in own.dims if dim.name not in fixed)
    constraints = tuple(c for c in own.constraints if c.poly.constant is None)
    return Prepared(node.id, box_read(node, dims, reads, constraints), fixed)


def box_read(
    node: Node, dims: tuple[Dim, ...], reads: list[Read], constraints: tuple[Constraint, ...]
) -> Domain:
    """Those of the node's points; of a variable those that are read: it is zero beyond its box."""
    if node.op.name != "merge":
        return Domain(dims, constraints)
    spans = [
        hull(
            reach(tightened(region(reader, operand)), operand, node.domain.names.index(dim.name))
            for reader, operand in reads
        )
        for dim in dims
    ]
    return Domain(tuple(box_of(dim, span) for dim, span in zip(dims, spans, strict=True)))


def is_worth(graph: Graph, made: Prepared) -> bool:
    """Whether a prepared value takes not much more memory than the parameters behind it."""
    size = elements(graph[made.source], made.domain)
    if size is None:
        return False
    params = [graph[name] for name in origins(graph, made.source)]
    given = sum(elements(node, node.domain) or 0 for node in params if node.op.name == "param")
    return size <= max(_SMALL, _GROWTH * given)


def elements(node: Node, domain: Domain) -> int | None:
    """How many elements the box of a domain holds; None if that is not known."""
    dims = tightened(domain).dims
    if any(dim.lower is None or dim.upper is None for dim in dims):
        return None
    sizes = [size.constant for size in (*(dim.extent for dim in dims), *node.type.shape)]
    return None if None in sizes else math.prod(size or 0 for size in sizes)


# ---- the two graphs ---------------------------------------------------------------------------


def preparation(graph: Graph, weights: Mapping[str, Node], made: Mapping[str, Prepared]) -> Graph:
    """What computes the prepared values; each is a variable that is an output, over a box."""
    nodes = dict(weights)
    outputs: list[Output] = []
    for name, value in made.items():
        source = nodes[value.source]
        access = tuple(value.fixed.get(own, Poly.of(own)) for own in source.domain.names)
        box = Domain(tightened(value.domain).dims)
        case = Operand(source.id, access, value.domain)
        type = replace(source.type, range=None)
        nodes[name] = Node(name, op("merge"), (case,), box, type, None, source.spans)
        outputs.append(Output(name, name, box))
    statics = tuple(size for size in graph.sizes if size.kind == "static")
    return assemble(Graph(graph.name, statics), nodes, tuple(outputs))


def remainder(
    graph: Graph,
    main: Mapping[str, None],
    names: Mapping[str, str],
    made: Mapping[str, Prepared],
) -> Graph:
    """The main graph: a parameter for each prepared value."""
    nodes: dict[str, Node] = {}
    for name, value in made.items():
        source = graph[name]
        points = f"[{', '.join(value.domain.names)}]" if value.domain.names else ""
        path = names[name] + points
        nodes[names[name]] = Node(
            names[name], op("param", path=path, initial=""), (), value.domain,
            replace(source.type, range=None), None, source.spans,
        )  # fmt: skip

    def narrowed(operand: Operand) -> Operand:
        if operand.source not in made:
            return operand
        own, fixed = graph[operand.source].domain.names, made[operand.source].fixed
        kept = zip(own, operand.access, strict=True)
        access = tuple(index for name, index in kept if name not in fixed)
        return replace(operand, source=names[operand.source], access=access)

    for name in main:
        node = graph[name]
        nodes[name] = replace(node, operands=tuple(map(narrowed, node.operands)))
    return assemble(graph, nodes, graph.outputs)
