"""What the printer and the parser of the text form (`grammar/rir.lark`) agree on."""

from __future__ import annotations

import re

# Words that mean something where a name could stand.
RESERVED = frozenset(
    (
        *("static", "extent", "output", "in", "if", "full", "over", "and", "floor", "complex"),
        *("true", "false", "none", "inf", "nan"),
    )
)

# Attributes whose value is a polynomial, or a tuple of them: `2` is then no plain integer.
POLYNOMIALS = frozenset(
    (
        ("index", "value"),
        ("eye", "size"),
        ("slice", "start"),
        ("slice", "stop"),
        ("pick", "at"),
        ("reshape", "shape"),
        ("broadcast", "shape"),
    )
)

_PLAIN = re.compile(r"[^\W\d]\w*'*(\.\w+'*)*")


def quoted(name: str) -> str:
    """The name as it stands in the text: bare if it is a plain word, else in back quotes."""
    if _PLAIN.fullmatch(name) and name not in RESERVED:
        return name
    if "`" in name or "\n" in name or not name:
        raise ValueError(f"{name!r} cannot be written as a name")
    return f"`{name}`"


def unquoted(text: str) -> str:
    return text.strip("`")
