"""The text form says everything about a graph, and mistakes in it are told where they stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnc.diagnostics import DiagnosticError, Source, render
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import Attribute, Builder, DataIndex, Graph, Node, Op, Operand, Output, Size
from rnnc.ir.ops import OPS
from rnnc.ir.parser import parse, parse_graph
from rnnc.ir.poly import Poly
from rnnc.ir.printer import print_graph
from rnnc.ir.text import POLYNOMIALS
from rnnc.ir.types import DTYPES, TensorType
from tests.ir.graphs import graph_text
from tests.ir.recurrences import recurrences

EVERYTHING = graph_text("everything")


def read(text: str) -> Graph:
    return parse(Source("g.rir", text))


def test_everything_is_read_and_written_back() -> None:
    graph = read(EVERYTHING)
    assert print_graph(graph) == EVERYTHING
    assert graph["y"].operands[0] == Operand(
        "y",
        (DataIndex(2, Poly.of(-1), Poly.of("t")),),
        Domain(graph["y"].domain.dims, (Constraint(Poly.of("t") - 1, ">="),)),
    )
    assert graph["z"].op["value"] == complex(0.5, float("-inf"))
    assert graph["i"].op["value"] == (Poly.of("t") * "t" - (Poly.of("t") + 1) // 4 * 2 + "in")
    assert graph.sizes[3] == Size("in", "extent")
    assert graph.outputs[1] == Output("3rd [l]", "n", Domain())


def test_comments_and_blank_lines_do_not_count() -> None:
    spaced = EVERYTHING.replace("\n", "   // why\n\n")
    assert read("\n// first\n" + spaced) == read(EVERYTHING)


@given(recurrences())
def test_recurrences_survive(graph: Graph) -> None:
    assert parse_graph(Source("g.rir", print_graph(graph))) == graph


def test_the_order_of_nodes_counts() -> None:
    lines = EVERYTHING.splitlines(keepends=True)
    assert read("".join([*lines[:-2], lines[-1], lines[-2]])) != read(EVERYTHING)


# ---- any graph, well-formed or not ------------------------------------------------------------

NAMES = st.one_of(
    st.sampled_from(["h", "h'", "h.1", "α", "lstm[l].W", "in", "inf", "box 2", "static", "e1"]),
    st.text("ab_' .[]:=0", min_size=1, max_size=4),
)
POLYS = st.recursive(
    st.one_of(st.integers(-3, 3).map(Poly.of), NAMES.map(Poly.of)),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] * pair[1]),
        st.tuples(inner, st.integers(1, 4)).map(lambda pair: pair[0] // pair[1]),
    ),
    max_leaves=4,
)
BOUNDS = st.one_of(st.none(), POLYS)
DIMS = st.builds(Dim, NAMES, BOUNDS, BOUNDS, st.booleans())
CONSTRAINTS = st.builds(Constraint, POLYS, st.sampled_from((">=", "==")))
DOMAINS = st.builds(
    Domain,
    st.lists(DIMS, max_size=2, unique_by=lambda dim: dim.name).map(tuple),
    st.lists(CONSTRAINTS, max_size=2).map(tuple),
)
RANGES = st.one_of(st.none(), st.tuples(POLYS, POLYS))
SHAPES = st.lists(POLYS, max_size=2).map(tuple)
TYPES = st.builds(TensorType, st.sampled_from(DTYPES), SHAPES, RANGES)
NUMBERS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(max_size=5),
)


@st.composite
def operations(draw: st.DrawFn) -> Op:
    row = OPS[draw(st.sampled_from(sorted(OPS)))]
    pairs: list[tuple[str, Attribute]] = []
    for key in row.attributes:
        values = POLYS if (row.name, key) in POLYNOMIALS else NUMBERS
        pairs.append((key, draw(st.one_of(values, st.lists(values, max_size=2).map(tuple)))))
    return Op(row.name, tuple(pairs))


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any data that a graph can hold: the text form does not ask whether it makes sense."""
    ids = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    values = st.one_of(st.none(), st.integers(0, 9))
    size = st.builds(Size, NAMES, st.sampled_from(("static", "extent")), values)
    builder = Builder(draw(NAMES), tuple(draw(st.lists(size, max_size=2))))
    index = st.one_of(POLYS, st.builds(DataIndex, st.integers(0, 3), POLYS, POLYS))
    nodes: list[Node] = []
    for name in ids:
        domain = draw(DOMAINS)
        own = st.builds(Domain, st.just(domain.dims), st.lists(CONSTRAINTS, max_size=1).map(tuple))
        guard = st.one_of(st.none(), own, DOMAINS)
        access = st.lists(index, max_size=2).map(tuple)
        operand = st.builds(Operand, st.sampled_from(ids), access, guard)
        operands = tuple(draw(st.lists(operand, max_size=2)))
        bound = draw(st.one_of(st.none(), DOMAINS))
        nodes.append(Node(name, draw(operations()), operands, domain, draw(TYPES), bound))
    for node in nodes:
        builder.graph.structure.add_node(node.id, node=node)
    for node in nodes:
        builder.add(node)
    output = st.builds(Output, NAMES, st.sampled_from(ids), DOMAINS)
    return builder.finish(tuple(draw(st.lists(output, max_size=2))))


