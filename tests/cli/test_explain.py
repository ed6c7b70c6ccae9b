"""`rnnc explain`."""

from __future__ import annotations

from pathlib import Path

import pytest

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
