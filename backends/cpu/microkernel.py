"""The register tile: rows of a left operand times one packed panel of weights.

A panel holds `vectors` vectors of columns: `panel[k][column]`, so that the inner loop reads weights
with unit stride and every value of the left operand is broadcast. Rows need not be neighbours:
each has its own offset, which is how the points of a wave share one matmul.

    for k in 0..depth:                         accumulators stay in registers
        for row, vector: acc[row, vector] += left[offset[row] + k] * panel[k, vector]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tvm import tirx

from .target import CpuTarget
from .tir import (
    Buffer,
    Builder,
    Expr,
    ceiling_quotient,
    constant,
    int64,
    load,
    multiply_add,
    quotient,
    remainder,
    splat,
)

_MOST_ROWS = 14  # more rows need more addresses than there are scalar registers


@dataclass(frozen=True, slots=True)
class Tile:
    """`rows` x `vectors` accumulators of `lanes` values."""

    rows: int
    vectors: int
    lanes: int

    @property
    def columns(self) -> int:
        return self.vectors * self.lanes


def rows_that_fit(vectors: int, target: CpuTarget) -> int:
    """How many rows of `vectors` accumulators the registers hold, next to the operands.

    Beside the accumulators live either the vectors of the panel and one broadcast value, or the
    broadcast values of all rows and one vector of the panel (see `Accumulators.add_product`).
    """
    # Without a fused multiply-add, products need a register of their own.
    fused = target.architecture != "x86_64" or target.vector_bytes > 16
    registers = target.vector_registers - (1 if fused else 2)
    by_panel = (registers - vectors) // vectors
    by_rows = registers // (vectors + 1)
    return max(1, min(_MOST_ROWS, max(by_panel, min(by_rows, vectors - 1))))


@dataclass(frozen=True, slots=True)
class Factor:
    """One summand of a matmul: `left[row_offset + k] * panel[panel_offset + k * columns ...]`.

    `panels` are the offsets of the panels that lie side by side in the tile: their columns follow
    one another, each with `Tile.vectors / len(panels)` vectors.
    """

    left: Buffer
    weights: Buffer
    panels: tuple[Expr, ...]
    depth: int
    prefetch: int = 0  # how many k ahead the weights are asked for; 0: not at all


class Accumulators:
    """The accumulators of a tile, zero at first."""

    def __init__(self, b: Builder, tile: Tile, dtype: str) -> None:
        self.tile = tile
        self._builder = b
        self._memory = b.local("acc", tile.rows * tile.columns, dtype)
        zero = constant(0, load(self._memory, 0, tile.lanes))
        for row in range(tile.rows):
            for vector in range(tile.vectors):
                self.set(row, vector, zero)

    def get(self, row: int, vector: int) -> Expr:
        return load(self._memory, self._offset(row, vector), self.tile.lanes)

    def set(self, row: int, vector: int, value: Expr) -> None:
        self._builder.store(self._memory, self._offset(row, vector), value)

    def _offset(self, row: int, vector: int) -> int:
        return (row * self.tile.vectors + vector) * self.tile.lanes

    def add_product(self, factor: Factor, rows: Sequence[Expr]) -> None:
        """Add `factor`; `rows` are the offsets in `factor.left` of the tile's rows."""
        b, tile = self._builder, self.tile
        width = tile.vectors // len(factor.panels)
        with b.loop(0, factor.depth, name="k") as k:
            row_of_panel = k * int64(width * tile.lanes)
            starts = [b.let(panel + row_of_panel) for panel in factor.panels]
            places = [
                start + int64(vector * tile.lanes) for start in starts for vector in range(width)
            ]
            if factor.prefetch:
                ahead = int64(factor.prefetch * width * tile.lanes)
                for place in places:
                    b.prefetch(factor.weights, place + ahead)

            def column(vector: int) -> Expr:
                return b.let(load(factor.weights, places[vector], tile.lanes), "w")

            def value(row: int) -> Expr:
                return b.let(splat(load(factor.left, rows[row] + k), tile.lanes), "a")

            def multiply(row: int, vector: int, left: Expr, right: Expr) -> None:
                self.set(row, vector, multiply_add(left, right, self.get(row, vector)))

            # The shorter side stays in registers, the longer passes by.
            if tile.rows < tile.vectors:
                values = [value(row) for row in range(tile.rows)]
                for vector in range(tile.vectors):
                    right = column(vector)
                    for row in range(tile.rows):
                        multiply(row, vector, values[row], right)
            else:
                columns = [column(vector) for vector in range(tile.vectors)]
                for row in range(tile.rows):
                    left = value(row)
                    for vector in range(tile.vectors):
                        multiply(row, vector, left, columns[vector])


