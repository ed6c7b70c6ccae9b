"""The whole pipeline on models of the library: readable, stable, and what `--emit=opt` shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnc.driver import Compilation, Request, standard_source

FOLDER = Path(__file__).parent / "library"
MODELS = {
    "elman_network": ("elman", {"X": 3, "H": 4, "Y": 2}),
    "stacked_lstm": ("stacked", {"X": 3, "H": 4, "L": 2}),
    "jordan_teacher_forced": ("jordan", {"X": 3, "H": 4, "Y": 2}),
}


@pytest.mark.parametrize("model", MODELS)
def test_text(model: str, pytestconfig: pytest.Config) -> None:
    file, sizes = MODELS[model]
    found = Compilation(standard_source(file), Request(model, dict(sizes))).text("opt")
    path = FOLDER / f"{model}.rir"
    if pytestconfig.getoption("--update-golden"):
        path.write_text(found, "utf-8")
    assert found == path.read_text("utf-8")
