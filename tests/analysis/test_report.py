"""`rnnc explain FILE`: what is said of models whose answers the literature knows."""

from __future__ import annotations

import pytest

from rnnc import driver
from rnnc.analysis.explanation import Explained, Explanation
from rnnc.analysis.orders import Order
from rnnc.analysis.report import report
from rnnc.cli.json_explanation import explanation_to_json
from rnnc.diagnostics import Source
from rnnc.driver import Request, StaticValue
from rnnc.ir.signature import extent_names
from tests.analysis.models import SIZES, specs

Sizes = dict[str, StaticValue]


def explained(
    file: str, model: str, sizes: Sizes, order: Order = "auto", **extents: int
) -> Explanation:
    request = Request(model, sizes, order=order)
    return driver.explain(driver.Compilation(driver.standard_source(file), request), extents)


# Layer l looks 2 * 2^l steps back (Chang et al. 2017, with a first dilation of 2).
DILATED = """
model dilated{H, L}:
    dim l in 0..L, t in 0..T
    input x[t]: [H]
    param W[l], U[l]: [H, H]
    h[l, t] = tanh(W[l] @ h[l-1, t] + U[l] @ h[l, t - 2*2^l])
    h[-1, t] = x[t]
    output y[t] = h[L-1, t]
"""

STACK: Sizes = {"X": 2, "H": 4, "L": 3}
SMALL: Sizes = {"X": 2, "H": 4}

# Schedules at a glance: the critical path and the number of cells of every architecture, with
# L = 3 layers where there are any. T = 9, and images of 4 by 5 points.
GLANCE = [
    ("elman", "elman_network", {**SMALL, "Y": 2}, "T", "T", 9),
    ("clockwork", "clockwork", {**SMALL, "G": 1}, "T", "T", 9),
    ("jordan", "jordan_teacher_forced", {**SMALL, "Y": 2}, "1", "T", 1),
    ("stacked", "stacked_lstm", STACK, "T + 2", "3*T", 11),
    ("bidirectional", "bidirectional", SMALL, "T", "2*T", 9),
    ("bidirectional", "deep_bidirectional", STACK, "3*T", "6*T", 27),
    ("gnmt", "gnmt_encoder", {**SMALL, "L": 8}, "2*T + 6", "9*T", 24),
    ("dilated", "dilated", STACK, "T + 2", "3*T", 11),
    ("", "dilated", {"H": 4, "L": 3}, "floor((T + 1)/2) + 2", "3*T", 7),
    ("md_rnn", "mdlstm_2d", SMALL, "C + R - 1", "C*R", 8),
    ("pixel_rnn", "diagonal_bilstm", SMALL, "C + R - 1", "2*C*R", 8),
    ("grid_lstm", "grid_lstm_2d", STACK, "T + 2", "3*T", 11),
    ("grid_lstm", "grid_lstm_2d_priority", STACK, "T + 5", "6*T", 14),
    ("hmlstm", "hmlstm_network", STACK, "2*T + 1", "3*T", 19),
    ("gfrnn", "gfrnn", STACK, "3*T", "3*T", 27),
    ("pixel_rnn", "row_lstm", SMALL, "R", "C*R", 4),
    ("tree", "treelstm_childsum", SMALL, "N", "N", 9),
    ("linear_recurrence", "linear_recurrence", {}, "ceil(log2(T))", "T", 4),
    ("qrnn", "qrnn", SMALL, "ceil(log2(T))", "T", 4),
]


@pytest.mark.parametrize(("file", "model", "sizes", "path", "cells", "value"), GLANCE)
def test_schedules_at_a_glance(
    file: str, model: str, sizes: Sizes, path: str, cells: str, value: int
) -> None:
    source = driver.standard_source(file) if file else Source("dilated.rnn", DILATED)
    statics = specs()[file, model].statics if file else ()
    given = {s.name: sizes.get(s.name, SIZES[s.name]) for s in statics if s.default is None}
    compilation = driver.Compilation(source, Request(model, given | sizes))
    sizes_at_run_time = {"T": 9, "R": 4, "C": 5, "N": 9, "K": 2}
    names = extent_names(compilation.graph)
    found = driver.explain(compilation, {name: sizes_at_run_time[name] for name in names})
    shown = explanation_to_json(found)
    keys = ("critical_path_formula", "evaluations_formula", "critical_path")
    assert tuple(shown[key] for key in keys) == (path, cells, value)
    assert f"{found.critical_path} of {found.evaluations} evaluations" in report(found)


