"""Text -> tokens with layout, one chunk for every statement that starts in the first column.

The vocabulary is the grammar's. A chunk is what the parser gets at a time: with it, a mistake ends
where the next definition starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from lark import Token
from lark.lexer import PatternStr, TerminalDef

from rnnc.diagnostics import Diagnostic, Source, Span
from rnnc.frontend import lexical_errors as errors

OPENERS = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
CLOSERS = {closer: opener for opener, closer in OPENERS.items()}

# No expression spans the start of a definition: these words are reserved.
_DEFINITION = re.compile(r"^(?:cell|model|from)\b", re.MULTILINE)
_END_OF_LINE = re.compile(r"\r?\n")
_INDENTATION = re.compile(r"[ \t]*")
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Comment:
    """A `#` comment; `own_line` if nothing stands before it, `token_count` tokens come before."""

    text: str
    line: int
    column: int
    own_line: bool
    token_count: int


@dataclass(slots=True)
class Chunk:
    """A top-level statement.

    Where the text is no sequence of tokens, `problem` says why, and the last token, of type ERROR,
    stands there. `unclosed` are the brackets that are open at the end or at the problem.
    """

    tokens: list[Token] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    problem: Diagnostic | None = None
    unclosed: tuple[Token, ...] = ()

    @property
    def is_definition(self) -> bool:
        """Whether it starts as a definition or an import does."""
        return bool(self.tokens) and self.tokens[0].type in ("CELL", "MODEL", "FROM")


class Vocabulary:
    """One regular expression for all terminals of a grammar."""

    def __init__(self, terminals: Iterable[TerminalDef], ignored: Iterable[str]) -> None:
        self.ignored = frozenset(ignored)
        self.words: dict[str, str] = {}
        patterns: list[tuple[str, str]] = []
        signs: list[tuple[str, str]] = []
        for terminal in terminals:
            pattern = terminal.pattern
            if not isinstance(pattern, PatternStr):
                patterns.append((terminal.name, pattern.to_regexp()))
            elif pattern.value.isalpha():
                self.words[pattern.value] = terminal.name
            else:
                signs.append((pattern.value, terminal.name))
        signs.sort(key=lambda sign: -len(sign[0]))
        patterns += [(name, re.escape(text)) for text, name in signs]
        self.pattern = re.compile("|".join(f"(?P<{name}>{regexp})" for name, regexp in patterns))


def chunks_of(source: Source, vocabulary: Vocabulary) -> list[Chunk]:
    """All top-level statements of a text; comments after the last one are a chunk of their own."""
    return _Lexer(source, vocabulary).run()


class _Lexer:
    def __init__(self, source: Source, vocabulary: Vocabulary) -> None:
        self.source = source
        self.text = source.text
        self.vocabulary = vocabulary
        # A mark at the start has no width and no meaning; columns are counted after it.
        self.position = self.line_start = 1 if self.text.startswith(_BYTE_ORDER_MARK) else 0
        self.line = 1
        self.chunks: list[Chunk] = []
        self._start_chunk()

    def _start_chunk(self) -> None:
        self.chunk = Chunk()
        self.indents = [0]
        self.open: list[Token] = []

    def run(self) -> list[Chunk]:
        while self.position < len(self.text):
            self._logical_line()
        self._end_chunk()
        return self.chunks

    # ---- lines

    def _logical_line(self) -> None:
        """A line, with those that it goes on in inside brackets."""
        indentation = _INDENTATION.match(self.text, self.position)
        assert indentation is not None
        self.position = indentation.end()
        if self._blank_or_comment():
            return
        if self.column == 1:
            comments = self._comments_of_next()
            self._end_chunk()
            self.chunk.comments = comments
        elif "\t" in indentation[0]:
            at = self.line_start + indentation[0].index("\t")
            self._fail(errors.tab(self._span(at, indentation.end())))
            return
        if not self._indent(self.column - 1):
            return
        while self.position < len(self.text):
            end = _END_OF_LINE.match(self.text, self.position)
            if end is not None:
                self._next_line(end.end())
                if not self.open:
                    break
                if _DEFINITION.match(self.text, self.position):
                    break
            elif not self._token():
                return
        if self.open:
            self._fail(errors.unclosed(self._token_span(self.open[-1])))
        else:
            self._emit("_NL")

    def _blank_or_comment(self) -> bool:
        if self.position < len(self.text) and self.text[self.position] == "#":
            self._token()
        end = _END_OF_LINE.match(self.text, self.position)
        if end is not None:
            self._next_line(end.end())
        return end is not None or self.position == len(self.text)

    def _next_line(self, position: int) -> None:
        self.position = self.line_start = position
        self.line += 1

    def _indent(self, width: int) -> bool:
        """Tell the parser of blocks that start or end with this line; whether they fit."""
        if not self.chunk.tokens:
            if width:
                span = self._span(self.line_start, self.position)
                self._fail(errors.top_level_indented(span))
            return not width
        if width > self.indents[-1]:
            self.indents.append(width)
            self.chunk.tokens.append(self._make("_INDENT", "", self.position, self.position))
        inner = self.indents[-1]
        while width < self.indents[-1]:
            inner = self.indents.pop()
            self._emit("_DEDENT")
        if width > self.indents[-1]:
            span = self._span(self.line_start, self.position)
            self._fail(errors.fits_no_block(span, width, inner, self.indents[-1]))
            return False
        return True

    # ---- tokens

    def _token(self) -> bool:
        """Read one token; whether there is one."""
        match = self.vocabulary.pattern.match(self.text, self.position)
        if match is None or match.lastgroup is None:
            self._fail(errors.no_token(self.text, self.position, self._span))
            return False
        kind, text, start = match.lastgroup, match[0], self.position
        if kind == "COMMENT":
            self._comment(text.rstrip())
        if kind in self.vocabulary.ignored:
            self.position = match.end()
            return True
        kind = self.vocabulary.words.get(text, kind)
        problem = errors.bad_token(kind, self.text, start, match.end(), self._adjoins(), self._span)
        if problem is None and kind in CLOSERS:
            problem = self._close(kind, text)
        if problem is not None:
            self._fail(problem)
            return False
        token = self._make(kind, text, start, match.end())
        self.chunk.tokens.append(token)
        if kind in OPENERS:
            self.open.append(token)
        self.position = match.end()
        if "\n" in text:
            self.line = token.end_line or self.line
            self.line_start = self.position - (token.end_column or 1) + 1
        return True

    def _adjoins(self) -> bool:
        """Whether the last token can be followed by a field: then `.5` is no number."""
        return bool(self.chunk.tokens) and self.chunk.tokens[-1].type in ("NAME", *CLOSERS)

    def _close(self, kind: str, text: str) -> Diagnostic | None:
        span = self._span(self.position, self.position + 1)
        if not self.open:
            return errors.closes_nothing(text, span)
        opener = self.open[-1]
        if opener.type != CLOSERS[kind]:
            return errors.closes_another(text, span, str(opener), self._token_span(opener))
        self.open.pop()
        return None

    def _comment(self, text: str) -> None:
        before = self.text[self.line_start : self.position].strip(" \t")
        count = len(self.chunk.tokens)
        self.chunk.comments.append(Comment(text, self.line, self.column, not before, count))

    def _comments_of_next(self) -> list[Comment]:
        """Take off the comments that stand right before this position and not in a block."""
        comments = self.chunk.comments
        behind = len(self.chunk.tokens)
        count = len(comments)
        while count and comments[count - 1].token_count == behind:
            if behind and comments[count - 1].column > 1:
                break
            count -= 1
        taken = [Comment(c.text, c.line, c.column, True, 0) for c in comments[count:]]
        del comments[count:]
        return taken

    # ---- ends of chunks

    def _end_chunk(self) -> None:
        chunk = self.chunk
        if chunk.tokens and chunk.problem is None:
            if chunk.tokens[-1].type not in ("_NL", "_DEDENT"):
                self._emit("_NL")
            for _ in self.indents[1:]:
                self._emit("_DEDENT")
        if chunk.tokens or chunk.comments:
            self.chunks.append(chunk)
        self._start_chunk()

    def _fail(self, problem: Diagnostic) -> None:
        """End the chunk here and go on at the next definition."""
        self.chunk.problem = problem
        self.chunk.unclosed = tuple(self.open)
        self.chunk.tokens.append(self._make("ERROR", "", self.position, self.position))
        following = _DEFINITION.search(self.text, self.position)
        end = following.start() if following else len(self.text)
        self.line += self.text.count("\n", self.position, end)
        self.line_start = self.text.rfind("\n", 0, end) + 1
        self.position = end
        self._end_chunk()

    # ---- places

    @property
    def column(self) -> int:
        return self.position - self.line_start + 1

    def _emit(self, kind: str) -> None:
        """A token of layout: it stands, without width, right after the last token."""
        last = self.chunk.tokens[-1]
        line, column = last.end_line or 1, last.end_column or 1
        self.chunk.tokens.append(Token(kind, "", last.end_pos, line, column, line, column))

    def _make(self, kind: str, text: str, start: int, end: int) -> Token:
        span = self._span(start, end)
        return Token(kind, text, start, span.line, span.column, span.end_line, span.end_column, end)

    def _token_span(self, token: Token) -> Span:
        line, column = token.line or 1, token.column or 1
        return Span(self.source, line, column, token.end_line or line, token.end_column or column)

    def _span(self, start: int, end: int) -> Span:
        """A stretch that starts in the current line."""
        breaks = self.text.count("\n", start, end)
        last_start = self.text.rfind("\n", 0, end) + 1 if breaks else self.line_start
        column = start - self.line_start + 1
        return Span(self.source, self.line, column, self.line + breaks, end - last_start + 1)
