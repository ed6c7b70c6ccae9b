"""Products on tensor cores: a block computes a tile of rows and columns of all sums of a kernel.

    starts[factor][row]      where the vector of each row begins, a thread a row
    rnnc_multiply            sums in registers of the warps (tensor_cores.h)
    rnnc_spread              to shared memory, then what follows the sums, a thread an element

Many rows: blocks.py.

Rows of a tile have the same weights: all rows of a kernel, or those of one point where weights
differ from point to point. Beyond the last row stands the last one again; it is not stored twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tvm import tirx

from rnnc.plan import expression as ex
from rnnc.weights import MathType

from ..tensorir.bodies import emit_body
from ..tensorir.layout import Environment, volume
from ..tensorir.packing import Factor, Pass, Products
from ..tensorir.panels import panel_number
from ..tensorir.tir import Buffer, Expr, address, int64, load, quotient, remainder
from ..tensorir.words import Word
from .source import DeviceBuilder
from .tiles import COLUMNS, LANES, ROWS, BlockTile, Tile, starts

if TYPE_CHECKING:
    from .kernels import KernelEmitter, Points

TYPES: dict[MathType, str] = {
    "bf16": "rnnc_bf16",
    "fp16": "rnnc_fp16",
    "tf32": "rnnc_tf32",
    "3xtf32": "rnnc_3xtf32",
    "float32": "rnnc_float32",  # in tiles of many rows only
}


@dataclass(frozen=True, slots=True)
class Item:
    """One tile of a block: where it stands."""

    place: Callable[[Expr], tuple[Environment, Expr]]  # of a row: environment, and batch row
    env: Environment  # of the loops on which weights depend
    first: Expr  # of its rows
    last: Expr  # the last row with these weights
    tile: Expr  # of the packed columns
    column: Expr  # the first one of the tile in it


class TensorCores:
    """Emits the products of one kernel: of few rows, whose blocks share k among their warps."""

    def __init__(self, kernel: KernelEmitter, points: Points, found: Products) -> None:
        assert isinstance(kernel.b, DeviceBuilder)
        self.kernel, self.points, self.found, self.b = kernel, points, found, kernel.b
        self.warps = kernel.b.block_size // LANES
        self.own: Tile | BlockTile = self.tile()
        count = starts(found, self.own.rows)
        self.starts = self.b.scratch("rnnc_starts_of_rows", count, "int64")
        self.warp = self.b.let(quotient(self.b.thread, LANES), "warp")

    def tile(self) -> Tile | BlockTile:
        assert self.warps * LANES >= ROWS * COLUMNS, "a thread collects the sums of one element"
        own = Tile(self.warps)
        self.sums = self.b.scratch("rnnc_sums_of_block", own.sums(self.found))
        return own

    def emit(self) -> None:
        with self.items() as item:
            self.find_rows(item)
            self.b.call("__syncthreads")
            self.one_by_one(item)

    @contextmanager
    def items(self) -> Iterator[Item]:
        """The tiles of this block, one after another."""
        b, kernel, own = self.b, self.kernel, self.own
        unit = self.points.count  # so many rows have the same weights
        if kernel.differ(self.found):
            unit = int64(1) if kernel.listing is not None else self.points.rows
        unit = b.let(tirx.Max(unit, int64(1)), "unit")
        groups = b.let(quotient(unit + int64(own.rows - 1), own.rows), "groups")
        *outer, _ = kernel.kernel.shape
        parts = self.found.columns // own.columns
        across = self.found.tiles * parts * volume(tuple(outer))
        items = quotient(self.points.count, unit) * groups * int64(across)
        with kernel.threads.share(b, b.let(items, "items"), self.b.block_size) as item:
            part = b.let(remainder(item, parts), "part")
            rest = b.let(quotient(item, parts), "rest")
            tile = b.let(remainder(rest, self.found.tiles), "tile")
            rest = b.let(quotient(rest, self.found.tiles), "rest")
            axes: dict[str, Expr] = {}
            for axis in range(len(outer) - 1, -1, -1):
                axes[ex.element(axis)] = b.let(remainder(rest, outer[axis]), ex.element(axis))
                rest = b.let(quotient(rest, outer[axis]), "rest")
            before = b.let(quotient(rest, groups) * unit, "before")
            first = b.let(before + remainder(rest, groups) * int64(own.rows), "first")
            last = b.let(before + unit - int64(1), "last")
            column = b.let(part * int64(own.columns), "column")

            def place(row: Expr) -> tuple[Environment, Expr]:
                env, batch_row = self.points.place(row)
                return {**env, **axes}, batch_row

            env, _ = place(first)
            with kernel.tested(env):
                yield Item(place, env, first, last, tile, column)

    def find_rows(self, item: Item) -> None:
        """Where their vectors begin."""
        b, number = self.b, 0
        with b.when(tirx.LT(b.thread, int64(self.own.rows))):
            row = b.let(tirx.Min(item.first + b.thread, item.last), "own")
            env, batch_row = item.place(row)
            self.keep(env, batch_row)
            for step in self.found.passes:
                for factor in step.factors:
                    here = {**env, factor.contraction: int64(0)}
                    at = self.kernel.emitter(here, batch_row, {})
                    place = self.kernel.layout.places[factor.vector.buffer]
                    start = at.offset(place, factor.vector)
                    b.store(self.starts, int64(number * self.own.rows) + b.thread, start)
                    number += 1

    def keep(self, env: Environment, batch_row: Expr) -> None:
        """What is known of the row of this thread."""

    def multiply(self, item: Item, number: int, step: Pass) -> None:
        """The sums of a pass, in shared memory."""
        b, slots, size = self.b, len(step.slots), self.own.rows * self.own.columns
        with b.block():
            sums = b.local("sum", slots * 4)
            b.call(f"rnnc_clear<{slots * 4}>", address(sums, 0))
            for position, factor in enumerate(step.factors):
                self.accumulate(item, step, factor, sums, number, position)
            target = address(self.sums, self.warp * int64(slots * size))
            columns = int64(self.own.columns)
            b.call(f"rnnc_spread<{slots}>", address(sums, 0), target, int64(size), columns)

    def accumulate(
        self, item: Item, step: Pass, factor: Factor, sums: Buffer, number: int, position: int
    ) -> None:
        """What factor `position` of pass `number` adds."""
        stride = len(step.slots) * self.found.columns
        self.b.call(
            f"rnnc_multiply<{TYPES[self.kernel.math]}, {len(step.slots)}>",
            address(sums, 0),
            *self.vectors(factor, number, position),
            self.packed(item, step, factor),
            int64(factor.depth),
            int64(self.found.columns),
            int64(stride),
            self.warp,
            int64(self.warps),
        )

    def packed(self, item: Item, step: Pass, factor: Factor) -> Expr:
        """Where those of the tile are."""
        found, word = self.found, self.kernel.layout.word
        stride = len(step.slots) * found.columns
        start = weights_start(found, factor, word, item.env, item.tile, stride)
        return address(self.kernel.layout.packs[factor.pack], start + item.column)

    def vectors(self, factor: Factor, number: int, position: int) -> tuple[Expr, Expr]:
        """The buffer, and where in it the rows begin."""
        before = sum(len(step.factors) for step in self.found.passes[:number]) + position
        memory = self.kernel.layout.places[factor.vector.buffer].memory
        return address(memory, 0), address(self.starts, before * self.own.rows)

    # ---- what follows -------------------------------------------------------------------------

    def one_by_one(self, item: Item) -> None:
        """A thread an element; it collects its sums pass after pass."""
        b, own = self.b, self.own
        size = own.rows * own.columns
        known: dict[str, Buffer] = {}
        for number, step in enumerate(self.found.passes):
            if number:
                b.call("__syncthreads")  # the sums before have been collected
            self.multiply(item, number, step)
            b.call("__syncthreads")
            for slot in step.slots:
                known[slot] = b.local("product", 1)
            with b.when(tirx.LT(b.thread, int64(size))):
                for position, slot in enumerate(step.slots):
                    total: Expr = tirx.FloatImm("float32", 0.0)
                    for warp in range(self.warps):
                        at = int64((warp * len(step.slots) + position) * size) + b.thread
                        total = total + load(self.sums, at)
                    b.store(known[slot], 0, total)
        row = b.let(quotient(b.thread, own.columns), "of_tile")
        column = b.let(remainder(b.thread, own.columns), "of_tile")
        with self.valid(item, row, column) as (env, batch_row):
            values = {slot: b.let(load(memory, 0)) for slot, memory in known.items()}
            at_element = self.kernel.emitter(env, batch_row, values)
            emit_body(self.kernel.kernel, at_element, self.found.skipped)

    @contextmanager
    def valid(self, item: Item, row: Expr, column: Expr) -> Iterator[tuple[Environment, Expr]]:
        """Inside, if the kernel has this element of the tile: its environment and batch row."""
        b, shape = self.b, self.kernel.kernel.shape
        whole = item.tile * int64(self.found.columns) + item.column + column
        name = ex.element(len(shape) - 1)
        here = b.let(whole, name)
        number = b.let(item.first + row, "own")
        inside = tirx.And(tirx.LT(row, int64(self.own.rows)), tirx.LE(number, item.last))
        with b.when(tirx.And(inside, tirx.LT(here, int64(shape[-1])))):
            env, batch_row = self.known(item, number, row)
            yield {**env, name: here}, batch_row

    def known(self, item: Item, number: Expr, row: Expr) -> tuple[Environment, Expr]:
        """Environment and batch row of row `row` of the tile, the `number`-th of the kernel."""
        return item.place(number)


def weights_start(
    found: Products, factor: Factor, word: Word, env: Environment, tile: Expr, stride: int
) -> Expr:
    """Where a tile of packed weights begins, in words; one k step has `stride` of them."""
    return panel_number(found, factor, env, tile) * int64(word.rows(factor.depth) * stride)
