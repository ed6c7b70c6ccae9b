"""No text makes a traceback, and every error has a place in the text."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from rnnc.diagnostics import Diagnostic, DiagnosticSink, Source, render
from rnnc.frontend.format import format_source
from rnnc.frontend.parser import parse
from tests.frontend.mutation import LIBRARY, meaning, slip


def errors(text: str) -> tuple[Diagnostic, ...]:
    sink = DiagnosticSink()
    parse(Source("a.rnn", text), sink)
    for diagnostic in sink.found:
        span = diagnostic.span
        assert span is not None
        assert "RNN101" <= diagnostic.code <= "RNN108"
        assert 1 <= span.line <= text.count("\n") + 1
        assert 1 <= span.column <= len(span.source.line(span.line)) + 1
        assert (span.line, span.column) <= (span.end_line, span.end_column)
        assert diagnostic.message
        assert render(diagnostic)
    return sink.sorted()


@given(st.text(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_text(text: str) -> None:
    errors(text)
    errors("model m:\n    " + text)


@given(st.sampled_from(sorted(LIBRARY)), st.integers(0, 2**32))
@settings(max_examples=120, deadline=None)
def test_slips(name: str, seed: int) -> None:
    """What still parses is formatted to the same meaning, and stays as it is from then on."""
    text = slip(LIBRARY[name], Random(seed))
    if errors(text):
        return
    formatted = format_source(Source("a.rnn", text), DiagnosticSink())
    assert formatted is not None
    assert meaning(formatted) == meaning(text)
    assert format_source(Source("a.rnn", formatted), DiagnosticSink()) == formatted
