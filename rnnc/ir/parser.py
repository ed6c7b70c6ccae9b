"""Text -> graph: the inverse of `rnnc.ir.printer`; the form is that of `grammar/rir.lark`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import cast

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from rnnc.diagnostics import Diagnostic, DiagnosticError, DiagnosticSink, Source, Span
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import (
    Attribute,
    Builder,
    DataIndex,
    Graph,
    Index,
    Node,
    Op,
    Operand,
    Output,
    Size,
)
from rnnc.ir.ops import OPS
from rnnc.ir.poly import Floor, Poly
from rnnc.ir.text import POLYNOMIALS, unquoted
from rnnc.ir.types import DType, TensorType
from rnnc.ir.verifier import violations

Child = Token | Tree[Token] | None


def parse_graph(source: Source) -> Graph:
    """The well-formed graph of a text.

    Raises DiagnosticError: what `parse` finds, else RNN114 for every node that is ill-formed.
    """
    graph = parse(source)
    found = DiagnosticSink()
    for violation in violations(graph):
        spans = graph[violation.node].spans if violation.node in graph else ()
        found.error("RNN114", str(violation), spans[0] if spans else None)
    found.raise_errors()
    return graph


def parse(source: Source) -> Graph:
    """The graph of a text; whether it is well-formed is the verifier's question.

    A node's span is its name, an operand's span is the read. Raises DiagnosticError: RNN110 for a
    text of another form, RNN111 for an unknown operation or attribute, RNN112 for a name that two
    nodes have, RNN113 for one that no node has.
    """
    try:
        tree = _grammar().parse(source.text + "\n")
    except UnexpectedInput as problem:
        raise DiagnosticError([_syntax_error(problem, source)]) from None
    return _Reader(source).graph(tree)


@lru_cache
def _grammar() -> Lark:
    grammar = files("rnnc.grammar").joinpath("rir.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", maybe_placeholders=True, propagate_positions=True)


# ---- syntax errors ----------------------------------------------------------------------------

_WORDS = {
    "NAME": "a name",
    "INT": "an integer",
    "FLOAT": "a number",
    "STRING": "a string",
    "_NL": "the end of the line",
    "DTYPE": "a type",
    "LSQB": "'['",
    "RSQB": "']'",
    "LPAR": "'('",
    "RPAR": "')'",
    "LBRACE": "'{'",
    "RBRACE": "'}'",
    "COLON": "':'",
    "COMMA": "','",
    "EQUAL": "'='",
    "SIGN": "a sign",
    "STAR": "'*'",
    "CIRCUMFLEX": "'^'",
    "SLASH": "'/'",
    "RELATION": "'>=' or '=='",
    "__ANON_0": "'..'",
    "$END": "the end of the text",
}


def _syntax_error(problem: UnexpectedInput, source: Source) -> Diagnostic:
    match problem:
        case UnexpectedToken(token=token, expected=expected):
            found = "the end of the line" if token.type in ("_NL", "$END") else f"'{token}'"
            width = 1 if "\n" in token else max(1, len(token))
        case UnexpectedCharacters(char=char, allowed=expected):
            found, width = f"'{char}'", 1
        case UnexpectedEOF(expected=expected):
            found, width = "the end of the text", 1
    line, column = max(1, problem.line), max(1, problem.column)
    if "\n" in found:
        found = "the end of the line"
    wanted = sorted(_WORDS.get(name, f"'{name.lower()}'") for name in expected or ())
    *others, last = wanted or ["something else"]
    either = f"{', '.join(others)} or {last}" if others else last
    message = f"expected {either}, found {found}"
    return Diagnostic("RNN110", message, Span(source, line, column, line, column + width))


# ---- the tree ---------------------------------------------------------------------------------


class _Reader:
    """Builds the graph from the tree, collecting what is wrong."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.found = DiagnosticSink()

    def graph(self, tree: Tree[Token]) -> Graph:
        name, *lines = tree.children
        sizes: list[Size] = []
        outputs: list[Output] = []
        nodes: dict[str, Node] = {}
        for line in lines:
            assert isinstance(line, Tree)
            match line.data:
                case "size":
                    sizes.append(_size(line))
                case "output":
                    outputs.append(_output(line))
                case _:
                    node = self.node(line)
                    if node.id in nodes:
                        message = f"'{node.id}' is the name of two nodes"
                        self.found.error("RNN112", message, node.spans[0])
                    nodes[node.id] = node
        builder = Builder(_name(name), tuple(sizes))
        for node in nodes.values():  # all of them before any edge, which would create its source
            builder.graph.structure.add_node(node.id, node=node)
        for node in nodes.values():
            for operand in node.operands:
                self.check_known(operand.source, nodes, operand.span)
            builder.add(node)
        for output in outputs:
            self.check_known(output.node, nodes, None)
        self.found.raise_errors()
        return builder.finish(tuple(outputs))

    def check_known(self, name: str, nodes: Mapping[str, Node], span: Span | None) -> None:
        if name not in nodes:
            self.found.error("RNN113", f"no node is called '{name}'", span)

    def span(self, tree: Tree[Token] | Token) -> Span:
        at = tree if isinstance(tree, Token) else tree.meta
        line, column = cast(int, at.line), cast(int, at.column)
        end = cast(int, at.end_column) if at.end_line == at.line else column + 1
        return Span(self.source, line, column, line, end)

    def node(self, tree: Tree[Token]) -> Node:
        name, grid, type, operation, pairs, operands, bound = tree.children
        assert isinstance(name, Token)
        domain = _grid(grid)
        attributes = (
            [] if pairs is None else [_attribute(pair, str(operation)) for pair in _tree(pairs)]
        )
        self.check_op(operation, tuple(key for key, _ in attributes))
        reads = () if operands is None else tuple(self.operand(o, domain) for o in _tree(operands))
        return Node(
            _name(name),
            Op(str(operation), tuple(attributes)),
            reads,
            domain,
            _type(type),
            None if bound is None else _domain(bound),
            (self.span(name),),
        )

    def operand(self, tree: Child, own: Domain) -> Operand:
        assert isinstance(tree, Tree)
        source, access, guard = tree.children
        indices = () if access is None else tuple(_index(index) for index in _tree(access))
        return Operand(_name(source), indices, _guard(guard, own), self.span(tree))

    def check_op(self, name: Child, attributes: tuple[str, ...]) -> None:
        assert isinstance(name, Token)
        if name not in OPS:
            self.found.error("RNN111", f"there is no operation '{name}'", self.span(name))
        elif attributes != OPS[name].attributes:
            wanted = ", ".join(OPS[name].attributes) or "none"
            message = f"the attributes of '{name}' are {wanted}, in this order"
            self.found.error("RNN111", message, self.span(name))


