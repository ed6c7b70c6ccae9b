"""The products of a kernel on one tile of rows: calls of `Multiply`, and the sums they leave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..tensorir.layout import Environment, Layout
from ..tensorir.packing import Pass, Products
from ..tensorir.tir import Buffer, Builder, Expr, int64, load
from .blocks import place_row
from .integers import QuantizedMultiply, RoundedFactor
from .microkernel import Factor, Multiply, call_multiply
from .sparse import SparseMultiply


@dataclass(frozen=True, slots=True)
class PassTile:
    """One pass on a tile: `sums[row][tile][slot][vector]`."""

    step: Pass
    multiply: Multiply | QuantizedMultiply | SparseMultiply
    factors: tuple[Factor | RoundedFactor, ...]
    sums: Buffer


@dataclass(frozen=True, slots=True)
class RowTile:
    """All passes for up to `rows` rows and one or more neighbouring column tiles from `tile` on."""

    b: Builder
    layout: Layout
    products: Products
    tile: Expr
    rows: int
    passes: tuple[PassTile, ...]

    def place(self, row: Expr | int, env: Environment, batch: Expr) -> None:
        """Say at which point and batch row the tile's row `row` stands."""
        for step in self.passes:
            for packed, factor in zip(step.step.factors, step.factors, strict=True):
                if isinstance(factor, Factor):  # rounded rows were placed with their block
                    place_row(self.b, self.layout, packed, factor.offsets, row, env, batch)

    def multiply(self, rows: Expr | int, first: Expr | int) -> None:
        """Compute the sums of so many placed rows; rounded ones are the block's from `first` on."""
        for step in self.passes:
            call_multiply(self.b, step.multiply.name, rows, step.sums, step.factors, first)

    def vectors(self, row: Expr, ahead: Expr) -> Iterator[tuple[Expr, dict[str, Expr]]]:
        """The columns of one row in tile `tile + ahead`: the first of a vector, and its sums."""
        b, found = self.b, self.products
        with b.loop(0, found.width, name="u") as u:
            known: dict[str, Expr] = {}
            for step in self.passes:
                width = len(step.step.slots) * found.width
                first = row * int64(step.multiply.tile.vectors) + ahead * int64(width) + u
                for number, slot in enumerate(step.step.slots):
                    vector = first + int64(number * found.width)
                    at = vector * int64(found.lanes)
                    known[slot] = b.let(load(step.sums, at, found.lanes), "sum")
            column = (self.tile + ahead) * int64(found.columns) + u * int64(found.lanes)
            yield b.let(column, "column"), known
