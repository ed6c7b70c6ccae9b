"""Tokens and comments of a file -> lines in blocks: what the formatter lays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lark import Token

from rnnc.diagnostics import Source
from rnnc.frontend.lexer import CLOSERS, Chunk, Comment


@dataclass(frozen=True, slots=True)
class Remark:
    """A comment in a line of its own; `apart` if a blank line stands before it."""

    text: str
    apart: bool


@dataclass(slots=True)
class Line:
    """A logical line.

    `inner` are comments inside its brackets, each with the number of tokens before it; `apart` as
    for a remark; `block` is what is indented below.
    """

    tokens: tuple[Token, ...]
    before: list[Remark]
    apart: bool
    trailing: str | None = None
    inner: tuple[tuple[int, Comment], ...] = ()
    block: Block | None = None

    @property
    def kind(self) -> str:
        """The type of the first token."""
        return self.tokens[0].type

    @property
    def starts_apart(self) -> bool:
        """Whether a blank line stands before the line and the remarks that belong to it."""
        return self.before[0].apart if self.before else self.apart


@dataclass(slots=True)
class Block:
    """Lines of one indentation; `after` are the remarks below the last."""

    lines: list[Line] = field(default_factory=list)
    after: list[Remark] = field(default_factory=list)


def structure(source: Source, chunks: Sequence[Chunk]) -> Block:
    """The file as a block. The chunks must parse."""
    text = source.text.removeprefix("\ufeff").split("\n")
    blank = {number for number, line in enumerate(text, 1) if not line.strip()}
    file = Block()
    pending: list[Comment] = []
    for chunk in chunks:
        builder = _Builder(chunk, blank, pending)
        file.lines += builder.run()
        pending = builder.pending
    file.after = [_remark(comment, blank) for comment in pending]
    return file


def _remark(comment: Comment, blank: set[int]) -> Remark:
    return Remark(comment.text, comment.line - 1 in blank)


class _Builder:
    def __init__(self, chunk: Chunk, blank: set[int], pending: list[Comment]) -> None:
        self.tokens = chunk.tokens
        self.comments = list(chunk.comments)
        self.blank = blank
        # Comments that wait for the line or the end of a block to which they belong.
        self.pending = pending
        self.blocks = [Block()]
        self.columns = [1]

    def run(self) -> list[Line]:
        start = 0
        self._take(0)
        for position, token in enumerate(self.tokens):
            match token.type:
                case "_INDENT":
                    self.blocks.append(Block())
                    self.columns.append(token.column or 1)
                    start = position + 1
                case "_DEDENT":
                    self._dedent()
                    start = position + 1
                case "_NL":
                    self._line(start, position)
                    start = position + 1
                    self._take(start)
        return self.blocks[0].lines

    def _take(self, position: int) -> None:
        """Comments in lines of their own that stand right before the token at `position`."""
        while self.comments and self.comments[0].token_count == position:
            self.pending.append(self.comments.pop(0))

    def _dedent(self) -> None:
        """Comments that are indented more than what follows belong to the block that ends."""
        block = self.blocks.pop()
        self.columns.pop()
        while self.pending and self.pending[0].column > self.columns[-1]:
            block.after.append(_remark(self.pending.pop(0), self.blank))
        self.blocks[-1].lines[-1].block = block

    def _line(self, start: int, end: int) -> None:
        tokens = self.tokens[start:end]
        kept = [not _is_idle(tokens, position) for position in range(len(tokens))]
        inner: list[tuple[int, Comment]] = []
        trailing: str | None = None
        while self.comments and self.comments[0].token_count <= end:
            comment = self.comments.pop(0)
            if comment.token_count == end:
                trailing = comment.text
            else:
                inner.append((sum(kept[: comment.token_count - start]), comment))
        line = Line(
            tokens=tuple(token for token, keep in zip(tokens, kept, strict=True) if keep),
            before=[_remark(comment, self.blank) for comment in self.pending],
            apart=(tokens[0].line or 1) - 1 in self.blank,
            trailing=trailing,
            inner=tuple(inner),
        )
        self.pending = []
        self.blocks[-1].lines.append(line)


def _is_idle(tokens: Sequence[Token], position: int) -> bool:
    """Whether this is a comma after which nothing follows."""
    if tokens[position].type != "COMMA":
        return False
    following = tokens[position + 1].type if position + 1 < len(tokens) else "_NL"
    return following in ("_NL", "COLON", *CLOSERS)
