"""Gives every variable a value at every point that is stored for it, each by a node of its own.

    h[t] merges  a[t] if 0 <= t < T;   read at t - 1
becomes
    h[t in -1..T] merges  z[t] if t == -1,  a[t] if 0 <= t < T;      z[t in -1..0] = 0

A merge's domain becomes the box that its readers reach; what lies beyond a side without an
equation is zero there. Cases that only name another value (an input, a state at a fixed point) are
computed by a copy, so that afterwards each case is a node that can write into the variable's
storage. Inputs that are read outside their grid become variables too, and every output is one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rnnc.analysis.boxes import Interval, box_of, hull, interval, never_negative, relaxed, tightened
from rnnc.analysis.regions import region, store_index
from rnnc.analysis.sets import is_empty
from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import DataIndex, Graph, Node, Operand, Output
from rnnc.ir.ops import is_statement, op
from rnnc.ir.poly import Poly
from rnnc.ir.reads import index_positions, value_operands
from rnnc.passes.resolve_reads import resolve
from rnnc.passes.rewrite import Rewriter, identity


@dataclass(frozen=True, slots=True)
class CompleteVariables:
    name: ClassVar[str] = "complete-variables"

    def run(self, graph: Graph) -> Graph:
        rewriter = Rewriter.of(graph)
        for node in graph.nodes:
            if node.op.name == "merge" and index_positions(node):
                gather_by_copy(rewriter, node)
        outputs = tuple(own_variable(rewriter, output) for output in graph.outputs)
        for node in graph.inputs():
            pad(rewriter, node)
        boxes = {
            node.id: stored_box(rewriter, node, outputs)
            for node in rewriter.nodes.values()
            if node.op.name == "merge"
        }
        for name, box in boxes.items():
            complete(rewriter, rewriter[name], box)
        rewriter.changed = True
        return rewriter.finish(outputs)


def gather_by_copy(rewriter: Rewriter, node: Node) -> None:
    """Makes each case that reads at a data-dependent index a copy of what it reads."""
    cases: list[Operand] = []
    for case in value_operands(node):
        indices = [index for index in case.access if isinstance(index, DataIndex)]
        if not indices:
            cases.append(case)
            continue
        assert case.guard is not None
        places = {index.operand: 1 + number for number, index in enumerate(indices)}
        access = tuple(
            replace(index, operand=places[index.operand]) if isinstance(index, DataIndex) else index
            for index in case.access
        )
        value = replace(case, access=access, guard=None)
        reads = (value, *(node.operands[index.operand] for index in indices))
        copy = replace(node, domain=tightened(case.guard))
        type = replace(node.type, range=None)
        made = rewriter.derive(copy, op("cast", dtype=node.type.dtype), reads, type=type)
        cases.append(Operand(made.id, identity(made.domain), case.guard))
    rewriter.put(replace(node, operands=tuple(cases)))


def own_variable(rewriter: Rewriter, output: Output) -> Output:
    """The output as a merge that nobody else reads, with the output's own box."""
    source = rewriter[output.node]
    exported = source.op.name == "merge" and source.domain == output.domain
    if exported and not reads_of(rewriter, source.id):
        return output
    read = Operand(source.id, identity(source.domain), output.domain)
    name = rewriter.builder.fresh(f"{output.name}.out")
    node = Node(
        name, op("merge"), (read,), output.domain, replace(source.type, range=None), None,
        source.spans,
    )  # fmt: skip
    renamed = tuple(Poly.of(own) for own in output.domain.names)
    rewriter.put(replace(node, operands=(written_by(rewriter, replace(read, access=renamed)),)))
    return replace(output, node=name)


def written_by(rewriter: Rewriter, case: Operand) -> Operand:
    """The case as the one equation behind its variable, if that alone defines all its points.

    Then that equation writes the output as well, and nothing is copied.
    """
    assert case.guard is not None
    found = resolve(rewriter, case.guard, case)
    source = rewriter[found.source]
    if not is_statement(source.op) or store_index(source, found) is None:
        return case
    return found


def reads_of(rewriter: Rewriter, name: str) -> list[tuple[Domain, Operand]]:
    """Every read of a node with the points at which it happens."""
    return [
        (tightened(region(reader, operand)), operand)
        for reader in rewriter.nodes.values()
        for operand in reader.operands
        if operand.source == name
    ]


def reach(points: Domain, operand: Operand, axis: int) -> Interval:
    """The stretch of the source's dim number `axis` that a read may touch."""
    index = operand.access[axis]
    if isinstance(index, DataIndex):
        low = interval(index.lower, points)
        high = interval(index.upper - 1, points)
        return hull((low, high))
    found = interval(index, points)
    # `4*floor(T/4)` and `T` are no bounds of each other, but the former is at most the latter.
    lower = None if found.lower is None else relaxed(found.lower)[0]
    upper = None if found.upper is None else relaxed(found.upper)[1]
    return Interval(lower, upper)


def pad(rewriter: Rewriter, node: Node) -> None:
    """Puts a variable before an input that is read outside its grid."""
    box = tightened(node.domain)
    outside = False
    for points, operand in reads_of(rewriter, node.id):
        for axis, dim in enumerate(box.dims):
            item = reach(points, operand, axis)
            if not within(item, dim):
                outside = True
    if not outside:
        return
    name = rewriter.builder.fresh(f"{node.id}.padded")
    for reader in list(rewriter.nodes.values()):
        operands = tuple(
            replace(read, source=name) if read.source == node.id else read
            for read in reader.operands
        )
        if operands != reader.operands:
            rewriter.put(replace(reader, operands=operands))
    case = Operand(node.id, identity(node.domain), node.domain)
    rewriter.put(replace(node, id=name, op=op("merge"), operands=(case,)))


