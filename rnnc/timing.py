"""Wall-clock measurements."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_WARM_UP_CALLS = 3


@dataclass(slots=True)
class Stopwatch:
    milliseconds: float = 0.0


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Measures its body; the time is there when the body has ended."""
    watch = Stopwatch()
    start = time.perf_counter()
    try:
        yield watch
    finally:
        watch.milliseconds = (time.perf_counter() - start) * 1e3


@dataclass(frozen=True, slots=True)
class Timing:
    """Calls of one function, in milliseconds each."""

    median_ms: float
    best_ms: float
    count: int


def time_calls(call: Callable[[], object], seconds: float) -> Timing:
    """Calls for about `seconds`, at least five times, after a few calls that do not count."""
    for _ in range(_WARM_UP_CALLS):
        call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        with stopwatch() as watch:
            call()
        times.append(watch.milliseconds)
    return Timing(statistics.median(times), min(times), len(times))
