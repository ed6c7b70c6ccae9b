"""What the benchmarks share: the processor's measured rates, and interleaved timing."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

_NEAR = 2**19  # bytes that the cache of one core holds on every processor of today


class Peaks:
    """The processor's rates, measured by a C program."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._folder = tempfile.TemporaryDirectory()
        self._program = Path(self._folder.name) / "peaks"
        source = Path(__file__).with_name("peaks.c")
        command = ["cc", "-O3", "-march=native", str(source), "-o", str(self._program), "-lpthread"]
        subprocess.run(command, check=True)
        self._bandwidth: dict[int, float] = {}
        self.gflops, _ = self._measure(512)

    def _measure(self, kilobytes: int) -> tuple[float, float]:
        command = [str(self._program), str(self.threads), str(kilobytes)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        flops, bandwidth = map(float, text.split())
        return flops, bandwidth

    def floor_ms(self, flops: float, read: float, resident: float) -> float:
        """Milliseconds in which nobody can do so much: flops, or bytes read.

        They are read again and again from `resident` bytes, of which each thread has its share. Of
        a share that its own cache does not hold, `_NEAR` bytes are found there all the same: who
        reads backwards every other time begins with what was read last.
        """
        share = max(16 << 10, int(resident) // self.threads)
        near = min(1.0, _NEAR / share)
        seconds = near * read / self._rate(min(share, _NEAR))
        if near < 1:
            seconds += (1 - near) * read / self._rate(share)
        return max(flops / (self.gflops * 1e9), seconds) * 1e3

    def _rate(self, size: int) -> float:
        """Bytes a second of all threads, each reading its own `size` bytes."""
        if size not in self._bandwidth:
            self._bandwidth[size] = self._measure(size >> 10)[1] * 1e9
        return self._bandwidth[size]


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
    pause: float = 0.0,
) -> dict[str, list[float]]:
    """Milliseconds of single calls, by turns: in each round, after `pause` seconds each, each call
    again and again for about `seconds`, at least twice, the first of which does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(pause)
            call()
            end = time.perf_counter() + seconds
            while True:
                start = clock()
                call()
                times[name].append((clock() - start) * 1e3)
                if time.perf_counter() >= end:
                    break
    return times
