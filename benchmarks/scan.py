"""minGRU against its own sequential order and a loop-free torch: `python benchmarks/scan.py`.

One process, interleaved rounds; outputs are compared before anything is timed. `chains` is what
rnnc does by itself: every element runs through time on its own. `scan` cuts time into 8 parts that
run at once. `sequential` computes one step after another, with a barrier behind each. torch is
eager: two matrix products, then about log2(T) passes of the doubling scan. Prints the median of the
best time of each round, and writes scan.json.
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

from rnnc.analysis.schedule import Options, schedule
from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request

Array = npt.NDArray[np.float32]
Call = Callable[[], Array]
SPEC = """
from minimal import mingru

model mingru_network{X, H}:
    dim t in 0..T
    input x[t]: [X], h0: [H] = 0
    h[t] = mingru{H}(x[t], h[t-1])
    h[-1] = h0
    output y[t] = h[t]
"""
OPTIONS = {
    "chains": Options(chunks=1),
    "scan": Options(chunks=8),
    "sequential": Options(order="sequential"),
}
# (steps, batch, hidden)
SHAPES = ((4096, 1, 256), (4096, 1, 16), (65536, 1, 16), (512, 32, 256))
ROUNDS, CALLS = 7, 5


def parameters(hidden: int) -> dict[str, Array]:
    random = np.random.default_rng(0)
    bound = hidden**-0.5
    found: dict[str, Array] = {}
    for gate in "zh":
        weight, bias = random.uniform(-bound, bound, (hidden, hidden)), random.uniform(size=hidden)
        found[f"mingru.W_{gate}"] = weight.astype(np.float32)
        found[f"mingru.b_{gate}"] = bias.astype(np.float32)
    return found


def own_call(options: Options, given: dict[str, Array], x: Array, threads: int) -> Call:
    hidden = x.shape[-1]
    compilation = Compilation(Source("mingru.rnn", SPEC), Request(sizes={"X": hidden, "H": hidden}))
    compilation.schedule = schedule(compilation.completed, options)
    bound = compilation.load().bind(given)
    return lambda: np.asarray(bound(x=x, threads=threads)["y"])


def torch_call(given: dict[str, Array], x: Array, threads: int) -> Call:
    import torch

    torch.set_num_threads(threads)
    weights = {name.removeprefix("mingru."): torch.from_numpy(v) for name, v in given.items()}
    tensor = torch.from_numpy(x)

    def call() -> Array:
        with torch.inference_mode():
            gate = torch.sigmoid(tensor @ weights["W_z"].T + weights["b_z"])
            factor = 1 - gate
            state = gate * (tensor @ weights["W_h"].T + weights["b_h"])
            distance = 1
            while distance < len(state):
                state[distance:] += factor[distance:] * state[:-distance]
                factor[distance:] *= factor[:-distance].clone()
                distance *= 2
            return np.asarray(state.numpy())

    return call


def row(shape: tuple[int, int, int], threads: int) -> dict[str, object]:
    steps, batch, hidden = shape
    given = parameters(hidden)
    x = np.random.default_rng(1).normal(size=(steps, batch, hidden)).astype(np.float32)
    calls = {name: own_call(options, given, x, threads) for name, options in OPTIONS.items()}
    found: dict[str, object] = {"shape": list(shape), "threads": threads}
    try:
        calls["torch"] = torch_call(given, x, threads)
    except ImportError as error:
        found["torch"] = f"not installed ({error.name})"
    expected = calls["chains"]()
    for name, call in calls.items():
        difference = float(np.abs(call() - expected).max())
        assert difference < 1e-4, f"{name} differs by {difference} at {shape}"
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            times[name].append(min(measured(call) for _ in range(CALLS)))
    best = {name: statistics.median(values) * 1e3 for name, values in times.items()}
    ratios = {f"{name}_ratio": value / best["chains"] for name, value in best.items()}
    return found | best | ratios


def measured(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("scan.json"))
    parser.add_argument("--shape", action="append", help="steps,batch,hidden; repeatable")
    chosen = parser.parse_args()
    shapes = SHAPES
    if chosen.shape:
        shapes = tuple(tuple(map(int, text.split(","))) for text in chosen.shape)  # type: ignore[assignment]
    names = (*OPTIONS, "torch")
    print(f"{chosen.threads} threads; times in ms, and as multiples of chains")
    print("  ".join(f"{title:>20}" for title in ("steps,batch,hidden", *names)))
    rows = []
    for shape in shapes:
        found = row(shape, chosen.threads)
        rows.append(found)
        cells = [",".join(map(str, shape))]
        for name in names:
            value, ratio = found[name], found.get(f"{name}_ratio")
            cells.append(f"{value:.3f} ({ratio:.2f} x)" if ratio is not None else str(value))
        print("  ".join(f"{cell:>20}" for cell in cells), flush=True)
    chosen.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
