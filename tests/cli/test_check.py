"""`rnnc check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Rnnc
from tests.cli.specs import ELMAN, WRONG


def test_a_right_file(rnnc: Rnnc, tmp_path: Path) -> None:
    (tmp_path / "elman.rnn").write_text(ELMAN)
    result = rnnc("check", "elman.rnn")
    assert (result.code, result.out, result.err) == (0, "", "1 file: no mistakes found\n")


def test_all_mistakes_of_all_files_in_order(rnnc: Rnnc, tmp_path: Path) -> None:
    (tmp_path / "a.rnn").write_text(WRONG)
    (tmp_path / "b.rnn").write_text("cell f(x) = y\n")
    result = rnnc("check", "a.rnn", "b.rnn", "missing.rnn")
    heads = [line for line in result.out.splitlines() if "error[" in line]
    assert [head.split(" ")[0] for head in heads] == [
        "a.rnn:3:23:",
        "a.rnn:6:14:",
        "b.rnn:1:13:",
        "error[RNN791]:",
    ]
    assert (result.code, result.err) == (1, "3 files, 4 errors\n")


def test_a_file_that_hides_the_module_that_it_imports(rnnc: Rnnc, tmp_path: Path) -> None:
    (tmp_path / "lstm.rnn").write_text("from lstm import lstm\n")
    for name in ("lstm.rnn", str(tmp_path / "lstm.rnn")):
        result = rnnc("check", name)
        assert "error[RNN204]: 'lstm' defines no 'lstm'" in result.out
        assert "hint: 'lstm' is this file itself: give it another name" in result.out


def test_quiet_says_nothing_of_a_right_file(rnnc: Rnnc, tmp_path: Path) -> None:
    (tmp_path / "elman.rnn").write_text(ELMAN)
    assert rnnc("-q", "check", "elman.rnn") == rnnc("check", "-q", "elman.rnn")
    result = rnnc("-q", "check", "elman.rnn")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_json_is_all_that_is_printed(rnnc: Rnnc, tmp_path: Path) -> None:
    (tmp_path / "a.rnn").write_text(WRONG)
    result = rnnc("check", "--message-format=json", "a.rnn")
    found = [json.loads(line) for line in result.out.splitlines()]
    assert [(d["code"], d["span"]["line"], d["span"]["column"]) for d in found] == [
        ("RNN301", 3, 23),
        ("RNN201", 6, 14),
    ]
    assert (result.code, result.err) == (1, "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such file or directory"), (b"cell \xff", "byte 5 is not UTF-8")],
)
def test_an_unreadable_file(rnnc: Rnnc, tmp_path: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "a.rnn").write_bytes(content)
    result = rnnc("check", "a.rnn")
    assert result.code == 1
    assert result.out == f"error[RNN791]: cannot read 'a.rnn': {reason}\n"


def test_a_folder_is_no_file(rnnc: Rnnc, tmp_path: Path) -> None:
    result = rnnc("check", tmp_path)
    assert (result.code, "RNN791" in result.out) == (1, True)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", '"only a docstring"\n'])
def test_an_empty_file_is_right(rnnc: Rnnc, tmp_path: Path, text: str) -> None:
    (tmp_path / "a.rnn").write_text(text)
    assert rnnc("check", "a.rnn").code == 0
