"""Pruned networks: sparse weights against the same weights, zeros and all, in float32.

    python benchmarks/sparse.py [--masked] [--density 0.1] [--threads 1] [--rounds 6] [--target cpu]

LSTMs with `weights="sparse"`; with `--masked`, the RNN of the standard library whose masks stand in
the spec, against the plain one. A row is (batch, hidden, steps): the median milliseconds of a call
with dense weights, how many times faster sparse ones are, and by how much their outputs differ at
most. Weights are zero at random.
"""

from __future__ import annotations

import argparse
from functools import partial
from statistics import median

import numpy as np
from measuring import interleaved

from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request, standard_source
from rnnc.runtime.model import BoundModel

SHAPES = tuple((batch, hidden, 50) for batch in (1, 32) for hidden in (256, 512, 1024))
NETWORK = """
from {cell} import {cell}

model network{{X, H}}:
    dim t in 0..T
    input x[t]: [X]
    h[t] = {cell}{{H}}(x[t], h[t-1])
    output y[t] = h[t]
"""


def weighed(hidden: int, density: float, target: str) -> tuple[BoundModel, BoundModel]:
    """An LSTM with dense and with sparse weights."""
    source, sizes = standard_source("stacked"), {"X": hidden, "H": hidden, "L": 1}
    dense = Compilation(source, Request("stacked", sizes, {}, target)).load()
    sparse = Compilation(source, Request("stacked", sizes, {}, target, weights="sparse")).load()
    params, random = dense.random_parameters(0), np.random.default_rng(0)
    for path, array in params.items():
        if array.ndim == 2:
            params[path] = array * (random.random(array.shape) < density)
    return dense.bind(params), sparse.bind(params)


def masked(hidden: int, density: float, target: str) -> tuple[BoundModel, BoundModel]:
    """A plain RNN, and one with masks in its spec."""
    sizes = {"X": hidden, "H": hidden}
    sources = (Source("m.rnn", NETWORK.format(cell=cell)) for cell in ("elman", "sparse_rnn"))
    dense, sparse = (
        Compilation(source, Request(None, sizes, {}, target)).load() for source in sources
    )
    plain, random = dense.random_parameters(0), np.random.default_rng(0)
    given = {path.replace("elman", "sparse_rnn"): array for path, array in plain.items()}
    for name in "WU":
        keep = random.random((hidden, hidden)) < density
        given[f"sparse_rnn.keep_{name}"] = keep
        plain[f"elman.{name}"] = plain[f"elman.{name}"] * keep
    return dense.bind(plain), sparse.bind(given)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--masked", action="store_true")
    parser.add_argument("--density", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--target", default="cpu")
    options = parser.parse_args()
    for batch, hidden, steps in SHAPES:
        x = np.random.default_rng(1).normal(size=(steps, batch, hidden)).astype(np.float32)
        make = masked if options.masked else weighed
        networks = make(hidden, options.density, options.target)
        calls = {
            name: partial(network.run, {"x": x}, threads=options.threads)
            for name, network in zip(("dense", "sparse"), networks, strict=True)
        }
        outputs = [np.asarray(call()["y"]) for call in calls.values()]
        times = interleaved(calls, options.rounds, 0.1)
        base, gain = median(times["dense"]), median(times["dense"]) / median(times["sparse"])
        off = float(np.abs(np.subtract(*outputs)).max())
        row = f"{(batch, hidden, steps)!s:16} {base:8.3f} ms  x{gain:.2f} (off by {off:.1e})"
        print(row, flush=True)


if __name__ == "__main__":
    main()
