"""Texts that are nearly specs, and specs in layouts that nobody would choose."""

from __future__ import annotations

from importlib.resources import files
from random import Random

from rnnc.diagnostics import DiagnosticSink, Source
from rnnc.frontend import ast
from rnnc.frontend.lexer import CLOSERS, OPENERS
from rnnc.frontend.parser import lex, parse
from rnnc.outline import outline

LIBRARY = {
    entry.name: entry.read_text("utf-8")
    for entry in sorted(files("rnnc.cells").iterdir(), key=lambda entry: entry.name)
    if entry.name.endswith(".rnn")
}

# What a slip of the hand, a paste or another program leaves in a text.
_SLIPS = (
    *"()[]{}:,.;=+-*/@^%<>'\"#\\$?!~\t\r\n \0",
    *(
        "\r\n",
        "\n\n",
        "    ",
        "\n    ",
        "..",
        "->",
        '"""',
        "\ufeff",
        "\u2028",
        "\x0c",
        "é",
        "λ",
        "·",
    ),
    *("x²", "0", "1e999", "9" * 5000, "1.", ".5", "if", "else", "cell", "model m:", "in", "not "),
    *("\ncell f(x) = x\n", "# a remark", "state(", "sum(", "\ud800", "𝔘", "\u0301"),
)


def slip(text: str, random: Random) -> str:
    """The text with a few characters deleted, inserted, replaced or moved."""
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        start = random.randrange(len(text) + 1)
        end = min(len(text), start + random.choice((0, 1, 1, 2, 10, 100)))
        inserted = random.choice(("", random.choice(_SLIPS), text[start:end][::-1]))
        text = text[:start] + inserted + text[end:]
    return text


def parsed(text: str) -> ast.Module:
    """The tree of a text that has no syntax errors."""
    sink = DiagnosticSink()
    module = parse(Source("test.rnn", text), sink)
    sink.raise_errors()
    return module


def meaning(text: str) -> list[object]:
    """A text without its layout: without places, the order of a model's lines, and how
    declarations are shared out among lines."""
    module = parsed(text)
    found: list[object] = [module.docstring, outline(module.imports)]
    for definition in module.definitions:
        rows: dict[str, list[str]] = {}
        for statement in definition.body:
            match statement:
                case ast.Dims(parts) | ast.Params(parts) | ast.Inputs(parts):
                    rows.setdefault(type(statement).__name__, []).extend(map(outline, parts))
                case _:
                    rows.setdefault("Equation", []).append(outline(statement))
        if isinstance(definition, ast.Model):
            rows.setdefault("Equation", []).sort()
        head = [definition.name, definition.docstring, outline(definition.statics)]
        if isinstance(definition, ast.Cell):
            head += [outline(definition.arguments), outline(definition.results)]
        found.append((head, rows))
    return found


def scramble(text: str, random: Random, adds_lines: bool = True) -> tuple[str, list[str]]:
    """The same tokens in another layout.

    With `adds_lines` there are blank lines and remarks at any place; the remarks are returned.
    """
    return _Scrambler(text, random, adds_lines).run()


class _Scrambler:
    def __init__(self, text: str, random: Random, adds_lines: bool) -> None:
        self.adds_lines = adds_lines
        self.chunks = lex(Source("test.rnn", text))
        self.random = random
        self.remarks: list[str] = []
        self.parts: list[str] = []

    def run(self) -> tuple[str, list[str]]:
        for chunk in self.chunks:
            indents = [0]
            depth = 0
            self._between()
            starts_line = True
            before = ""
            for token in chunk.tokens:
                match token.type:
                    case "_INDENT":
                        indents.append(indents[-1] + self.random.choice((1, 2, 4, 7)))
                    case "_DEDENT":
                        indents.pop()
                    case "_NL":
                        if self.adds_lines and self.random.random() < 0.15:
                            self.parts.append("  " + self._remark())
                        self.parts.append(self.random.choice(("\n", "\n", "\r\n", "  \n")))
                        self._between()
                        starts_line = True
                    case kind:
                        if starts_line:
                            self.parts.append(" " * indents[-1])
                        else:
                            self._gap(before, str(token), depth)
                        depth += (kind in OPENERS) - (kind in CLOSERS)
                        self.parts.append(str(token))
                        before = str(token)
                        starts_line = False
        return "".join(self.parts), self.remarks

    def _remark(self) -> str:
        self.remarks.append(f"# remark {len(self.remarks)}")
        return self.remarks[-1]

    def _between(self) -> None:
        while self.adds_lines and self.random.random() < 0.2:
            indent = " " * self.random.choice((0, 0, 4, 4, 8, 3))
            is_blank = self.random.random() < 0.5
            self.parts.append("\n" if is_blank else f"{indent}{self._remark()}\n")

    def _gap(self, before: str, after: str, depth: int) -> None:
        needs_space = (before[-1].isalnum() or before[-1] in "_'") and (
            after[0].isalnum() or after[0] in "_'"
        )
        if depth and self.random.random() < 0.08:
            remark = ""
            again = self.adds_lines and self.random.random() < 0.2
            if self.adds_lines and self.random.random() < 0.4:
                remark = " " + self._remark()
            more = f"  {self._remark()}\n" if again else ""
            self.parts.append(f"{remark}\n{more}" + " " * self.random.randrange(9))
        else:
            self.parts.append(" " * self.random.choice((int(needs_space), 1, 1, 3)))
