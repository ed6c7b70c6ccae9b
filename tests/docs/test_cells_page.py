"""The page of the standard library is the one that its sources make, and its marks are earned.

`make cells` writes what is compared here.
"""

from __future__ import annotations

import re

import pytest

from docs import generate_cells
from docs.waves import panels, picture
from rnnc import driver
from rnnc.citation import critical_path
from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request
from tests.cells.sections import SECTIONS
from tests.cells.test_compiled import COMPILED
from tests.oracles.cases import CASES


def test_the_page_is_fresh() -> None:
    assert generate_cells.PAGE.read_text(encoding="utf-8") == generate_cells.page()


@pytest.mark.parametrize("file", driver.standard_library())
def test_pictures_are_fresh(file: str) -> None:
    for name, text in generate_cells.drawn(file).items():
        path = generate_cells.PICTURES / name
        assert path.is_file(), "make cells makes it"
        assert path.read_text(encoding="utf-8") == text, "make cells renews it"


def test_every_section_has_a_test_and_every_test_a_section() -> None:
    assert [section.number for section in SECTIONS] == [*range(1, 42)]
    named = [name for section in SECTIONS for name in section.cases]
    assert all(section.cases for section in SECTIONS)
    assert {*named} == {param.id for param in COMPILED} == {case.name for case in CASES}


def test_every_architecture_is_measured() -> None:
    """By benchmarks/cells.py, whose rows are models, and cells that state a critical path."""
    architectures = {
        definition.name
        for module in driver.standard_library().values()
        for definition in module.definitions
        if critical_path(definition.docstring) is not None
    }
    assert generate_cells.measured()[1].keys() == architectures


def test_links_lead_somewhere() -> None:
    text = generate_cells.PAGE.read_text(encoding="utf-8")
    page = re.sub(r"^```text$.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)#]+)", page):
        assert (generate_cells.DOCS / link).is_file(), link
    for place in re.findall(r"\]\(#([^)]+)\)", page):
        assert f"\n## {place}\n" in page, place


def compilation(text: str) -> Compilation:
    return Compilation(Source("model.rnn", text), Request("m", {"H": 2}))


def test_a_diagonal_of_a_grid_is_a_wave() -> None:
    text = """
model m{H}:
    dim i in 0..R, j in 0..C
    input x[i, j]: [H]
    param U, V: [H, H]
    h[i, j] = tanh(x[i, j] + U @ h[i-1, j] + V @ h[i, j-1])
    output y[i, j] = h[i, j]
"""
    [panel] = panels(compilation(text))
    assert panel.dims == ("i", "j")
    assert dict(panel.waves) == {(i, j): i + j for i in range(6) for j in range(5)}
    assert picture([panel]).count("<rect") == 6 * 5


def test_points_that_wait_for_nothing_have_no_picture() -> None:
    text = """
model m{H}:
    dim t in 0..T
    input x[t]: [H]
    output y[t] = tanh(x[t])
"""
    assert panels(compilation(text)) == ()
