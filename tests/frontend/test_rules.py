"""What the rules for equations say of wrong specs, word for word, and that right ones pass."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from rnnc.diagnostics import DiagnosticSink, Source, render
from rnnc.frontend import ast
from rnnc.frontend.inference import elaborate_model
from rnnc.frontend.modules import Library

RULES = ("RNN401", "RNN402", "RNN403", "RNN404", "RNN405")


def check(text: str, name: str = "m.rnn") -> DiagnosticSink:
    """What elaboration finds in all models of a text."""
    sink = DiagnosticSink()
    library = Library(sink)
    module = library.load(Source(name, text))
    for definition in module.own.values():
        if isinstance(definition, ast.Model):
            elaborate_model(definition, module, library, {}, sink, checking=True)
    return sink


def found(text: str, name: str = "m.rnn") -> str:
    """The diagnostics as text."""
    return "".join(render(diagnostic) + "\n" for diagnostic in check(text, name).sorted())


PAGE = (Path(__file__).parent / "rules.md").read_text(encoding="utf-8")
CASE = re.compile(
    r"^## ([^\n]*)\n\n```rnn\n(.*?)```\n\n```text\n(.*?)```$", re.MULTILINE | re.DOTALL
)
CASES = {match[1]: (match[2], match[3]) for match in CASE.finditer(PAGE)}


def test_the_page_is_read() -> None:
    assert len(CASES) == PAGE.count("\n## ") > 10


@pytest.mark.parametrize("case", CASES)
def test_what_is_said(case: str) -> None:
    text, expected = CASES[case]
    assert found(text) == expected


@pytest.mark.parametrize(
    "equations",
    [
        "h[t] = x[t] + h[t-1] + h[t-2]",
        "h[t] = x[t] + h[t+3]",
        "h[t] = x[t]\n    h[-1] = 1\n    h[t in -5..-1] = 2",
        "h[t] = x[t]\n    h[t in ..0] = 1\n    h[t in T..] = 1",
        "h[t > 0] = h[t-1] + x[t]\n    h[0] = x[0]",
        "h[t] = x[t] if t % 2 == 0 else h[t-1]",
        "h[t] = g[t] if t > 3 else x[t]\n    g[t] = x[t] if t > 3 else h[t]",
        "h[t] = x[t] + sum(0 <= s < t: h[s])",
        "h[t] = x[t] + h[t - 1 - t % 2]",
    ],
)
def test_right_equations_pass(equations: str) -> None:
    text = f"model m:\n    dim t in 0..T\n    input x[t]: real\n    {equations}\n"
    assert found(text + "    output y[t] = h[t]\n") == ""


@pytest.mark.parametrize(
    "equations",
    [
        # Distances (1, -1) and (-1, 2): no dim alone goes forward, 3i + 2j does.
        "h[i, j] = x[i, j] + h[i-1, j+1] + h[i+1, j-2]",
        # The order of one part is not that of the other.
        "h[i, j] = x[i, j] + h[i-1, j]\n    g[i, j] = h[i, j] + g[i+1, j]",
        "h[i, j] = x[i, j] + h[j, i-1] if i > j else x[i, j]",
    ],
)
def test_orders_that_are_not_along_a_dim_are_found(equations: str) -> None:
    text = f"model m:\n    dim i in 0..R, j in 0..C\n    input x[i, j]: real\n    {equations}\n"
    assert found(text + "    output y[i, j] = h[i, j]\n") == ""


def test_names_of_dims_do_not_matter() -> None:
    text = """\
model m:
    dim i in 0..T, j in 0..T
    input x[i]: real
    a[i] = x[i] + b[i-1]
    b[j] = a[j]
    output y[i] = a[i]
"""
    assert found(text) == ""


LIBRARY = [entry.name for entry in files("rnnc.cells").iterdir() if entry.name.endswith(".rnn")]


@pytest.mark.parametrize("name", sorted(LIBRARY))
def test_the_standard_library_keeps_the_rules(name: str) -> None:
    entry = files("rnnc.cells") / name
    sink = check(entry.read_text("utf-8"), str(entry))
    assert [render(d) for d in sink.found if d.code in RULES] == []


def test_two_mistakes_of_two_kinds_are_both_told() -> None:
    text = """\
model m:
    dim t in 0..T
    input x[t]: real
    h[t] = x[t] + h[t]
    h[0] = 1
    output y[t] = x[t-1] + h[t]
    g[t] = g[t-2]
    g[-1] = 3
"""
    assert [d.code for d in check(text).sorted()] == ["RNN403", "RNN401", "RNN402"]