@given(graphs())
def test_any_graph_survives(graph: Graph) -> None:
    assert read(print_graph(graph)) == graph


# ---- mistakes ---------------------------------------------------------------------------------

SMALL = """\
graph small
extent T
output y[t in 0..T] = y
x[t in 0..T]: real = input{name="x", default=none}
y[t in 0..T]: real = tanh(x[t])
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "tanh(x[t])",
            "tanh(x[t]",
            "g.rir:5:31: error[RNN110]: expected ')', ',' or 'if', found the end of the line\n"
            "    y[t in 0..T]: real = tanh(x[t]\n"
            "                                  ^",
        ),
        (
            ": real = tanh",
            ": float = tanh",
            "g.rir:5:15: error[RNN110]: expected a type, found 'float'\n"
            "    y[t in 0..T]: float = tanh(x[t])\n"
            "                  ^^^^^",
        ),
        (
            "tanh",
            "tan",
            "g.rir:5:22: error[RNN111]: there is no operation 'tan'\n"
            "    y[t in 0..T]: real = tan(x[t])\n"
            "                         ^^^",
        ),
        (
            ", default=none",
            "",
            "g.rir:4:22: error[RNN111]: the attributes of 'input' are name, default, in this "
            "order\n"
            '    x[t in 0..T]: real = input{name="x"}\n'
            "                         ^^^^^",
        ),
        (
            "x[t in 0..T]: real = input",
            "y[t in 0..T]: real = input",
            "g.rir:5:1: error[RNN112]: 'y' is the name of two nodes\n"
            "    y[t in 0..T]: real = tanh(x[t])\n"
            "    ^",
        ),
        (
            "tanh(x[t])",
            "add(x[t], z[t])",
            "g.rir:5:32: error[RNN113]: no node is called 'z'\n"
            "    y[t in 0..T]: real = add(x[t], z[t])\n"
            "                                   ^^^^",
        ),
        (
            "tanh(x[t])",
            "tanh(x)",
            "g.rir:5:1: error[RNN114]: y: operand 0 gives 0 indices, x has {t in 0..T}\n"
            "    y[t in 0..T]: real = tanh(x)\n"
            "    ^",
        ),
    ],
)
def test_a_mistake_is_told_where_it_stands(old: str, new: str, message: str) -> None:
    text = SMALL.replace(old, new)
    assert text != SMALL
    with pytest.raises(DiagnosticError) as caught:
        parse_graph(Source("g.rir", text))
    assert render(caught.value.diagnostics[0]) == message


@given(st.integers(0, len(EVERYTHING) - 1), st.sampled_from('[](){}:,.=+0xé"`\n\t'))
def test_no_text_is_a_crash(position: int, character: str) -> None:
    text = EVERYTHING[:position] + character + EVERYTHING[position + 1 :]
    try:
        parse_graph(Source("g.rir", text))
    except DiagnosticError as error:
        assert all(diagnostic.code.startswith("RNN11") for diagnostic in error.diagnostics)
