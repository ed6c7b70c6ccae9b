"""What the benchmarks share: the processor's measured rates, and interleaved timing."""

from __future__ import annotations

import atexit
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_NEAR = 2**19  # bytes that the cache of one core holds on every processor of today


# When this is imported: libraries may bind the process to fewer.
_PROCESSORS = sorted(os.sched_getaffinity(0))


@dataclass(slots=True)
class Peaks:
    """What so many processors can do: of several measurements the best.

    One alone may find a processor that somebody else uses, or that sleeps.
    """

    threads: int
    gflops: float = 0.0
    # GB/s of all threads, by the bytes that each of them reads again and again.
    bandwidth: dict[int, float] = field(default_factory=dict)

    def measure(self, resident: float) -> None:
        """Measures, once more, what the floor of so many resident bytes asks for."""
        for size in self._sizes(resident):
            processors = map(str, _PROCESSORS[: self.threads])
            command = [str(_program()), str(size >> 10), *processors]
            text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            gflops, bandwidth = map(float, text.split())
            self.gflops = max(self.gflops, gflops)
            self.bandwidth[size] = max(self.bandwidth.get(size, 0.0), bandwidth)

    def floor_ms(self, flops: float, read: float, resident: float) -> float:
        """Milliseconds in which nobody can do so much: flops, or bytes read. It was measured.

        They are read again and again from `resident` bytes, of which each thread has its share. Of
        a share that its own cache does not hold, `_NEAR` bytes are found there all the same: who
        reads backwards every other time begins with what was read last.
        """
        sizes = self._sizes(resident)
        near = min(1.0, _NEAR / sizes[-1])
        reading = near * read / self._rate(sizes[0]) + (1 - near) * read / self._rate(sizes[-1])
        return max(flops / self.gflops, reading) / 1e6

    def _rate(self, size: int) -> float:
        """What is read from more bytes is read as fast from fewer."""
        return max(rate for measured, rate in self.bandwidth.items() if measured >= size)

    def _sizes(self, resident: float) -> tuple[int, ...]:
        """What each thread reads from its own cache, and, where that is not all, from beyond."""
        share = max(16 << 10, int(resident) // self.threads)
        return (share,) if share <= _NEAR else (_NEAR, share)


@cache
def _program() -> Path:
    """peaks.c, compiled for this processor."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    program = Path(folder.name) / "peaks"
    source = Path(__file__).with_name("peaks.c")
    command = ["cc", "-O3", "-march=native", str(source), "-o", str(program), "-lpthread"]
    subprocess.run(command, check=True)
    return program


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
    pause: float = 0.0,
) -> dict[str, list[float]]:
    """Milliseconds of single calls, by turns: in each round, after `pause` seconds each, each call
    again and again for about `seconds`, at least twice, the first of which does not count. A call
    that takes five times as long is made once: it needs no other one before it."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(pause)
            start = time.perf_counter()
            found = [_milliseconds(call, clock)]
            end = time.perf_counter() + seconds
            if end - start < 6 * seconds:
                found = [_milliseconds(call, clock)]
                while time.perf_counter() < end:
                    found.append(_milliseconds(call, clock))
            times[name] += found
    return times


def _milliseconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return (clock() - start) * 1e3
