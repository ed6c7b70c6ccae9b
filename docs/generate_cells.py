"""Writes `docs/cells.md` and its pictures from the standard library.

python -m docs.generate_cells
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict

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
MEASURED = DOCS.parent / "benchmarks" / "cells.json"

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

Equations, sections and appendices are numbered as in the arXiv version of the paper. The equations
are tested against oracles written from them; the numbers are there to find them by, and have not
been compared with the papers, which were not at hand.

Times are those of `benchmarks/cells.py`: batch 1, one thread, the fastest call, on
{machine}, {dates}. Beside each stands what the same
kernels take one point of a recurrence after another (`--order sequential`), and the floor: what the
machine needs at least for the matrix products, by their flops and by the weights that every wave
reads. Where products are few the floor says little, and what is left out at run time (thoughts
after the last, zeros of masks, of which one entry in ten is true) may lie below it. With one thread
and one row a scan gains nothing; `benchmarks/scan.py` measures those. The command under each model
measures it on your machine, and `make bench` compares with other frameworks.

## All sections

A mark is earned by a test: the compiled models of its row agree with independent oracles in plain
NumPy (`tests/cells/test_compiled.py`, the cases that are named).

| | section | where | cases |
|---|---|---|---|
"""


class Measured(TypedDict):
    """A row of benchmarks/cells.json."""

    date: str
    statics: dict[str, object]
    extents: dict[str, int]
    ms: float
    sequential_ms: float
    floor_ms: float


def measured() -> tuple[str, dict[str, Measured]]:
    """The machine, and a row for every architecture by name."""
    found = json.loads(MEASURED.read_text(encoding="utf-8"))
    return found["machine"], found["rows"]


def page() -> str:
    library = driver.standard_library()
    machine, times = measured()
    days = sorted({row["date"] for row in times.values()})
    head = _HEAD.format(machine=machine, dates=" to ".join(dict.fromkeys((days[0], days[-1]))))
    parts = [head + "".join(f"{row}\n" for row in _rows())]
    for file, module in library.items():
        parts.append(f"## {file}\n")
        for definition in module.definitions:
            parts += _definition(file, definition, times.get(definition.name))
    return "\n".join(parts)


def _rows() -> Iterator[str]:
    cases = {case.name: case for case in CASES}
    for section in SECTIONS:
        mark = "✅" if section.cases else ""
        files = dict.fromkeys(cases[name].file for name in section.cases)
        where = ", ".join(f"[{file}](#{file})" for file in files)
        names = ", ".join(f"`{name}`" for name in section.cases)
        yield f"| {mark} | {section.number}. {section.title} | {where} | {names} |"


def _definition(file: str, definition: ast.Definition, row: Measured | None) -> Iterator[str]:
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
    if row is not None:
        yield f"{_time(row)}\n"
    if isinstance(definition, ast.Model):
        if (PICTURES / f"{definition.name}.svg").is_file():
            yield f"![waves of {definition.name}](cells/{definition.name}.svg)\n"
        parts = (("-D", row["statics"]), ("--extent", row["extents"])) if row is not None else ()
        given = [f"{option} {_numbers(values, ',')}" for option, values in parts if values]
        options = " ".join([f"--model {definition.name}", *given, "--threads 1"])
        yield f"`rnnc bench rnnc/cells/{file}.rnn {options}`\n"


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


def _time(row: Measured) -> str:
    sizes = _numbers(row["statics"] | row["extents"], ", ")
    gain = row["sequential_ms"] / row["ms"]
    return (
        f"Measured with {sizes}: **{row['ms']:.3g} ms** a call, {row['sequential_ms']:.3g} ms one "
        f"point after another ({gain:.1f} times), floor {row['floor_ms']:.2g} ms"
    )


def _numbers(values: Mapping[str, object], between: str) -> str:
    return between.join(f"{name}={value}" for name, value in values.items())


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
