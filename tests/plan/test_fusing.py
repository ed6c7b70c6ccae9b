"""Steps of as few waves as there can be, values computed where they are read, rows on their own."""

from __future__ import annotations

from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request
from rnnc.plan.fusing import fused
from rnnc.plan.plan import Phase, Plan, Waves
from rnnc.plan.printer import print_plan
from rnnc.plan.rows import with_rows

NORMED = """model normed{H}:
    dim t in 0..T
    param U: [H, H]
    input x[t]: [H]
    a[t] = U @ h[t-1] + x[t]
    spread[t] = mean((a[t] - mean(a[t])) ^ 2)
    h[t] = tanh((a[t] - mean(a[t])) / sqrt(spread[t] + 0.1))
    h[-1] = 0
    output y[t] = h[t]
"""


def plan_of(text: str) -> Plan:
    return Compilation(Source("spec.rnn", text), Request(None, {"H": 8})).plan


def phases_of(plan: Plan) -> list[Phase]:
    """The phases of the only loop."""
    [loop] = [step for step in plan.steps if isinstance(step, Waves)]
    assert str(loop.count) == "T"
    return [step for step in loop.body if isinstance(step, Phase)]


def test_waves_that_come_in_turns_are_phases_of_a_step() -> None:
    assert len(phases_of(plan_of(NORMED))) == 5  # product, mean, squares, spread, state


def test_squares_are_summed_without_being_stored() -> None:
    plan = fused(plan_of(NORMED))
    phases = phases_of(plan)
    assert [len(phase.kernels) for phase in phases] == [1, 1, 1, 1]
    assert "^ 2.0)) " in print_plan(plan).replace("\n", " ")
    assert len(plan.buffers) < len(plan_of(NORMED).buffers)


def test_rows_need_a_barrier_around_products_alone() -> None:
    phases = phases_of(with_rows(fused(plan_of(NORMED))))
    assert [phase.follows for phase in phases] == [False, False, True, True]


def test_what_is_read_twice_is_stored() -> None:
    text = NORMED.replace("sqrt(spread[t] + 0.1)", "sqrt(spread[t] + max((a[t]-mean(a[t]))^2))")
    phases = phases_of(fused(plan_of(text)))
    stored = [store.buffer for phase in phases for k in phase.kernels for store in k.stores]
    squares = [d.name for p in phases for k in p.kernels for d in k.defines if "pow" in d.name]
    assert set(squares) & set(stored)


def test_a_sum_over_another_axis_is_no_row_of_its_own() -> None:
    text = """model crossed{H}:
    dim i in 0..R, j in 0..C
    input x[i, j]: [H]
    a[i, j] = tanh(x[i, j])
    s[j] = sum(i: a[i, j])
    q[j] = s[j] * s[j]
    output y[i] = sum(j: a[i, j] * q[j])
"""
    plan = with_rows(fused(plan_of(text)))
    phases = [step for step in plan.steps if isinstance(step, Phase)]
    # Every point of j is needed at every i: a row is one of the batch, with all its points.
    assert len(phases) > 1
    assert print_plan(plan).count("row by row") == len(phases) - 1
