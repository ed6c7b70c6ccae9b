"""Products whose weights stay on the chip: loaded once, multiplied in every wave.

    with 2 rows of 3 units, 4 gates, depth 64           warp 0: unit 0, warp 1: unit 1, ...
      load       lane n: w[j][slot] = W[slot][unit][n + 32 j], j = 0, 1
      multiply   lane n: sum[slot][row] += x[row][n + 32 j] w[j][slot]
      and then   lane slot * rows + row has the sum over all lanes; lane `row` collects its slots

`load` and `emit` are all that a loop needs: other ways to hold weights (fragments of a tensor core)
have the same two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tvm import tirx

from rnnc.plan import expression as ex

from ..tensorir.bodies import emit_body
from ..tensorir.layout import Environment
from ..tensorir.packing import Factor
from ..tensorir.panels import panel_number
from ..tensorir.tir import Buffer, Expr, address, ceiling_quotient, int64, load, quotient, remainder
from .owner import Owner
from .tiles import LANES

if TYPE_CHECKING:
    from .kernels import KernelEmitter, Points

MOST_ROWS = 8  # that one warp multiplies together
FEW_ROWS = 2  # up to so many go one by one


class Resident(Owner):
    """The weights of one kernel; a warp owns columns, a lane has every 32nd weight of them."""

    # ---- weights ------------------------------------------------------------------------------

    def load(self) -> None:
        """Once, before the loop."""
        b = self.b
        with b.unrolled(self.each, "panel") as panel:
            number = self.number(panel)
            with b.when(self.is_own(number)):
                env, column = self.point(number)
                start = 0
                for step in self.found.passes:
                    for factor in step.factors:
                        self.load_factor(factor, len(step.slots), env, column, panel, start)
                        start += len(step.slots) * turns(factor)

    def load_factor(
        self, factor: Factor, slots: int, env: Environment, column: Expr, panel: Expr, start: int
    ) -> None:
        b, found, pack = self.b, self.found, self.layout.packs[factor.pack]
        row = slots * found.columns  # of weights of a tile that one k needs
        number = panel_number(found, factor, env, quotient(column, found.columns))
        inside = remainder(column, found.columns)
        first = b.let(number * int64(factor.depth * row) + inside, "first")
        with b.unrolled(turns(factor), "j") as j:
            k = b.let(j * int64(LANES) + self.lane, "k")
            at = first + tirx.Min(k, int64(factor.depth - 1)) * int64(row)
            for slot in range(slots):
                weight = load(pack, at + int64(slot * found.columns))
                beyond = tirx.FloatImm("float32", 0.0)
                inside = tirx.LT(k, int64(factor.depth))
                element = self.element(panel, start, j, slots, slot)
                b.store(self.memory, element, tirx.Select(inside, weight, beyond))

    def element(self, panel: Expr, start: int, j: Expr, slots: int, slot: int) -> Expr:
        """Where a weight of this lane is."""
        own = panel * int64(self.panels.floats) + j * int64(slots) + int64(start + slot)
        return self.begin + own * int64(self.stride)

    # ---- sums ---------------------------------------------------------------------------------

    def emit(self, emitter: KernelEmitter, points: Points) -> None:
        """All points of the panels of this warp, in one wave."""
        b = self.b
        repeat = b.unrolled if self.stride == 1 else b.times
        with repeat(self.each, "panel") as panel:
            number = self.number(panel)
            with b.when(self.is_own(number)):
                env, column = self.point(number)
                with b.when(points.has(env)):
                    rest = points.at(env)
                    here = {**rest.env, ex.element(len(self.kernel.shape) - 1): column}
                    with emitter.tested(here):
                        self.all_rows(emitter, rest, panel, column)

    def all_rows(self, emitter: KernelEmitter, points: Points, panel: Expr, column: Expr) -> None:
        b = self.b
        count = b.let(points.count * int64(points.free_elements), "rows")
        slots = sum(len(step.slots) for step in self.found.passes)
        rows = MOST_ROWS
        while rows > 1 and rows * slots > LANES:
            rows //= 2
        if rows == 1 or points.is_single:
            self.rows(emitter, points, panel, column, count, 1)
            return
        with b.when(tirx.LE(count, int64(FEW_ROWS))):
            self.rows(emitter, points, panel, column, count, 1)
        with b.when(tirx.GT(count, int64(FEW_ROWS))):
            self.rows(emitter, points, panel, column, count, rows)

    def rows(
        self,
        emitter: KernelEmitter,
        points: Points,
        panel: Expr,
        column: Expr,
        count: Expr,
        rows: int,
    ) -> None:
        """All rows, so many of them together."""
        b, axis = self.b, ex.element(len(self.kernel.shape) - 1)
        last = b.let(count - int64(1), "last")
        with b.loop(0, b.let(ceiling_quotient(count, rows), "groups"), name="group") as group:
            first = b.let(group * int64(rows), "first")
            # Beyond the last row, the last one again; it is not stored twice.
            places = [
                points.element(b.let(tirx.Min(first + int64(row), last), "number"))
                for row in range(rows)
            ]
            products = self.multiply(emitter, places, panel)
            own = b.let(first + self.lane, "own")
            mine = tirx.And(tirx.LT(self.lane, int64(rows)), tirx.LE(own, last))
            with b.when(mine):
                env, row = points.element(own)
                at = emitter.emitter({**env, axis: column}, row, products)
                emit_body(self.kernel, at, self.found.skipped)

    def multiply(
        self, emitter: KernelEmitter, places: Sequence[tuple[Environment, Expr]], panel: Expr
    ) -> Mapping[str, Expr]:
        """The sums of each slot; lane n has those of row n."""
        b, rows = self.b, len(places)
        names = [slot for step in self.found.passes for slot in step.slots]
        width = power_of_two(min(len(names) * rows, LANES))
        batches = -(-len(names) * rows // width)
        values = b.local("values", batches * width)
        for number in range(batches * width):
            b.store(values, number, tirx.FloatImm("float32", 0.0))
        start = slot = 0
        for step in self.found.passes:
            for factor in step.factors:
                own = range(slot, slot + len(step.slots))
                self.multiply_factor(emitter, factor, own, places, panel, start, values)
                start += len(step.slots) * turns(factor)
            slot += len(step.slots)
        lane = tirx.Cast("int32", self.lane)
        totals: list[Expr] = []
        for batch in range(batches):
            own = address(values, batch * width)
            arguments = ("rnnc_over_lanes", own, tirx.const(width, "int32"), lane)
            totals.append(b.let(tirx.call_extern("float32", *arguments), "total"))
        row = b.let(tirx.Cast("int32", remainder(self.lane, rows)), "own_row")
        found: dict[str, Expr] = {}
        for number, name in enumerate(names):
            batch, first = divmod(number * rows, width)
            source = row + tirx.const(first, "int32")
            found[name] = b.let(
                tirx.call_extern("float32", "rnnc_of_lane", totals[batch], source), "product"
            )
        return found

    def multiply_factor(
        self,
        emitter: KernelEmitter,
        factor: Factor,
        slots: range,
        places: Sequence[tuple[Environment, Expr]],
        panel: Expr,
        start: int,
        values: Buffer,
    ) -> None:
        b, rows = self.b, len(places)
        place = self.layout.places[factor.vector.buffer]
        lefts: list[Expr] = []
        for env, row in places:
            at = emitter.emitter({**env, factor.contraction: int64(0)}, row, {})
            lefts.append(b.let(at.offset(place, factor.vector) + self.lane, "left"))
        repeat = b.unrolled if self.stride == 1 else b.times
        with repeat(turns(factor), "j") as j:
            ahead = b.let(j * int64(LANES), "ahead")
            vector = [load(place.memory, left + ahead) for left in lefts]
            if factor.depth % LANES:
                inside = tirx.LT(ahead + self.lane, int64(factor.depth))
                beyond = tirx.FloatImm("float32", 0.0)
                vector = [tirx.Select(inside, value, beyond) for value in vector]
            vector = [b.let(value, "x") for value in vector]
            for number, slot in enumerate(slots):
                element = self.element(panel, start, j, len(slots), number)
                weight = b.let(load(self.memory, element), "w")
                for row, value in enumerate(vector):
                    total = load(values, slot * rows + row) + value * weight
                    b.store(values, slot * rows + row, total)


def turns(factor: Factor) -> int:
    """How many weights of a column of a slot one lane has."""
    return -(-factor.depth // LANES)


def power_of_two(least: int) -> int:
    found = 1
    while found < least:
        found *= 2
    return found
