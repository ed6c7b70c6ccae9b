"""How many threads a call may have."""

from __future__ import annotations

import operator
import os
from functools import cache

from rnnc.runtime.arguments import error


@cache
def processors() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count(threads: int | None) -> int:
    """How many threads a call may have. Raises RNN737."""
    if threads is None:
        return processors()
    try:
        count = operator.index(threads)
    except TypeError:
        count = 0
    if count < 1:
        raise error("RNN737", f"threads must be an int and at least 1, not {threads!r}")
    return min(count, 2**31 - 1)
