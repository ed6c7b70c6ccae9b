"""What all tests of backends share."""

from __future__ import annotations

import ctypes

import pytest

from rnnc.runtime.cuda.memory import Arena


class Poisoned(Arena):
    """Workspaces full of NaN: what was computed before is not there by chance."""

    def get(self, size: int) -> int:
        start = super().get(size)
        ctypes.memset(start, 0xFF, size)
        return start


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnc.runtime.cuda.model.Arena", Poisoned)
