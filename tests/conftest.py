"""Options of all tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    help = "Write the files that tests compare with, instead of comparing."
    parser.addoption("--update-golden", action="store_true", help=help)
