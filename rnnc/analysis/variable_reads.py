"""Which variable reads which, at which points: everything between two variables is looked through.

Cells are inlined, so a variable's equation is a graph of nodes that ends at other variables; a
read of one of those is a read by the variable, at the composed access.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import DataIndex, Graph, Operand
from rnnc.ir.poly import Poly, PolyLike
from rnnc.ir.reads import index_positions


@dataclass(frozen=True, slots=True)
class VariableRead:
    """From every point of `points` (the reader's dims first), `source` is read at `access`.

    `read` is the operand that makes the read, in node `at`; `case` is the operand of merge `merge`
    whose equation it belongs to. A data-dependent index is a further dim of the points that runs
    over its range; `data` has its position in the access.
    """

    reader: str
    reader_dims: tuple[str, ...]
    source: str
    source_dims: tuple[str, ...]
    points: Domain
    access: tuple[Poly, ...]
    at: str
    read: Operand
    merge: str
    case: int
    data: tuple[int, ...] = ()


def variable_reads(graph: Graph, variables: Mapping[str, str]) -> tuple[VariableRead, ...]:
    """All reads between variables; `variables` names the one that each of its merges holds."""
    found: dict[VariableRead, None] = {}
    for merge in variables:
        for case, operand in enumerate(graph[merge].operands):
            if operand.guard is not None:
                found.update(dict.fromkeys(_reads(graph, variables, merge, case)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Step:
    """Operand `operand` of node `at`, whose names have `values` in terms of the points."""

    at: str
    operand: Operand
    points: Domain
    values: tuple[tuple[str, Poly], ...]


def _reads(
    graph: Graph, variables: Mapping[str, str], merge: str, case: int
) -> Iterator[VariableRead]:
    operand = graph[merge].operands[case]
    assert operand.guard is not None
    own = tuple((name, Poly.of(name)) for name in operand.guard.names)
    pending = [_Step(merge, operand, operand.guard, own)]
    pending += [
        _Step(merge, graph[merge].operands[index.operand], operand.guard, own)
        for index in operand.access
        if isinstance(index, DataIndex)
    ]
    seen: set[tuple[str, Domain, tuple[Poly, ...]]] = set()
    while pending:
        step = pending.pop()
        if "node" not in graph.structure.nodes[step.operand.source]:
            continue  # a variable in error has no node
        points, access, data = _access(step)
        source = graph[step.operand.source]
        if source.id in variables:
            yield VariableRead(
                variables[merge],
                operand.guard.names,
                variables[source.id],
                source.domain.names,
                points,
                access,
                step.at,
                step.operand,
                merge,
                case,
                data,
            )
        elif (source.id, points, access) not in seen:
            seen.add((source.id, points, access))
            pending += reversed(list(_inside(graph, source.id, points, access)))


def _access(step: _Step) -> tuple[Domain, tuple[Poly, ...], tuple[int, ...]]:
    values: dict[str, PolyLike] = dict(step.values)
    points, access, data = step.points, list[Poly](), list[int]()
    for position, index in enumerate(step.operand.access):
        if isinstance(index, Poly):
            access.append(index.substitute(values))
            continue
        points, own = _with_dim(points, "?")
        lower, upper = index.lower.substitute(values), index.upper.substitute(values)
        points = points.restrict(Constraint(own - lower, ">="), Constraint(upper - 1 - own, ">="))
        access.append(own)
        data.append(position)
    return points, tuple(access), tuple(data)


def _with_dim(points: Domain, hint: str) -> tuple[Domain, Poly]:
    name = f"{hint}{len(points.dims)}"
    return points.extend((Dim(name, None, None, False),)), Poly.of(name)


def _inside(graph: Graph, name: str, points: Domain, access: tuple[Poly, ...]) -> Iterator[_Step]:
    """What a node that is no variable reads when it is itself read at `access`."""
    node = graph[name]
    values: dict[str, PolyLike] = dict(zip(node.domain.names, access, strict=True))
    if node.bound is not None:
        for dim in node.bound.dims:
            points, own = _with_dim(points, f"{dim.name}?")
            values[dim.name] = own
        limits = (*node.bound.bounds, *node.bound.constraints)
        points = points.restrict(*(limit.substitute(values) for limit in limits))
    pairs = tuple((key, Poly.of(value)) for key, value in values.items())
    indices = index_positions(node)
    for position, operand in enumerate(node.operands):
        inner = points
        if operand.guard is not None and position not in indices:
            limits = (*operand.guard.bounds, *operand.guard.constraints)
            inner = points.restrict(*(limit.substitute(values) for limit in limits))
        yield _Step(name, replace(operand, guard=None), inner, pairs)
