"""Nothing in the standard library goes without an oracle."""

from __future__ import annotations

import re

from rnnc import driver
from rnnc.frontend import ast
from tests.oracles.cases import CASES


def test_every_model_has_a_case() -> None:
    models = {
        (file, definition.name)
        for file, module in driver.standard_library().items()
        for definition in module.definitions
        if isinstance(definition, ast.Model)
    }
    assert models == {(case.file, case.model) for case in CASES if not case.text}


def test_every_cell_is_run_by_a_case() -> None:
    """By a model of its own in the tests, or by something of the library, which has a case."""
    library = {file: driver.standard_source(file).text for file in driver.standard_library()}
    chosen = [str(value) for case in CASES for value in case.settings.values()]
    texts = "\n".join([*library.values(), *(case.text for case in CASES), *chosen])
    names = re.findall(r"[^\W\d]\w*", re.sub(r"^from .*|#.*|\"[^\"]*\"", "", texts, flags=re.M))
    for file, module in driver.standard_library().items():
        for definition in module.definitions:
            if isinstance(definition, ast.Cell):
                # One place defines it: another must name it.
                uses = names.count(definition.name)
                assert uses > 1, f"{definition.name} of {file}.rnn is never run"


def test_names_are_unique() -> None:
    names = [case.name for case in CASES]
    assert sorted(set(names)) == sorted(names)
