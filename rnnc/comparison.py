"""Which of two libraries of one model is faster: measured by turns, after they have agreed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from rnnc.ir.graph import Graph
from rnnc.runtime.artifact import Artifact
from rnnc.runtime.model import BoundModel, Model
from rnnc.sampling import random_inputs, random_parameters
from rnnc.verification import difference_allowed

_BURST = 0.01  # seconds of calls of one library before it is the other's turn
_FEWEST_ROUNDS = 4
_BINDINGS = 3  # where memory happens to lie is worth some percent: each binding lies elsewhere
_AGREEING_EXTENT = 7  # long recurrences magnify rounding


@dataclass(frozen=True, slots=True)
class Comparison:
    """`graph` on made-up arrays of these extents, for each of `batches`, `seconds` long."""

    graph: Graph
    extents: Mapping[str, int]
    batches: Sequence[int]
    threads: int | None
    seconds: float

    def __call__(self, old: Artifact, new: Artifact) -> tuple[float, ...] | None:
        """How many times faster the new one is for each batch; None if they disagree."""
        params = random_parameters(self.graph, 0)
        pair = [Model(old), Model(new)]
        ratios: list[list[float]] = [[] for _ in self.batches]
        for _ in range(_BINDINGS):
            models = [model.bind(params) for model in pair]
            for batch, found in zip(self.batches, ratios, strict=True):
                if not self._agree(models, batch):
                    return None
                found += self._ratios(models, batch)
        return tuple(statistics.median(found) for found in ratios)

    def _agree(self, models: Sequence[BoundModel], batch: int) -> bool:
        extents = {name: min(n, _AGREEING_EXTENT) for name, n in self.extents.items()}
        inputs = random_inputs(self.graph, extents, batch, 1)
        one, other = (model.run(inputs, threads=self.threads) for model in models)
        return all(
            np.allclose(other[name], one[name], 0, difference_allowed(one[name]), equal_nan=True)
            for name in one
        )

    def _ratios(self, models: Sequence[BoundModel], batch: int) -> list[float]:
        """Of rounds in which each is called for a moment."""
        inputs = random_inputs(self.graph, self.extents, batch, 0)
        calls = [partial(model.run, inputs, threads=self.threads) for model in models]
        for call in calls:
            call()
        ratios: list[float] = []
        end = time.perf_counter() + self.seconds / _BINDINGS
        while len(ratios) < _FEWEST_ROUNDS or time.perf_counter() < end:
            # Each begins every other round: what the last one left in the caches helps nobody.
            turn = len(ratios) % 2
            times = {which: _fastest(calls[which]) for which in (turn, 1 - turn)}
            ratios.append(times[0] / times[1])
        return ratios


def _fastest(call: Callable[[], object]) -> float:
    """Seconds of the fastest call of a burst, at least two of which are made."""
    found: list[float] = []
    end = time.perf_counter() + _BURST
    while len(found) < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)
