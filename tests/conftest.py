"""Options of all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def no_tilings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What was tuned on this machine is none of the tests' business."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNC_TILINGS", str(tmp_path_factory.mktemp("cache") / "tilings.json"))
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    help = "Write the files that tests compare with, instead of comparing."
    parser.addoption("--update-golden", action="store_true", help=help)
