"""In which order other frameworks stack the gates of a cell into one matrix.

rnnc's cells have one matrix a gate, so that nobody needs to know; importers look it up here. Gates
go by the names of rnnc's `lstm` and `gru`: i, f, g, o and r, z, n.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Framework = Literal["torch", "cudnn", "onnx", "keras"]
Cell = Literal["lstm", "gru"]

# ONNX and Keras call g `c`; Keras and ONNX call n `h`. torch, Keras and ONNX with
# linear_before_reset=1 compute rnnc's gru; ONNX's default is its reset_after=false.
GATE_ORDERS: Mapping[tuple[Framework, Cell], tuple[str, ...]] = {
    ("torch", "lstm"): ("i", "f", "g", "o"),
    ("cudnn", "lstm"): ("i", "f", "g", "o"),
    ("onnx", "lstm"): ("i", "o", "f", "g"),
    ("keras", "lstm"): ("i", "f", "g", "o"),
    ("torch", "gru"): ("r", "z", "n"),
    ("cudnn", "gru"): ("r", "z", "n"),
    ("onnx", "gru"): ("z", "r", "n"),
    ("keras", "gru"): ("z", "r", "n"),
}

# The three peephole vectors of ONNX's LSTM; its g has none.
ONNX_PEEPHOLES = ("i", "o", "f")


def split_gates(
    stacked: Array, framework: Framework, cell: Cell, axis: int = 0
) -> dict[str, Array]:
    """The part of every gate of an array that holds them all along `axis`.

    Frameworks that multiply rows (Keras) stack along the last axis and need a transpose as well.
    """
    gates = GATE_ORDERS[framework, cell]
    return dict(zip(gates, np.split(stacked, len(gates), axis), strict=True))
