"""Whatever happens ends in one clear message and an exit code."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from rnnc import driver
from rnnc.cli.group import SUBCOMMANDS
from rnnc.version import VERSION
from tests.cli.conftest import Rnnc


def test_version(rnnc: Rnnc) -> None:
    result = rnnc("--version")
    assert (result.code, result.out) == (0, f"rnnc, version {VERSION}\n")


def test_help_names_every_subcommand(rnnc: Rnnc) -> None:
    result = rnnc("--help")
    assert result.code == 0
    for name, _, text in SUBCOMMANDS:
        assert f"  {name} " in result.out
        assert text in " ".join(result.out.split())


@pytest.mark.parametrize("name", [name for name, _, _ in SUBCOMMANDS])
def test_every_subcommand_has_help_and_the_common_options(rnnc: Rnnc, name: str) -> None:
    result = rnnc(name, "--help")
    assert result.code == 0
    for option in ("--quiet", "--verbose", "--color", "--message-format"):
        assert option in result.out


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["check"], ["check", "--nonsense"], ["--color", "pink"]]
)
def test_wrong_usage_is_2(rnnc: Rnnc, arguments: list[str]) -> None:
    result = rnnc(*arguments)
    assert result.code == 2
    assert "Usage:" in result.err + result.out
    assert "Traceback" not in result.err


def test_an_internal_error_leaves_a_report_and_no_traceback(
    rnnc: Rnnc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mine.rnn").write_text("cell f(x) = x\n")

    def fail(name: str) -> None:
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr(driver, "read_source", fail)
    result = rnnc("check", "mine.rnn")
    assert result.code == 70
    assert "internal error: ZeroDivisionError: deep inside" in result.err
    assert "Traceback" not in result.err + result.out
    (report,) = tmp_path.glob("rnnc-crash-*.txt")
    assert str(report) in result.err
    text = report.read_text()
    for part in ("Traceback", "deep inside", "rnnc check mine.rnn", "cell f(x) = x", VERSION):
        assert part in text


def test_an_interruption_is_130(rnnc: Rnnc, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(driver, "read_source", interrupt)
    result = rnnc("check", "mine.rnn")
    assert (result.code, result.err) == (130, "\ninterrupted\n")


@pytest.mark.parametrize("before", [True, False])
def test_common_options_stand_before_or_behind_the_subcommand(rnnc: Rnnc, before: bool) -> None:
    option, rest = ["--color=always"], ["check", "missing.rnn"]
    result = rnnc(*([*option, *rest] if before else [*rest, *option]))
    assert result.code == 1
    assert "\x1b[" in result.out
    assert "cannot read 'missing.rnn': no such file or directory" in click.unstyle(result.out)
