"""The rows of gpu.py: networks, sizes, and the least that they cost."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["lstm", "gru", "layer_norm", "grid", "scan"]
DEVICE = os.environ.get("RNNC_BENCHMARK_DEVICE", "cuda")  # to try everything out without one

# An H200, by NVIDIA's data sheet: flops and bytes a second. A barrier of all blocks is assumed.
_PEAK = {"float32": 67e12, "3xtf32": 165e12, "tf32": 495e12, "fp16": 990e12, "bf16": 990e12}
_BANDWIDTH = 4.8e12
_BARRIER = 1.2e-6


@dataclass(frozen=True, slots=True)
class Row:
    """`steps` must follow one another, `flops` is all multiply-adds twice, `read` the bytes that
    come from memory at least once; `goal` is how many milliseconds we want it to take."""

    name: str
    kind: Kind
    sizes: Mapping[str, int]
    extents: Mapping[str, int]
    batch: int
    steps: int
    flops: float
    read: float
    goal: float | None = None
    maths: tuple[str, ...] = field(default=("float32", "tf32", "bf16"))

    def floor_ms(self, math: str) -> float:
        """Nobody is faster: the largest of multiplying, reading, and waiting for each other."""
        busy = max(self.flops / _PEAK[math], self.read / _BANDWIDTH)
        return max(busy, self.steps * _BARRIER) * 1e3


def stack(
    kind: Literal["lstm", "gru", "layer_norm"],
    hidden: int,
    layers: int,
    steps: int,
    batch: int,
    goal: float | None = None,
) -> Row:
    gates = 3 if kind == "gru" else 4
    values = steps * batch * hidden
    weights = 2 * gates * hidden * hidden * layers
    sizes = {"X": hidden, "H": hidden} | ({"L": layers} if kind != "layer_norm" else {})
    label = {"lstm": "LSTM", "gru": "GRU", "layer_norm": "layer-norm LSTM"}[kind]
    return Row(
        f"{label} B{batch} T{steps} H{hidden} L{layers}",
        kind,
        sizes,
        {"T": steps},
        batch,
        steps + layers - 1,
        2.0 * weights * steps * batch,
        4.0 * (weights + 2 * values),
        goal,
    )


def grid(hidden: int, goal: float) -> Row:
    layers, side, batch = 32, 10, 32
    points = layers * side * side
    return Row(
        f"grid RNN L{layers} {side}x{side} B{batch} H{hidden}",
        "grid",
        {"H": hidden, "L": layers},
        {"R": side, "C": side},
        batch,
        layers + 2 * side - 2,
        2.0 * 4 * hidden * hidden * points * batch,
        4.0 * (3 * hidden * hidden * layers + 2 * side * side * batch * hidden),
        goal,
    )


def scan(batch: int, width: int, steps: int, goal: float) -> Row:
    values = float(batch * width * steps)
    name = f"linear scan B{batch} D{width} T{steps}"
    return Row(
        name, "scan", {"D": width}, {"T": steps}, batch, 1, 2 * values, 12 * values, goal,
        ("float32",),
    )  # fmt: skip


ROWS = (
    stack("lstm", 768, 1, 1024, 16, 1.6),
    stack("layer_norm", 768, 1, 1024, 16, 1.6),
    stack("lstm", 256, 32, 64, 256, 2.5),
    stack("lstm", 512, 32, 64, 256, 5),
    stack("lstm", 1024, 32, 64, 256, 15),
    grid(256, 1.5),
    grid(512, 4),
    grid(1024, 9),
    stack("gru", 128, 1, 256, 2048),
    scan(8, 1536, 4096, 0.16),
    stack("lstm", 256, 1, 100, 1),
    stack("lstm", 1024, 1, 100, 1),
    stack("gru", 512, 4, 100, 64),
)