def within(item: Interval, dim: Dim) -> bool:
    """Whether an interval certainly lies inside the dim's bounds, for all sizes >= 0."""
    if item.lower is None or item.upper is None or dim.lower is None or dim.upper is None:
        return False
    slack = (item.lower - dim.lower, dim.upper - 1 - item.upper)
    return all(never_negative(poly) for poly in slack)


def stored_box(rewriter: Rewriter, node: Node, outputs: tuple[Output, ...]) -> Domain:
    """The box of points that readers and the interface may touch."""
    output = next((output for output in outputs if output.node == node.id), None)
    reads = reads_of(rewriter, node.id)
    dims: list[Dim] = []
    for axis, dim in enumerate(node.domain.dims):
        items = [reach(points, operand, axis) for points, operand in reads]
        if dim.lower is not None and dim.upper is not None:
            items.append(Interval(dim.lower, dim.upper - 1))
        if output is not None:
            own = output.domain.dims[axis]
            assert own.lower is not None and own.upper is not None
            items.append(Interval(own.lower, own.upper - 1))
        box = box_of(dim, hull(items)) if items else dim
        if box.lower is None or box.upper is None:
            raise DiagnosticError([unbounded(node, dim)])
        dims.append(box)
    return Domain(tuple(dims))


def unbounded(node: Node, dim: Dim) -> Diagnostic:
    return Diagnostic(
        "RNN704",
        f"'{node.id}' is read without a bound along '{dim.name}': it cannot be stored",
        node.spans[0] if node.spans else None,
    )


def complete(rewriter: Rewriter, node: Node, box: Domain) -> None:
    """Cuts the cases to the stored box, fills its rest with zero, gives each case a node."""
    cases: list[Operand] = []
    for case in node.operands:
        assert case.guard is not None
        guard = tightened(box.restrict(*case.guard.bounds, *case.guard.constraints))
        if not is_empty(guard):
            cases.append(own_case(rewriter, node, replace(case, guard=guard)))
    for rest in margins(node, box, [case.guard for case in cases if case.guard is not None]):
        zero = fill(rewriter, node, rest)
        cases.append(Operand(zero.id, identity(rest), rest))
    rewriter.put(replace(node, operands=tuple(cases), domain=box))


def own_case(rewriter: Rewriter, node: Node, case: Operand) -> Operand:
    """The case itself if its source can write into the variable, else a copy over the guard."""
    source = rewriter[case.source]
    assert case.guard is not None
    if (
        is_statement(source.op)
        and source.type.shape == node.type.shape
        and source.type.dtype == node.type.dtype
        and store_index(source, case) is not None
        and writes_only(source, case)
    ):
        return case
    copied = case
    if source.type.shape != node.type.shape:  # a scalar equation fills the shape
        axes = tuple(range(node.type.rank - source.type.rank, node.type.rank))
        wide = rewriter.derive(
            replace(node, domain=case.guard),
            op("broadcast", shape=node.type.shape, axes=axes),
            (replace(case, guard=None),),
        )
        copied = Operand(wide.id, identity(case.guard))
    copy = rewriter.derive(
        replace(node, domain=case.guard),
        op("cast", dtype=node.type.dtype),
        (replace(copied, guard=None),),
    )
    return Operand(copy.id, identity(case.guard), case.guard)


def writes_only(source: Node, case: Operand) -> bool:
    """Whether every point of the source lies in the case's guard."""
    index = store_index(source, case)
    assert index is not None and case.guard is not None
    values = dict(zip(case.guard.names, index, strict=True))
    limits = [c.substitute(values) for c in (*case.guard.bounds, *case.guard.constraints)]
    return all(
        is_empty(source.domain.restrict(part)) for limit in limits for part in limit.negated()
    )


def margins(node: Node, box: Domain, guards: list[Domain]) -> list[Domain]:
    """The stored points beyond the variable's own box that no case defines, disjoint."""
    found: list[Domain] = []
    inner: list[Constraint] = []
    for dim in node.domain.dims:
        sides: list[Constraint] = []
        variable = Poly.of(dim.name)
        if dim.lower is not None:
            sides.append(Constraint(variable - dim.lower, ">="))
        if dim.upper is not None:
            sides.append(Constraint(dim.upper - 1 - variable, ">="))
        for side in sides:
            pieces = [box.restrict(*inner, *part) for part in ((p,) for p in side.negated())]
            for guard in guards:
                pieces = [rest for piece in pieces for rest in difference(piece, guard)]
            found += [tightened(piece) for piece in pieces if not is_empty(piece)]
        inner += sides
    return found


def difference(piece: Domain, guard: Domain) -> list[Domain]:
    """`piece` without `guard`, as disjoint parts."""
    limits = (*guard.bounds, *guard.constraints)
    if is_empty(piece.restrict(*limits)):
        return [piece]
    parts: list[Domain] = []
    for limit in limits:
        for outside in limit.negated():
            part = piece.restrict(outside)
            if not is_empty(part):
                parts.append(part)
        piece = piece.restrict(limit)
    return parts


def fill(rewriter: Rewriter, node: Node, points: Domain) -> Node:
    """Zero (false) at the given points."""
    model = replace(node, domain=points, spans=node.spans)
    value: int | float | bool = False if node.type.dtype == "bool" else 0
    if node.type.dtype in ("real", "complex"):
        value = 0.0
    constant = rewriter.derive(replace(model, domain=Domain()), op("constant", value=value), ())
    wide = rewriter.derive(
        model, op("broadcast", shape=node.type.shape, axes=()), (Operand(constant.id),)
    )
    return rewriter.derive(
        model, op("cast", dtype=node.type.dtype), (Operand(wide.id, identity(points)),)
    )
