"""Runs `rnnc` in this process and shows what came out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rnnc.cli.guard import run_guarded


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str


Rnnc = Callable[..., Result]


@pytest.fixture
def rnnc(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Rnnc:
    """`rnnc("check", path)` in an empty folder of its own; nothing else is captured before it."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        code = run_guarded([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return run
