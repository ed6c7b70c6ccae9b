"""Products of many rows on tensor cores: a block computes a tile as large as registers hold.

digits[digit][row]       the point and the batch row of each row, and
starts[factor][row]      where its vectors begin, a thread a row
rnnc_accumulate          sums in registers, factor after factor (block_tiles.h)
rnnc_show                8 rows of each warp to shared memory, where its lanes take an element
                         each, and compute what follows the sums; the next 8 rows
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..tensorir.bodies import emit_body
from ..tensorir.layout import Environment
from ..tensorir.packing import Products
from ..tensorir.tir import Expr, address, int64, load, quotient, remainder
from .tensor import TYPES, Item, TensorCores
from .tiles import COLUMNS, LANES, BlockTile

if TYPE_CHECKING:
    from .kernels import KernelEmitter, Points


class BlockTiles(TensorCores):
    """Emits the products of one kernel, of many rows."""

    def __init__(
        self, kernel: KernelEmitter, points: Points, found: Products, tile: BlockTile
    ) -> None:
        self.block = tile
        super().__init__(kernel, points, found)

    def tile(self) -> BlockTile:
        b, own = self.b, self.block
        self.memory = b.scratch("rnnc_memory_of_tile", own.memory(self.found))
        self.names = self.points.digits
        count = len(self.names) * own.rows
        self.digits = b.scratch("rnnc_digits_of_rows", max(count, 1), "int64")
        return own

    def emit(self) -> None:
        b, found, own = self.b, self.found, self.block
        with self.items() as item:
            self.find_rows(item)
            count = own.sums(found.shape.sums)
            sums = b.local("sum", count)
            b.call(f"rnnc_clear<{count}>", address(sums, 0))
            before = 0
            for number, step in enumerate(found.passes):
                slots = len(step.slots)
                sizes = f"{own.rows}, {own.columns}, {slots}, {found.columns}"
                kind = f"{TYPES[self.kernel.math]}, {sizes}, {own.across}"
                for position, factor in enumerate(step.factors):
                    b.call(
                        f"rnnc_accumulate<{kind}>",
                        address(sums, before),
                        *self.vectors(factor, number, position),
                        self.packed(item, step, factor),
                        int64(factor.depth),
                        address(self.memory, 0),
                    )
                before += own.sums(slots)
            b.call("__syncthreads")  # all have multiplied
            with b.loop(0, 2 * own.tiles, name="part") as part:
                stride = own.shown(found)
                shown = b.let(self.warp * int64(COLUMNS * stride), "shown")
                kind = f"{own.tiles}, {own.panels(found.shape.sums)}"
                memory = address(self.memory, shown)
                b.call(f"rnnc_show<{kind}>", address(sums, 0), part, memory, int64(stride))
                b.call("__syncwarp")
                with b.loop(0, COLUMNS * own.own // LANES, name="turn") as turn:
                    self.follow(item, part, turn, shown)
                b.call("__syncwarp")
            b.call("__syncthreads")  # nobody needs the rows any more

    def follow(self, item: Item, part: Expr, turn: Expr, shown: Expr) -> None:
        """One element of each lane."""
        b, own = self.b, self.block
        element = b.let(turn * int64(LANES) + remainder(b.thread, LANES), "element")
        row = b.let(quotient(element, own.own), "of_part")
        column = b.let(remainder(element, own.own), "of_part")
        at = b.let(shown + row * int64(own.shown(self.found)) + column, "at")
        first_row = quotient(self.warp, own.across) * int64(own.rows * own.across // self.warps)
        row = b.let(first_row + part * int64(COLUMNS) + row, "of_tile")
        column = b.let(remainder(self.warp, own.across) * int64(own.own) + column, "of_tile")
        with self.valid(item, row, column) as (env, batch_row):
            slots = [slot for step in self.found.passes for slot in step.slots]
            known = {
                slot: b.let(load(self.memory, at + int64(number * own.own)), "product")
                for number, slot in enumerate(slots)
            }
            at_element = self.kernel.emitter(env, batch_row, known)
            emit_body(self.kernel.kernel, at_element, self.found.skipped)

    # ---- what is known of rows ----------------------------------------------------------------

    def keep(self, env: Environment, batch_row: Expr) -> None:
        """Dividing takes longer than to look up what was divided."""
        for number, name in enumerate(self.names):
            value = batch_row if name is None else env[name]
            self.b.store(self.digits, int64(number * self.own.rows) + self.b.thread, value)

    def known(self, item: Item, number: Expr, row: Expr) -> tuple[Environment, Expr]:
        env, batch_row = dict(item.env), int64(0)
        for place, name in enumerate(self.names):
            value = load(self.digits, int64(place * self.own.rows) + row)
            if name is None:
                batch_row = self.b.let(value, "batch_row")
            else:
                env[name] = self.b.let(value, name)
        return env, batch_row
