"""The fenced blocks of a Markdown page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\S*) *$")


@dataclass(frozen=True, slots=True)
class Block:
    """`section` is the nearest `##` heading above; `line` that of the opening fence."""

    language: str
    text: str
    section: str
    line: int


def blocks(page: str) -> list[Block]:
    """All fenced blocks in order; an unclosed one is an error."""
    found: list[Block] = []
    section = ""
    language: str | None = None
    start, body = 0, list[str]()
    for number, line in enumerate(page.splitlines(), 1):
        fence = _FENCE.match(line)
        if language is not None:
            if fence and not fence[1]:
                found.append(Block(language, "\n".join(body) + "\n", section, start))
                language = None
            else:
                body.append(line)
        elif fence:
            language, start, body = fence[1], number, []
        elif line.startswith("## "):
            section = line.removeprefix("## ").strip()
    assert language is None, f"the block that starts in line {start} has no end"
    return found
