"""Writes `docs/cells.md` and its pictures from the standard library.

python -m docs.generate_cells
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from docs.waves import panels, picture
from rnnc import driver
from rnnc.citation import citation, critical_path, first_line
from rnnc.driver import Compilation, Request
from rnnc.frontend import ast
from tests.analysis.models import SIZES
from tests.cells.sections import SECTIONS
from tests.oracles.cases import CASES

DOCS = Path(__file__).parent
PAGE = DOCS / "cells.md"
PICTURES = DOCS / "cells"

_HEAD = """\
# The standard library

Made from the sources by `make cells` (`python -m docs.generate_cells`); do not edit.

Every architecture is written in the language, without help from the compiler: import it, or read
and copy it (`rnnc cells NAME`). Pictures show small grids; a number is the wave in which a point is
computed, in the order with the fewest waves: points of one number can run at once. Which order is
taken is a matter of cost; `rnnc explain` says it. Where indices that are only known at run time
decide what waits for what (trees), the picture shows one point after another, and points of a level
are brought together when the model runs. The critical path is the longest chain of evaluations,
each of which waits for the one before.

Times depend on the machine: the command under each model measures them there, and `make bench`
compares with other frameworks.

## All sections

A mark is earned by a test: the compiled models of its row agree with independent oracles in plain
NumPy (`tests/cells/test_compiled.py`, the cases that are named).

| | section | where | cases |
|---|---|---|---|
"""


def page() -> str:
    library = driver.standard_library()
    parts = [_HEAD + "".join(f"{row}\n" for row in _rows())]
    for file, module in library.items():
        parts.append(f"## {file}\n")
        for definition in module.definitions:
            parts += _definition(file, definition)
    return "\n".join(parts)


def _rows() -> Iterator[str]:
    cases = {case.name: case for case in CASES}
    for section in SECTIONS:
        mark = "✅" if section.cases else ""
        files = dict.fromkeys(cases[name].file for name in section.cases)
        where = ", ".join(f"[{file}](#{file})" for file in files)
        names = ", ".join(f"`{name}`" for name in section.cases)
        yield f"| {mark} | {section.number}. {section.title} | {where} | {names} |"


def _definition(file: str, definition: ast.Definition) -> Iterator[str]:
    start, end = definition.span.line, definition.span.end_line
    link = f"../rnnc/cells/{file}.rnn#L{start}"
    kind = "model" if isinstance(definition, ast.Model) else "cell"
    yield f"### [{definition.name}]({link})\n"
    yield f"{_prose(definition.docstring, kind)}\n"
    lines = definition.span.source.text.splitlines()[start - 1 : end]
    yield f"```text\n{_without_docstring(chr(10).join(lines))}\n```\n"
    path = critical_path(definition.docstring)
    if path is not None:
        yield f"Critical path: `{path}`\n"
    if isinstance(definition, ast.Model):
        if (PICTURES / f"{definition.name}.svg").is_file():
            yield f"![waves of {definition.name}](cells/{definition.name}.svg)\n"
        sizes = ",".join(f"{name}={value}" for name, value in _sizes(definition).items())
        given = f" -D {sizes}" if sizes else ""
        yield f"`rnnc bench rnnc/cells/{file}.rnn --model {definition.name}{given}`\n"


def _prose(docstring: str | None, kind: str) -> str:
    """Who, where and when, then what it is."""
    source, first = citation(docstring), first_line(docstring)
    rest = (docstring or "").partition("\n")[2]
    rest = re.sub(r"^ *Critical path: .+\.$", "", rest, flags=re.MULTILINE)
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(line.strip() for line in rest.splitlines())).strip()
    head = f"A {kind}. {_escaped(first)}"
    if source is not None:
        head = f"A {kind}: {_escaped(source.what)} *{source.paper}, {source.year}.*"
    return f"{head}\n\n{_escaped(body)}" if body else head


def _escaped(text: str) -> str:
    """Products and names as they are, not as emphasis."""
    return text.replace("*", r"\*").replace("_", r"\_")


def _without_docstring(text: str) -> str:
    return re.sub(r'^ +(""".*?"""|"[^"\n]*")\n', "", text, count=1, flags=re.DOTALL | re.MULTILINE)


def _sizes(model: ast.Model) -> dict[str, int]:
    return {static.name: SIZES[static.name] for static in model.statics if static.default is None}


def drawn(file: str) -> Mapping[str, str]:
    """The pictures of a file's models, by name; none of one without a recurrence."""
    source = driver.standard_source(file)
    pictures: dict[str, str] = {}
    for definition in driver.parse(source).definitions:
        if isinstance(definition, ast.Model):
            request = Request(definition.name, _sizes(definition), order="wavefront")
            found = panels(Compilation(source, request))
            if found:
                pictures[f"{definition.name}.svg"] = picture(found)
    return pictures


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    pictures = {
        name: text for file in driver.standard_library() for name, text in drawn(file).items()
    }
    for path in PICTURES.iterdir():
        if path.name not in pictures:
            path.unlink()
    for name, text in pictures.items():
        (PICTURES / name).write_text(text, encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
