"""The rows of peers.py: which network, at which size, and what the peers compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import formulas
import numpy as np
from frameworks import Array, Arrays, Formula

from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request, StaticValue, read_source, standard_source
from rnnc.ir.graph import Graph
from rnnc.sampling import random_inputs

OWN = "peers"  # the models of peers.rnn; all others are the library's


@dataclass(frozen=True, slots=True)
class Case:
    """A network: a model with its sizes; `formula` is what peers compute, of `weights`.

    `operator` is the name of the operator that the peers have for it, or empty. `given` are the
    inputs, in order; the others stay at their defaults. `levels` are those of a tree.
    """

    name: str
    file: str
    model: str
    sizes: Mapping[str, StaticValue]
    extents: Mapping[str, int]
    batch: int
    weights: Callable[[Arrays], Arrays]
    formula: Formula
    operator: str = ""
    given: tuple[str, ...] = ("x",)
    output: str = "y"
    levels: int = 0
    hidden: int = field(default=256)

    def source(self) -> Source:
        if self.file == OWN:
            return read_source(str(Path(__file__).with_name("peers.rnn")))
        return standard_source(self.file)

    def compilation(self) -> Compilation:
        return Compilation(self.source(), Request(self.model, self.sizes, self.extents))

    def inputs(self, graph: Graph) -> dict[str, Array]:
        """Random ones; a tree's last node is its root, and every level is full."""
        found = random_inputs(graph, self.extents, self.batch, 1)
        if self.levels:
            nodes = self.extents["N"]
            for side, name in enumerate(("left", "right")):
                children = np.maximum(2 * np.arange(nodes) + side - nodes - 1, -1)
                shape = (nodes,) + (1,) * (found[name].ndim - 1)
                found[name] = np.broadcast_to(children.reshape(shape), found[name].shape).copy()
        return {name: found[name] for name in self.given}


# (batch, input = hidden, layers, steps)
SHAPES = (
    (1, 64, 1, 100),
    (1, 256, 1, 100),
    (1, 256, 8, 100),
    (1, 512, 4, 100),
    (1, 1024, 1, 100),
    (32, 256, 1, 100),
    (32, 512, 4, 64),
    (64, 512, 4, 100),
    (64, 1024, 2, 32),
    (256, 256, 8, 64),
)
CELLS = ("lstm", "gru", "bigru")


def standard(cell: str, shape: tuple[int, int, int, int]) -> Case:
    """An LSTM, GRU or bidirectional GRU of (batch, input = hidden, layers, steps)."""
    batch, hidden, layers, steps = shape
    sizes: dict[str, StaticValue] = {"X": hidden, "H": hidden, "L": layers}
    name, extents = f"{cell}:{','.join(map(str, shape))}", {"T": steps}
    match cell:
        case "lstm":
            model = ("stacked", "stacked_lstm", sizes)
            functions = (formulas.lstm_weights, formulas.lstm, "LSTM")
        case "gru":
            model = ("stacked", "stacked", {**sizes, "unit": "gru"})
            functions = (formulas.gru_weights, formulas.gru, "GRU")
        case _:
            model = ("bidirectional", "deep_bidirectional", {**sizes, "unit": "gru"})
            functions = (formulas.bidirectional_gru_weights, formulas.bidirectional_gru, "GRU")
    return Case(name, *model, extents, batch, *functions, hidden=hidden)


def standards() -> Iterator[Case]:
    for cell in ("lstm", "gru"):
        for shape in SHAPES:
            yield standard(cell, shape)
    yield standard("bigru", (1, 256, 2, 100))


