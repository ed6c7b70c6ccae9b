"""The critical path that a docstring states is the one that the analysis finds."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping

import pytest

from rnnc import driver
from rnnc.analysis.critical_path import critical_path
from rnnc.analysis.longest import Longest
from rnnc.citation import critical_path as stated
from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request, StaticValue
from rnnc.frontend import ast as spec
from rnnc.passes.bind_sizes import BindSizes
from rnnc.passes.complete_variables import CompleteVariables
from tests.analysis.models import SIZES, specs
from tests.oracles.arrays import Arrays, Floats
from tests.oracles.case import Case
from tests.oracles.layers import State
from tests.oracles.wrapped import WRAPPED, wrapped

# More than one layer: a single one may be faster than the formulas of deep networks.
DEPTHS = (2, 3)
FUNCTIONS = {"ceil": math.ceil, "log2": math.log2}


def value(formula: str, names: Mapping[str, StaticValue]) -> int:
    """A formula of a docstring, with numbers for the names in it."""
    used = {node.id for node in ast.walk(ast.parse(formula)) if isinstance(node, ast.Name)}
    known = {name: names[name] for name in sorted(used - FUNCTIONS.keys())}
    return int(eval(formula, {"__builtins__": {}}, {**FUNCTIONS, **known}))


def found(source: Source, request: Request) -> tuple[Longest, Mapping[str, StaticValue]]:
    graph = BindSizes().run(Compilation(source, request).graph)
    return critical_path(CompleteVariables().run(graph)), {**graph.values, **request.sizes}


def compare(formula: str, path: Longest, statics: Mapping[str, StaticValue]) -> None:
    for steps in (4, 9):
        # Extents of which none is another's: 4, 6, 8, ...
        extents = {name: steps + 2 * place for place, name in enumerate("TSNRCD")}
        assert value(formula, {**extents, **statics}) == path.evaluate(extents)


@pytest.mark.parametrize(("file", "model"), list(specs()))
def test_of_a_model(file: str, model: str) -> None:
    definition = specs()[file, model]
    formula = stated(definition.docstring)
    assert formula is not None, "a model states its critical path"
    names = [static.name for static in definition.statics]
    given = {s.name: SIZES[s.name] for s in definition.statics if s.default is None}
    for static in definition.statics:
        if isinstance(static.default, spec.Number) and isinstance(static.default.value, int):
            given[static.name] = static.default.value
    for depth in DEPTHS if "L" in names else (3,):
        sizes: dict[str, StaticValue] = {**given, "L": depth} if "L" in names else {**given}
        compare(formula, *found(driver.standard_source(file), Request(model, sizes)))


def unknown(_: Arrays, x: Floats, states: State) -> State:
    raise AssertionError("no values are computed here")


UNITS = (
    *WRAPPED,
    wrapped("elman", "elman{H}", unknown),
    wrapped("lstm", "lstm{H}", unknown, "hc"),
)


def cell_of(case: Case) -> spec.Cell:
    """The cell of the library that a case runs."""
    cells = [
        definition
        for definition in driver.parse(driver.standard_source(case.file)).definitions
        if isinstance(definition, spec.Cell) and f" {definition.name}\n" in case.text
    ]
    [cell] = cells
    return cell


@pytest.mark.parametrize("case", UNITS, ids=str)
def test_of_a_cell_over_time(case: Case) -> None:
    formula = stated(cell_of(case).docstring)
    assert formula is not None, "a cell that is run over time states its critical path"
    compare(formula, *found(Source("cell.rnn", case.text), Request(case.model, case.statics)))


def test_of_nothing_else() -> None:
    stating = {
        definition.name
        for module in driver.standard_library().values()
        for definition in module.definitions
        if isinstance(definition, spec.Cell) and stated(definition.docstring)
    }
    assert stating == {cell_of(case).name for case in UNITS}
