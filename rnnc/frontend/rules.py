"""The rules for equations (language reference, section 5) on the elaborated graph.

1 once: no point of a variable is defined twice (RNN401);
2 covered: every point read is defined, or beyond a side without an equation (RNN402);
3 computable: no value needs itself, and some order serves all reads (RNN403, 404, 405).

Sets of points are integer polyhedra, so each rule is decided for all sizes at once.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rnnc.analysis.regions import region
from rnnc.analysis.sets import Assumptions
from rnnc.diagnostics import DiagnosticSink, Span
from rnnc.frontend import ast
from rnnc.frontend.variables import Variable
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import DataIndex, Graph, Node, Operand
from rnnc.ir.poly import Poly, PolyLike


@dataclass(frozen=True, slots=True)
class Part:
    """The points that one equation (or input) gives a variable; `target` is what it defines."""

    guard: Domain
    target: Span
    equation: ast.Equation | None


@dataclass(frozen=True, slots=True)
class Defined:
    """A variable of the source with everything that defines it.

    `box` is the product of the dims of its positions; `nodes` are the merges that hold it. Of one
    that `is_bad` (some equation is in error) not all points are known.
    """

    name: str
    box: Domain
    nodes: tuple[str, ...]
    parts: tuple[Part, ...]
    is_output: bool
    is_bad: bool


@dataclass(frozen=True, slots=True)
class Program:
    """What the rules are about: a graph, its variables in source order, what is known of sizes."""

    graph: Graph
    variables: tuple[Defined, ...]
    known: Assumptions
    by_node: Mapping[str, Defined]

    @property
    def sizes(self) -> tuple[str, ...]:
        return tuple(size.name for size in self.graph.sizes)

    def sizes_at_least(self, names: Container[str]) -> tuple[Constraint, ...]:
        """The least values of the sizes among `names`."""
        return tuple(
            Constraint(Poly.of(name) - int(name in self.known.positive), ">=")
            for name in self.sizes
            if name in names
        )


def check_rules(graph: Graph, variables: Iterable[Variable], sink: DiagnosticSink) -> None:
    """Reports every violation of rules 1 to 3.

    `graph` still has the node ids that the variables know; nodes that no output needs may be in
    it. Variables in error, and reads of nodes that are missing for that, count for nothing.
    """
    from rnnc.frontend.rules_computable import check_computable
    from rnnc.frontend.rules_covered import check_covered
    from rnnc.frontend.rules_once import check_once

    defined = _defined(graph, variables)
    by_node = {node: variable for variable in defined for node in variable.nodes}
    program = Program(graph, defined, Assumptions.of(graph.sizes), by_node)
    check_once(program, sink)
    check_covered(program, sink)
    check_computable(program, sink)


def _defined(graph: Graph, variables: Iterable[Variable]) -> tuple[Defined, ...]:
    found: list[Defined] = []
    for variable in variables:
        parts = tuple(
            Part(_own_names(piece.guard, variable), piece.span, piece.equation)
            for piece in variable.pieces
        )
        groups: dict[str, None] = {}
        for rows in variable.groups.values():
            groups.update(dict.fromkeys(g.node for g in rows if has_node(graph, g.node)))
        if variable.kind != "param":
            found.append(
                Defined(
                    variable.name,
                    variable.box,
                    tuple(groups),
                    parts,
                    variable.is_output,
                    variable.is_bad,
                )
            )
    return tuple(sorted(found, key=lambda variable: _place(variable.parts)))


def _own_names(guard: Domain, variable: Variable) -> Domain:
    assert guard.names == variable.names, "a guard is over the dims of its variable"
    return guard


def _place(parts: Sequence[Part]) -> tuple[str, int, int]:
    spans = [part.target for part in parts]
    return min(((s.source.name, s.line, s.column) for s in spans), default=("", 0, 0))


def has_node(graph: Graph, name: str) -> bool:
    """Whether the node exists, and not only reads of it."""
    return "node" in graph.structure.nodes.get(name, {})


# ---- reads ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Read:
    """`source` is read at `access` from every point of `points` (the reader's and further dims).

    A data-dependent index has become a dim of its own that runs over the index's range; `data`
    then holds the operand of the index.
    """

    points: Domain
    source: str
    access: tuple[Poly, ...]
    span: Span | None
    data: tuple[Operand, ...] = ()


def reads(program: Program) -> Iterator[Read]:
    """Every read that a node makes, from the points at which it makes it."""
    for name in program.graph.structure.nodes:
        if not has_node(program.graph, name):
            continue
        node = program.graph[name]
        for operand in node.operands:
            if not has_node(program.graph, operand.source):
                continue
            read = at_points(node, operand, region(node, operand))
            yield replace(read, span=read_span(program, node, operand))


def read_span(program: Program, node: Node, operand: Operand) -> Span | None:
    """Where a read is written.

    The span of a case is its equation; where the equation only names another variable, the read is
    what stands to the right.
    """
    variables = program.by_node
    if node.id not in variables or operand.source not in variables:
        return operand.span
    name = variables[operand.source].name
    for part in variables[node.id].parts:
        if part.target == operand.span and part.equation is not None:
            for case in part.equation.cases:
                found = _naming(case.value, name)
                if found is not None:
                    return found
    return operand.span


def _naming(tree: ast.Expression, name: str) -> Span | None:
    """The first read of a variable in an expression."""
    match tree:
        case ast.Name(text, span):
            return span if text == name else None
        case ast.Indexed(ast.Name(text), _, span) if text == name:
            return span
        case ast.Conditional(value, _, otherwise, _):
            return _naming(value, name) or _naming(otherwise, name)
        case ast.Field(base, _, span):
            return span if _naming(base, name) is not None else None
    return None


def at_points(node: Node, operand: Operand, points: Domain) -> Read:
    """The read from given points, data-dependent indices replaced by dims."""
    access: list[Poly] = []
    data: list[Operand] = []
    for index in operand.access:
        if isinstance(index, DataIndex):
            name = f"?{len(points.dims)}"
            own = Poly.of(name)
            points = points.extend((Dim(name, None, None, False),)).restrict(
                Constraint(own - index.lower, ">="), Constraint(index.upper - 1 - own, ">=")
            )
            access.append(own)
            data.append(node.operands[index.operand])
        else:
            access.append(index)
    return Read(points, operand.source, tuple(access), operand.span, tuple(data))


def limits_at(domain: Domain, access: Sequence[Poly]) -> tuple[Constraint, ...]:
    """The constraints of a domain in terms of an access to its points."""
    values: dict[str, PolyLike] = dict(zip(domain.names, access, strict=True))
    return tuple(c.substitute(values) for c in (*domain.bounds, *domain.constraints))
