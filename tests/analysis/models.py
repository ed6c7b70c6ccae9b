"""Models of the standard library, and recurrences that it lacks, as graphs ready for a schedule."""

from __future__ import annotations

from functools import cache

from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request, StaticValue, standard_library, standard_source
from rnnc.frontend import ast
from rnnc.ir.graph import Graph
from rnnc.passes.pipeline import completion, optimize, pipeline

# Every static of the library's models that has no default, small.
SIZES = {
    **{"A": 5, "B": 3, "C": 2, "D": 7, "F": 3, "G": 4, "H": 4, "I": 5, "K": 2},
    **{"L": 3, "N": 5, "P": 2, "R": 3, "V": 6, "X": 3, "Y": 2},
    **{"J": 2, "M": 2, "start": 1, "ramp": 3, "end": 6, "every": 2},
}


@cache
def specs() -> dict[tuple[str, str], ast.Model]:
    """Every model of the standard library by (file, model)."""
    return {
        (file, definition.name): definition
        for file, module in standard_library().items()
        for definition in module.definitions
        if isinstance(definition, ast.Model)
    }


@cache
def library_graph(file: str, model: str, **sizes: StaticValue) -> Graph:
    """What is scheduled of a model of the library; `sizes` override SIZES."""
    wanted: dict[str, StaticValue] = {
        static.name: SIZES[static.name]
        for static in specs()[file, model].statics
        if static.default is None
    }
    return completed(standard_source(file), Request(model, wanted | sizes))


@cache
def graph_of(text: str) -> Graph:
    """What is scheduled of the only model in a text."""
    return completed(Source("model.rnn", text), Request())


def completed(source: Source, request: Request) -> Graph:
    """As `Compilation.completed`; passes are not verified here."""
    return optimize(Compilation(source, request).graph, (*pipeline(), *completion()))
