"""Names of a file: everything that is mentioned exists, is bound, and means one thing."""

from __future__ import annotations

from rnnc.diagnostics import DiagnosticSink, Note, Span
from rnnc.frontend import ast
from rnnc.frontend.bindings import Bindings
from rnnc.frontend.builtins import BUILTINS, CONSTANTS
from rnnc.frontend.mentions import declared_names, mentioned_names
from rnnc.frontend.modules import LoadedModule


def check_names(module: LoadedModule, sink: DiagnosticSink) -> None:
    """Reports unknown, free, doubled and unused names; those of broken definitions are known."""
    _check_definitions(module, sink)
    for definition in module.tree.definitions:
        Bindings(module, definition, sink).check()
    if not module.tree.broken:
        _check_imports(module, sink)
    _check_recursion(module, sink)


def _check_definitions(module: LoadedModule, sink: DiagnosticSink) -> None:
    """RNN202: a name that a file gives two meanings."""
    seen: dict[str, Span] = {}
    for statement in module.tree.imports:
        for name in statement.names:
            _once(name.text, name.span, seen, sink, "imported")
    for definition in module.tree.definitions:
        _once(definition.name, definition.name_span, seen, sink, "defined")
        if definition.name in BUILTINS or definition.name in CONSTANTS:
            sink.error(
                "RNN202",
                f"'{definition.name}' is the name of a built-in function",
                definition.name_span,
            )


def _once(name: str, span: Span, seen: dict[str, Span], sink: DiagnosticSink, verb: str) -> None:
    if name in seen:
        notes = (Note("the first time is here", seen[name]),)
        sink.error("RNN202", f"'{name}' is {verb} twice", span, notes)
    seen.setdefault(name, span)


def _check_imports(module: LoadedModule, sink: DiagnosticSink) -> None:
    """RNN502: imports that nothing mentions."""
    used = {
        name for definition in module.tree.definitions for name, _ in mentioned_names(definition)
    }
    for statement in module.tree.imports:
        for name in statement.names:
            if name.text not in used and name.text in module.imported:
                sink.warning("RNN502", f"'{name.text}' is imported and never used", name.span)


def _check_recursion(module: LoadedModule, sink: DiagnosticSink) -> None:
    """RNN208: a definition that uses itself."""
    for definition in module.tree.definitions:
        path = _path_to(definition.name, module, definition, (definition.name,))
        if path is not None:
            sink.error(
                "RNN208",
                f"'{definition.name}' uses itself: {' -> '.join(path)}",
                definition.name_span,
                hints=("recurrence is written with an index:  h[t] = f(h[t-1])",),
            )


def _path_to(
    goal: str, module: LoadedModule, definition: ast.Definition, path: tuple[str, ...]
) -> tuple[str, ...] | None:
    """The way of uses from a definition back to `goal`."""
    own = {name for name, _, _ in declared_names(definition)}
    for name, _ in mentioned_names(definition):
        found = module.find(name)
        if found is None or name in own:
            continue
        if name == goal:
            return (*path, name)
        if name not in path:
            longer = _path_to(goal, found[0], found[1], (*path, name))
            if longer is not None:
                return longer
    return None
