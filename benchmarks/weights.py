"""LSTMs with weights in narrow types against float32: what they gain and what they cost.

    python benchmarks/weights.py [--threads 2] [--rounds 6]

A row is (batch, hidden, layers, steps): the median milliseconds of a call in float32, how many
times faster each narrow type is, and by how much its outputs differ at most.
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

SHAPES = ((1, 1024, 1, 100), (1, 512, 4, 100), (1, 256, 1, 100), (32, 512, 2, 64))


def network(weights: WeightType, hidden: int, layers: int, steps: int) -> BoundModel:
    sizes = {"X": hidden, "H": hidden, "L": layers}
    request = Request("stacked_lstm", sizes, {"T": steps}, weights=weights)
    model = Compilation(standard_source("stacked"), request).load()
    return model.bind(model.random_parameters(0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    types: tuple[WeightType, ...] = ("float32", "bf16", "int8")
    for batch, hidden, layers, steps in SHAPES:
        x = np.random.default_rng(0).normal(size=(steps, batch, hidden)).astype(np.float32)
        calls = {
            name: partial(
                network(name, hidden, layers, steps).run, {"x": x}, threads=options.threads
            )
            for name in types
        }
        outputs = {name: np.asarray(call()["y"]) for name, call in calls.items()}
        times = interleaved(calls, options.rounds, 0.1)
        base = median(times["float32"])
        row = [f"{base:8.3f} ms"]
        for name in types[1:]:
            gain = base / median(times[name])
            cost = float(np.abs(np.subtract(outputs[name], outputs["float32"])).max())
            row.append(f"{name} x{gain:.2f} (off by {cost:.1e})")
        print(f"{(batch, hidden, layers, steps)!s:20}", *row, sep="  ", flush=True)


if __name__ == "__main__":
    main()
