"""Pruned LSTMs: sparse weights against the same weights, zeros and all, in float32.

    python benchmarks/sparse.py [--density 0.1] [--threads 1] [--rounds 6] [--target cpu]

A row is (batch, hidden, steps): the median milliseconds of a call with dense weights, how many
times faster sparse ones are, and by how much their outputs differ at most. Weights are zero at
random.
"""

from __future__ import annotations

import argparse
from functools import partial
from statistics import median

import numpy as np
from measuring import interleaved

from rnnc.driver import Compilation, Request, standard_source
from rnnc.runtime.model import BoundModel
from rnnc.weights import WeightType

SHAPES = tuple((batch, hidden, 50) for batch in (1, 32) for hidden in (256, 512, 1024))
TYPES: tuple[WeightType, ...] = ("float32", "sparse")


def network(weights: WeightType, hidden: int, density: float, target: str) -> BoundModel:
    sizes = {"X": hidden, "H": hidden, "L": 1}
    request = Request("stacked", sizes, {}, target, weights=weights)
    model = Compilation(standard_source("stacked"), request).load()
    params, random = model.random_parameters(0), np.random.default_rng(0)
    for path, array in params.items():
        if array.ndim == 2:
            params[path] = array * (random.random(array.shape) < density)
    return model.bind(params)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--density", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--target", default="cpu")
    options = parser.parse_args()
    for batch, hidden, steps in SHAPES:
        x = np.random.default_rng(1).normal(size=(steps, batch, hidden)).astype(np.float32)
        calls = {
            name: partial(
                network(name, hidden, options.density, options.target).run,
                {"x": x},
                threads=options.threads,
            )
            for name in TYPES
        }
        outputs = [np.asarray(call()["y"]) for call in calls.values()]
        times = interleaved(calls, options.rounds, 0.1)
        base, gain = median(times["float32"]), median(times["float32"]) / median(times["sparse"])
        off = float(np.abs(np.subtract(*outputs)).max())
        row = f"{(batch, hidden, steps)!s:16} {base:8.3f} ms  x{gain:.2f} (off by {off:.1e})"
        print(row, flush=True)


if __name__ == "__main__":
    main()
