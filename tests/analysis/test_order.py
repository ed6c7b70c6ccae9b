"""Whether an order exists, against point by point search on small grids."""

from __future__ import annotations

from itertools import product

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnc.analysis.order import cycle_at_a_point, stuck
from rnnc.analysis.sets import NOTHING
from rnnc.analysis.variable_reads import VariableRead
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import Operand
from rnnc.ir.poly import Poly

SIZE = 9  # large enough for the cycles that distances of at most 2 can close
ROW, COLUMN = Poly.of("i"), Poly.of("j")
BOX = Domain(
    (Dim("i", Poly(), Poly.of("R"), static=False), Dim("j", Poly(), Poly.of("C"), static=False))
)


def read_at(
    reader: str, source: str, access: tuple[Poly, ...], *limits: Constraint
) -> VariableRead:
    inside = [
        limit
        for dim, index in zip(BOX.dims, access, strict=True)
        if dim.upper is not None
        for limit in (Constraint(index, ">="), Constraint(dim.upper - 1 - index, ">="))
    ]
    points = BOX.restrict(*inside, *limits)
    return VariableRead(
        reader, ("i", "j"), source, ("i", "j"), points, access, "", Operand(""), "", 0
    )


STEPS = st.tuples(st.integers(-2, 2), st.integers(-2, 2))
READS = st.lists(
    st.builds(
        lambda reader, source, step: read_at(reader, source, (ROW - step[0], COLUMN - step[1])),
        st.sampled_from("ab"),
        st.sampled_from("ab"),
        STEPS,
    ),
    min_size=1,
    max_size=4,
)


def has_cycle(reads: list[VariableRead]) -> bool:
    """Whether some point of a square grid needs itself, however far round."""
    points: nx.DiGraph[tuple[str, int, int]] = nx.DiGraph()
    for read in reads:
        for i, j in product(range(SIZE), range(SIZE)):
            values = {"i": i, "j": j, "R": SIZE, "C": SIZE}
            if read.points.contains(values, values):
                there = [index.evaluate(values) for index in read.access]
                points.add_edge((read.source, there[0], there[1]), (read.reader, i, j))
    return not nx.is_directed_acyclic_graph(points)


@settings(max_examples=200, deadline=None)
@given(READS)
def test_reads_are_stuck_where_points_need_themselves(reads: list[VariableRead]) -> None:
    assert bool(stuck(reads, NOTHING)) == has_cycle(reads)


@settings(max_examples=100, deadline=None)
@given(READS)
def test_a_cycle_at_a_point_closes(reads: list[VariableRead]) -> None:
    cycle = cycle_at_a_point(tuple(reads), ("a", "b"), NOTHING)
    total = [0, 0]
    for read, following in zip(cycle, (*cycle[1:], *cycle[:1]), strict=True):
        assert read.source == following.reader
        for axis, (name, index) in enumerate(zip(("i", "j"), read.access, strict=True)):
            total[axis] += (Poly.of(name) - index).offset
    assert total == [0, 0]
    assert bool(cycle) == any(closes(first, second) for first, second in product(reads, reads))


def closes(first: VariableRead, second: VariableRead) -> bool:
    """Whether one read stays at its point, or two of two variables undo each other's step."""
    if first.reader == first.source:
        return first.access == (ROW, COLUMN)
    there_and_back = (first.source, first.reader) == (second.reader, second.source)
    steps = [
        (index + other - own * 2).constant
        for index, other, own in zip(first.access, second.access, (ROW, COLUMN), strict=True)
    ]
    return there_and_back and steps == [0, 0]


def test_guards_cut_reads() -> None:
    even, odd = Constraint(COLUMN % 2, "=="), Constraint(COLUMN % 2 - 1, "==")
    assert not stuck(
        [read_at("a", "b", (ROW, COLUMN), even), read_at("b", "a", (ROW, COLUMN), odd)], NOTHING
    )
    assert stuck(
        [read_at("a", "b", (ROW, COLUMN), even), read_at("b", "a", (ROW, COLUMN), even)], NOTHING
    )


def test_a_triangle_that_reads_across_the_diagonal() -> None:
    below = Constraint(ROW - COLUMN - 1, ">=")
    assert not stuck([read_at("a", "a", (COLUMN, ROW), below)], NOTHING)
    assert stuck([read_at("a", "a", (COLUMN, ROW))], NOTHING)


def test_an_order_for_each_index_of_a_static_dim() -> None:
    domain = Domain((Dim("u", Poly(), Poly.of(2), static=True), BOX.dims[0]))
    dims = ("u", "i")

    def reads(index: Poly) -> list[VariableRead]:
        access = (Poly.of("u"), index)
        return [VariableRead("h", dims, "h", dims, domain, access, "", Operand(""), "", 0)]

    assert not stuck(reads(ROW - 1 + Poly.of("u") * 2), NOTHING)
    assert stuck(reads(ROW - 1 + Poly.of("u")), NOTHING)
