"""What work costs on a target, as far as the choice between orders needs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Machine:
    """Seconds, bytes and flops of one core; `levels` are (bytes that fit, bytes per second). By
    default 2 cores of an EPYC with AVX-512."""

    cores: int = 2
    flops: float = 2.1e11
    levels: tuple[tuple[float, float], ...] = (
        (4.8e4, 2e11),
        (1e6, 1.4e11),
        (1.6e7, 7e10),
        (float("inf"), 1.5e10),
    )
    tile: int = 6  # rows that share one reading of the weights
    barrier: float = 1e-6  # with what tasks wait for each other because they are not equally long
    kernel: float = 4e-8
    worth_sharing: float = 64e3  # multiply-adds from which on a wave is shared among cores
    lanes: int = 16
    step: float = 1.5e-9  # of one chain, waiting for the step before
    streams: int = 2  # chains that a core runs in the time of one

    def bandwidth(self, resident: float) -> float:
        """How fast a core reads what is read again and again, if that is so large."""
        return next(speed for size, speed in self.levels if resident <= size)


CPU = Machine()
