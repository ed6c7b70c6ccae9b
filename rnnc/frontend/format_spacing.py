"""Where spaces stand between the tokens of a line.

One space stands round operators; none inside indices, shapes, given statics and the ends of ranges
(`t-1`, `2*H`, `0..K+1`), where a sum has spaces only if one of its terms is a product or a power
(`4*H + 1`, `t - 2^l`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lark import Token

from rnnc.frontend.lexer import CLOSERS, OPENERS

_TERMS = ("PLUS", "MINUS")
_FACTORS = ("STAR", "SLASH", "FLOOR_DIVIDE", "PERCENT", "AT", "CIRCUMFLEX")
_ENDS_OF_OPERANDS = ("NAME", "NUMBER", "TRUE", "FALSE", "REAL", "COMPLEX", "INT", "BOOL", *CLOSERS)
# Between these, a sum is one sum.
_SEPARATORS = (
    "COMMA",
    "COLON",
    "EQUAL",
    "COMPARE",
    "IN",
    "IF",
    "ELSE",
    "OTHERWISE",
    "AND",
    "OR",
    "NOT",
)


@dataclass(slots=True)
class Bracket:
    """A pair of brackets; `end` is the position of the closing one, `parent` that of the opening
    bracket around.

    `is_postfix`: it belongs to what stands before it, as in `f(x)`. `in_header`: it holds the
    statics, arguments or results of a definition. `colon` is where a reduction's body starts.
    """

    start: int
    end: int
    parent: int | None
    kind: str
    is_postfix: bool
    in_header: bool
    is_state: bool
    colon: int | None = None


def brackets(tokens: Sequence[Token]) -> dict[int, Bracket]:
    """All brackets of a line, by the position of the opening one."""
    found: dict[int, Bracket] = {}
    opened: list[int] = []
    in_header = bool(tokens) and tokens[0].type in ("CELL", "MODEL")
    for position, token in enumerate(tokens):
        kind = token.type
        before = [token.type for token in tokens[max(0, position - 2) : position]]
        if kind in OPENERS:
            found[position] = Bracket(
                start=position,
                end=position,
                parent=opened[-1] if opened else None,
                kind=kind,
                is_postfix=before[-1:] != [] and before[-1] in _ENDS_OF_OPERANDS,
                in_header=in_header and not opened,
                is_state=before == ["COLON", "NAME"] and kind == "LPAR",
            )
            opened.append(position)
        elif kind in CLOSERS:
            found[opened.pop()].end = position
        elif kind == "COLON" and opened:
            inner = found[opened[-1]]
            if not inner.in_header:
                inner.colon = position
        elif kind == "EQUAL" and not opened:
            in_header = False
    return found


def spaces(tokens: Sequence[Token], pairs: dict[int, Bracket]) -> list[bool]:
    """For every token whether a space stands before it, if it stands in the same line."""
    return _Spacing(tokens, pairs).run()


@dataclass(slots=True)
class _Sum:
    """An expression without separators, while it is read: its operators, and what else it has."""

    terms: list[int] = field(default_factory=list)
    factors: list[int] = field(default_factory=list)
    is_range: bool = False


class _Spacing:
    def __init__(self, tokens: Sequence[Token], pairs: dict[int, Bracket]) -> None:
        self.tokens = tokens
        self.pairs = pairs
        # Operators with a space on both sides; all others have none.
        self.spaced: set[int] = set()
        # Signs that stand before their operand: `-x`, `*s`.
        self.prefix: set[int] = set()

    def run(self) -> list[bool]:
        self._read(0, len(self.tokens), False, None)
        return [self._space_before(position) for position in range(len(self.tokens))]

    def _read(self, start: int, end: int, tight: bool, around: Bracket | None) -> None:
        """Decide on the operators in `start`..`end`, which are the content of `around`."""
        current = _Sum()
        position = start
        while position < end:
            kind = self.tokens[position].type
            if kind in OPENERS:
                inner = self.pairs[position]
                self._bracket(inner, tight)
                position = inner.end
            elif kind in _SEPARATORS:
                self._close(current, tight)
                current = _Sum()
                if kind == "COLON" and around is not None and around.colon == position:
                    tight = False
                if kind == "EQUAL" and (around is None or around.in_header):
                    self.spaced.add(position)
                if kind in ("COMPARE", "IN", "IF", "ELSE", "OTHERWISE", "AND", "OR"):
                    self.spaced.add(position)
            elif kind == "TO":
                current.is_range = True
            elif kind in (*_TERMS, *_FACTORS):
                before = self.tokens[position - 1].type if position > start else ""
                if before not in _ENDS_OF_OPERANDS:
                    self.prefix.add(position)
                elif kind in _TERMS:
                    current.terms.append(position)
                else:
                    current.factors.append(position)
            position += 1
        self._close(current, tight)

    def _bracket(self, bracket: Bracket, tight: bool) -> None:
        if bracket.in_header:
            inside = False
        elif bracket.kind != "LPAR" or bracket.colon is not None:
            inside = True
        else:
            inside = tight and not bracket.is_postfix
        self._read(bracket.start + 1, bracket.end, inside, bracket)

    def _close(self, current: _Sum, tight: bool) -> None:
        products = [p for p in current.factors if self.tokens[p].type == "AT"]
        if current.is_range:
            self.spaced.update(products)
        elif tight:
            self.spaced.update(current.terms if current.factors else [])
            self.spaced.update(products)
        else:
            self.spaced.update(current.terms + current.factors)

    def _space_before(self, position: int) -> bool:
        if position == 0:
            return False
        before, kind = self.tokens[position - 1].type, self.tokens[position].type
        if kind in ("COMMA", "COLON", "DOT", *CLOSERS) or before in ("DOT", "TO", *OPENERS):
            return False
        if position - 1 in self.prefix:
            return False
        if before in ("COMMA", "COLON"):
            return True
        if position in self.spaced or position - 1 in self.spaced:
            return True
        operators = ("EQUAL", *_TERMS, *_FACTORS)
        if kind == "TO" or (kind in operators and position not in self.prefix):
            return before not in _ENDS_OF_OPERANDS
        if before in operators:
            return False
        if kind in OPENERS:
            return not self.pairs[position].is_postfix
        return True
