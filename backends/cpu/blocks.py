"""The rows of a work item whose weights are int8: rounded once, for all column tiles.

for column tile, block of rows:           for block of rows:
    round the rows of the block     ->        round its rows
    multiply                                  for column tile: multiply
"""

from __future__ import annotations

from ..tensorir.elements import Emitter
from ..tensorir.layout import Environment, Layout
from ..tensorir.packing import Factor, Products, VectorKey
from ..tensorir.tir import Buffer, Builder, Expr, int64
from ..tensorir.words import INT8
from .integers import RoundedRows

_NARROWER = 4  # bytes of a float: so many times the rows stay in the same cache
_MOST_BYTES = 1 << 15  # of codes, which lie on the stack


class Block:
    """Room for up to `rows` rows of the vectors that a kernel multiplies."""

    def __init__(self, b: Builder, layout: Layout, found: Products, rows: int) -> None:
        self.b, self.layout, self.rows, self._lanes = b, layout, rows, found.lanes
        self._vectors = distinct(found)
        self._rounded = {
            key: RoundedRows.of(b, layout.places[factor.vector.buffer].memory, factor.depth, rows)
            for key, factor in self._vectors.items()
        }

    def place(self, row: Expr | int, env: Environment, batch: Expr) -> None:
        """Say at which point and batch row the block's row `row` stands."""
        for key, factor in self._vectors.items():
            place_row(self.b, self.layout, factor, self._rounded[key].offsets, row, env, batch)

    def round(self, rows: Expr | int) -> None:
        """The first so many rows; all are placed."""
        for rounded in self._rounded.values():
            rounded.round(self.b, rows, self._lanes)

    def rows_of(self, factor: Factor) -> RoundedRows:
        """What a factor multiplies."""
        return self._rounded[factor.key]


def rows_of_block(found: Products, tile: int) -> int:
    """How many rows are rounded at once; at least those of a register tile."""
    size = sum(INT8.group * INT8.steps(factor.depth) for factor in distinct(found).values())
    return max(tile, min(_NARROWER * found.tiling.block, _MOST_BYTES // max(size, 1)))


def distinct(found: Products) -> dict[VectorKey, Factor]:
    """One factor for each vector that products multiply."""
    return {factor.key: factor for step in found.passes for factor in step.factors}


def place_row(
    b: Builder,
    layout: Layout,
    factor: Factor,
    offsets: Buffer,
    row: Expr | int,
    env: Environment,
    batch: Expr,
) -> None:
    """Store where the vector of row `row` begins, which is at this point and batch row."""
    here = {**env, factor.contraction: int64(0)}
    place = layout.places[factor.vector.buffer]
    start = Emitter(b, layout, here, batch, None, {})
    b.store(offsets, row, start.offset(place, factor.vector))
