"""A graph without static dims: every static grid point of a node is a node of its own.

    h[static l in 0..2, t in 0..T] = ...h[l - 1, t]...     becomes     h@1[t in 0..T] = ...h@0[t]...

Only what an output needs is there. A reduction over static points has an operand for each; what
remains of its constraints is the operand's guard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from rnnc.diagnostics import Diagnostic, DiagnosticError, Span
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import Attribute, Builder, DataIndex, Graph, Index, Node, Op, Operand, Output
from rnnc.ir.poly import Poly
from rnnc.ir.reads import value_operands

Point = tuple[int, ...]  # the indices of a node's static dims, in their order
Key = tuple[str, Point]


@dataclass(frozen=True, slots=True)
class Unrolled:
    """`points` says for every node of `graph` what it was; `outputs` has the nodes of each output
    of the source, in the order of its static points."""

    graph: Graph
    points: Mapping[str, tuple[Node, dict[str, int]]]
    outputs: Mapping[str, tuple[str, ...]]


def refused(message: str, span: Span | None = None) -> DiagnosticError:
    """RNN604."""
    return DiagnosticError([Diagnostic("RNN604", message, span)])


def unroll(graph: Graph) -> Unrolled:
    """Raises RNN604 for a static dim at an index that is no number."""
    builder = Builder(graph.name, graph.sizes)
    points: dict[str, tuple[Node, dict[str, int]]] = {}
    outputs: dict[str, tuple[str, ...]] = {}
    pending: list[Key] = []
    plain: list[Output] = []
    for output in graph.outputs:
        keys = _output_keys(graph[output.node], output.domain)
        pending += keys
        outputs[output.name] = tuple(_id(key) for key in keys)
        plain += [Output(output.name, _id(key), _dynamic(output.domain, {})) for key in keys]
    seen = dict.fromkeys(pending)
    while pending:
        name, point = pending.pop()
        node = graph[name]
        statics = [dim.name for dim in node.domain.dims if dim.static]
        values = dict(zip(statics, point, strict=True))
        points[_id((name, point))] = node, values
        operands: list[Operand] = []
        indices: list[Operand] = []
        found = list(_operands(node, values))
        for operand, guard, at in found:
            key, access = _key(graph, node, operand, at)
            for place, index in enumerate(access):
                if isinstance(index, DataIndex):
                    source, own = _key(graph, node, node.operands[index.operand], at)
                    position = len(found) + len(indices)
                    indices.append(Operand(_id(source), own, None, operand.span))
                    index = DataIndex(position, index.lower, index.upper)
                    access = (*access[:place], index, *access[place + 1 :])
                    if source not in seen:
                        seen[source] = None
                        pending.append(source)
            operands.append(Operand(_id(key), access, guard, operand.span))
            if key not in seen:
                seen[key] = None
                pending.append(key)
        operands += indices
        bound = None if node.bound is None else _dynamic(node.bound, values)
        builder.graph.structure.add_node(_id((name, point)))
        builder.add(
            Node(
                _id((name, point)),
                _op(node.op, values),
                tuple(operands),
                _dynamic(node.domain, values),
                node.type.substitute(values),
                bound,
                node.spans,
            )
        )
    return Unrolled(builder.finish(tuple(plain)), points, outputs)


def _id(key: Key) -> str:
    name, point = key
    return name + "".join(f"@{index}" for index in point)


def _output_keys(node: Node, domain: Domain) -> list[Key]:
    static = [number for number, dim in enumerate(domain.dims) if dim.static]
    box = Domain(tuple(domain.dims[number] for number in static))
    return [(node.id, tuple(point.values())) for point in box.points({})]


def _dynamic(domain: Domain, values: Mapping[str, int]) -> Domain:
    """The run-time dims; bounds and constraints that are numbers hold, or nobody would ask."""
    kept = tuple(
        Dim(
            dim.name,
            None if dim.lower is None else dim.lower.substitute(values),
            None if dim.upper is None else dim.upper.substitute(values),
            False,
        )
        for dim in domain.dims
        if not dim.static
    )
    return Domain(kept, tuple(_open(domain.constraints, values)))


def _open(constraints: tuple[Constraint, ...], values: Mapping[str, int]) -> Iterator[Constraint]:
    for constraint in constraints:
        found = constraint.substitute(values)
        if found.poly.constant is None:
            yield found


def _op(op: Op, values: Mapping[str, int]) -> Op:
    def bound(value: Attribute) -> Attribute:
        if isinstance(value, Poly):
            return value.substitute(values)
        if isinstance(value, tuple):
            return tuple(bound(entry) for entry in value)
        return value

    return replace(op, attributes=tuple((key, bound(value)) for key, value in op.attributes))


def _operands(
    node: Node, values: Mapping[str, int]
) -> Iterator[tuple[Operand, Domain | None, dict[str, int]]]:
    """Each value operand with what remains of its guard and the static indices at which it is
    read."""
    if node.bound is not None and any(dim.static for dim in node.bound.dims):
        static = Domain(tuple(dim for dim in node.bound.dims if dim.static))
        names = {*values, *static.names}
        decided = [c for c in node.bound.constraints if names.issuperset(c.poly.names)]
        box = replace(static, constraints=tuple(decided))
        for point in box.points(values):
            at = {**values, **point}
            yield node.operands[0], Domain((), tuple(_open(node.bound.constraints, at))), at
        return
    for operand in value_operands(node):
        guard = operand.guard
        if guard is None:
            yield operand, None, dict(values)
        elif all(
            c.holds(values)
            for c in (*guard.bounds, *guard.constraints)
            if values.keys() >= set(c.poly.names)
        ):
            yield operand, _dynamic(guard, values), dict(values)


def _key(
    graph: Graph, reader: Node, operand: Operand, at: Mapping[str, int]
) -> tuple[Key, tuple[Index, ...]]:
    """The node that is read, and where along its run-time dims."""
    span = operand.span or (reader.spans[0] if reader.spans else None)
    point: list[int] = []
    access: list[Index] = []
    source = graph[operand.source]
    for dim, index in zip(source.domain.dims, operand.access, strict=True):
        if isinstance(index, DataIndex):
            if dim.static:
                raise refused("an index that is a value cannot be that of a static dim", span)
            ends = index.lower.substitute(at), index.upper.substitute(at)
            access.append(DataIndex(index.operand, *ends))
            continue
        found = index.substitute(at)
        if not dim.static:
            access.append(found)
            continue
        if found.constant is None:
            raise refused(f"the index {found} of a static dim is not a number", span)
        point.append(found.constant)
    return (source.id, tuple(point)), tuple(access)
