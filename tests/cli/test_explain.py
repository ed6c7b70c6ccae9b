"""`rnnc explain`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rnnc.driver import standard_source
from rnnc.explanations import explained_codes
from tests.cli.conftest import Rnnc
from tests.cli.specs import ELMAN


def test_all_codes_are_listed(rnnc: Rnnc) -> None:
    result = rnnc("explain")
    listed = [line.split()[0] for line in result.out.splitlines()[1:]]
    assert (result.code, listed) == (0, list(explained_codes()))


@pytest.mark.parametrize("code", ["RNN301", "rnn301"])
def test_a_code(rnnc: Rnnc, code: str) -> None:
    result = rnnc("explain", code)
    assert result.code == 0
    assert result.out.startswith("RNN301: the inner sizes of a matrix product differ\n\n")
    assert "## Right" in result.out


def test_an_unknown_code_is_wrong_usage(rnnc: Rnnc) -> None:
    result = rnnc("explain", "RNN399")
    assert result.code == 2
    assert "there is no diagnostic RNN399" in result.err


def test_a_model(rnnc: Rnnc, tmp_path: Path) -> None:
    (tmp_path / "elman.rnn").write_text(ELMAN)
    result = rnnc("explain", "elman.rnn", "-D", "X=3,H=4", "--extent", "T=100")
    assert result.code == 0
    assert "100" in result.out


def test_an_extent_that_is_none(rnnc: Rnnc, tmp_path: Path) -> None:
    (tmp_path / "elman.rnn").write_text(ELMAN)
    result = rnnc("explain", "elman.rnn", "-D", "X=3,H=4", "--extent", "S=100")
    assert result.code == 2
    assert "the run-time extents here are T" in result.err


AMOUNTS = ("critical_path", "evaluations", "skipped", "waves", "max_width")


def test_json(rnnc: Rnnc) -> None:
    spec = str(Path(__file__).parents[2] / "examples" / "stacked_lstm.rnn")
    result = rnnc("explain", spec, "-D", "X=4,H=4,L=3", "--hint", "T=9", "--format", "json")
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    [stack] = found["components"]
    for part in (found, stack):
        assert part["critical_path"] == 9 + 3 - 1
        assert part["critical_path_formula"] == "T + 2"
        assert part["evaluations"] == 9 * 3
        assert {type(part[key]) for key in AMOUNTS} == {int}
        assert {type(part[f"{key}_formula"]) for key in AMOUNTS} == {str}
        assert part["schedule"].startswith("wave = ")
    assert stack["edges"][0] == {"read": "h[l - 1, t]", "distances": [[1, 0]], "rays": []}
    assert {key: value for key, value in stack["rejected"][-2].items() if key != "reason"} == {
        "schedule": "l",
        "legal": False,
    }
    assert "W_o @ x" in found["hoisted"]


def test_json_has_no_numbers_without_extents(rnnc: Rnnc, tmp_path: Path) -> None:
    (tmp_path / "elman.rnn").write_text(ELMAN)
    result = rnnc("explain", "elman.rnn", "-D", "X=3,H=4", "--format", "json")
    found = json.loads(result.out)
    assert (found["critical_path"], found["critical_path_formula"]) == (None, "T")


def test_a_hint_that_is_no_extent(rnnc: Rnnc, tmp_path: Path) -> None:
    (tmp_path / "elman.rnn").write_text(ELMAN)
    result = rnnc("explain", "elman.rnn", "-D", "X=3,H=4", "--hint", "S=100")
    assert result.code == 2
    assert "--hint S: the run-time extents here are T" in result.err


@pytest.mark.parametrize("weights", ["float32", "bf16", "int8", "sparse"])
def test_how_weights_are_stored(rnnc: Rnnc, weights: str) -> None:
    path = str(standard_source("stacked").name)
    arguments = ("explain", path, "--model", "stacked_lstm", "-D", "X=4,H=4,L=2")
    text = rnnc(*arguments, "--weights", weights)
    assert text.code == 0
    assert (f"weights         {weights}," in text.out) == (weights != "float32")
    found = rnnc(*arguments, "--weights", weights, "--format", "json")
    assert json.loads(found.out)["weights"] == weights


def test_where_a_gpu_keeps_weights(rnnc: Rnnc) -> None:
    path = str(standard_source("stacked").name)
    arguments = ("explain", path, "--model", "stacked_lstm", "-D", "X=4,H=512,L=1")
    gpu = ("--target", "cuda:sm_90", "--math", "bf16")
    text = rnnc(*arguments, *gpu)
    assert "On H100:" in text.out
    assert "bf16, 2.0 MiB in registers" in text.out
    device = json.loads(rnnc(*arguments, *gpu, "--format", "json").out)["device"]
    hoisted, loop = device["steps"]
    assert (hoisted["level"], hoisted["blocks"]) == ("launches", None)
    assert (loop["level"], loop["blocks"], loop["threads"]) == ("persistent", 64, 256)
    [product] = loop["products"]
    assert (product["weights_in"], product["bytes"], product["math"]) == (
        "registers",
        2 << 20,
        "bf16",
    )
    assert json.loads(rnnc(*arguments, "--format", "json").out)["device"] is None
