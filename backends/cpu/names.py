"""Names of a spec as names in C."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Of C, C++, the structs of the header and the runtime.
_TAKEN = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const
const_cast constexpr continue decltype default delete do double dynamic_cast else enum explicit
export extern false float for friend goto if inline int long mutable namespace new noexcept not
not_eq nullptr operator or or_eq private protected public register reinterpret_cast restrict return
short signed sizeof static static_assert static_cast struct switch template this thread_local throw
true try typedef typeid typename typeof union unsigned using virtual void volatile wchar_t while xor
xor_eq batch threads strides workspace workspace_size pool rnnc
"""
_KEYWORDS = frozenset(_TAKEN.split())


def c_name(text: str) -> str:
    """A name in C: `lstm[0].W_i` is `lstm_0_W_i`, `h'` is `h_next`."""
    name = re.sub(r"\W+", "_", text.replace("'", "_next"), flags=re.ASCII).strip("_") or "_"
    return name + "_" if name in _KEYWORDS or name[0].isdigit() else name


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
