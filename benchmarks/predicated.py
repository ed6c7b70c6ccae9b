"""Clockwork groups, skipped against masked: `python benchmarks/predicated.py`.

One process, interleaved rounds; outputs are compared before anything is timed. `skipped` is what
rnnc does: a group of period m takes every m-th step, and what it keeps is not copied. `masked` is
the same compiler without the passes for that: every group is visited at every step, to compute or
to copy. Prints the median of the best time of each round, and writes predicated.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rnnc.driver import Compilation, Request, StaticValue, run_passes, standard_source
from rnnc.passes.hold_copies import HoldCopies
from rnnc.passes.lower_rates import LowerRates
from rnnc.passes.pipeline import completion, pipeline
from rnnc.passes.rewrite import Pass
from rnnc.passes.stride_domains import StrideDomains
from rnnc.sampling import random_parameters

Call = Callable[[], npt.NDArray[np.float32]]
SKIPPING = (HoldCopies, LowerRates, StrideDomains)
# (steps, batch, size of a group); periods 1, 2, 4, ..., 128
SHAPES = ((1000, 1, 64), (1000, 16, 64), (1000, 1, 256))
GROUPS = 8
ROUNDS, CALLS = 9, 5


def compilation(size: int, skips: bool) -> Compilation:
    periods = tuple(2**group for group in range(GROUPS))
    sizes: dict[str, StaticValue] = {"X": size, "H": size, "G": GROUPS, "period": periods}
    found = Compilation(standard_source("clockwork"), Request("clockwork", sizes))
    if not skips:
        found.optimized = run_passes(found.divided.main, masked(pipeline()))
        found.completed = run_passes(found.optimized, masked(completion()))
    return found


def masked(passes: tuple[Pass, ...]) -> tuple[Pass, ...]:
    return tuple(step for step in passes if not isinstance(step, SKIPPING))


def call(found: Compilation, shape: tuple[int, int, int], threads: int) -> Call:
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    bound = found.load().bind(random_parameters(found.divided.main, 0))
    return lambda: np.asarray(bound(x=x, threads=threads)["y"])


def row(shape: tuple[int, int, int], threads: int) -> dict[str, object]:
    calls = {
        name: call(compilation(shape[-1], name == "skipped"), shape, threads)
        for name in ("masked", "skipped")
    }
    difference = float(np.abs(calls["masked"]() - calls["skipped"]()).max())
    assert difference < 1e-4, f"the outputs differ by {difference} at {shape}"
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, run in calls.items():
            times[name].append(min(measured(run) for _ in range(CALLS)))
    best = {name: statistics.median(values) * 1e3 for name, values in times.items()}
    ratio = best["masked"] / best["skipped"]
    return {"shape": list(shape), "threads": threads, **best, "ratio": ratio}


def measured(run: Call) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("predicated.json"))
    parser.add_argument("--shape", action="append", help="steps,batch,size of a group; repeatable")
    chosen = parser.parse_args()
    shapes = SHAPES
    if chosen.shape:
        shapes = tuple(tuple(map(int, text.split(","))) for text in chosen.shape)  # type: ignore[assignment]
    print(f"{GROUPS} groups, {chosen.threads} threads; times in ms")
    print("  ".join(f"{title:>16}" for title in ("steps,batch,size", "masked", "skipped", "ratio")))
    rows = []
    for shape in shapes:
        found = row(shape, chosen.threads)
        rows.append(found)
        cells = [",".join(map(str, shape))]
        cells += [f"{found[name]:.3f}" for name in ("masked", "skipped", "ratio")]
        print("  ".join(f"{cell:>16}" for cell in cells), flush=True)
    chosen.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
