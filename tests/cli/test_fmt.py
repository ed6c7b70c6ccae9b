"""`rnnc fmt`: in place, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Rnnc
from tests.cli.specs import ELMAN, UGLY, WRONG


def test_a_file_is_formatted_once(rnnc: Rnnc, tmp_path: Path) -> None:
    path = tmp_path / "a.rnn"
    path.write_text(UGLY)
    first = rnnc("fmt", "a.rnn")
    formatted = path.read_text()
    assert (first.code, first.err) == (0, "a.rnn: formatted\n")
    assert formatted != UGLY
    assert "# a comment of its own" in formatted
    assert "# at the end" in formatted
    second = rnnc("fmt", "a.rnn")
    assert (second.code, second.err, path.read_text()) == (0, "", formatted)


def test_check_and_diff_change_nothing(rnnc: Rnnc, tmp_path: Path) -> None:
    path = tmp_path / "a.rnn"
    path.write_text(UGLY)
    for option in ("--check", "--diff"):
        result = rnnc("fmt", option, "a.rnn")
        assert (result.code, result.err) == (1, "a.rnn: would change\n")
        assert ("-cell  silu" in result.out) == (option == "--diff")
    assert path.read_text() == UGLY


def test_a_canonical_file_is_not_touched(rnnc: Rnnc, tmp_path: Path) -> None:
    path = tmp_path / "a.rnn"
    path.write_text(ELMAN)
    before = path.stat().st_mtime_ns
    assert rnnc("fmt", "--check", "a.rnn").code == 0
    assert rnnc("fmt", "a.rnn").code == 0
    assert path.stat().st_mtime_ns == before


def test_types_may_be_wrong_but_not_the_syntax(rnnc: Rnnc, tmp_path: Path) -> None:
    (tmp_path / "types.rnn").write_text(WRONG)
    assert rnnc("fmt", "types.rnn").code == 0
    (tmp_path / "syntax.rnn").write_text("cell f(x = y\n")
    result = rnnc("fmt", "syntax.rnn")
    assert result.code == 1
    assert "error[RNN103]" in result.err
    assert (tmp_path / "syntax.rnn").read_text() == "cell f(x = y\n"
