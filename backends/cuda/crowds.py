"""Many rows: which tiles blocks compute, and from how many rows on a loop is better off with them.

Weights that stay on the chip are multiplied where they are: every block reads the vectors of all
rows for its few columns. With many rows that is more than tiles of blocks read, weights and all, in
every wave. What each processor reads of a wave decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from rnnc.plan.plan import Buffer, Kernel, Levels, Plan, Waves, kernels_of
from rnnc.weights import MathType

from ..tensorir.packing import Products, products
from .capacity import Chip, Residence
from .divided import row_digits
from .steps import are_rows_apart, loops_of
from .tiles import COLUMNS, LANES, ROWS, BlockTile, block_tile

_ALL = 1 << 14  # rows of what is computed for all points at once
_LOOP = 256  # rows of a wave that tiles are made for
_STEP = 32
_MOST = 1024
_WORTH = 2 / 3  # tiles wait for their weights


@dataclass(frozen=True, slots=True)
class Crowd:
    """From `rows` rows with the same weights on, a loop computes its products in `tiles`, by
    kernel."""

    rows: int
    tiles: Mapping[str, BlockTile]


def tile_of_launch(kernel: Kernel, found: Products, math: MathType, chip: Chip) -> BlockTile | None:
    """Of a kernel that computes all its points at once; None: rows are never many."""
    if math == "float32":
        return None
    digits = len(row_digits(kernel))
    return block_tile(found, math, digits, _ALL, points_of(found), chip.processors)


def crowd(step: Waves | Levels, plan: Plan, residence: Residence, chip: Chip) -> Crowd | None:
    """None: its rows are never many."""
    if plan.math == "float32" or any(isinstance(loop, Levels) for loop in loops_of((step,))):
        return None
    named = {buffer.name: buffer for buffer in plan.buffers}
    tiles: dict[str, BlockTile] = {}
    for kernel, found in multiplying(step, named):
        digits = len(row_digits(kernel))
        points = points_of(found)
        own = block_tile(found, plan.math, digits, _LOOP, points, chip.processors)
        if own is None or not kernel.batched:
            return None
        tiles[kernel.name] = own
    if not tiles:
        return None
    groups = chip.processors // residence.blocks if residence.blocks else 1
    groups = groups if are_rows_apart(step, plan.buffers) else 1
    for rows in range(_STEP, _MOST + 1, _STEP):
        few = many = 0.0
        for kernel, found in multiplying(step, named):
            own = tiles[kernel.name]
            few += _few(kernel, found, plan.math, residence, chip, rows, groups)
            turns = -(-points_of(found) * own.count(found, rows) // chip.processors)
            many += turns * _read(found, plan.math, own.rows, own.columns)
        if many < _WORTH * few:
            return Crowd(rows, tiles)
    return None


def multiplying(
    step: Waves | Levels, buffers: Mapping[str, Buffer]
) -> list[tuple[Kernel, Products]]:
    """The kernels of a step that have products."""
    made = ((kernel, products(kernel, buffers, LANES)) for kernel in kernels_of((step,)))
    return [(kernel, found) for kernel, found in made if found is not None]


def points_of(found: Products) -> int:
    """How many points have weights of their own."""
    ranges = {
        loop.name: loop.upper - loop.lower
        for step in found.passes
        for factor in step.factors
        for loop in factor.loops
    }
    return prod(ranges.values())


def _few(
    kernel: Kernel,
    found: Products,
    math: MathType,
    residence: Residence,
    chip: Chip,
    rows: int,
    groups: int,
) -> float:
    """What a processor reads of a wave that is computed as if rows were few."""
    placed = residence.of(kernel)
    if placed is not None and placed.is_resident:
        mine = -(-rows // (groups * ROWS)) * ROWS
        return placed.each * _read(found, math, mine, 0)
    items = -(-rows // ROWS) * -(-found.shape.columns // COLUMNS) * points_of(found)
    return -(-items // chip.processors) * _read(found, math, ROWS, COLUMNS)


def _read(found: Products, math: MathType, rows: int, columns: int) -> float:
    """Floats of a tile: vectors of its rows, weights of its columns of all sums."""
    group = 2 if math in ("bf16", "fp16") else 1
    return sum(
        factor.depth * (rows + len(step.slots) * columns / group)
        for step in found.passes
        for factor in step.factors
    )
