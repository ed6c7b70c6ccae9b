"""Every architecture of the standard library, timed: `python benchmarks/cells.py`.

    python benchmarks/cells.py --libraries FOLDER --compile      the long part, kept in FOLDER
    python benchmarks/cells.py --libraries FOLDER                the timing alone: about a minute

A row is a model, or a cell run over time. It is called as `rnnc compile` makes it and as
`--order sequential` does: one point of a recurrence after another, in which what lies on no cycle
is computed for all points at once as well. The fastest of interleaved calls, one thread, batch 1,
processor time; both orders have to give the same. The floor is what the matrix products need: the
larger of their flops over the measured multiply-add peak, and of their weights, read once in every
wave that uses them, over the measured bandwidth. Rows go into benchmarks/cells.json, from which
`make cells` takes them; with `--only` the other rows there stay.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
from floor import work
from measuring import Peaks, interleaved
from rnnc.backends.cpu.target import host

from rnnc import driver
from rnnc.analysis.orders import Order
from rnnc.citation import critical_path
from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request, StaticValue
from rnnc.frontend import ast
from rnnc.ir.graph import Graph
from rnnc.ir.signature import extent_names
from rnnc.runtime.model import Model, load
from rnnc.sampling import Array, random_inputs, random_parameters

RESULTS = Path(__file__).with_suffix(".json")
ORDERS: tuple[Order, ...] = ("auto", "sequential")
ROUNDS, SECONDS = 4, 0.03
# Sums in another order differ by rounding, which a long recurrence carries on.
TOLERANCE = 1e-3

WIDTH = 256  # of every size that is not named below
STATICS: Mapping[str, StaticValue] = {"V": 1000, "L": 4, "G": 4, "R": 16}
STEPS = 100  # of every extent that is not named below
EXTENTS = {"R": 28, "C": 28, "D": 8, "Q": 8}
TREE: Mapping[str, int] = {"N": 255, "K": 2}  # complete, of eight levels
TREE_LEVELS = 8
VOLUME = {"T": 6, "R": 6, "C": 6, "D": 6}


@dataclass(frozen=True, slots=True)
class Own:
    """What an architecture has instead of the sizes that all share."""

    statics: Mapping[str, StaticValue] = field(default_factory=dict)
    extents: Mapping[str, int] = field(default_factory=dict)


LONG = {"T": 4096}
OWN = {
    "clockwork": Own(extents={"T": 1000}),
    "dilated": Own({"L": 6}),
    "gradual_pruning": Own({"N": 65536, "start": 10, "ramp": 50, "end": 90, "every": 10}),
    "grid_lstm_3d": Own(extents={"S": 28, "T": 28}),
    "grid_lstm_4d": Own({"H": 64}, {**VOLUME, "D": 4}),
    "linear_recurrence": Own(extents=LONG),
    "lru": Own({"N": 128}, LONG),
    "mamba": Own({"N": 16}, {"T": 1000}),
    "mdlstm_3d": Own({"X": 128, "H": 128}, {"R": 10, "C": 10, "D": 10}),
    "mdlstm_4d": Own({"X": 64, "H": 64}, VOLUME),
    "mdlstm_8way": Own({"X": 128, "H": 128}, {"R": 10, "C": 10, "D": 10}),
    "memn2n_sentences": Own({"J": 8, "M": 50}),
    "mingru": Own(extents=LONG),
    "mingru_log": Own(extents=LONG),
    "minlstm": Own(extents=LONG),
    "minlstm_log": Own(extents=LONG),
    "ntm": Own({"N": 128, "D": 32}),
    "ntm_simple": Own({"N": 128, "D": 32}),
    "neural_deque_rnn": Own({"D": 64}),
    "neural_queue_rnn": Own({"D": 64}),
    "neural_stack_rnn": Own({"D": 64}),
    "onlstm": Own({"C": 16}),
    "ar_fixed": Own({"K": 4}),
    "orthogonal_rnn": Own({"K": 16}),
    "projected_lstm": Own({"P": 128}),
    "qrnn": Own(extents=LONG),
    "qrnn_f": Own(extents=LONG),
    "qrnn_ifo": Own(extents=LONG),
    "s4d": Own({"N": 32}, {"T": 1000}),
    "selective_scan": Own({"N": 16}, {"T": 1000}),
    "slstm": Own({"K": 4, "D": 64}),
    "sru_v1": Own(extents=LONG),
    "stack_rnn": Own({"D": 32}),
    "treelstm_kary": Own({"K": 2}),
}


# ---- rows ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A model, or a cell over time, with all of its sizes."""

    name: str
    source: Source
    model: str
    statics: Mapping[str, StaticValue]
    is_tree: bool

    def compilation(self, order: Order) -> Compilation:
        extents = self.extents(self.graph)
        return Compilation(self.source, Request(self.model, self.statics, extents, order=order))

    @property
    def graph(self) -> Graph:
        return Compilation(self.source, Request(self.model, self.statics)).graph

    def extents(self, graph: Graph) -> dict[str, int]:
        known = {**EXTENTS, **(TREE if self.is_tree else {}), **own(self.name).extents}
        return {name: known.get(name, STEPS) for name in extent_names(graph)}


def own(name: str) -> Own:
    return OWN.get(name, Own())


def rows() -> Iterator[Row]:
    """Every model of the standard library, and every cell that says what its path over time is."""
    for file, module in driver.standard_library().items():
        for definition in module.definitions:
            statics = {
                static.name: own(definition.name).statics.get(
                    static.name, STATICS.get(static.name, WIDTH)
                )
                for static in definition.statics
                if static.default is None
            }
            if isinstance(definition, ast.Model):
                source, model = driver.standard_source(file), definition.name
            elif critical_path(definition.docstring) is not None:
                source, model = Source("cell.rnn", over_time(file, definition)), "over_time"
            else:
                continue
            yield Row(definition.name, source, model, statics, file == "tree")


