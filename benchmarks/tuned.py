"""How much `rnnc tune` gains over the default tilings: what there is to gain, they leave.

    python benchmarks/tuned.py [--budget 30] [--threads 2] [--output tuned.json] [ROW ...]

Each row of peers.py that is named, or a choice of them, is tuned for so many seconds, into a file
of its own; then the default and what was found take turns. `gain` is the default's time over that
of the tuned library, medians of calls. The rows go into the file as JSON, behind those in it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

from measuring import interleaved
from peer_cases import Case, chosen

from rnnc.atomic import write_text
from rnnc.comparison import Comparison
from rnnc.driver import Compilation
from rnnc.registry import find_backend

# Bound by bandwidth and by arithmetic, of one kernel and of many; rows that are points of a wave.
ROWS = (
    "lstm:1,256,1,100",
    "gru:1,512,1,100",
    "lstm:1,80,1,100",
    "lstm:32,256,1,100",
    "gru:64,512,1,32",
    "peephole LSTM B16",
    "MUT1 B16",
    "dilated L6 T50 B1",
    "TreeLSTM N255 B16",
)
ROUNDS, SECONDS, PAUSE = 7, 0.08, 0.01


@dataclass(frozen=True, slots=True)
class Row:
    """One network: milliseconds, how many comparisons were made, and the better tilings found."""

    case: str
    threads: int
    default_ms: float
    tuned_ms: float
    tried: int
    found: tuple[str, ...]

    @property
    def gain(self) -> float:
        return self.default_ms / self.tuned_ms


def measured(case: Case, threads: int, seconds: float) -> Row:
    """Tunes and times one network."""
    plain = case.compilation()
    graph = plain.graph
    default = Compilation(plain.source, replace(plain.request, tuned=False)).load()
    compare = Comparison(graph, case.extents, (case.batch,), threads, min(1.0, seconds / 40))
    backend, _ = find_backend("cpu")
    tried = sum(1 for _ in backend.tune(plain.plan, plain.origin, compare, seconds))
    tuned = plain.load()
    inputs = case.inputs(graph)
    calls = {
        name: partial(model.bind(model.random_parameters(0)).run, inputs, threads=threads)
        for name, model in (("default", default), ("tuned", tuned))
    }
    times = interleaved(calls, ROUNDS, SECONDS, pause=PAUSE)
    before, after = median(times["default"]), median(times["tuned"])
    return Row(case.name, threads, before, after, tried, tuned.manifest.tuned)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="a row of peers.py")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of tuning a row")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("tuned.json"))
    options = parser.parse_args()
    known = json.loads(options.output.read_text()) if options.output.exists() else []
    for case in chosen(options.rows or list(ROWS)):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["RNNC_TILINGS"] = str(Path(folder) / "tilings.json")
            row = measured(case, options.threads, options.budget)
        known.append(asdict(row))
        write_text(options.output, json.dumps(known, indent=1))
        times = f"{row.default_ms:9.4g} ms  tuned {row.tuned_ms:9.4g} ms  gain {row.gain:.3f}"
        print(f"{row.case:20}  {row.threads} threads  {times}  of {row.tried}", flush=True)
        for text in row.found:
            print(f"    {text}", flush=True)


if __name__ == "__main__":
    main()
