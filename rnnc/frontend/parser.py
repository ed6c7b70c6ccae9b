"""Text -> syntax tree."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from lark import Lark
from lark.exceptions import UnexpectedInput
from lark.indenter import Indenter

from rnnc.diagnostics import DiagnosticSink, Source, Span
from rnnc.frontend import ast
from rnnc.frontend.ast_builder import AstBuilder


class Layout(Indenter):
    NL_type, INDENT_type, DEDENT_type, tab_len = "_NL", "_INDENT", "_DEDENT", 8
    OPEN_PAREN_types, CLOSE_PAREN_types = ["LPAR", "LSQB", "LBRACE"], ["RPAR", "RSQB", "RBRACE"]


@lru_cache
def grammar() -> Lark:
    text = files("rnnc.grammar").joinpath("rnn.lark").read_text("utf-8")
    return Lark(
        text, parser="lalr", postlex=Layout(), maybe_placeholders=True, propagate_positions=True
    )


def parse(source: Source, sink: DiagnosticSink) -> ast.Module | None:
    try:
        return AstBuilder(source).module(grammar().parse(source.text + "\n"))
    except UnexpectedInput as problem:
        line, column = max(1, problem.line), max(1, problem.column)
        sink.error("RNN101", "syntax error", Span(source, line, column, line, column + 1))
        return None
