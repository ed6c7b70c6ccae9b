"""Work on all cores: whole, with the errors of a single process, whatever becomes of helpers."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
from rnnc.backends.cpu import processes

COUNT = 40


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three cores and no other thread, whatever runs the tests."""
    monkeypatch.setattr(processes, "usable_cores", lambda: 3)
    monkeypatch.setattr(threading, "active_count", lambda: 1)


def test_all_is_done(tmp_path: Path) -> None:
    def work(number: int) -> None:
        (tmp_path / str(number)).write_text(str(number * number))

    processes.side_by_side(work, COUNT)
    made = {int(path.name): int(path.read_text()) for path in tmp_path.iterdir()}
    assert made == {number: number * number for number in range(COUNT)}


def test_helpers_that_die_are_no_harm(tmp_path: Path) -> None:
    here = os.getpid()

    def work(number: int) -> None:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        (tmp_path / str(number)).touch()

    processes.side_by_side(work, COUNT)
    assert len(list(tmp_path.iterdir())) == COUNT


def test_a_helper_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PATIENCE", 0.1)
    here = os.getpid()

    def work(number: int) -> None:
        if os.getpid() != here:
            signal.pause()
        (tmp_path / str(number)).touch()

    processes.side_by_side(work, COUNT)
    assert len(list(tmp_path.iterdir())) == COUNT


@pytest.mark.parametrize("cores", [1, 3])
def test_errors_come_through(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "usable_cores", lambda: cores)

    def work(number: int) -> None:
        if number == COUNT - 1:
            raise ValueError(f"piece {number}")

    with pytest.raises(ValueError, match=f"piece {COUNT - 1}"):
        processes.side_by_side(work, COUNT)


def test_no_process_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError("resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refused)
    processes.side_by_side(lambda number: (tmp_path / str(number)).touch(), COUNT)
    assert len(list(tmp_path.iterdir())) == COUNT
