"""LSTMs with weights in narrow types against float32: what they gain and what they cost.

    python benchmarks/weights.py [--threads 2 --threads 1] [--rounds 5] [--output weights.json]

A row is (batch, hidden, layers, steps): the median milliseconds of a call in float32, how many
times faster each narrow type is, and by how much its outputs differ at most. All types of a row
take turns in one process. The rows go into the file as JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from measuring import interleaved

from rnnc.atomic import write_text
from rnnc.driver import Compilation, Request, standard_source
from rnnc.runtime.model import BoundModel
from rnnc.weights import WeightType

SHAPES = (
    (1, 256, 1, 100),
    (1, 512, 4, 100),
    (1, 1024, 1, 100),
    (16, 512, 2, 64),
    (64, 512, 2, 64),
)
TYPES: tuple[WeightType, ...] = ("float32", "bf16", "int8")
SECONDS, PAUSE = 0.08, 0.01


def network(weights: WeightType, hidden: int, layers: int, steps: int) -> BoundModel:
    sizes = {"X": hidden, "H": hidden, "L": layers}
    request = Request("stacked_lstm", sizes, {"T": steps}, weights=weights)
    model = Compilation(standard_source("stacked"), request).load()
    return model.bind(model.random_parameters(0))


def measured(
    shape: tuple[int, int, int, int],
    models: Mapping[WeightType, BoundModel],
    threads: int,
    rounds: int,
) -> dict[str, object]:
    """One row: milliseconds, gains and costs by type."""
    batch, hidden, _, steps = shape
    x = np.random.default_rng(0).normal(size=(steps, batch, hidden)).astype(np.float32)
    calls = {name: partial(model.run, {"x": x}, threads=threads) for name, model in models.items()}
    outputs = {name: np.asarray(call()["y"]) for name, call in calls.items()}
    times = interleaved(calls, rounds, SECONDS, pause=PAUSE)
    ms = {name: median(found) for name, found in times.items()}
    costs = {
        name: float(np.abs(np.subtract(y, outputs["float32"])).max()) for name, y in outputs.items()
    }
    gains = {name: ms["float32"] / value for name, value in ms.items()}
    return {"shape": shape, "threads": threads, "ms": ms, "gains": gains, "costs": costs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, action="append", help="repeatable; 2 and 1 without")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("weights.json"))
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    for shape in SHAPES:
        models = {name: network(name, *shape[1:]) for name in TYPES}
        for threads in options.threads or [2, 1]:
            row = measured(shape, models, threads, options.rounds)
            rows.append(row)
            write_text(options.output, json.dumps(rows, indent=1))
            print(line(row), flush=True)


def line(row: Mapping[str, object]) -> str:
    ms, gains, costs = row["ms"], row["gains"], row["costs"]
    assert isinstance(ms, dict) and isinstance(gains, dict) and isinstance(costs, dict)
    narrow = (f"{n} x{gains[n]:.2f} (off by {costs[n]:.1e})" for n in TYPES[1:])
    first = f"{row['shape']!s:20}  {row['threads']} threads  {ms['float32']:8.3f} ms"
    return "  ".join([first, *narrow])


if __name__ == "__main__":
    main()
