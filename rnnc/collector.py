"""Python's garbage collector, which looks through all objects the more often the more are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Nobody looks for garbage among what all stays: a fifth of a compilation, and of a grammar.

    Several threads may pause it; it is back when the one that stopped it is done.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
