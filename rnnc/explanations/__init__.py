"""What each diagnostic code means: one Markdown file a code, shown by `rnnc explain CODE`.

`docs/diagnostics.md` is the same texts in one page; a test holds them together.
"""

from __future__ import annotations

import re
from importlib.resources import files

CODE = re.compile(r"RNN\d{3}")


def explained_codes() -> tuple[str, ...]:
    """All codes that have a text, in order."""
    names = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".md") for name in names if name.endswith(".md")))


def explanation(code: str) -> str | None:
    """The Markdown text of `code`, which starts with `# CODE: title`; None for an unknown code."""
    entry = files(__name__) / f"{code}.md"
    if not CODE.fullmatch(code) or not entry.is_file():
        return None
    return entry.read_text(encoding="utf-8")


def title(code: str) -> str:
    """The first line of a text without the code."""
    text = explanation(code)
    assert text is not None
    return text.partition("\n")[0].partition(": ")[2]
