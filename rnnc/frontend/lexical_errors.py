"""What is wrong with a text that is no sequence of tokens: layout, brackets, characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from rnnc.diagnostics import Diagnostic, Note, Span

# From two offsets of the text to a span that starts in the current line.
SpanOf = Callable[[int, int], Span]

_LARGEST_INTEGER = 2**63 - 1

# What is pasted from papers and typed by habit, and how it is written here.
_MEANT = {
    "×": "*",
    "·": "*",
    "⋅": "*",
    "⊙": "*",
    "∘": "*",
    "∗": "*",
    "−": "-",
    "–": "-",
    "÷": "/",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "→": "->",
    "∈": "in",
    "∞": "inf",
    "∑": "sum",
    "∏": "prod",
    "√": "sqrt",
    "…": "..",
    "“": '"',
    "”": '"',
    "′": "'",
    "’": "'",
    "!": "not",
    "&": "and",
    "|": "or",
    "~": "not",
}
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True))
_SUPERSCRIPT = re.compile(f"[{''.join(_SUPERSCRIPTS)}]+")
_LINE = re.compile(r"[^\r\n]*")
_SINGLE_QUOTED = re.compile(r"'([^'\"\r\n]*)'")
# What sticks to a number, as far as a range: `2H`, `1.`, `1_000`.
_STICKING = re.compile(r"(?:\w|'|\.(?!\.))*")
_NUMBER_THEN_NAME = re.compile(r"([0-9.]*[0-9])([^\W\d]\w*'*)")


# ---- layout -----------------------------------------------------------------------------------


def tab(span: Span) -> Diagnostic:
    message = "a line is indented with spaces, found a tab"
    return _error("RNN102", message, span, "write four spaces for each tab")


def top_level_indented(span: Span) -> Diagnostic:
    message = f"this line is indented by {_spaces(span.end_column - 1)}, but no block is open"
    return _error("RNN102", message, span, "definitions and imports start in the first column")


def fits_no_block(span: Span, found: int, inner: int, outer: int) -> Diagnostic:
    message = f"this line is indented by {_spaces(found)}: expected {inner} or {outer}"
    return _error("RNN102", message, span, "lines of one block start in the same column")


def _spaces(count: int) -> str:
    return "1 space" if count == 1 else f"{count} spaces"


# ---- brackets ---------------------------------------------------------------------------------


def unclosed(opener: Span) -> Diagnostic:
    return _error("RNN103", f"'{opener.text}' is never closed", opener)


def closes_nothing(closer: str, span: Span) -> Diagnostic:
    return _error("RNN103", f"'{closer}' closes nothing: no bracket is open", span)


def closes_another(closer: str, span: Span, opener: str, opened: Span) -> Diagnostic:
    wanted = {"(": ")", "[": "]", "{": "}"}[opener]
    note = Note(f"'{opener}' is opened here", opened)
    message = f"expected '{wanted}' to close '{opener}', found '{closer}'"
    return Diagnostic("RNN103", message, span, notes=(note,))


# ---- tokens -----------------------------------------------------------------------------------


def bad_token(
    kind: str, text: str, start: int, end: int, adjoins: bool, span_of: SpanOf
) -> Diagnostic | None:
    """What is wrong with the token of type `kind` at `start`..`end`, if anything.

    `adjoins`: what stands before can have a field, so that `.5` after it is no number.
    """
    if kind == "NUMBER" or (kind == "DOT" and not adjoins):
        return _bad_number(text, start, end, span_of)
    if kind == "NAME" and (found := _SUPERSCRIPT.search(text, start, end)):
        power = "".join(_SUPERSCRIPTS[digit] for digit in found[0])
        name = text[start : found.start()]
        hint = f"for a power write  {name} ^ {power}"
        message = f"'{found[0]}' cannot be part of a name"
        return _error("RNN107", message, span_of(found.start(), found.end()), hint)
    return None


def _bad_number(text: str, start: int, end: int, span_of: SpanOf) -> Diagnostic | None:
    sticking = _STICKING.match(text, end)
    last = sticking.end() if sticking else end
    written = text[start:last]
    if written.startswith(".") and not written[1:2].isdecimal():
        return None
    if last == end:
        return _out_of_range(written, span_of(start, end))
    hints = []
    without = written.replace("_", "")
    product = _NUMBER_THEN_NAME.fullmatch(written)
    if without != written and without.isdecimal():
        hints = [f"write  {without}"]
    elif written.startswith("."):
        hints = [f"write  0{written}"]
    elif written.endswith("."):
        hints = [f"write  {written}0"]
    elif product and product[1] != "0":
        hints = [f"a product needs its sign:  {product[1]}*{product[2]}"]
    return _error("RNN105", f"'{written}' is no number", span_of(start, last), *hints)


def _out_of_range(written: str, span: Span) -> Diagnostic | None:
    if written.isdecimal():
        # The length first: Python refuses to read very long integers.
        if len(written.lstrip("0")) > 19 or int(written.lstrip("0") or "0") > _LARGEST_INTEGER:
            return _error("RNN105", "this integer is too large: 64 bits must hold it", span)
    elif abs(complex(written)) == float("inf"):
        return _error("RNN105", "this number is too large", span, "for infinity write  inf")
    return None


def no_token(text: str, position: int, span_of: SpanOf) -> Diagnostic:
    """What is wrong at a position at which no token starts."""
    character = text[position]
    here = span_of(position, position + 1)
    line = _LINE.match(text, position)
    rest = span_of(position, max(position + 1, line.end() if line else 0))
    if text.startswith('"""', position):
        hint = 'close it with  """'
        return _error("RNN106", "this string has no end", span_of(position, position + 3), hint)
    if character == '"':
        hint = 'close it, or start and end it with  """  if it has several lines'
        return _error("RNN106", "this string has no end in its line", rest, hint)
    if character == "'":
        quoted = _SINGLE_QUOTED.match(text, position)
        if quoted:
            span, hint = span_of(position, quoted.end()), f'write  "{quoted[1]}"'
            return _error("RNN107", "a string is written in double quotes", span, hint)
        return _error("RNN107", "a prime belongs to a name, right after it", here)
    if character == ";":
        return _error("RNN107", "there is no ';': every equation has a line of its own", here)
    if character == "\\":
        hint = "put what is long into brackets: inside them, line breaks do not count"
        return _error("RNN107", "a line is not continued with '\\'", here, hint)
    found = _named(character)
    if character in _MEANT:
        return _error("RNN107", f"{found} is no sign here", here, f"write  {_MEANT[character]}")
    return _error("RNN107", f"{found} has no meaning here", here)


def _named(character: str) -> str:
    if character.isprintable() and not unicodedata.combining(character):
        return f"'{character}'"
    name = unicodedata.name(character, "")
    number = f"U+{ord(character):04X}"
    return f"the character {number} ({name.lower()})" if name else f"the character {number}"


def _error(code: str, message: str, span: Span, *hints: str) -> Diagnostic:
    return Diagnostic(code, message, span, hints=hints)