WAVEFRONT = """\
stacked_lstm: X = 2, H = 4, L = 3, T = 9
   critical path   T + 2 = 11 of 3*T = 27 evaluations
   waves           T + 2 = 11, of at most min(3, T) = 3 points
   at once         W_o @ x, W_f @ x, W_i @ x, W_g @ x

Recurrence of h, c over l in 0..3, t in 0..T
   reads           h[l - 1, t] (1, 0)
                   h[l, t - 1] (0, 1)
                   c[l, t - 1] (0, 1)
   schedule        wave = l + t: T + 2 = 11 waves of at most min(3, T) = 3 points
   critical path   T + 2 = 11 of 3*T = 27 evaluations
   rejected        stacked_lstm: l is illegal: edge h[l, t - 1] has distance (0, 1)
   rejected        stacked_lstm: t is illegal: edge h[l - 1, t] has distance (1, 0)

In this order:
"""


def test_a_stack_as_a_wavefront() -> None:
    text = report(explained("stacked", "stacked_lstm", STACK, "wavefront", T=9))
    lines = text.splitlines(keepends=True)
    assert "".join(line for line in lines if "one kernel" not in line).startswith(WAVEFRONT)
    assert "   one kernel      U_o @ h, U_f @ h, U_i @ h, U_g @ h\n" in text
    assert "   one kernel      W_o @ x, U_o @ h, W_f @ x, U_f @ h, W_i @ x and 3 more\n" in text
    assert "points of equal l + t at once: T + 2 = 11 waves" in text
    assert "Also legal, and not taken (layered): 3*T = 27 waves" in text


def test_a_stack_layer_by_layer() -> None:
    found = explained("stacked", "stacked_lstm", STACK, "layered", T=9)
    [stack] = found.components
    assert stack.schedule == "wave = t; then for each l: wave = t"
    assert str(stack.waves) == "3*T = 27"
    assert str(stack.max_width) == "1"
    # The critical path is the recurrence's, whatever the schedule makes of it.
    assert str(found.critical_path) == "T + 2 = 11"
    [wavefront] = [other for other in stack.rejected if other.legal]
    assert (wavefront.schedule, wavefront.reason.partition(",")[0]) == ("l + t", "T + 2 = 11 waves")


# What a reader may expect, and the read that forbids it.
ILLEGAL = [
    ("hmlstm", "hmlstm_network", STACK, "l + t", "edge h[l + 1, t - 1] has distance (-1, 1)"),
    ("hmlstm", "hmlstm_network", STACK, "t", "edge z[l - 1, t] has distance (1, 0)"),
    ("stacked", "stacked_lstm", STACK, "l", "edge h[l, t - 1] has distance (0, 1)"),
    ("bidirectional", "deep_bidirectional", STACK, "l + t", "edge b.h[l, t + 1] has distance"),
    ("md_rnn", "mdlstm_2d", {"X": 2, "H": 4}, "i", "edge h[i, j - 1] has distance (0, 1)"),
    ("pixel_rnn", "row_lstm", {"X": 2, "H": 4}, "j", "edge h[i - 1, j] has distance (1, 0)"),
    ("gfrnn", "gfrnn", STACK, "j + t", "edge h[j + 2, t - 1] has distance (-2, 1)"),
]


@pytest.mark.parametrize(("file", "model", "sizes", "schedule", "reason"), ILLEGAL)
def test_a_rejected_schedule_names_the_read_that_forbids_it(
    file: str, model: str, sizes: Sizes, schedule: str, reason: str
) -> None:
    [component] = explained(file, model, sizes).components
    reasons = {other.schedule: other.reason for other in component.rejected if not other.legal}
    assert reasons[schedule].startswith(reason)


