"""Kernels of a plan as SPMD code: every task computes its share of tiles, rows and elements."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from tvm import tirx

from rnnc.analysis.wave import WaveLoop
from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.ir.poly import Poly
from rnnc.plan import expression as ex
from rnnc.plan.plan import Kernel

from ..tensorir.bodies import emit_body
from ..tensorir.elements import Emitter, Lanes, registers
from ..tensorir.layout import Environment, Layout, bound, volume
from ..tensorir.levels import Listing
from ..tensorir.loops import enter
from ..tensorir.packing import Factor, Products, products
from ..tensorir.panels import panel_number
from ..tensorir.tir import Builder, Expr, ceiling_quotient, int64, load, quotient, remainder
from ..tensorir.words import FLOAT32, INT8, SPARSE, word
from .ahead import ask_for_reads
from .blocks import Block, rows_of_block
from .integers import MOST_DEPTH, Dot, Quantize, QuantizedMultiply, RoundedFactor
from .microkernel import Factor as TileFactor
from .microkernel import (
    Multiply,
    Panels,
    Tile,
    rows_that_fit,
    share,
    share_zigzag,
    steps_at_once,
)
from .sparse import SparseMultiply, has_lookup, stored
from .target import CpuTarget
from .tiles import PassTile, RowTile

_FEW_TILES = 8  # for each task: with more of them, it matters little that some have one more
_MANY_ROWS = 384  # that come once: worth reading all weights for each block of them
_ROWS_AT_ONCE = 96  # of those: their left operands stay in the second-level cache
_CHUNK = 4  # vectors of one work item of a kernel without products, where there is one row

Used = dict[
    str, Multiply | QuantizedMultiply | Quantize | SparseMultiply
]  # the functions that kernels call, by name


@dataclass(frozen=True, slots=True)
class Tasks:
    """Who computes: this task among so many; `turn` is the innermost wave, if any."""

    task: Expr
    count: Expr
    turn: Expr | None


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a kernel at fixed outer loops: `points` of a loop x the batch.

    `exact` are the loops inside it, each of just one point.
    """

    loop: WaveLoop | None
    exact: tuple[WaveLoop, ...]
    first: Expr
    points: Expr
    batch: Expr
    single: bool
    listing: Listing | None = None

    @property
    def count(self) -> Expr:
        if self.listing is not None:
            return self.listing.count
        return self.points if self.single else self.points * self.batch

    def place(self, b: Builder, row: Expr, env: Environment) -> tuple[Environment, Expr]:
        """The environment and the batch row of flat row `row`."""
        if self.listing is not None:
            return self.listing.place(b, row, env)
        if self.loop is None:
            return env, int64(0) if self.single else row
        if self.single:
            return self.point(b, row, env), int64(0)
        point = b.let(quotient(row, self.batch), "point")
        inside = b.let(row - point * self.batch, "inside")
        return self.point(b, point, env), inside

    def point(self, b: Builder, number: Expr, env: Environment) -> Environment:
        """The environment at one of the points."""
        assert self.loop is not None
        here = {**env, self.loop.name: b.let(self.first + number, self.loop.name)}
        for loop in self.exact:
            here[loop.name] = b.let(bound(loop.lower, here), loop.name)
        return here


def rows_at(
    b: Builder,
    layout: Layout,
    flat: WaveLoop | None,
    exact: tuple[WaveLoop, ...],
    env: Environment,
    single: bool,
    listing: Listing | None = None,
) -> Rows:
    """The rows inside the loops whose values are in `env`."""
    first, points = int64(0), int64(1)
    if flat is not None:
        first = b.let(bound(flat.lower, env), "first")
        points = b.let(tirx.Max(bound(flat.upper, env) - first, int64(0)), "points")
    return Rows(flat, exact, first, points, layout.batch, single, listing)


def tiled(kernel: Kernel, layout: Layout, target: CpuTarget) -> Products | None:
    """The products of a kernel as this target divides them."""
    lanes, weights = target.lanes("float32"), stored(kernel, layout.buffers, layout.word.weights)
    return products(kernel, layout.buffers, lanes, weights, target.tilings)


