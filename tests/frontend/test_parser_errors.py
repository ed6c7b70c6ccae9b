"""What is said about syntax errors: code, place, words, hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnc.diagnostics import DiagnosticError, DiagnosticSink, Source, render
from rnnc.frontend.parser import parse
from rnnc.frontend.reading import read_source
from tests.docs.pages import blocks


def golden() -> list[tuple[str, str, str]]:
    """Title, text, and what is said about it."""
    page = blocks((Path(__file__).parent / "syntax_errors.md").read_text("utf-8"))
    return [
        (spec.section, spec.text, said.text)
        for spec, said in zip(page[::2], page[1::2], strict=True)
    ]


def errors(text: str, name: str = "a.rnn") -> DiagnosticSink:
    sink = DiagnosticSink()
    parse(Source(name, text), sink)
    return sink


@pytest.mark.parametrize(("text", "said"), [g[1:] for g in golden()], ids=[g[0] for g in golden()])
def test_what_is_said(text: str, said: str) -> None:
    name = said.partition(":")[0]
    assert "".join(f"{render(d)}\n" for d in errors(text, name).sorted()) == said


def test_a_mistake_is_one_error_and_the_other_definitions_are_there() -> None:
    text = "cell f(x) = x +\n\ncell g(x) = x\n\nmodel m:\n    h = (1\n\ncell k(x) = g(x)\n"
    sink = DiagnosticSink()
    module = parse(Source("a.rnn", text), sink)
    assert [(str(d.span), d.code) for d in sink.sorted()] == [
        ("a.rnn:1:16", "RNN101"),
        ("a.rnn:6:9", "RNN103"),
    ]
    assert [definition.name for definition in module.definitions] == ["g", "k"]
    assert module.broken == ("f", "m")


def test_names_of_a_broken_import_are_not_unknown() -> None:
    sink = DiagnosticSink()
    module = parse(Source("a.rnn", "from lstm import lstm, gru +\n"), sink)
    assert (module.imports, module.broken) == ((), ("lstm", "gru"))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns_do_not_depend_on_line_ends(end: str) -> None:
    (found,) = errors(f"# λ\x0b\u2028{end}cell f(x) = x +{end}cell g(x) = x{end}").found
    assert (str(found.span), found.span and found.span.source.line(2)) == (
        "a.rnn:2:16",
        "cell f(x) = x +",
    )


def test_a_byte_order_mark_has_no_column() -> None:
    (found,) = errors("\ufeffcell f(x) = x +\n").found
    assert str(found.span) == "a.rnn:1:16"


def test_carets_stand_below_tabs_and_terminals_are_not_commanded() -> None:
    (found,) = errors("cell f(x) =\t\x1b[2J\n").found
    lines = render(found).splitlines()
    assert lines[1:] == ["    cell f(x) =\t\ufffd[2J", "               \t^"]


@pytest.mark.parametrize("text", ["(" * 5000, "f(" * 5000 + ")" * 5000, "x" + " ^ x" * 5000])
def test_depth_is_an_error_and_no_traceback(text: str) -> None:
    (found,) = errors(f"cell f(x) = {text}\n").found
    assert found.code in ("RNN101", "RNN103", "RNN108")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.rnn").write_bytes("# caf\u00e9".encode("latin-1"))
    for name in (tmp_path / "latin.rnn", tmp_path / "none.rnn", tmp_path, "nul\0.rnn"):
        with pytest.raises(DiagnosticError) as caught:
            read_source(str(name))
        (found,) = caught.value.diagnostics
        assert (found.code, found.span) == ("RNN791", None)