def _tree(child: Child) -> list[Child]:
    assert isinstance(child, Tree)
    return list(child.children)


def _name(token: Child) -> str:
    assert isinstance(token, Token)
    return unquoted(token)


def _size(tree: Tree[Token]) -> Size:
    kind, name, value = tree.children
    assert isinstance(kind, Token)
    number = None if value is None else int(cast(Token, value))
    return Size(_name(name), "static" if kind.type == "STATIC" else "extent", number)


def _output(tree: Tree[Token]) -> Output:
    name, grid, node = tree.children
    return Output(_name(name), _name(node), _grid(grid))


# ---- domains ----------------------------------------------------------------------------------


def _grid(tree: Child) -> Domain:
    return Domain() if tree is None else _domain(_tree(tree)[0])


def _domain(tree: Child) -> Domain:
    dims, constraints = _tree(tree)
    return Domain(
        () if dims is None else tuple(_dim(dim) for dim in _tree(dims)),
        () if constraints is None else tuple(_constraint(c) for c in _tree(constraints)),
    )


def _dim(tree: Child) -> Dim:
    static, name, lower, upper = _tree(tree)
    return Dim(_name(name), _bound(lower), _bound(upper), static is not None)


def _bound(tree: Child) -> Poly | None:
    return None if tree is None else _poly(tree)


def _constraint(tree: Child) -> Constraint:
    poly, relation, zero = _tree(tree)
    difference = _poly(poly) - int(cast(Token, zero))
    return Constraint(difference, ">=" if relation == ">=" else "==")


def _guard(tree: Child, own: Domain) -> Domain | None:
    """The guard with the dims that it does not name taken from the node's domain."""
    if tree is None:
        return None
    assert isinstance(tree, Tree)
    given = _domain(tree.children[0])
    if tree.data == "full_guard":
        return given
    named = {dim.name: dim for dim in given.dims}
    dims = [
        Dim(dim.name, named[dim.name].lower, named[dim.name].upper, dim.static)
        if dim.name in named
        else dim
        for dim in own.dims
    ]
    return Domain(tuple(dims), given.constraints)


# ---- nodes ------------------------------------------------------------------------------------


def _type(tree: Child) -> TensorType:
    dtype, shape, lower, upper = _tree(tree)
    sizes = () if shape is None else tuple(_poly(size) for size in _tree(shape))
    limits = None if lower is None else (_poly(lower), _poly(upper))
    return TensorType(cast(DType, str(dtype)), sizes, limits)


def _index(tree: Child) -> Index:
    assert isinstance(tree, Tree)
    if tree.data == "poly":
        return _poly(tree)
    operand, lower, upper = tree.children
    return DataIndex(int(cast(Token, operand)), _poly(lower), _poly(upper))


def _attribute(tree: Child, operation: str) -> tuple[str, Attribute]:
    key, value = _tree(tree)
    name = _name(key)
    return name, _value(value, (operation, name) in POLYNOMIALS)


def _value(child: Child, polynomial: bool) -> Attribute:
    """`polynomial` tells `2`, the polynomial, from `2`, the integer."""
    if isinstance(child, Token):
        if child.type == "STRING":
            return cast(str, json.loads(child))
        return {"TRUE": True, "FALSE": False, "NONE": None}[child.type]
    assert child is not None
    match child.data:
        case "poly":
            poly = _poly(child)
            return poly if polynomial or poly.constant is None else poly.constant
        case "tuple":
            return tuple(_value(item, polynomial) for item in child.children if item is not None)
        case "complex":
            re, im = child.children
            return complex(_float(re), _float(im))
        case _:
            return _float(child)


def _float(tree: Child) -> float:
    sign, digits = _tree(tree)
    value = float(cast(Token, digits))
    return -value if sign == "-" else value


# ---- polynomials ------------------------------------------------------------------------------


def _poly(tree: Child) -> Poly:
    total, sign = Poly(), 1
    for child in _tree(tree):
        if isinstance(child, Token):
            sign = -1 if child == "-" else 1
        elif child is not None:
            total, sign = total + _term(child) * sign, 1
    return total


def _term(tree: Tree[Token]) -> Poly:
    product = Poly.of(1)
    for factor in tree.children:
        product = product * (Poly.of(int(factor)) if isinstance(factor, Token) else _power(factor))
    return product


def _power(tree: Child) -> Poly:
    base, power = _tree(tree)
    if isinstance(base, Token):
        factor = Poly.of(_name(base))
    else:
        numerator, denominator = _tree(base)
        floor = Floor(_poly(numerator), int(cast(Token, denominator)))
        factor = Poly(((((floor, 1),), 1),))
    product = Poly.of(1)
    for _ in range(1 if power is None else int(cast(Token, power))):
        product = product * factor
    return product
