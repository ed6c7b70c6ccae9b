"""Where each architecture comes from, in a form that is checked."""

from __future__ import annotations

import pytest

from rnnc import driver
from rnnc.citation import Citation, citation, critical_path
from rnnc.frontend import ast

# What nobody has published: patterns of use, and plain building blocks.
OWN = {
    *("linear", "simple_attention"),
    *("many_to_one", "one_to_many", "many_to_many", "ar_fixed", "taught", "free_running"),
}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "Cho et al. 2014, arXiv 1406.1078: gates.",
            Citation("Cho et al., arXiv 1406.1078", 2014, "gates."),
        ),
        (
            "Shen et al. 2019 (ICLR), arXiv 1810.09536, section 4: N chunks: of C.",
            Citation("Shen et al., arXiv 1810.09536", 2019, "N chunks: of C."),
        ),
        (
            "Jordan 1986 (ICS report 8604): fed back.\n\nMore 1990: x.",
            Citation("Jordan, ICS report 8604", 1986, "fed back."),
        ),
        ("Many to one: the state of 1997 is read.", None),
        ("Elman 1990.", None),
        ("", None),
    ],
)
def test_the_first_line_is_read(line: str, expected: Citation | None) -> None:
    assert citation(line) == expected


def test_the_critical_path_is_a_line_of_its_own() -> None:
    assert critical_path("What.\n\n    More.\n    Critical path: T + L - 1.\n    ") == "T + L - 1"
    assert critical_path("The critical path: T.") is None
    assert critical_path(None) is None


def test_everything_with_weights_or_a_grid_names_its_source() -> None:
    silent = {
        definition.name
        for module in driver.standard_library().values()
        for definition in module.definitions
        if isinstance(definition, ast.Model)
        or any(isinstance(statement, ast.Params) for statement in definition.body)
        if citation(definition.docstring) is None
    }
    assert silent == OWN