WIDE: dict[str, StaticValue] = {"X": 256, "H": 256}
TIME = {"T": 100}
IMAGE = {"R": 28, "C": 28}
CLOCKS: dict[str, StaticValue] = {"X": 64, "H": 64, "G": 8, "period": tuple(2**g for g in range(8))}
PLAIN = formulas.plain_weights
OTHERS = (
    Case("layer-norm LSTM B16", OWN, "layer_norm_lstm", WIDE, TIME, 16, PLAIN,
         formulas.layer_norm_lstm),
    Case("peephole LSTM B16", OWN, "peephole", WIDE, TIME, 16, PLAIN, formulas.peephole),
    Case("MUT1 B16", OWN, "mut1_network", {"H": 256}, TIME, 16, PLAIN, formulas.mut1),
    Case("ON-LSTM B16", OWN, "ordered_neurons", {**WIDE, "C": 16}, TIME, 16,
         formulas.ordered_neurons_weights, formulas.ordered_neurons),
    Case("HM-LSTM L3 B16", "hmlstm", "hmlstm_network", {**WIDE, "L": 3}, TIME, 16,
         formulas.hierarchical_weights, formulas.hierarchical),
    Case("clockwork G8 T1000 B1", "clockwork", "clockwork", CLOCKS, {"T": 1000}, 1,
         formulas.clockwork_weights, formulas.clockwork, hidden=512),
    Case("dilated L6 T50 B256", "dilated", "dilated", {**WIDE, "L": 6}, {"T": 50}, 256,
         formulas.lstm_weights, formulas.dilated),
    Case("dilated L6 T50 B1", "dilated", "dilated", {**WIDE, "L": 6}, {"T": 50}, 1,
         formulas.lstm_weights, formulas.dilated),
    Case("MD-LSTM 28x28 B1", "md_rnn", "mdlstm_2d", WIDE, IMAGE, 1,
         formulas.image_lstm_weights, formulas.image_lstm),
    Case("MD-LSTM 4 ways 28x28 B1", "md_rnn", "mdlstm_4way", WIDE, IMAGE, 1,
         formulas.image_lstm_weights, formulas.image_lstm),
    Case("grid RNN L32 10x10 B32", OWN, "grid_rnn", {"H": 256, "L": 32}, {"R": 10, "C": 10}, 32,
         formulas.layered_weights, formulas.grid_rnn),
    Case("grid RNN L32 10x10 B1", OWN, "grid_rnn", {"H": 256, "L": 32}, {"R": 10, "C": 10}, 1,
         formulas.layered_weights, formulas.grid_rnn),
    Case("Grid LSTM L6 T50 B1", "grid_lstm", "grid_lstm_2d", {**WIDE, "L": 6}, {"T": 50}, 1,
         formulas.grid_lstm_weights, formulas.grid_lstm),
    Case("TreeLSTM N255 B1", "tree", "treelstm_nary", WIDE, {"N": 255}, 1,
         formulas.tree_weights, formulas.tree, given=("x", "left", "right"), output="root",
         levels=8),
    Case("TreeLSTM N255 B16", "tree", "treelstm_nary", WIDE, {"N": 255}, 16,
         formulas.tree_weights, formulas.tree, given=("x", "left", "right"), output="root",
         levels=8),
    Case("attention T50 S50 B16", "bahdanau", "bahdanau_decoder",
         {"Y": 256, "A": 512, "H": 256, "K": 256}, {"T": 50, "S": 50}, 16,
         formulas.attention_weights, formulas.attention, given=("y", "a", "s0"), output="state"),
    Case("minGRU T4096 B1", OWN, "mingru_network", WIDE, {"T": 4096}, 1, PLAIN, formulas.mingru),
    Case("diagonal SSM T4096 B1", OWN, "diagonal_ssm", WIDE, {"T": 4096}, 1, PLAIN,
         formulas.diagonal_ssm),
)  # fmt: skip


def cases() -> tuple[Case, ...]:
    return (*standards(), *OTHERS)


def chosen(names: list[str]) -> tuple[Case, ...]:
    """Those with one of the names, or a part of one, in them; also standard cells of any shape.

    Raises KeyError for a name that fits nothing.
    """
    found: list[Case] = []
    for name in names:
        cell, _, shape = name.partition(":")
        if cell in CELLS and shape.count(",") == 3:
            batch, hidden, layers, steps = map(int, shape.split(","))
            found.append(standard(cell, (batch, hidden, layers, steps)))
            continue
        fitting = [case for case in cases() if name in case.name]
        if not fitting:
            raise KeyError(name)
        found += [case for case in fitting if case not in found]
    return tuple(found)