class KernelEmitter:
    """Emits one kernel into a function."""

    def __init__(
        self,
        b: Builder,
        layout: Layout,
        target: CpuTarget,
        used: Used,
        kernel: Kernel,
        single: bool,
        listing: Listing | None = None,
    ) -> None:
        self.b, self.layout, self.target, self.used, self.kernel = b, layout, target, used, kernel
        self.listing = listing if kernel.listed else None
        self.single = (single or not kernel.batched) and self.listing is None
        self.lanes = target.lanes("float32")

    def emit(self, env: Environment, tasks: Tasks) -> None:
        """All points of the kernel, shared among the tasks."""
        kernel, b = self.kernel, self.b
        if 0 in kernel.shape:
            return
        loops, flat, exact = self.divided()
        with ExitStack() as stack:
            here = enter(stack, b, loops, env)
            if kernel.constraints:
                probe = Emitter(b, self.layout, here, int64(0), None, {})
                stack.enter_context(b.when(probe.holds(kernel.constraints)))
            rows = rows_at(b, self.layout, flat, exact, here, self.single, self.listing)
            found = tiled(kernel, self.layout, self.target)
            if found is None:
                self.elementwise(rows, here, tasks)
                return
            for axis, size in enumerate(kernel.shape[:-1]):
                name = ex.element(axis)
                here[name] = stack.enter_context(b.loop(0, size, name=name))
            if rows.single and flat is None:
                self.one_row(found, rows, here, tasks)
            elif word(found.shape.weights) == INT8:
                self.many_rounded_rows(found, rows, here, tasks)
            else:
                self.many_rows(found, rows, here, tasks)

    def divided(self) -> tuple[tuple[WaveLoop, ...], WaveLoop | None, tuple[WaveLoop, ...]]:
        """Outer loops, the innermost loop if its points may be rows of one matrix product, and the
        loops of one point inside that. Of a loop that has one point at most there are no rows."""
        loops = self.kernel.loops
        if self.listing is not None:
            return loops, None, ()
        inner = next((n for n, loop in enumerate(reversed(loops)) if not loop.exact), len(loops))
        place = len(loops) - inner - 1
        if place < 0 or not all(self.may_differ(loop.name) for loop in loops[place:]):
            return loops, None, ()
        if loops[place].single:
            return loops, None, ()
        return loops[:place], loops[place], loops[place + 1 :]

    def may_differ(self, name: str) -> bool:
        """Whether rows of one product may differ in a loop's variable."""
        names = {name for c in self.kernel.constraints for name in c.poly.names}
        return name not in names and not self.weights_depend_on(name)

    def weights_depend_on(self, name: str) -> bool:
        return any(
            name in poly.names
            for define in self.kernel.defines
            if isinstance(define.value, ex.Contract)
            for poly in (*define.value.weight.index, *define.value.weight.leading)
        )

    # ---- kernels without products -------------------------------------------------------------

    def elementwise(self, rows: Rows, env: Environment, tasks: Tasks) -> None:
        """Work items: row x leading axes x chunk of vectors."""
        b, shape = self.b, self.kernel.shape
        if not shape:
            with share(b, rows.count, tasks.task, tasks.count) as row:
                here, batch = rows.place(b, row, env)
                emit_body(self.kernel, self.emitter(here, batch, None, {}))
            return
        leading, size = volume(shape[:-1]), shape[-1]
        few = rows.single and rows.loop is None
        lanes = self.lanes if few and size > 1 else self.widest()
        vectors = -(-size // lanes)
        chunk = min(vectors, _CHUNK) if few else vectors
        chunks = -(-vectors // chunk)
        items = rows.count * int64(leading * chunks)
        with share(b, items, tasks.task, tasks.count) as item:
            rest = item
            part: Expr = int64(0)
            if chunks > 1:
                part, rest = b.let(remainder(rest, chunks)), b.let(quotient(rest, chunks))
            here = dict(env)
            for axis in range(len(shape) - 2, -1, -1):
                here[ex.element(axis)] = b.let(remainder(rest, shape[axis]), ex.element(axis))
                rest = b.let(quotient(rest, shape[axis]))
            placed, batch = rows.place(b, rest, here)
            start = part * int64(chunk)
            stop = start + int64(chunk)
            if chunks * chunk != vectors:
                stop = tirx.Min(stop, int64(vectors))
            self.vectors(placed, batch, start, stop, lanes)

    def whole_row(self, env: Environment, batch: Expr, outer: int) -> None:
        """All elements of one row, at all points of the loops but for the `outer` ones."""
        b, shape = self.b, self.kernel.shape
        with ExitStack() as stack:
            here = enter(stack, b, self.kernel.loops[outer:], env)
            for axis, size in enumerate(shape[:-1]):
                name = ex.element(axis)
                here[name] = stack.enter_context(b.loop(0, size, name=name))
            if shape:
                lanes = self.widest()
                self.vectors(here, batch, int64(0), int64(-(-shape[-1] // lanes)), lanes)
            else:
                emit_body(self.kernel, self.emitter(here, batch, None, {}))

    def widest(self) -> int:
        """Lanes of a vector where one task computes all of the last axis: several registers where
        there are reductions, of which each then adds up something else."""
        size, values = self.kernel.shape[-1], [define.value for define in self.kernel.defines]
        parts = [part for value in values for part in ex.walk(value)]
        if size == 1:
            return 1
        if any(isinstance(part, ex.Branch) for part in parts):
            return self.lanes
        if not any(isinstance(part, ex.Reduce) for part in parts):
            return self.lanes
        return self.lanes * registers(size, self.lanes)

    def vectors(self, env: Environment, batch: Expr, start: Expr, stop: Expr, lanes: int) -> None:
        """The vectors start..stop of the last axis."""
        b, name, size = self.b, ex.element(len(self.kernel.shape) - 1), self.kernel.shape[-1]
        with b.loop(start, stop, name="v") as v:
            base = b.let(v * int64(lanes), "base")
            if lanes == 1:
                at = self.emitter({**env, name: base}, batch, None, {})
            else:
                at = self.emitter(env, batch, Lanes(name, base, lanes, size), {})
            emit_body(self.kernel, at)

    def emitter(
        self, env: Environment, row: Expr, lanes: Lanes | None, known: Mapping[str, Expr]
    ) -> Emitter:
        return Emitter(self.b, self.layout, env, row, lanes, known)

    # ---- kernels with products ----------------------------------------------------------------

    def one_row(self, found: Products, rows: Rows, env: Environment, tasks: Tasks) -> None:
        """Bound by the bandwidth of the weights: several tiles at once, zigzag over them."""
        b = self.b
        together = found.tiling.together
        count = found.tiles // together
        block: Block | None = None
        if word(found.shape.weights) == INT8:
            block = self.block(found, 1)
            block.place(0, env, int64(0))
            block.round(1)
        with self.tiles(count, tasks) as number:
            tile = b.let(number * int64(together), "tile")
            tiles = self.row_tile(found, env, tile, together, 1, block)
            tiles.place(0, env, int64(0))
            with b.loop(0, together, name="u") as ahead:
                self.ask_ahead(tiles, env, int64(0), ahead)
            tiles.multiply(1, 0)
            with b.loop(0, together, name="u") as ahead:
                self.epilogue(tiles, env, int64(0), 0, ahead)

    def many_rows(self, found: Products, rows: Rows, env: Environment, tasks: Tasks) -> None:
        """Work items: column tile x block of rows.

        All rows of a tile by the same task, which then keeps its weights from wave to wave; or,
        where so many rows come only once, all tiles of a block of rows, which then are read once.
        """
        b = self.b
        count = b.let(rows.count, "rows")
        number = int64(tasks.count)
        blocks = self.blocks(found, count, found.tiling.block, tasks)
        by_rows: Expr | None = None
        if tasks.turn is None:
            by_rows = b.let(tirx.GE(count, int64(_MANY_ROWS)), "by_rows")
            parts = ceiling_quotient(ceiling_quotient(count, _ROWS_AT_ONCE), number) * number
            blocks = b.let(tirx.Select(by_rows, parts, blocks), "blocks")
        with self.tiles(int64(found.tiles) * blocks, tasks) as item:
            tile, block = quotient(item, blocks), remainder(item, blocks)
            if by_rows is not None:
                tile = tirx.Select(by_rows, remainder(item, found.tiles), tile)
                block = tirx.Select(by_rows, quotient(item, found.tiles), block)
            tile, block = b.let(tile, "tile"), b.let(block, "block")
            start = b.let(quotient(count * block, blocks), "start")
            stop = b.let(quotient(count * (block + int64(1)), blocks), "stop")
            self.row_tiles(found, rows, env, tile, start, stop)

    def many_rounded_rows(
        self, found: Products, rows: Rows, env: Environment, tasks: Tasks
    ) -> None:
        """Work items as those of `many_rows`, all tiles of a block one after another."""
        b = self.b
        count = b.let(rows.count, "rows")
        most = rows_of_block(found, self.height(found, found.tiling.rows, 1))
        blocks = self.blocks(found, count, most, tasks)
        block, held = self.block(found, most), b.local("held", 1, "int64")
        b.store(held, 0, int64(-1))
        with self.tiles(int64(found.tiles) * blocks, tasks) as item:
            number = b.let(quotient(item, found.tiles), "block")
            tile = b.let(remainder(item, found.tiles), "tile")
            start = b.let(quotient(count * number, blocks), "start")
            stop = b.let(quotient(count * (number + int64(1)), blocks), "stop")
            with b.when(tirx.NE(load(held, 0), number)):
                b.store(held, 0, number)
                with b.loop(start, stop, name="r") as row:
                    here, batch = rows.place(b, row, env)
                    block.place(row - start, here, batch)
                block.round(stop - start)
            self.row_tiles(found, rows, env, tile, start, stop, block)

    def blocks(self, found: Products, count: Expr, most: int, tasks: Tasks) -> Expr:
        """Into how many blocks of at most so many rows a column tile is divided."""
        number = int64(tasks.count)
        # Few tiles that do not divide among the tasks: their rows do.
        uneven = tirx.And(
            tirx.NE(remainder(int64(found.tiles), number), int64(0)),
            tirx.LT(int64(found.tiles), number * int64(_FEW_TILES)),
        )
        shares = tirx.Min(count, tirx.Select(uneven, number, int64(1)))
        return self.b.let(tirx.Max(ceiling_quotient(count, most), shares), "blocks")

    def block(self, found: Products, rows: int) -> Block:
        """Room for so many rounded rows."""
        depth = max(factor.depth for step in found.passes for factor in step.factors)
        if depth > MOST_DEPTH:
            message = f"a product of {depth} int8 weights: sums hold {MOST_DEPTH}"
            raise DiagnosticError([Diagnostic("RNN703", message)])
        rounding = Quantize(found.lanes)
        self.used[rounding.name] = rounding
        return Block(self.b, self.layout, found, rows)

    def tiles(self, count: Expr | int, tasks: Tasks):  # type: ignore[no-untyped-def]
        if tasks.turn is None:
            return share(self.b, count, tasks.task, tasks.count)
        return share_zigzag(self.b, count, tasks.task, tasks.count, tasks.turn)

    def row_tiles(
        self,
        found: Products,
        rows: Rows,
        env: Environment,
        tile: Expr,
        start: Expr,
        stop: Expr,
        block: Block | None = None,
    ) -> None:
        """Rows start..stop of one column tile, in register tiles of nearly equal height."""
        b = self.b
        tiles = self.row_tile(found, env, tile, 1, found.tiling.rows, block)
        count = b.let(stop - start, "count")
        blocks = b.let(ceiling_quotient(count, tiles.rows), "tiles")
        safe = b.let(tirx.Max(blocks, int64(1)), "safe")
        height = b.let(quotient(count, safe), "height")
        taller = b.let(remainder(count, safe), "taller")
        with b.loop(0, blocks, name="m") as m:
            first = b.let(start + m * height + tirx.Min(m, taller), "first")
            tall = b.let(height + tirx.Cast("int64", tirx.LT(m, taller)), "tall")
            with b.loop(0, tall, name="r") as r:
                here, batch = rows.place(b, b.let(first + r, "row"), env)
                tiles.place(r, here, batch)
                self.ask_ahead(tiles, here, batch, 0)
            tiles.multiply(tall, first - start)
            with b.loop(0, tall, name="r") as r:
                here, batch = rows.place(b, b.let(first + r, "row"), env)
                self.epilogue(tiles, here, batch, r, 0)

    def height(self, found: Products, most: int, together: int) -> int:
        """At most so many rows of neighbouring column tiles, fewer if registers are few."""
        form = word(found.shape.weights)
        if form == SPARSE:
            return min(most, SparseMultiply.most_rows(self.target))
        parts = Dot.of(self.target).parts if form == INT8 else form.group
        widths = (len(step.slots) * found.width * together for step in found.passes)
        return min(most, *(rows_that_fit(width, self.target, parts) for width in widths))

    def row_tile(
        self,
        found: Products,
        env: Environment,
        tile: Expr,
        together: int,
        most: int,
        block: Block | None,
    ) -> RowTile:
        """At most `most` rows of neighbouring column tiles, of a block if they are rounded."""
        rows = self.height(found, most, together)
        form = word(found.shape.weights)
        passes: list[PassTile] = []
        for step in found.passes:
            shape = Tile(rows, len(step.slots) * found.width * together, self.lanes)
            panels = tuple(
                Panels(together, factor.prefetch if self.single else 0) for factor in step.factors
            )
            multiply: Multiply | QuantizedMultiply | SparseMultiply
            if form == INT8:
                multiply = QuantizedMultiply(shape, panels, Dot.of(self.target))
            elif form == SPARSE:
                multiply = SparseMultiply(shape, panels, has_lookup(self.target))
            else:
                steps = steps_at_once(shape, self.target) if form == FLOAT32 else 1
                multiply = Multiply(shape, panels, form, steps)
            self.used[multiply.name] = multiply
            factors = tuple(
                self.tile_factor(factor, found, env, tile, rows, block) for factor in step.factors
            )
            sums = self.b.local("sums", rows * shape.columns)
            passes.append(PassTile(step, multiply, factors, sums))
        return RowTile(self.b, self.layout, found, tile, rows, tuple(passes))

    def tile_factor(
        self,
        factor: Factor,
        found: Products,
        env: Environment,
        tile: Expr,
        rows: int,
        block: Block | None,
    ) -> TileFactor | RoundedFactor:
        """The packed weights of a factor from `tile` on, and the rows that they multiply: of the
        block, or room for their offsets."""
        b = self.b
        form = word(found.shape.weights)
        panel = len(factor.gates) * found.width
        if form != SPARSE:  # of which there is an entry for each vector
            panel *= form.rows(factor.depth) * self.lanes
        start = b.let(panel_number(found, factor, env, tile) * int64(panel), "panel")
        weights = self.layout.packs[factor.pack]
        if block is not None:
            return RoundedFactor(block.rows_of(factor), weights, start)
        left = self.layout.places[factor.vector.buffer].memory
        offsets = b.local("offsets", rows, "int64")
        return TileFactor(left, offsets, weights, start, factor.depth, self.terms(factor))

    def terms(self, factor: Factor) -> Expr:
        """How many values of the vector are multiplied: none where all of them are zero."""
        listing, vector = self.listing, factor.vector
        depth = int64(factor.depth)
        if listing is None or vector.buffer not in listing.zero:
            return depth
        if Poly.of(listing.dim) not in vector.index:
            return depth
        return self.b.let(tirx.Select(tirx.EQ(listing.level, int64(0)), int64(0), depth), "terms")

    def ask_ahead(self, tiles: RowTile, env: Environment, batch: Expr, ahead: Expr | int) -> None:
        emitter = Emitter(self.b, self.layout, env, batch, None, {})
        column = (tiles.tile + int64(ahead)) * int64(tiles.products.columns)
        ask_for_reads(emitter, self.kernel, tiles.products, column)

    def epilogue(
        self, tiles: RowTile, env: Environment, batch: Expr, row: Expr | int, ahead: Expr | int
    ) -> None:
        """What follows the sums of one row in one column tile."""
        shape = self.kernel.shape
        for column, known in tiles.vectors(int64(row), int64(ahead)):
            lanes = Lanes(ex.element(len(shape) - 1), column, self.lanes, shape[-1])
            emit_body(self.kernel, self.emitter(env, batch, lanes, known), tiles.products.skipped)
