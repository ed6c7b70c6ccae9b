"""Text -> syntax tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.resources import files
from typing import cast

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedToken
from lark.lexer import Lexer

from rnnc.collector import paused
from rnnc.diagnostics import Diagnostic, DiagnosticSink, Source
from rnnc.frontend import ast
from rnnc.frontend.ast_builder import AstBuilder, FormError
from rnnc.frontend.lexer import Chunk, Vocabulary, chunks_of
from rnnc.frontend.syntax_errors import Unexpected, explain


def parse(source: Source, sink: DiagnosticSink) -> ast.Module:
    """The syntax tree of a file; all syntax errors go to `sink`, one a definition (RNN101..RNN108).

    The tree holds the definitions without errors; `Module.broken` names the others.
    """
    tree, found = _parsed(source)
    for diagnostic in found:
        sink.report(diagnostic)
    return tree


@lru_cache(maxsize=64)  # a process that compiles many models imports the same cells in each
def _parsed(source: Source) -> tuple[ast.Module, tuple[Diagnostic, ...]]:
    """The tree, which nobody can change, and what is wrong."""
    sink = DiagnosticSink()
    builder = AstBuilder(source)
    broken: list[str] = []
    in_error = False
    for position, chunk in enumerate(chunk for chunk in lex(source) if chunk.tokens):
        # What follows a mistake up to the next definition may well be a part of the broken one.
        if in_error and not chunk.is_definition:
            continue
        in_error = not _add(chunk, position == 0, builder, sink)
        if in_error:
            broken += _names(chunk)
    return builder.module(tuple(broken)), tuple(sink.found)


def lex(source: Source) -> list[Chunk]:
    """The tokens and comments of a file, by top-level statement."""
    return chunks_of(source, _vocabulary())


def _add(chunk: Chunk, is_first: bool, builder: AstBuilder, sink: DiagnosticSink) -> bool:
    try:
        tree = parse_chunk(chunk)
        builder.add(tree, is_first)
    except Unexpected as error:
        sink.report(explain(error, chunk, builder.source))
        return False
    except FormError as error:
        sink.report(error.diagnostic)
        return False
    return True


def parse_chunk(chunk: Chunk) -> Tree[Token]:
    """The parse tree of a top-level statement. Raises Unexpected."""
    parser = _grammar().parse_interactive()
    end = Token.new_borrow_pos("$END", "", chunk.tokens[-1])
    tree: object = None
    for position, token in enumerate([*chunk.tokens, end]):
        try:
            tree = parser.feed_token(token)
        except UnexpectedToken:
            accepts = cast(Callable[[], set[str]], parser.accepts)
            raise Unexpected(position, frozenset(accepts())) from None
    assert isinstance(tree, Tree)
    return tree


def _names(chunk: Chunk) -> list[str]:
    """What the chunk would have defined or imported, as far as it can be told."""
    tokens = chunk.tokens
    if tokens[0].type == "FROM":
        rest = [token.type for token in tokens]
        start = rest.index("IMPORT") if "IMPORT" in rest else len(tokens)
        return [str(token) for token in tokens[start:] if token.type == "NAME"]
    return [str(token) for token in tokens[1:2] if token.type == "NAME"]


class _NoLexer(Lexer):
    """The parser is fed with tokens; it is spared the making of lexers for each of its states."""

    def __init__(self, configuration: object) -> None:
        pass

    def lex(self, lexer_state: object, parser_state: object) -> Iterator[Token]:
        return iter(())


@lru_cache
def _grammar() -> Lark:
    text = files("rnnc.grammar").joinpath("rnn.lark").read_text("utf-8")
    with paused():
        return Lark(
            text, parser="lalr", lexer=_NoLexer, maybe_placeholders=True, propagate_positions=True
        )


@lru_cache
def _vocabulary() -> Vocabulary:
    grammar = _grammar()
    return Vocabulary(grammar.terminals, grammar.ignore_tokens)
