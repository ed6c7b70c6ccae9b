"""A logical line -> lines of text: where it is broken, and where its comments go.

A line that is too long, or has comments inside brackets, is broken at brackets: what they hold
stands one part a line, with a comma after each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lark import Token

from rnnc.frontend.format_spacing import Bracket, brackets, spaces
from rnnc.frontend.format_structure import Line
from rnnc.frontend.lexer import Comment

COLUMNS = 100
STEP = 4
# A bracket that holds less is not worth three lines.
_WORTH_BREAKING = 30


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text without its comment, which is aligned with those of its neighbours."""

    indent: int
    text: str
    comment: str | None = None

    @property
    def width(self) -> int:
        return self.indent + len(self.text)

    @property
    def is_remark(self) -> bool:
        """Whether there is nothing but a comment."""
        return not self.text and self.comment is not None


def layout(line: Line, indent: int) -> list[Text]:
    """The texts of a line alone, without what stands before it and below it."""
    maker = _Layout(line.tokens, line.inner)
    if line.kind in ("PARAM", "INPUT", "DIM") and not line.inner:
        texts = maker.declarations(indent)
    else:
        texts = maker.lines(0, len(line.tokens), indent, "")
    if line.trailing is not None:
        last = texts[-1]
        texts[-1] = Text(last.indent, last.text, line.trailing)
    return texts


def layout_cases(cases: Sequence[Line], indent: int) -> list[list[Text]]:
    """The texts of each line of a brace of cases; their conditions are aligned."""
    makers = [_Layout(case.tokens, case.inner) for case in cases]
    splits = [_condition(case.tokens) for case in cases]
    values = [maker.text(0, split) for maker, split in zip(makers, splits, strict=True)]
    conditions = [
        maker.text(split, len(maker.tokens)) for maker, split in zip(makers, splits, strict=True)
    ]
    short = [
        not case.inner and indent + len(value) + 2 + len(condition) <= COLUMNS
        for case, value, condition in zip(cases, values, conditions, strict=True)
    ]
    widest = max((len(v) for v, is_short in zip(values, short, strict=True) if is_short), default=0)
    longest = max(
        (len(c) for c, is_short in zip(conditions, short, strict=True) if is_short), default=0
    )
    gap = STEP if indent + widest + STEP + longest <= COLUMNS else 2
    found: list[list[Text]] = []
    for number, case in enumerate(cases):
        if short[number]:
            text = values[number].ljust(widest) + " " * gap + conditions[number]
            found.append([Text(indent, text, case.trailing)])
        else:
            found.append(_long_case(case, makers[number], splits[number], indent))
    return found


def _condition(tokens: Sequence[Token]) -> int:
    """Where the condition of a case starts: at the first `if` or `otherwise` in no bracket."""
    pairs = brackets(tokens)
    position = 0
    while tokens[position].type not in ("IF", "OTHERWISE"):
        position = pairs[position].end + 1 if position in pairs else position + 1
    return position


def _long_case(case: Line, maker: _Layout, split: int, indent: int) -> list[Text]:
    condition = maker.lines(split, len(maker.tokens), indent, "")
    value = maker.lines(0, split, indent, " " * STEP + condition[0].text)
    last = value.pop()
    texts = [*value, Text(indent, last.text, condition[0].comment), *condition[1:]]
    if case.trailing is not None:
        texts[-1] = Text(texts[-1].indent, texts[-1].text, case.trailing)
    return texts


