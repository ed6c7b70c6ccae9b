"""One kernel of a plan as device code: its elements are shared out among the threads of a grid.

Adjacent threads compute adjacent elements of the last axis, so that they read and write whole
lines of memory. In a product a warp computes one column tile for a few rows: weights stream past
from `[k][slot][column]`, each read once for all those rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from tvm import tirx

from rnnc.analysis.wave import WaveLoop
from rnnc.plan import expression as ex
from rnnc.plan.plan import Kernel
from rnnc.weights import MathType

from ..tensorir.bodies import emit_body, emit_store
from ..tensorir.elements import Emitter, Variable
from ..tensorir.layout import Environment, Layout, bound, volume
from ..tensorir.levels import Listing
from ..tensorir.loops import enter
from ..tensorir.packing import Factor, Products, products
from ..tensorir.panels import panel_number
from ..tensorir.tir import Buffer, Builder, Expr, ceiling_quotient, int64, load, quotient, remainder
from .blocks import BlockTiles
from .divided import divided, row_digits
from .fragments import Fragments
from .onchip import Resident
from .pointwise import POINTWISE
from .tensor import TensorCores
from .tiles import LANES, PLAIN_ROWS, BlockTile


@dataclass(frozen=True, slots=True)
class Threads:
    """Thread `number` of `count` (int64), whole warps of them, which compute batch rows from
    `first_row` on, `rows` of them; without, all rows."""

    number: Expr
    count: Expr
    first_row: Expr | None = None
    rows: Expr | None = None

    @contextmanager
    def share(self, b: Builder, items: Expr, each: int = 1) -> Iterator[Expr]:
        """A loop over this thread's items: every `count`-th, from its own number on.

        With `each`, so many threads in a row share each item.
        """
        number, count = self.number, self.count
        if each > 1:
            number, count = b.let(quotient(number, each), "group"), quotient(count, each)
        turns = quotient(tirx.Max(items - number, int64(0)) + count - int64(1), count)
        with b.loop(0, b.let(turns, "turns"), name="turn") as turn:
            yield b.let(number + turn * count, "item")


class KernelEmitter:
    """Emits one kernel into a device function; products in the type `math`, where rows are many in
    tiles."""

    def __init__(
        self,
        b: Builder,
        layout: Layout,
        kernel: Kernel,
        threads: Threads,
        listing: Listing | None,
        math: MathType,
        tile: BlockTile | None = None,
        resident: Resident | Fragments | None = None,
    ) -> None:
        self.b, self.layout, self.kernel, self.threads = b, layout, kernel, threads
        self.math, self.tile, self.resident = math, tile, resident
        self.listing = listing if kernel.listed else None
        self.loops = divided(kernel)

    def emit(self, env: Environment) -> None:
        """All points of the kernel."""
        b = self.b
        if 0 in self.kernel.shape:
            return
        with ExitStack() as stack:
            here = enter(stack, b, self.loops.nested, env)
            firsts = [b.let(bound(loop.lower, here), "first") for loop in self.loops.flat]
            extents = [
                b.let(tirx.Max(bound(loop.upper, here) - first, int64(0)), "points")
                for loop, first in zip(self.loops.flat, firsts, strict=True)
            ]
            points = Points(self, here, self.loops.flat, tuple(firsts), tuple(extents))
            found = products(self.kernel, self.layout.buffers, LANES)
            if self.resident is not None:
                self.resident.emit(self, points)
            elif found is not None and (self.tile is not None or self.math != "float32"):
                self.on_tensor_cores(points, found)
            elif found is not None:
                self.multiplied(points, found)
            else:
                self.elementwise(points)

    # ---- elements -----------------------------------------------------------------------------

    def elementwise(self, points: Points) -> None:
        """A thread for each element of each row of each point, or for each chain."""
        b, shape = self.b, self.kernel.shape
        items = points.count * int64(volume(shape))
        with self.threads.share(b, b.let(items, "items")) as item:
            rest = item
            axes: dict[str, Expr] = {}
            for axis in range(len(shape) - 1, -1, -1):
                name = ex.element(axis)
                axes[name] = b.let(remainder(rest, shape[axis]), name)
                rest = b.let(quotient(rest, shape[axis]), "rest")
            env, row = points.place(rest)
            here = {**env, **axes}
            if self.kernel.serial is None:
                with self.tested(here):
                    emit_body(self.kernel, self.emitter(here, row, {}))
            else:
                self.chain(here, row)

    @contextmanager
    def tested(self, env: Environment) -> Iterator[None]:
        """Inside: only where the kernel has a point."""
        with ExitStack() as stack:
            if self.kernel.constraints:
                probe = self.emitter(env, int64(0), {})
                stack.enter_context(self.b.when(probe.holds(self.kernel.constraints)))
            yield

    def chain(self, env: Environment, row: Expr) -> None:
        """All points of one chain, in order."""
        carried = {carry.name: Variable(self.b, carry.dtype, 1, 1) for carry in self.kernel.carries}
        at = self.emitter(env, row, {})
        for carry in self.kernel.carries:
            carried[carry.name].set(at.cast(at.value(carry.first), carry.dtype))
        with ExitStack() as stack:
            here = enter(stack, self.b, self.loops.serial, env)
            stack.enter_context(self.tested(here))
            known = {name: self.b.let(variable.get()) for name, variable in carried.items()}
            values = emit_body(self.kernel, self.emitter(here, row, known))
            for carry in self.kernel.carries:
                carried[carry.name].set(values[carry.value])
        for store in self.kernel.last:
            emit_store(self.emitter(env, row, {}), store, carried[store.value].get())

    def emitter(self, env: Environment, row: Expr, known: Mapping[str, Expr]) -> Emitter:
        return Emitter(self.b, self.layout, env, row, None, known, POINTWISE)

    # ---- products -----------------------------------------------------------------------------

    def multiplied(self, points: Points, found: Products) -> None:
        """A warp for each column tile of a few rows."""
        b, shape = self.b, self.kernel.shape
        rows = 1 if self.differ(found) else PLAIN_ROWS
        groups = ceiling_quotient(points.count, rows)
        items = b.let(groups * int64(volume(shape[:-1]) * found.tiles), "items")
        lane = b.let(remainder(self.threads.number, LANES), "lane")
        with self.threads.share(b, items, LANES) as item:
            tile = b.let(remainder(item, found.tiles), "tile")
            rest = b.let(quotient(item, found.tiles), "rest")
            axes: dict[str, Expr] = {}
            for axis in range(len(shape) - 2, -1, -1):
                name = ex.element(axis)
                axes[name] = b.let(remainder(rest, shape[axis]), name)
                rest = b.let(quotient(rest, shape[axis]), "rest")
            first = b.let(rest * int64(rows), "row")
            last = points.count - int64(1)
            # Beyond the last row, the last one again; it is not stored twice.
            places = [
                points.place(b.let(tirx.Min(first + int64(n), last), "number")) for n in range(rows)
            ]
            here = [({**env, **axes}, row) for env, row in places]
            with self.tested(here[0][0]):
                sums = self.sums(found, here, tile, lane)
                for number, (env, row) in enumerate(here):
                    with b.when(tirx.LE(first + int64(number), last)):
                        self.columns(found, sums, number, env, row, tile, lane)

    def on_tensor_cores(self, points: Points, found: Products) -> None:
        """A block for each tile."""
        if self.tile is None:
            TensorCores(self, points, found).emit()
        else:
            BlockTiles(self, points, found, self.tile).emit()

    def differ(self, found: Products) -> bool:
        """Whether points that are shared out have different weights, or are not all there."""
        flat = {loop.name for loop in (*self.loops.flat, *self.loops.exact)}
        if self.listing is not None:
            flat.add(self.listing.dim)
        weights = {loop.name for step in found.passes for f in step.factors for loop in f.loops}
        return bool(flat & weights or self.kernel.constraints)

    def sums(
        self, found: Products, rows: Sequence[tuple[Environment, Expr]], tile: Expr, lane: Expr
    ) -> dict[str, Buffer]:
        """The sums of each slot: `[row][vector]`, the elements of this lane."""
        b, width = self.b, found.width
        sums: dict[str, Buffer] = {}
        for step in found.passes:
            for slot in step.slots:
                sums[slot] = b.local("sum", len(rows) * width)
                for number in range(len(rows) * width):
                    b.store(sums[slot], number, tirx.FloatImm("float32", 0.0))
            for factor in step.factors:
                self.accumulate(found, step.slots, factor, sums, rows, tile, lane)
        return sums

    def accumulate(
        self,
        found: Products,
        slots: Sequence[str],
        factor: Factor,
        sums: Mapping[str, Buffer],
        rows: Sequence[tuple[Environment, Expr]],
        tile: Expr,
        lane: Expr,
    ) -> None:
        b, width = self.b, found.width
        place = self.layout.places[factor.vector.buffer]
        starts: list[Expr] = []
        for env, row in rows:
            at = self.emitter({**env, factor.contraction: int64(0)}, row, {})
            starts.append(b.let(at.offset(place, factor.vector), "left"))
        columns = len(slots) * found.columns
        number = panel_number(found, factor, rows[0][0], tile)
        start = b.let(number * int64(factor.depth * columns) + lane, "panel")
        pack = self.layout.packs[factor.pack]
        with b.loop(0, factor.depth, name="k") as k:
            values = [b.let(load(place.memory, left + k), "x") for left in starts]
            for number, slot in enumerate(slots):
                for vector in range(width):
                    ahead = int64(number * found.columns + vector * LANES)
                    weight = b.let(load(pack, start + k * int64(columns) + ahead), "w")
                    for row, value in enumerate(values):
                        element = row * width + vector
                        total = load(sums[slot], element) + value * weight
                        b.store(sums[slot], element, total)

    def columns(
        self,
        found: Products,
        sums: Mapping[str, Buffer],
        number: int,
        env: Environment,
        row: Expr,
        tile: Expr,
        lane: Expr,
    ) -> None:
        """What follows the sums of one row, at the columns of this lane."""
        b, size = self.b, self.kernel.shape[-1]
        axis = ex.element(len(self.kernel.shape) - 1)
        for vector in range(found.width):
            column = b.let(tile * int64(found.columns) + int64(vector * LANES) + lane, axis)
            with b.when(tirx.LT(column, int64(size))):
                known = {
                    slot: b.let(load(memory, number * found.width + vector), "product")
                    for slot, memory in sums.items()
                }
                at = self.emitter({**env, axis: column}, row, known)
                emit_body(self.kernel, at, found.skipped)


@dataclass(frozen=True, slots=True)
class Points:
    """The points and rows that a kernel has at fixed nested loops, numbered, rows fastest.

    `env` holds what is fixed; the other loops run from `firsts` on.
    """

    emitter: KernelEmitter
    env: Environment
    loops: tuple[WaveLoop, ...]
    firsts: tuple[Expr, ...]
    extents: tuple[Expr, ...]

    @property
    def rows(self) -> Expr:
        """Rows of a point; with a listing, its entries."""
        if self.emitter.listing is not None:
            return self.emitter.listing.count
        if not self.emitter.kernel.batched:
            return int64(1)
        rows = self.emitter.threads.rows
        return self.emitter.layout.batch if rows is None else rows

    @property
    def long(self) -> tuple[int, ...]:
        """The positions of loops that may have more than one point."""
        return tuple(n for n, loop in enumerate(self.loops) if not loop.single)

    @property
    def digits(self) -> tuple[str | None, ...]:
        """The loops whose values differ from row to row, None for the row of the batch."""
        return row_digits(self.emitter.kernel)

    @property
    def count(self) -> Expr:
        total = self.rows
        for extent in self.extents:
            total = total * extent
        return total

    def place(self, number: Expr) -> tuple[dict[str, Expr], Expr]:
        """The environment and the batch row of one of them."""
        b, emitter = self.emitter.b, self.emitter
        here = dict(self.env)
        row: Expr = int64(0)
        if emitter.listing is not None or emitter.kernel.batched:
            row = number
            if self.long:
                row = b.let(remainder(number, self.rows), "batch_row")
                number = b.let(quotient(number, self.rows), "point")
            first = emitter.threads.first_row
            if first is not None:
                row = b.let(row + first, "batch_row")
        if emitter.listing is not None:
            placed, row = emitter.listing.place(b, row, here)
            here = dict(placed)
        for position, (loop, first) in enumerate(zip(self.loops, self.firsts, strict=True)):
            if position not in self.long:
                here[loop.name] = first
        for position in reversed(self.long):
            digit = number
            if position != self.long[0]:
                digit = b.let(remainder(number, self.extents[position]), "digit")
                number = b.let(quotient(number, self.extents[position]), "rest")
            name = self.loops[position].name
            here[name] = b.let(self.firsts[position] + digit, name)
        for loop in emitter.loops.exact:
            here[loop.name] = b.let(bound(loop.lower, here), loop.name)
        return here, row

    # ---- of one panel of weights --------------------------------------------------------------

    def has(self, env: Environment) -> Expr:
        """Whether some of them lie at these values of loops and axes."""
        verdict = tirx.const(True, "bool")
        for loop, first, extent in zip(self.loops, self.firsts, self.extents, strict=True):
            if loop.name in env:
                verdict = tirx.And(verdict, tirx.GE(env[loop.name], first))
                verdict = tirx.And(verdict, tirx.LT(env[loop.name], first + extent))
        for name, value in env.items():
            if name in self.env:
                verdict = tirx.And(verdict, tirx.EQ(self.env[name], value))
        return verdict

    def at(self, env: Environment) -> Points:
        """Those at these values."""
        free = [number for number, loop in enumerate(self.loops) if loop.name not in env]
        return replace(
            self,
            env={**self.env, **env},
            loops=tuple(self.loops[number] for number in free),
            firsts=tuple(self.firsts[number] for number in free),
            extents=tuple(self.extents[number] for number in free),
        )

    @property
    def free_axes(self) -> tuple[tuple[str, int], ...]:
        """The axes but the last that are not fixed, with their sizes."""
        sizes = enumerate(self.emitter.kernel.shape[:-1])
        named = ((ex.element(axis), size) for axis, size in sizes)
        return tuple((name, size) for name, size in named if name not in self.env)

    @property
    def free_elements(self) -> int:
        return volume(tuple(size for _, size in self.free_axes))

    @property
    def is_single(self) -> bool:
        """Whether there is one point, of one row."""
        return not self.long and not self.emitter.kernel.batched and self.free_elements == 1

    def element(self, number: Expr) -> tuple[dict[str, Expr], Expr]:
        """The environment, with the free axes, and the batch row of an element; rows fastest."""
        b = self.emitter.b
        if not self.free_axes:
            return self.place(number)
        here, row = self.place(b.let(remainder(number, self.count), "place"))
        rest = b.let(quotient(number, self.count), "rest")
        for name, size in reversed(self.free_axes):
            here[name] = b.let(remainder(rest, size), name)
            rest = b.let(quotient(rest, size), "rest")
        return here, row