def over_time(file: str, cell: ast.Cell) -> str:
    """A model that runs a cell along one dimension and gives its first result."""
    names = [static.name for static in cell.statics if static.default is None]
    entry, *states = (argument.name for argument in cell.arguments)
    kind = cell.arguments[0].type
    assert isinstance(kind, ast.TensorType) and kind.shape is not None
    [width] = kind.shape
    assert isinstance(width, ast.Name)
    results = [result.name.removesuffix("'") for result in cell.results]
    return f"""\
from {file} import {cell.name}

model over_time{{{", ".join(names)}}}:
    dim t in 0..T
    input {entry}[t]: [{width.text}]
    {", ".join(f"{name}[t]" for name in results)} = {cell.name}{{{
        ", ".join(f"{name}={name}" for name in names)
    }}}({entry}[t], {", ".join(f"{name}[t-1]" for name in states)})
    output out[t] = {results[0]}[t]
"""


def inputs(row: Row, graph: Graph) -> dict[str, Array]:
    """Random ones, and steps that no state outgrows; the last node of a tree is its root, and every
    level is full."""
    found = random_inputs(graph, row.extents(graph), 1, 0)
    if "delta" in found:
        found["delta"] = np.abs(found["delta"])
    if row.is_tree:
        nodes = np.arange(TREE["N"])
        left, right = (np.maximum(2 * nodes + side - TREE["N"] - 1, -1) for side in (0, 1))
        for name, values in {
            "left": left,
            "right": right,
            "child": np.stack([left, right]),
        }.items():
            if name in found:  # static dims come first, run-time ones as they are written
                shape = found[name].shape[:-1]
                found[name] = (values if values.shape == shape else values.T)[..., None]
    return found


def weights(graph: Graph) -> dict[str, Array]:
    """Random parameters; a mask leaves one entry in ten."""
    random = np.random.default_rng(0)
    return {
        path: random.random(array.shape) < 0.1 if array.dtype == np.bool_ else array
        for path, array in random_parameters(graph, 0).items()
    }


# ---- measuring ----------------------------------------------------------------------------------


def library(row: Row, order: Order, folder: Path | None) -> Model:
    """The compiled row; one that is in `folder` is as good, and one that is not goes there."""
    path = folder / f"{row.name}.{order}{driver.LIBRARY_SUFFIX}" if folder else None
    if path is not None and path.is_file():
        return load(path)
    model = row.compilation(order).load()
    if path is not None:
        model.save(path)
    return model


def measure(row: Row, peaks: Peaks, folder: Path | None) -> dict[str, object]:
    graph = row.graph
    given, parameters = inputs(row, graph), weights(graph)
    bound = {order: library(row, order, folder).bind(parameters) for order in ORDERS}
    extents = row.extents(graph)
    calls = {
        order: partial(model.run, given, extents=extents, threads=1)
        for order, model in bound.items()
    }
    assert_equal(row.name, *(call() for call in calls.values()))
    times = interleaved(calls, ROUNDS, SECONDS, time.process_time)
    best = {order: min(values) for order, values in times.items()}
    needed = work(row.compilation("auto"), extents, 1, TREE_LEVELS * row.is_tree)
    peaks.measure(needed.resident)
    return {
        "date": date.today().isoformat(),
        "statics": row.statics,
        "extents": extents,
        "ms": best["auto"],
        "sequential_ms": best["sequential"],
        "floor_ms": needed.floor_ms(peaks),
    }


def assert_equal(name: str, left: Mapping[str, object], right: Mapping[str, object]) -> None:
    for output, value in left.items():
        one, other = (np.asarray(found, np.float64) for found in (value, right[output]))
        difference = float(np.abs(one - other).max(initial=0))
        scale = max(1.0, float(np.abs(one).max(initial=0)))
        assert difference < TOLERANCE * scale, f"{name}: {output} differs by {difference}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--only", action="append", help="a row by name; repeatable; all")
    parser.add_argument("--libraries", type=Path, help="where compiled rows are kept")
    parser.add_argument("--compile", action="store_true", help="compile, and measure nothing")
    parser.add_argument("--machine", default=str(host()), help="what the rows are measured on")
    options = parser.parse_args()
    found = [row for row in rows() if row.name in (options.only or [row.name])]
    if options.libraries:
        options.libraries.mkdir(parents=True, exist_ok=True)
    if options.compile:
        for row in found:
            for order in ORDERS:
                library(row, order, options.libraries)
        return
    known = json.loads(RESULTS.read_text())["rows"] if RESULTS.is_file() else {}
    wanted = {row.name for row in rows()}
    peaks = Peaks(1)
    print(f"{'':26} {'ms':>9} {'sequential':>11} {'faster by':>10} {'of floor':>9}")
    for row in found:
        known[row.name] = measured = measure(row, peaks, options.libraries)
        print(line(row.name, measured), flush=True)
        kept = {name: known[name] for name in sorted(known) if name in wanted}
        RESULTS.write_text(json.dumps({"machine": options.machine, "rows": kept}, indent=1) + "\n")


def line(name: str, row: Mapping[str, object]) -> str:
    ms, sequential, floor = (float(str(row[f"{part}ms"])) for part in ("", "sequential_", "floor_"))
    return f"{name:26} {ms:9.3f} {sequential:11.3f} {sequential / ms:8.1f} x {floor / ms:9.2f}"


if __name__ == "__main__":
    main()
