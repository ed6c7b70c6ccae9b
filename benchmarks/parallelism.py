"""The chosen order against one point at a time: `python benchmarks/parallelism.py`.

`sequential` (rnnc compile --order sequential) steps through every dim of a recurrence, one after
the other, and computes all of a point's products there; what lies on no cycle (the input products
of a dilated layer, which knows its distance) is computed for all points at once in both orders, and
the kernels are the same. One process, interleaved rounds; the
outputs of both orders are compared before anything is timed. Prints the fastest and the median
call, in ms (of processor time with one thread, of wall time with more), how often faster the chosen
order is by each, and the floor: the larger of the flops over the measured multiply-add peak, and of
the weights, read once in every wave that uses them, over the measured bandwidth at their size.
Writes parallelism.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from floor import work
from measuring import Peaks, interleaved

from rnnc.analysis.orders import Order
from rnnc.driver import Compilation, Request, StaticValue, read_source, standard_source
from rnnc.ir.graph import Graph
from rnnc.sampling import Array, random_inputs, random_parameters

ROUNDS, SECONDS = 8, 0.05
# Sums in another order differ by rounding, which a long recurrence carries on.
TOLERANCE = 1e-3
WIDTH: dict[str, StaticValue] = {"X": 256, "H": 256}


@dataclass(frozen=True, slots=True)
class Case:
    """A model of a library file, or of parallelism.rnn; with `levels`, of a tree so deep."""

    name: str
    file: str
    model: str
    sizes: Mapping[str, StaticValue]
    extents: Mapping[str, int]
    batch: int = 1
    levels: int = 0


OWN = "parallelism"
LAYERS = {**WIDTH, "L": 8}
CLOCKS: dict[str, StaticValue] = {"X": 64, "H": 64, "G": 8, "period": tuple(2**g for g in range(8))}
IMAGE, TREE = {"R": 28, "C": 28}, {"N": 255}
CASES = (
    Case("dilated L=6 T=50", "dilated", "dilated", {**WIDTH, "L": 6}, {"T": 50}),
    Case("dilated L=6 T=1000", "dilated", "dilated", {**WIDTH, "L": 6}, {"T": 1000}),
    Case("MD-LSTM 28x28", "md_rnn", "mdlstm_2d", WIDTH, IMAGE),
    Case("four directions 28x28", "md_rnn", "mdlstm_4way", WIDTH, IMAGE),
    Case("grid L=8 10x10", OWN, "grid", LAYERS, {"R": 10, "C": 10}),
    Case("stacked LSTM L=8 T=100", "stacked", "stacked_lstm", LAYERS, {"T": 100}),
    Case(
        "bidirectional L=4 T=100",
        "bidirectional",
        "deep_bidirectional",
        {**WIDTH, "L": 4},
        {"T": 100},
    ),
    Case("clockwork G=8 T=1000", "clockwork", "clockwork", CLOCKS, {"T": 1000}),
    Case("minGRU T=4096", OWN, "mingru_network", WIDTH, {"T": 4096}),
    Case("TreeLSTM N=255", "tree", "treelstm_nary", WIDTH, TREE, 1, 8),
    Case("TreeLSTM N=255 B=16", "tree", "treelstm_nary", WIDTH, TREE, 16, 8),
)


def compiled(case: Case, order: Order) -> Compilation:
    if case.file == OWN:
        source = read_source(str(Path(__file__).with_name("parallelism.rnn")))
    else:
        source = standard_source(case.file)
    return Compilation(source, Request(case.model, case.sizes, case.extents, order=order))


def inputs(case: Case, graph: Graph) -> dict[str, Array]:
    """Random ones; the tree's last node is its root, and every level is full."""
    found = random_inputs(graph, case.extents, case.batch, 0)
    if case.levels:
        nodes = case.extents["N"]
        for side, name in enumerate(("left", "right")):
            children = np.maximum(2 * np.arange(nodes) + side - nodes - 1, -1)
            shape = (nodes,) + (1,) * (found[name].ndim - 1)
            found[name] = np.broadcast_to(children.reshape(shape), found[name].shape).copy()
    return found


# ---- measuring ----------------------------------------------------------------------------------


def rows(case: Case, peaks: Sequence[Peaks]) -> Iterator[dict[str, object]]:
    """One for each number of threads."""
    chosen = compiled(case, "auto")
    parameters, given = random_parameters(chosen.graph, 0), inputs(case, chosen.graph)
    models = {"sequential": compiled(case, "sequential"), "chosen": chosen}
    bound = {name: made.load().bind(parameters) for name, made in models.items()}
    for measured in peaks:
        threads = measured.threads

        def call(name: str, threads: int = threads) -> Mapping[str, object]:
            return bound[name].run(given, threads=threads)

        assert_equal(case.name, call("sequential"), call("chosen"))
        clock = time.process_time if threads == 1 else time.perf_counter
        calls = {name: partial(call, name) for name in models}
        times = interleaved(calls, ROUNDS, SECONDS, clock)
        best = {name: min(values) for name, values in times.items()}
        median = {name: statistics.median(values) for name, values in times.items()}
        needed = work(chosen, case.extents, case.batch, case.levels)
        measured.measure(needed.resident)
        floor = needed.floor_ms(measured)
        yield {
            "case": case.name,
            "threads": threads,
            "best_ms": best,
            "median_ms": median,
            "faster_by_best": best["sequential"] / best["chosen"],
            "faster_by_median": median["sequential"] / median["chosen"],
            "floor_ms": floor,
            "of_floor": floor / best["chosen"],
        }


def assert_equal(name: str, left: Mapping[str, object], right: Mapping[str, object]) -> None:
    for output, value in left.items():
        difference = float(np.abs(np.asarray(value) - np.asarray(right[output])).max())
        assert difference < TOLERANCE, f"{name}: {output} differs by {difference}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--threads", type=int, action="append", help="repeatable; 1 and 2")
    parser.add_argument("--only", default="", help="cases with this in their name")
    parser.add_argument("--output", type=Path, default=Path("parallelism.json"))
    wanted = parser.parse_args()
    peaks = [Peaks(threads) for threads in wanted.threads or (1, 2)]
    print(f"times in ms, fastest / median; load {os.getloadavg()[0]:.1f}")
    print(f"{'':24} threads {'sequential':>17} {'chosen':>17} {'faster by':>15}    floor of floor")
    found = []
    for case in CASES:
        if wanted.only not in case.name:
            continue
        for row in rows(case, peaks):
            found.append(row)
            print(line(row), flush=True)
    rates = ", ".join(f"{found.threads} threads {found.gflops:.0f} GFLOP/s" for found in peaks)
    print(f"peak {rates}; load {os.getloadavg()[0]:.1f}")
    wanted.output.write_text(json.dumps(found, indent=1) + "\n")


def line(row: dict[str, Any]) -> str:
    best, median = row["best_ms"], row["median_ms"]
    cells = [f"{row['case']:24} {row['threads']:7}"]
    cells += [f"{best[name]:8.2f} /{median[name]:7.2f}" for name in ("sequential", "chosen")]
    cells += [f"{row['faster_by_best']:5.1f} x /{row['faster_by_median']:5.1f} x"]
    return " ".join([*cells, f"{row['floor_ms']:8.2f} {row['of_floor']:8.2f}"])


if __name__ == "__main__":
    main()
