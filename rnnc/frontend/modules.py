"""Files and what they define: imports are looked up beside the file, then in the cells of rnnc."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

from rnnc.diagnostics import DiagnosticError, DiagnosticSink, Source
from rnnc.frontend import ast
from rnnc.frontend.parser import parse
from rnnc.frontend.reading import read_source

STANDARD_LIBRARY = "rnnc.cells"


@dataclass(slots=True, eq=False)
class LoadedModule:
    """A parsed file, and the definitions that its names stand for."""

    tree: ast.Module
    folder: Path | None
    own: dict[str, ast.Definition] = field(default_factory=dict)
    imported: dict[str, tuple[LoadedModule, ast.Definition]] = field(default_factory=dict)

    def find(self, name: str) -> tuple[LoadedModule, ast.Definition] | None:
        """A definition of this file or one that it imports, with the file that owns it."""
        if name in self.own:
            return self, self.own[name]
        return self.imported.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.own, *self.imported)


@dataclass(slots=True)
class Library:
    """All files met so far, each parsed once; what is wrong with imports goes to `sink`."""

    sink: DiagnosticSink
    _loaded: dict[str, LoadedModule | None] = field(default_factory=dict)

    def load(self, source: Source) -> LoadedModule:
        """The file with everything that it imports; syntax errors are reported and left out."""
        path = Path(source.name)
        return self._add(source, path.parent if path.suffix == ".rnn" else None)

    @property
    def loaded(self) -> tuple[LoadedModule, ...]:
        """All files, in the order in which they were met."""
        return tuple(module for module in self._loaded.values() if module is not None)

    def standard(self, name: str) -> LoadedModule | None:
        """A file of the standard library."""
        return self._from_library(name.split("."))

    def _add(self, source: Source, folder: Path | None) -> LoadedModule:
        module = LoadedModule(parse(source, self.sink), folder)
        self._loaded[source.name] = module
        for definition in module.tree.definitions:
            module.own.setdefault(definition.name, definition)
        for statement in module.tree.imports:
            self._import(module, statement)
        return module

    def _import(self, module: LoadedModule, statement: ast.Import) -> None:
        try:
            target = self._find(module, statement.path)
        except DiagnosticError as error:
            for diagnostic in error.diagnostics:
                self.sink.report(replace(diagnostic, span=statement.span))
            return
        if target is None:
            known = self._candidates(module)
            hint = closest(statement.path, known)
            self.sink.error(
                "RNN204",
                f"unknown module '{statement.path}'",
                statement.span,
                hints=(f"did you mean '{hint}'?",) if hint else (),
            )
            return
        for name in statement.names:
            definition = target.own.get(name.text)
            if definition is not None:
                module.imported.setdefault(name.text, (target, definition))
                continue
            hint = closest(name.text, tuple(target.own))
            hints = (f"did you mean '{hint}'?",) if hint else ()
            if target is module:
                hints = (f"'{statement.path}' is this file itself: give it another name",)
            self.sink.error(
                "RNN204", f"'{statement.path}' defines no '{name.text}'", name.span, hints=hints
            )

    def _find(self, module: LoadedModule, path: str) -> LoadedModule | None:
        """Raises RNN791 for a file that cannot be read."""
        parts = path.split(".")
        if module.folder is not None:
            beside = module.folder.joinpath(*parts).with_suffix(".rnn")
            if beside.is_file():
                return self._read(str(beside), read_source(str(beside)).text, beside.parent)
        return self._from_library(parts)

    def _from_library(self, parts: list[str]) -> LoadedModule | None:
        resource = files(STANDARD_LIBRARY).joinpath(*parts[:-1], parts[-1] + ".rnn")
        if not resource.is_file():
            return None
        return self._read(str(resource), resource.read_text("utf-8"), None)

    def _read(self, name: str, text: str, folder: Path | None) -> LoadedModule | None:
        if name not in self._loaded:
            self._loaded[name] = None  # a cycle of imports meets the file before it is ready
            self._loaded[name] = self._add(Source(name, text), folder)
        return self._loaded[name]

    def _candidates(self, module: LoadedModule) -> tuple[str, ...]:
        found = [path.name for path in files(STANDARD_LIBRARY).iterdir()]
        if module.folder is not None:
            found += [path.name for path in module.folder.glob("*.rnn")]
        return tuple(sorted({name[:-4] for name in found if name.endswith(".rnn")}))


def closest(name: str, candidates: tuple[str, ...]) -> str | None:
    """The likeliest of the candidates, or None if none is like the name."""
    best = min(
        candidates,
        key=lambda other: (_distance(name, other), other.count("'"), other),
        default=None,
    )
    if best is None or _distance(name, best) > max(1, len(name) // 3):
        return None
    if len(name) == 1 and best.rstrip("'").lower() != name.lower():
        return None  # any letter is one step from any other
    return best


def _distance(left: str, right: str) -> int:
    """Edit distance; letters that only differ in case count half as much, rounded up."""
    row = list(range(len(right) + 1))
    for i, one in enumerate(left, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(right, 1):
            substitution = previous + (one != other)
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, substitution)
    return row[-1]
