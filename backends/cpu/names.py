"""Names of a spec as names in C."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..tensorir.reserved import KEYWORDS

# Members of the structs of the header, and what the runtime's names begin with.
_TAKEN = KEYWORDS | {"batch", "threads", "strides", "workspace", "workspace_size", "pool", "rnnc"}


def c_name(text: str) -> str:
    """A name in C: `lstm[0].W_i` is `lstm_0_W_i`, `h'` is `h_next`."""
    name = re.sub(r"\W+", "_", text.replace("'", "_next"), flags=re.ASCII).strip("_") or "_"
    return name + "_" if name in _TAKEN or name[0].isdigit() else name


def c_names(texts: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """A name for each, no two alike."""
    found: list[str] = []
    known = set(taken)
    for text in texts:
        name = own = c_name(text)
        number = 1
        while name in known:
            number += 1
            name = f"{own}_{number}"
        known.add(name)
        found.append(name)
    return found
