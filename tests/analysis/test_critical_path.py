"""Critical paths and numbers of evaluations: against all points, and against the literature."""

from __future__ import annotations

import itertools
from functools import cache

import pytest

from rnnc.analysis.critical_path import Paths, critical_path
from rnnc.analysis.evaluations import evaluations, skipped
from rnnc.analysis.longest import Longest
from rnnc.analysis.recurrences import Recurrences
from rnnc.driver import Compilation, Request, StaticValue, standard_source
from rnnc.ir.graph import Graph
from rnnc.ir.poly import Poly
from rnnc.ir.signature import extent_names
from rnnc.passes.bind_sizes import BindSizes
from rnnc.passes.complete_variables import CompleteVariables
from tests.analysis.evaluations import Evaluations
from tests.analysis.models import SIZES, specs

# h[t] = a[t] * h[t-1] + b[t]: Blelloch 1990. Martin, Cundy 2018 (linear_recurrence); Bradbury et
# al. 2016 (qrnn); Gu, Dao 2023 (mamba); Gu et al. 2022 (s4d). Of logarithms: Feng et al.
# 2024.
LINEAR = {
    "linear_recurrence",
    "qrnn",
    "qrnn_f",
    "qrnn_ifo",
    "selective_scan",
    "mamba",
    "s4d",
    "mingru_log",
    "minlstm_log",
}

# A recurrence waits for another one as a whole (docs/schedules.md). The first evaluation of this
# decoder need not wait, for its bottom layer sees the encoder from the second step on: one step
# takes one less.
FIRST_IS_FREE = {"gnmt"}

# Kalchbrenner et al. 2015, section 3.2: the prioritized side is computed last, from the others. In
# one layer it is no recurrence.
LAST = {"grid_lstm_2d_priority": "hd", "grid_lstm_3d_tied": "hd"}

# Sizes of tensors do not matter: small ones make small graphs where a cell is written out.
SMALL = {**SIZES, **dict.fromkeys("ADFHIKNPRVXY", 2)}
DEPTHS = ("L", "G")
STEPS = {1: (1, 2, 3, 6), 2: (1, 2, 4), 3: (1, 3), 4: (1, 2)}
# Every read of the library's models happens at these extents; dilations go up to 8 steps.
SHOWN = {1: 9, 2: 5, 3: 3, 4: 2}


@cache
def written(file: str, model: str, depth: int = 3, **sizes: StaticValue) -> Graph:
    """The graph as it was written, with numbers for its statics."""
    wanted: dict[str, StaticValue] = {
        static.name: depth if static.name in DEPTHS else SMALL[static.name]
        for static in specs()[file, model].statics
        if static.default is None
    }
    request = Request(model, wanted | sizes)
    return BindSizes().run(Compilation(standard_source(file), request).graph)


def depths(file: str, model: str) -> tuple[int, ...]:
    has_depth = any(static.name in DEPTHS for static in specs()[file, model].statics)
    return (1, 2, 3) if has_depth else (1,)


@pytest.mark.parametrize(("file", "model"), list(specs()))
def test_every_chain_and_every_point(file: str, model: str) -> None:
    for depth in depths(file, model):
        graph = written(file, model, depth)
        paths = Paths(Recurrences(CompleteVariables().run(graph)))
        found = paths.recurrences.found
        counted = sum((evaluations(paths, part) for part in found), Longest())
        kept = sum((skipped(paths, part) for part in found), Longest())
        names = extent_names(graph)
        shown = dict.fromkeys(names, SHOWN[len(names)])
        oracle = Evaluations.of(graph, shown, LAST.get(model, "") if depth > 1 else "")
        for grid in itertools.product(STEPS[len(names)], repeat=len(names)):
            extents = dict(zip(names, grid, strict=True))
            chain = oracle.longest(extents)
            if model in LINEAR:
                chain = (chain - 1).bit_length()
            if model in FIRST_IS_FREE and extents["T"] == 1:
                chain += 1
            expected = (chain, oracle.count(extents), oracle.kept(extents))
            formulas = (paths.longest, counted, kept)
            assert tuple(f.evaluate(extents) for f in formulas) == expected, (depth, extents)


# Groups that are due every so many steps, the first of them often or seldom.
PERIODS = [(2, 4, 8), (3, 6, 12), (3, 3, 3), (2, 3, 6), (4, 6, 8), (6, 4, 2)]


@pytest.mark.parametrize("period", PERIODS)
def test_what_is_kept_is_no_evaluation(period: tuple[int, ...]) -> None:
    graph = written("clockwork", "clockwork", len(period), period=period)
    oracle = Evaluations.of(graph, {"T": 2 * max(period)})
    found = critical_path(CompleteVariables().run(graph))
    assert str(found) == str((Poly.of("T") + min(period) - 1) // min(period))
    for steps in range(1, 2 * max(period)):
        assert found.evaluate({"T": steps}) == oracle.longest({"T": steps})


# Model, depth, and the critical path that its paper or the literature gives it.
KNOWN = [
    ("elman", "elman_network", 1, "T"),
    ("jordan", "jordan", 1, "T"),
    ("jordan", "jordan_teacher_forced", 1, "1"),
    ("stacked", "stacked_lstm", 4, "T + 3"),
    ("bidirectional", "bidirectional", 1, "T"),
    ("bidirectional", "deep_bidirectional", 4, "4*T"),
    ("gnmt", "gnmt_encoder", 8, "2*T + 6"),
    ("dilated", "dilated", 4, "T + 3"),
    ("clockwork", "clockwork", 4, "T"),
    ("md_rnn", "mdlstm_2d", 1, "C + R - 1"),
    ("md_rnn", "mdlstm_3d", 1, "C + D + R - 2"),
    ("md_rnn", "mdlstm_4way", 1, "C + R - 1"),
    ("pixel_rnn", "row_lstm", 1, "R"),
    ("pixel_rnn", "diagonal_bilstm", 1, "C + R - 1"),
    ("grid_lstm", "grid_lstm_2d", 4, "T + 3"),
    ("grid_lstm", "grid_lstm_2d_priority", 4, "T + 7"),
    ("hmlstm", "hmlstm_network", 4, "2*T + 2"),
    ("hmlstm", "hmlstm_network", 1, "T"),
    ("gfrnn", "gfrnn", 4, "4*T"),
    ("bahdanau", "bahdanau_decoder", 1, "T"),
    ("seq2seq", "seq2seq_greedy", 4, "S + 4*T"),
    ("linear_recurrence", "linear_recurrence", 1, "ceil(log2(T))"),
]


@pytest.mark.parametrize(("file", "model", "depth", "formula"), KNOWN)
def test_the_formula_is_that_of_the_literature(
    file: str, model: str, depth: int, formula: str
) -> None:
    graph = CompleteVariables().run(written(file, model, depth))
    assert str(critical_path(graph)) == formula
