"""The canonical format of a file: `rnnc fmt`.

4 spaces, 100 columns. A blank line stands between definitions; inside them, one blank line of the
author's is kept. A model's lines are sorted: dim, input, param, equations, and last the outputs
that no equation reads. Comments stay with what they stand at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rnnc.diagnostics import DiagnosticSink, Source
from rnnc.frontend.format_lines import STEP, Text, layout, layout_cases
from rnnc.frontend.format_structure import Block, Line, Remark, structure
from rnnc.frontend.lexer import CLOSERS, OPENERS
from rnnc.frontend.parser import lex, parse

_ORDER = {"STRING": 0, "DIM": 1, "INPUT": 2, "PARAM": 3}
_EQUATION, _LAST_OUTPUT = 4, 5


def format_source(source: Source, sink: DiagnosticSink) -> str | None:
    """The text in the canonical format; None, and errors in `sink`, if it does not parse.

    Formatting what is formatted changes nothing, and the result means what the text means.
    """
    found = DiagnosticSink()
    parse(source, found)
    for diagnostic in found.found:
        sink.report(diagnostic)
    if found.has_errors:
        return None
    texts: list[Text | None] = []
    file = structure(source, lex(source))
    previous: Line | None = None
    for line in file.lines:
        if texts and (previous is None or _apart(previous, line)):
            texts.append(None)
        texts += _line(line, 0)
        previous = line
    texts += _remarks(file.after, bool(texts))
    return "".join(f"{text}\n" for text in _aligned(texts))


def _apart(previous: Line, line: Line) -> bool:
    """Whether a blank line stands between two top-level lines."""
    if previous.kind == line.kind == "FROM":
        return bool(line.before) and line.starts_apart
    if _is_function(previous) and _is_function(line):
        return line.starts_apart
    return True


def _is_function(line: Line) -> bool:
    return line.kind == "CELL" and line.block is None


# ---- blocks -----------------------------------------------------------------------------------


def _line(line: Line, indent: int) -> Iterator[Text | None]:
    """A line with the remarks before it, without a blank line above them, and its block."""
    if line.before:
        yield from _remarks(line.before, False, indent)
        if line.apart:
            yield None
    yield from layout(line, indent)
    if line.block is not None:
        is_cases = line.kind not in ("CELL", "MODEL")
        yield from _block(line.block, indent + STEP, line.kind == "MODEL", is_cases)


def _block(block: Block, indent: int, is_model: bool, is_cases: bool) -> Iterator[Text | None]:
    lines = _sorted(block.lines) if is_model else block.lines
    cases = layout_cases(lines, indent) if is_cases else []
    for number, line in enumerate(lines):
        if number and line.starts_apart:
            yield None
        if is_cases:
            yield from _remarks(line.before, False, indent)
            if line.before and line.apart:
                yield None
            yield from cases[number]
        else:
            yield from _line(line, indent)
    yield from _remarks(block.after, True, indent)


def _remarks(remarks: Sequence[Remark], follows: bool, indent: int = 0) -> Iterator[Text | None]:
    for number, remark in enumerate(remarks):
        if remark.apart and (number or follows):
            yield None
        yield Text(indent, "", remark.text)


# ---- the order of a model's lines -------------------------------------------------------------


def _sorted(lines: Sequence[Line]) -> list[Line]:
    read = {name for line in lines for name in _names_read(line)}
    return sorted(lines, key=lambda line: _rank(line, read))


def _rank(line: Line, read: set[str]) -> int:
    if line.kind != "OUTPUT":
        return _ORDER.get(line.kind, _EQUATION)
    return _EQUATION if any(name in read for name in _names_defined(line)) else _LAST_OUTPUT


def _names_read(line: Line) -> Iterator[str]:
    """Names on the right of an equation."""
    if line.kind not in ("NAME", "OUTPUT"):
        return
    types = [token.type for token in line.tokens]
    own = line.tokens[types.index("EQUAL") :]
    cases = line.block.lines if line.block is not None else []
    for tokens in (own, *(case.tokens for case in cases)):
        yield from (str(token) for token in tokens if token.type == "NAME")


def _names_defined(line: Line) -> Iterator[str]:
    """The targets of an output."""
    depth = 0
    before = ""
    for token in line.tokens:
        if token.type == "EQUAL":
            return
        if depth == 0 and before in ("OUTPUT", "COMMA"):
            yield str(token)
        depth += (token.type in OPENERS) - (token.type in CLOSERS)
        before = token.type


# ---- comments at the ends of lines ------------------------------------------------------------


def _aligned(texts: Iterable[Text | None]) -> Iterator[str]:
    """Lines of text; comments at the ends of consecutive lines start in the same column."""
    run: list[Text] = []
    for text in texts:
        has_comment = text is not None and text.comment is not None and not text.is_remark
        if run and not (has_comment and text is not None and text.indent == run[0].indent):
            yield from _with_comments(run)
            run = []
        if text is not None and has_comment:
            run.append(text)
        elif text is None:
            yield ""
        elif text.is_remark:
            yield " " * text.indent + (text.comment or "")
        else:
            yield " " * text.indent + text.text
    if run:
        yield from _with_comments(run)


def _with_comments(run: Sequence[Text]) -> Iterator[str]:
    widest = max(text.width for text in run)
    for text in run:
        yield f"{' ' * text.indent}{text.text}".ljust(widest) + f"  {text.comment}"