# What to do with a row of finished sums: (row of the whole matmul, its vectors).
Epilogue = Callable[[Expr, list[Expr]], None]
# Where row `row` of the whole matmul begins in each factor's left operand.
RowOffsets = Callable[[Expr], Sequence[Expr]]


def multiply_rows(
    b: Builder,
    factors: Sequence[Factor],
    tile: Tile,
    first: Expr,
    count: Expr,
    row_offsets: RowOffsets,
    epilogue: Epilogue,
    dtype: str = "float32",
) -> None:
    """All factors summed for rows first..first+count of one panel, then the epilogue for each row.

    Rows go in tiles of nearly equal height, at most `tile.rows`. There is one inner loop for each
    height and one epilogue for all: sums pass through a piece of stack between them, which costs
    a few cycles a row and saves as many copies of the epilogue as there are heights.
    """
    sums = b.local("sums", tile.rows * tile.columns, dtype)
    tiles = b.let(ceiling_quotient(count, tile.rows), "tiles")
    safe = b.let(tirx.Select(tirx.GT(tiles, int64(0)), tiles, int64(1)))
    height = b.let(quotient(count, safe), "height")
    taller = b.let(remainder(count, safe), "taller")  # so many tiles have one row more
    with b.loop(0, tiles, name="m") as m:
        extra = tirx.Select(tirx.LT(m, taller), m, taller)
        start = b.let(first + m * height + extra, "start")
        rows = b.let(height + tirx.Cast("int64", tirx.LT(m, taller)), "rows")
        for size in range(tile.rows, 0, -1):
            with b.when(tirx.EQ(rows, int64(size))):
                part = Tile(size, tile.vectors, tile.lanes)
                offsets = [
                    [b.let(offset) for offset in row_offsets(start + int64(row))]
                    for row in range(size)
                ]
                sum_into(b, sums, factors, part, offsets, dtype)
        with b.loop(0, rows, name="r") as r:
            base = b.let(r * int64(tile.columns))
            vectors = [
                b.let(load(sums, base + int64(v * tile.lanes), tile.lanes), "sum")
                for v in range(tile.vectors)
            ]
            epilogue(b.let(start + r, "row"), vectors)


def sum_into(
    b: Builder,
    sums: Buffer,
    factors: Sequence[Factor],
    tile: Tile,
    offsets: Sequence[Sequence[Expr]],
    dtype: str = "float32",
) -> None:
    """The sums of one tile, to the stack; `offsets` gives each row's place in each factor."""
    accumulators = Accumulators(b, tile, dtype)
    for number, factor in enumerate(factors):
        accumulators.add_product(factor, [of_row[number] for of_row in offsets])
    for row in range(tile.rows):
        for vector in range(tile.vectors):
            place = row * tile.columns + vector * tile.lanes
            b.store(sums, place, accumulators.get(row, vector))


def multiply_row(
    b: Builder,
    factors: Sequence[Factor],
    tile: Tile,
    rows: Sequence[Expr],
    dtype: str = "float32",
) -> list[Expr]:
    """The one-row tile: its sums, for an epilogue written in place.

    `rows` gives the row's offset in each factor's left operand.
    """
    accumulators = Accumulators(b, Tile(1, tile.vectors, tile.lanes), dtype)
    for factor, offset in zip(factors, rows, strict=True):
        accumulators.add_product(factor, [offset])
    return [b.let(accumulators.get(0, vector), "sum") for vector in range(tile.vectors)]


@contextmanager
def share(b: Builder, count: Expr | int, task: Expr, num_tasks: Expr) -> Iterator[Expr]:
    """A loop over the task's share of 0..count: contiguous, sizes differing by at most one."""
    tasks = int64(num_tasks)
    number = int64(task)
    lower = b.let(quotient(int64(count) * number, tasks), "lower")
    upper = b.let(quotient(int64(count) * (number + int64(1)), tasks), "upper")
    with b.loop(lower, upper, name="n") as n:
        yield n


@contextmanager
def share_zigzag(
    b: Builder, count: Expr | int, task: Expr, num_tasks: Expr, turn: Expr
) -> Iterator[Expr]:
    """As `share`, backwards in odd turns: what was read last is read first, while in the cache."""
    tasks = int64(num_tasks)
    number = int64(task)
    lower = b.let(quotient(int64(count) * number, tasks), "lower")
    upper = b.let(quotient(int64(count) * (number + int64(1)), tasks), "upper")
    with b.loop(lower, upper, name="n") as n:
        backward = tirx.NE(turn & int64(1), int64(0))
        yield b.let(tirx.Select(backward, lower + upper - int64(1) - n, n), "n")


__all__ = [
    "Accumulators",
    "Epilogue",
    "Factor",
    "Tile",
    "multiply_row",
    "multiply_rows",
    "rows_that_fit",
    "share",
    "share_zigzag",
]
