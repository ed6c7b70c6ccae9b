"""Many rows: which tiles blocks compute, and from how many rows on a loop is better off with them.

Weights that stay on the chip are multiplied where they are: every block reads the vectors of all
rows for its few columns. With many rows that is more than tiles of blocks read, weights and all, in
every wave. The time of a processor decides. What is computed for all points at once is computed in
small tiles, too, where large ones would leave processors without any.
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
from .tiles import COLUMNS, LANES, PLAIN_ROWS, ROWS, BlockTile, block_tile

_ALL = 1 << 14  # rows of what is computed for all points at once
_LOOP = 256  # rows of a wave that tiles are made for
_STEP = 32
_MOST = 1024
# In the time of a float (a cycle brings 24 bytes): 128 of a cycle, 1024 on tensor cores.
_PRODUCTS, _ON_CORES = 21, 170
_WORTH = 2 / 3  # tiles wait for their weights


@dataclass(frozen=True, slots=True)
class Crowd:
    """From `rows` rows with the same weights on, a loop or a kernel that stands alone computes its
    products in `tiles`, by kernel."""

    rows: int
    tiles: Mapping[str, BlockTile]


def crowd_of_launch(kernel: Kernel, found: Products, math: MathType, chip: Chip) -> Crowd | None:
    """Of a kernel that computes all its points at once; None: its rows are never many."""
    points, digits = points_of(found), len(row_digits(kernel))
    tile = block_tile(found, math, digits, _ALL, points, chip.processors)
    if tile is None:
        return None
    for rows in range(_STEP, _ALL, _STEP):
        turns = -(-points * tile.count(found, rows) // chip.processors)
        many = turns * _time(found, math, tile.rows, tile.columns)
        if many < _WORTH * _few(found, math, chip, rows):
            return Crowd(rows, {kernel.name: tile})
    return None


def crowd(step: Waves | Levels, plan: Plan, residence: Residence, chip: Chip) -> Crowd | None:
    """None: its rows are never many."""
    if any(isinstance(loop, Levels) for loop in loops_of((step,))):
        return None
    if plan.math == "float32" and residence.blocks:
        return None  # without tensor cores sums take longer than what they read
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
            placed = residence.of(kernel)
            if placed is not None and placed.is_resident:
                mine = -(-rows // (groups * ROWS)) * ROWS
                few += placed.each * _time(found, plan.math, mine, 0)
            else:
                few += _few(found, plan.math, chip, rows)
            turns = -(-points_of(found) * own.count(found, rows) // chip.processors)
            many += turns * _time(found, plan.math, own.rows, own.columns)
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


def _few(found: Products, math: MathType, chip: Chip, rows: int) -> float:
    """The time of a processor where rows are computed as if they were few, and no weights stay."""
    plain = math == "float32"
    height, width = (PLAIN_ROWS, found.columns) if plain else (ROWS, COLUMNS)
    items = -(-rows // height) * -(-found.shape.columns // width) * points_of(found)
    return -(-items // chip.processors) * _time(found, math, height, width)


def _time(found: Products, math: MathType, rows: int, columns: int) -> float:
    """Of a tile, in floats that a processor reads of vectors of its rows and weights of its columns
    of all sums; or in which it multiplies them."""
    group = 2 if math in ("bf16", "fp16") else 1
    return sum(
        factor.depth
        * max(
            rows + len(step.slots) * columns / group,
            rows * len(step.slots) * columns / (_PRODUCTS if math == "float32" else _ON_CORES),
        )
        for step in found.passes
        for factor in step.factors
    )
