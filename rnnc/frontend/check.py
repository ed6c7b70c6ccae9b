"""Every mistake of a file: names, types and rules, of all its definitions."""

from __future__ import annotations

from rnnc.diagnostics import Diagnostic, DiagnosticSink, Source
from rnnc.frontend import ast
from rnnc.frontend.cell_graph import elaborate_cell
from rnnc.frontend.inference import elaborate_model
from rnnc.frontend.modules import Library, LoadedModule
from rnnc.frontend.names import check_names
from rnnc.ir.graph import Graph


def check(source: Source) -> tuple[Diagnostic, ...]:
    """Every mistake and warning of a file, in source order. Sizes need not be known.

    What the file imports is looked at where it is used.
    """
    sink = DiagnosticSink()
    library = Library(sink)
    check_module(library.load(source), library, sink)
    return sink.sorted()


def check_module(module: LoadedModule, library: Library, sink: DiagnosticSink) -> dict[str, Graph]:
    """Reports what is wrong; the graphs of the definitions in which nothing is.

    Names are looked at in files that are imported, too, unless they are rnnc's own.
    """
    check_names(module, sink)
    for other in library.loaded:
        if other is not module and other.folder is not None:
            check_names(other, sink)
    graphs: dict[str, Graph] = {}
    for definition in module.own.values():
        own = DiagnosticSink()
        if isinstance(definition, ast.Cell):
            graph = elaborate_cell(definition, module, library, {}, own, checking=True)
        else:
            graph = elaborate_model(definition, module, library, {}, own, checking=True)
        if graph is not None:
            graphs[definition.name] = graph
        for diagnostic in own.found:
            sink.report(diagnostic)
    return graphs