class _Layout:
    def __init__(self, tokens: Sequence[Token], inner: Sequence[tuple[int, Comment]]) -> None:
        self.tokens = tokens
        self.inner = inner
        self.pairs = brackets(tokens)
        self.spaces = spaces(tokens, self.pairs)

    def text(self, start: int, end: int) -> str:
        """Tokens in one line."""
        parts: list[str] = []
        for position in range(start, end):
            if position > start and self.spaces[position]:
                parts.append(" ")
            parts.append(self.tokens[position].replace("\r\n", "\n"))
        return "".join(parts)

    def declarations(self, indent: int) -> list[Text]:
        """A list of declarations: one that is too long becomes several."""
        word, end = self.text(0, 1), len(self.tokens)
        groups = self._groups(1, end, self.tokens[0].type == "DIM")
        texts: list[Text] = []
        start = 0
        for number in range(1, len(groups) + 1):
            is_last = number == len(groups)
            upto = end if is_last else groups[number][1]
            too_long = not is_last and (
                indent + len(word) + 1 + len(self.text(groups[start][0], upto)) > COLUMNS
            )
            if is_last or too_long:
                first = groups[start][0]
                text = f"{word} {self.text(first, groups[number - 1][1])}"
                if indent + len(text) > COLUMNS and number - start == 1:
                    texts += self._prefixed(word, first, groups[number - 1][1], indent)
                else:
                    texts.append(Text(indent, text))
                start = number
        return texts

    def _prefixed(self, word: str, start: int, end: int, indent: int) -> list[Text]:
        first, *rest = self.lines(start, end, indent, "", lead=len(word) + 1)
        return [Text(indent, f"{word} {first.text}", first.comment), *rest]

    def _groups(self, start: int, end: int, every_comma: bool) -> list[tuple[int, int]]:
        """Parts between commas; names that take the type of a later one stay with it."""
        groups: list[tuple[int, int]] = []
        first = position = start
        is_typed = every_comma
        while position < end:
            kind = self.tokens[position].type
            if position in self.pairs:
                position = self.pairs[position].end
            elif kind in ("COLON", "EQUAL"):
                is_typed = True
            elif kind == "COMMA" and is_typed:
                groups.append((first, position))
                first, is_typed = position + 1, every_comma
            position += 1
        groups.append((first, end))
        return groups

    def lines(self, start: int, end: int, indent: int, tail: str, lead: int = 0) -> list[Text]:
        """Tokens in as many lines as they need; `tail` follows the last, `lead` is taken before
        the first."""
        candidates = self._outermost(start, end)
        broken = [pair for pair in candidates if self._has_comments(pair)]
        while True:
            texts = self._broken_at(broken, start, end, indent, tail)
            spine = self._spine_too_long(broken, start, end, indent, tail, lead)
            rest = [
                pair
                for pair in candidates
                if pair not in broken and any(a <= pair.start and pair.end < b for a, b in spine)
            ]
            rest = [pair for pair in rest if self._width(pair) >= _WORTH_BREAKING]
            if not rest:
                return texts
            # Values before shapes and statics: that is where the text is.
            rest.sort(key=lambda pair: (pair.kind == "LPAR", self._width(pair), pair.start))
            broken = sorted([*broken, rest[-1]], key=lambda pair: pair.start)

    def _outermost(self, start: int, end: int) -> list[Bracket]:
        found: list[Bracket] = []
        position = start
        while position < end:
            if position in self.pairs:
                found.append(self.pairs[position])
                position = self.pairs[position].end
            position += 1
        return found

    def _has_comments(self, pair: Bracket) -> bool:
        return any(pair.start < position <= pair.end for position, _ in self.inner)

    def _width(self, pair: Bracket) -> int:
        return len(self.text(pair.start + 1, pair.end))

    def _spine_too_long(
        self, broken: Sequence[Bracket], start: int, end: int, indent: int, tail: str, lead: int
    ) -> list[tuple[int, int]]:
        """The stretches between broken brackets whose lines do not fit."""
        edges = [start, *(edge for pair in broken for edge in (pair.start + 1, pair.end)), end]
        found: list[tuple[int, int]] = []
        for number in range(0, len(edges), 2):
            first, last = edges[number], edges[number + 1]
            extra = (lead if number == 0 else 0) + (len(tail) if last == end else 0)
            if indent + extra + len(self.text(first, last)) > COLUMNS:
                found.append((first, last))
        return found

    def _broken_at(
        self, broken: Sequence[Bracket], start: int, end: int, indent: int, tail: str
    ) -> list[Text]:
        texts: list[Text] = []
        first = start
        for pair in broken:
            texts.append(Text(indent, self.text(first, pair.start + 1)))
            texts += self._content(pair, indent + STEP)
            first = pair.end
        texts.append(Text(indent, self.text(first, end) + tail))
        return texts

    def _content(self, pair: Bracket, indent: int) -> list[Text]:
        """What a bracket holds, one part a line."""
        is_list = pair.kind != "LPAR" or pair.is_postfix or pair.in_header
        if not is_list or pair.is_state or pair.colon is not None:
            parts, comma = [(pair.start + 1, pair.end)], ""
        else:
            is_declarations = pair.in_header and pair.kind == "LPAR"
            parts, comma = self._groups(pair.start + 1, pair.end, not is_declarations), ","
        if parts == [(pair.end, pair.end)]:
            parts = []
        texts: list[Text] = []
        for start, end in parts:
            before, trailing = self._remarks(start, end, pair)
            texts += [Text(indent, "", text) for text in before]
            lines = self.lines(start, end, indent, comma)
            if trailing is not None:
                lines[-1] = Text(lines[-1].indent, lines[-1].text, trailing)
            texts += lines
        texts += [
            Text(indent, "", comment.text)
            for position, comment in self.inner
            if position == pair.end and (comment.own_line or not parts)
        ]
        return texts

    def _remarks(self, start: int, end: int, pair: Bracket) -> tuple[list[str], str | None]:
        """Comments of the part `start`..`end`, apart from those in its own brackets: what stands
        in lines before it, and what stands at its end."""
        nested = self._outermost(start, end)
        before: list[str] = []
        trailing: list[str] = []
        for position, comment in self.inner:
            if any(inner.start < position <= inner.end for inner in nested):
                continue
            if comment.own_line:
                # In a line before the closing bracket it stays behind the last part.
                if start <= position <= end and position != pair.end:
                    before.append(comment.text)
            elif position == start == pair.start + 1:
                before.append(comment.text)
            elif start < position <= end or (position == end + 1 and end < pair.end):
                trailing.append(comment.text)
        return before + trailing[:-1], trailing[-1] if trailing else None
