"""`rnnc opt`: chosen passes, what is printed where, and what may be wrong with the choice."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnc.passes.registry import PASSES
from tests.cli.conftest import Rnnc
from tests.cli.specs import ELMAN

SUM = """graph layers
static H
extent T
output y[t in 0..T] = y
x[static l in 0..2, t in 0..T]: real[H] = input{name="x", default=none}
unread: real = constant{value=1.0}
y[t in 0..T]: real[H] = reduce{kind="sum"}(x[l, t]) over static l in 0..2
"""
WITHOUT_DEAD = SUM.replace("unread: real = constant{value=1.0}\n", "")
WRITTEN_OUT = WITHOUT_DEAD.replace(
    'reduce{kind="sum"}(x[l, t]) over static l in 0..2', "add(x[0, t], x[1, t])"
)


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    (tmp_path / "sum.rir").write_text(SUM)
    (tmp_path / "elman.rnn").write_text(ELMAN)


def test_no_pass_prints_the_graph(rnnc: Rnnc) -> None:
    result = rnnc("opt", "sum.rir", "-p", "unroll-reductions{limit=1}")
    assert (result.code, result.out, result.err) == (0, SUM, "")


def test_passes_run_in_order_and_show_what_they_made(rnnc: Rnnc) -> None:
    pipeline = "eliminate-dead, unroll-reductions,eliminate-dead"
    result = rnnc("opt", "sum.rir", "-p", pipeline, "--print-after-all")
    assert (result.code, result.out) == (0, WRITTEN_OUT)
    assert result.err == (
        f"// eliminate-dead (1 of 3)\n{WITHOUT_DEAD}\n"
        f"// unroll-reductions (2 of 3)\n{WRITTEN_OUT}\n"
        "// eliminate-dead (3 of 3) changes nothing\n\n"
    )
    some = rnnc("opt", "sum.rir", "-p", pipeline, "--print-after", "unroll-reductions")
    assert some.err == f"// unroll-reductions (2 of 3)\n{WRITTEN_OUT}\n"


def test_what_is_shown_can_be_read_again(rnnc: Rnnc, tmp_path: Path) -> None:
    shown = rnnc("opt", "sum.rir", "-p", "eliminate-dead", "--print-after-all").err
    (tmp_path / "shown.rir").write_text(shown)
    assert rnnc("opt", "shown.rir", "-p", "unroll-reductions").out == WRITTEN_OUT


def test_output_goes_to_a_file(rnnc: Rnnc, tmp_path: Path) -> None:
    result = rnnc("opt", "sum.rir", "-p", "unroll-reductions", "-o", "out.rir")
    assert (result.code, result.out, result.err) == (0, "", "wrote out.rir\n")
    assert (tmp_path / "out.rir").read_text() == WRITTEN_OUT


def test_without_a_choice_all_passes_run(rnnc: Rnnc) -> None:
    result = rnnc("opt", "elman.rnn", "-D", "X=3,H=4")
    assert (result.code, result.err) == (0, "")
    assert result.out == rnnc("compile", "elman.rnn", "-D", "X=3,H=4", "--emit=opt").out


def test_the_whole_pipeline_needs_sizes_and_takes_them_for_ir_too(rnnc: Rnnc) -> None:
    assert "error[RNN304]" in rnnc("opt", "sum.rir").err
    assert "real[5]" in rnnc("opt", "sum.rir", "-D", "H=5").out
    wrong = rnnc("opt", "sum.rir", "-D", "K=5")
    assert wrong.code == 1
    assert "error[RNN206]: 'layers' has no static 'K'\n  hint: it has:  H\n" in wrong.err
    assert "error[RNN305]: 'H' is a size, not -1" in rnnc("opt", "sum.rir", "-D", "H=-1").err


def test_every_pass_is_listed_in_a_line(rnnc: Rnnc) -> None:
    result = rnnc("opt", "--list")
    lines = result.out.splitlines()[1:]
    assert (result.code, len(lines)) == (0, len(PASSES))
    assert "unroll-reductions{limit=8}  Writes out short reductions" in result.out


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        ("push-view", "-p: there is no pass 'push-view'; did you mean 'push-views'?"),
        ("fly", "-p: there is no pass 'fly'"),
        ("unroll-reductions{limt=3}", "has no option 'limt'; did you mean 'limit'?"),
        ("unroll-reductions{x=3}", "unroll-reductions has no option 'x'; it has limit"),
        ("push-views{x=3}", "push-views has no option 'x'; it has none"),
        ("unroll-reductions{limit=few}", "limit is a number from 0 on, 'few' is none"),
        ("unroll-reductions{limit=1,limit=2}", "limit is given twice"),
        ("unroll-reductions{limit}", "'limit' is not OPTION=VALUE"),
        ("push-views{", "'push-views{' is no NAME or NAME{OPTION=VALUE,...}"),
        ("push-views,,", "',' is no NAME or NAME{OPTION=VALUE,...}"),
        ("", "'' is no NAME or NAME{OPTION=VALUE,...}"),
    ],
)
def test_what_is_no_pipeline(rnnc: Rnnc, pipeline: str, said: str) -> None:
    result = rnnc("opt", "sum.rir", "-p", pipeline)
    assert (result.code, result.out) == (2, "")
    assert said in result.err


def test_wrong_usage(rnnc: Rnnc) -> None:
    assert "which FILE?" in rnnc("opt").err
    result = rnnc("opt", "sum.rir", "-p", "push-views", "--print-after", "hoist-sums")
    assert (result.code, "this pass does not run" in result.err) == (2, True)


def test_a_graph_that_is_not_well_formed(rnnc: Rnnc, tmp_path: Path) -> None:
    (tmp_path / "bad.rir").write_text(SUM.replace("x[l, t]", "x[t]"))
    result = rnnc("opt", "bad.rir", "-p", "push-views")
    assert (result.code, "error[RNN114]" in result.err) == (1, True)
