"""Random systems of recurrences: schedules are as short as the oracles'."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import pytest
from hypothesis import given, settings

from rnnc.analysis.schedule import Component, Options, schedule
from rnnc.ir.graph import Graph
from rnnc.ir.ops import is_pointwise
from tests.analysis.farkas import farkas_waves
from tests.analysis.instances import Instance, Reads, instances, longest_path
from tests.analysis.models import library_graph
from tests.analysis.systems import Dimension, Form, Read, System, Variable, systems
from tests.analysis.test_schedule import waves
from tests.analysis.test_systems import completed, extents

# Likely extents; long enough for the first and last few waves not to count.
GRIDS: dict[int, list[tuple[int, ...]]] = {1: [(60,)], 2: [(16, 10), (8, 15)], 3: [(8, 7, 9)]}
# How much longer than the longest chain of dependences a schedule may be. One vector for all
# statements is as good as any order along one dim; with more, its extents are not independent.
SLACK = {1: 1.05, 2: 1.5, 3: 1.5}


def recurrences(graph: Graph, options: Options) -> Iterator[Component]:
    return (c for c in schedule(graph, options).components if c.timing is not None)


def test_farkas_finds_what_the_literature_has() -> None:
    expected = {
        ("elman", "elman_network"): {"T": 1, "": 0},
        ("md_rnn", "mdlstm_2d"): {"C": 1, "R": 1, "": -1},
    }
    for (file, model), found in expected.items():
        graph = library_graph(file, model)
        [component] = recurrences(graph, Options("wavefront"))
        assert farkas_waves(graph, component.nodes) == found


@pytest.mark.parametrize(("dims", "examples"), [(1, 60), (2, 100), (3, 60)])
def test_no_one_dimensional_affine_schedule_is_faster(dims: int, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(systems(dims, statics=False, whole=True))
    def check(system: System) -> None:
        graph = completed(system)
        for component in recurrences(graph, Options("wavefront")):
            best = farkas_waves(graph, component.nodes)
            for length in (10, 100):
                sizes = dict.fromkeys(system.extents, length)
                if best is not None:
                    least = sum(value * sizes.get(name, 1) for name, value in best.items())
                    assert waves(component, sizes) <= least

    check()


@pytest.mark.parametrize(("dims", "examples"), [(1, 60), (2, 40), (3, 15)])
def test_waves_are_as_many_as_the_longest_chain(dims: int, examples: int) -> None:
    """Of each recurrence, and of all together: those that depend on each other overlap."""

    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(systems(dims, statics=False, whole=True))
    def check(system: System) -> None:
        graph = completed(system)
        for grid in GRIDS[len(system.dims)]:
            sizes = extents(system, grid)
            reads = instances(graph, sizes)
            found = list(recurrences(graph, Options("wavefront", tuple(sizes.items()))))
            for part in [[component] for component in found] + [found] * (len(found) > 1):
                longest = longest_chain(graph, reads, part)
                assert total(part, sizes) <= SLACK[len(system.dims)] * longest

    check()


# Reads that random systems met: reader, source, distance and form.
WHOLE = [
    # Two that know nothing of each other, one of them a chain.
    [("b", "b", (-1,), "product"), ("a", "b", (-2,), "product"), ("c", "c", (-1,), "light")],
    [("b", "b", (1,), "gate"), ("a", "a", (2,), "gate")],
    # One feeds the other, along a vector that neither would have chosen.
    [("a", "b", (-1, 2), "gate"), ("b", "b", (-1, 1), "product"), ("a", "a", (-3, -2), "product")],
    # Two feed a third.
    [(v, v, (1,), "product") for v in "abc"] + [("c", v, (0,), "product") for v in "ab"],
]


@pytest.mark.parametrize("reads", WHOLE)
def test_recurrences_overlap(reads: list[tuple[str, str, tuple[int, ...], Form]]) -> None:
    dims = tuple(Dimension(name) for name in "ij"[: len(reads[0][2])])
    variable = {name: Variable(name, dims) for name in "abc"}
    made = (
        Read(variable[s], variable[r], tuple(zip("ij", steps, strict=False)), form, False)
        for r, s, steps, form in reads
    )
    system = System(dims, tuple(variable.values()), tuple(made))
    graph = completed(system)
    for grid in GRIDS[len(dims)]:
        sizes = extents(system, grid)
        found = list(recurrences(graph, Options("wavefront", tuple(sizes.items()))))
        longest = longest_chain(graph, instances(graph, sizes), found)
        assert total(found, sizes) <= SLACK[len(dims)] * longest


def total(components: Iterable[Component], sizes: dict[str, int]) -> int:
    return sum(waves(component, sizes) for component in components)


def longest_chain(graph: Graph, reads: Reads, components: Iterable[Component]) -> int:
    """Waves that any order of the components needs: a pointwise reader of the same element at the
    same point joins the wave of what it reads, every other one waits for the next. What is in none
    of them takes no wave."""
    inside = {name for component in components for name in component.nodes}

    def weight(before: Instance | None, after: Instance) -> int:
        if after[0] not in inside:
            return 0
        if before is None:
            return 1
        source, reader = graph[before[0]], graph[after[0]]
        same = source.domain.names == reader.domain.names and before[1] == after[1]
        joins = is_pointwise(reader.op) and source.type.shape == reader.type.shape and same
        return int(not joins)

    return longest_path(reads, weight)


def test_a_border_of_fixed_width_is_no_extent_of_its_dim() -> None:
    i, j = Dimension("i"), Dimension("j")
    own = Variable("a", (i, j), border=1)
    system = System((i, j), (own,), (Read(own, own, (("i", 1), ("j", 4)), "product", False),))
    [component] = recurrences(completed(system), Options("wavefront"))
    assert component.alpha == (Fraction(0), Fraction(1, 4))


def test_of_vectors_of_equal_cost_one_that_needs_no_offsets_is_taken() -> None:
    i, j = Dimension("i"), Dimension("j")
    a, b = Variable("a", (i, j)), Variable("b", (i, j))
    reads = [(a, a, 2, -1), (b, a, -2, 3), (a, b, 3, -2)]  # (1, 1) and (2, 0) cost the same
    made = [Read(s, r, (("i", m), ("j", n)), "product", False) for s, r, m, n in reads]
    [component] = recurrences(completed(System((i, j), (a, b), tuple(made))), Options("wavefront"))
    assert component.alpha == (Fraction(1), Fraction(1))
    assert waves(component, {"Ni": 9, "Nj": 7}) == 15
