"""From a file and the statics of a model to its recurrence IR."""

from __future__ import annotations

from collections.abc import Mapping

from rnnc.diagnostics import Diagnostic, DiagnosticError, DiagnosticSink, Source
from rnnc.frontend import ast
from rnnc.frontend.inference import elaborate_model
from rnnc.frontend.modules import Library, LoadedModule, closest
from rnnc.frontend.names import check_names
from rnnc.frontend.statics import StaticValue
from rnnc.ir.graph import Graph


def elaborate(
    source: Source, model: str | None = None, given: Mapping[str, StaticValue] | None = None
) -> Graph:
    """The recurrence IR of a model of the file (of the only or last one, if none is named).

    Raises DiagnosticError with every mistake that was found.
    """
    sink = DiagnosticSink()
    library = Library(sink)
    module = library.load(source)
    sink.raise_errors()
    check_names(module, sink)
    for other in library.loaded:
        if other is not module and other.folder is not None:
            check_names(other, sink)
    sink.raise_errors()
    definition = find_model(module, model)
    graph = elaborate_model(definition, module, library, given or {}, sink)
    sink.raise_errors()
    assert graph is not None
    _check_sizes(graph)
    return graph


def _check_sizes(graph: Graph) -> None:
    """Raises RNN305 where the numbers that were given make an axis shorter than nothing."""
    found: dict[str, Diagnostic] = {}
    for node in graph.nodes:
        for size in node.type.shape:
            if all(name in graph.values for name in size.names):
                number = size.evaluate(graph.values)
                if number < 0:
                    message = f"'{size}' is {number}: a size is a number from 0 on"
                    span = node.spans[0] if node.spans else None
                    found.setdefault(str(size), Diagnostic("RNN305", message, span))
    if found:
        raise DiagnosticError(list(found.values()))


def find_model(module: LoadedModule, name: str | None) -> ast.Model:
    """The model of that name, or the only one; raises DiagnosticError where there is none."""
    models = [d for d in module.own.values() if isinstance(d, ast.Model)]
    names = tuple(model.name for model in models)
    file = module.tree.source.name
    if name is None:
        if len(models) == 1:
            return models[0]
        if not models:
            raise _error(f"{file} has no model")
        raise _error(f"{file} has several models: which one?", f"one of  {', '.join(names)}")
    for model in models:
        if model.name == name:
            return model
    hint = closest(name, names)
    hints = (f"did you mean '{hint}'?",) if hint else (f"it has  {', '.join(names)}",)
    raise _error(f"{file} has no model '{name}'", *hints)


def _error(message: str, *hints: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic("RNN201", message, hints=hints)])
