"""Schedules: as few waves as the longest chain of dependences, and no dependence backwards."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnc.analysis.cuts import Arc, Cut, cheapest, offsets
from rnnc.analysis.schedule import Component, Options, Schedule, schedule
from rnnc.driver import Compilation, Request, StaticValue, standard_source


def scheduled(
    file: str, model: str, sizes: dict[str, StaticValue], options: Options | None = None
) -> Schedule:
    compilation = Compilation(standard_source(file), Request(model, sizes))
    return schedule(compilation.completed, options)


def waves(component: Component, extents: dict[str, int]) -> int:
    """Waves of a component, those of inner components one after another."""
    if component.waves is None:
        return 0
    own = component.waves.evaluate(extents)
    inner = sum(waves(part, extents) for part in component.inner)
    return own * inner if component.kind == "split" else own


def longest(found: Schedule, extents: dict[str, int]) -> int:
    return max((waves(component, extents) for component in found.components), default=0)


# Waves as CELLS of the literature count them: the critical path of the architecture.
WAVEFRONTS = [
    ("elman", "elman_network", {"X": 3, "H": 4, "Y": 2}, {"T": 7}, 7),
    ("jordan", "jordan_teacher_forced", {"X": 3, "H": 4, "Y": 2}, {"T": 7}, 0),
    ("stacked", "stacked_lstm", {"X": 3, "H": 4, "L": 4}, {"T": 7}, 10),
    ("md_rnn", "mdlstm_2d", {"X": 3, "H": 4}, {"R": 5, "C": 6}, 10),
    ("pixel_rnn", "row_lstm", {"X": 3, "H": 4}, {"R": 5, "C": 6}, 5),
    ("grid_lstm", "grid_lstm_2d", {"X": 3, "H": 4, "L": 3}, {"T": 7}, 9),
]


@pytest.mark.parametrize(("file", "model", "sizes", "extents", "expected"), WAVEFRONTS)
def test_wavefront_has_the_length_of_the_critical_path(
    file: str,
    model: str,
    sizes: dict[str, StaticValue],
    extents: dict[str, int],
    expected: int,
) -> None:
    found = scheduled(file, model, sizes, Options("wavefront"))
    assert longest(found, extents) == expected


def test_layers_run_one_after_another_when_asked() -> None:
    sizes: dict[str, StaticValue] = {"X": 3, "H": 4, "L": 4}
    found = scheduled("stacked", "stacked_lstm", sizes, Options("layered"))
    [outer] = [component for component in found.components if component.kind == "split"]
    assert outer.waves is not None and outer.waves.evaluate({"T": 7}) == 3
    assert [part.kind for part in outer.inner].count("affine") == 1
    # What reads only the layer below is computed for all its steps at once.
    assert any(part.kind == "parallel" for part in outer.inner)


vectors = st.tuples(st.integers(-2, 2), st.integers(-2, 2))
systems = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), vectors), min_size=1, max_size=5)


@settings(max_examples=200, deadline=None)
@given(systems)
def test_random_systems_never_run_backwards(
    system: list[tuple[int, int, tuple[int, int]]],
) -> None:
    arcs = [Arc(f"S{a}", f"S{b}", d, 1, f"{a}{b}{d}") for a, b, d in system]
    nodes = ["S0", "S1", "S2"]

    def cost(alpha: tuple[Fraction, ...]) -> tuple[Fraction, Fraction]:
        return sum((abs(v) for v in alpha), Fraction(0)), Fraction(0)

    cuts: list[Cut] = []
    while True:
        alpha = cheapest(cuts, 2, cost)
        if alpha is None:
            assert not legal_exists(arcs, nodes)
            return
        gamma, cycle = offsets(nodes, arcs, alpha)
        if not cycle:
            break
        total = tuple(map(sum, zip(*(arc.distance for arc in cycle), strict=True)))
        cuts.append(Cut(total, sum(arc.delay for arc in cycle), ()))
    for arc in arcs:
        step = sum(a * d for a, d in zip(alpha, arc.distance, strict=True))
        assert gamma[arc.reader] - gamma[arc.source] + step >= arc.delay


def legal_exists(arcs: list[Arc], nodes: list[str]) -> bool:
    """Whether any small integer vector with some offsets is legal (a plain search)."""
    for alpha in itertools.product(range(-6, 7), repeat=2):
        rational = tuple(Fraction(value) for value in alpha)
        if not offsets(nodes, arcs, rational)[1]:
            return True
    return False