WIDTHS = [
    ("stacked", "stacked_lstm", {**STACK, "L": 4}, "wavefront", {"T": 2}, "min(4, T) = 2"),
    ("bidirectional", "bidirectional", {"X": 2, "H": 4}, "auto", {"T": 5}, "2"),
    ("pixel_rnn", "row_lstm", {"X": 2, "H": 4}, "auto", {"R": 5, "C": 3}, "C = 3"),
    ("md_rnn", "mdlstm_2d", {"X": 2, "H": 4}, "auto", {"R": 5, "C": 3}, "min(R, C) = 3"),
    # 4 * 4 points of i + j + k = 4 have k >= 0; those with a k beyond 3 are missing.
    ("md_rnn", "mdlstm_3d", {"X": 2, "H": 4}, "auto", {"R": 4, "C": 4, "D": 4}, " = 12"),
    ("dilated", "dilated", {**STACK, "L": 3}, "layered", {"T": 9}, " = 4"),
]


@pytest.mark.parametrize(("file", "model", "sizes", "order", "extents", "width"), WIDTHS)
def test_how_many_points_share_a_wave(
    file: str, model: str, sizes: Sizes, order: Order, extents: dict[str, int], width: str
) -> None:
    assert str(explained(file, model, sizes, order, **extents).max_width).endswith(width)


def test_what_is_only_kept_is_skipped() -> None:
    found = explained("clockwork", "clockwork", {"X": 2, "H": 4, "G": 3}, T=8)
    assert found.evaluations.value == 8 + 4 + 2
    assert found.skipped.value == 3 * 8 - (8 + 4 + 2)


def test_without_a_recurrence_all_is_one_evaluation() -> None:
    found = explained("jordan", "jordan_teacher_forced", {"X": 2, "H": 4, "Y": 2}, T=8)
    [whole] = found.components
    amounts = (found.critical_path, found.evaluations, found.waves, whole.max_width)
    assert [amount.value for amount in amounts] == [1, 8, 1, 8]
    assert whole.schedule == "all points at once"


def test_what_weights_alone_decide_is_listed_by_itself() -> None:
    """A matrix out of K reflections one after another: a recurrence over weights."""
    found = explained("urnn", "orthogonal_rnn", {"X": 2, "H": 4, "K": 3}, T=5)
    assert any("Recurrence of" in line for line in found.preparation)
    assert [part.variables for part in found.components] == [("h",)]
    assert explanation_to_json(found)["preparation"] == list(found.preparation)
    assert "When parameters are bound:\n1. " in report(found)
    assert explained("stacked", "stacked_lstm", STACK).preparation == ()


def test_what_data_decide_is_at_most() -> None:
    found = explained("tree", "treelstm_childsum", {"X": 2, "H": 4})
    assert [component.data_dependent for component in found.components] == [True]
    assert "at most N of N evaluations" in report(found)


def test_without_numbers_the_formulas_stand() -> None:
    found = explained("stacked", "stacked_lstm", STACK)
    assert (str(found.critical_path), found.critical_path.value) == ("T + 2", None)


@pytest.mark.parametrize(("file", "model"), list(specs()))
def test_every_model_of_the_library(file: str, model: str) -> None:
    statics = specs()[file, model].statics
    sizes: Sizes = {s.name: SIZES[s.name] for s in statics if s.default is None}
    compilation = driver.Compilation(driver.standard_source(file), Request(model, sizes))
    extents = dict.fromkeys(extent_names(compilation.graph), 5)
    found = driver.explain(compilation, extents)
    parts: list[Explanation | Explained] = [found, *found.components]
    for part in parts:
        path, done, waves, width = (
            amount.value
            for amount in (part.critical_path, part.evaluations, part.waves, part.max_width)
        )
        assert path is not None and done is not None and waves is not None and width is not None
        assert 0 < path <= done
        assert part.schedule
    assert report(found)
