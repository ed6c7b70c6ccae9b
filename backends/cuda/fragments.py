"""Products on tensor cores whose weights stay on the chip: as fragments, loaded once.

A block owns panels of 8 columns of all sums, its warps a share of k each; a fragment is what a lane
holds of 8 words by 8 columns (tensor_cores.h). In a wave it computes its panels for all rows, 16 at
a time: rows of all points and axes that share the panel's weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rnnc.plan import expression as ex

from ..tensorir.packing import Factor, Pass
from ..tensorir.tir import Buffer, Expr, address, ceiling_quotient, int64, quotient, remainder
from .owner import Owner
from .tensor import TYPES, Item, TensorCores, weights_start
from .tiles import COLUMNS, ROWS, fragments

if TYPE_CHECKING:
    from .kernels import KernelEmitter, Points


class Fragments(Owner):
    """The weights of one kernel; a block owns panels of columns, its warps a share of k each."""

    width = COLUMNS

    def owner_of(self, warp: Expr) -> Expr:
        return quotient(warp, self.warps)

    def place(self, panel: int, number: int, position: int) -> Expr:
        """Where the fragments of factor `position` of pass `number` begin."""
        before = panel * self.panels.floats
        for other, step in enumerate(self.found.passes):
            for index, factor in enumerate(step.factors):
                if (other, index) == (number, position):
                    return address(self.memory, self.begin + int64(before * self.stride))
                before += self.count(step, factor) * 2
        raise AssertionError

    def count(self, step: Pass, factor: Factor) -> int:
        return len(step.slots) * self.steps(factor)

    def steps(self, factor: Factor) -> int:
        return fragments(factor.depth, self.layout.word.group, self.warps)

    def kind(self, step: Pass, factor: Factor) -> str:
        """The arguments of the templates."""
        return f"{TYPES[self.math]}, {len(step.slots)}, {self.steps(factor)}, {self.stride}"

    def load(self) -> None:
        """Once, before the loop."""
        b = self.b
        for panel in range(self.each):
            own = self.number(panel)
            with b.when(self.is_own(own)):
                self.load_panel(panel, own)

    def load_panel(self, panel: int, own: Expr) -> None:
        env, column = self.point(own)
        tile, inside = self.in_tile(column)
        for number, step in enumerate(self.found.passes):
            stride = len(step.slots) * self.found.columns
            for position, factor in enumerate(step.factors):
                start = weights_start(self.found, factor, self.layout.word, env, tile, stride)
                self.b.call(
                    f"rnnc_hold<{self.kind(step, factor)}>",
                    self.place(panel, number, position),
                    address(self.layout.packs[factor.pack], start + inside),
                    int64(factor.depth),
                    int64(self.found.columns),
                    int64(stride),
                )

    def in_tile(self, column: Expr) -> tuple[Expr, Expr]:
        """The tile of packed weights that a column is in, and which it is there."""
        return quotient(column, self.found.columns), remainder(column, self.found.columns)

    def emit(self, emitter: KernelEmitter, points: Points) -> None:
        """All rows of the panels of this block, in one wave."""
        for panel in range(self.each):
            with self.b.block():
                Held(self, panel, emitter, points).emit()


class Held(TensorCores):
    """The products of one panel."""

    def __init__(
        self, weights: Fragments, panel: int, kernel: KernelEmitter, points: Points
    ) -> None:
        super().__init__(kernel, points, weights.found)
        self.weights, self.panel = weights, panel

    @contextmanager
    def items(self) -> Iterator[Item]:
        b, weights = self.b, self.weights
        number = weights.number(self.panel)
        with b.when(weights.is_own(number)):
            env, column = weights.point(number)
            tile, inside = weights.in_tile(column)
            with b.when(self.points.has(env)):
                rest = self.points.at(env)
                last = b.let(rest.count * int64(rest.free_elements) - int64(1), "last")
                groups = b.let(ceiling_quotient(last + int64(1), ROWS), "groups")
                axis = ex.element(len(self.kernel.kernel.shape) - 1)
                with (
                    self.kernel.tested({**rest.env, axis: tile * int64(self.found.columns)}),
                    b.loop(0, groups, name="group") as group,
                ):
                    first = b.let(group * int64(ROWS), "first")
                    yield Item(rest.element, {}, first, last, tile, inside)

    def accumulate(
        self, item: Item, step: Pass, factor: Factor, sums: Buffer, number: int, position: int
    ) -> None:
        weights = self.weights
        self.b.call(
            f"rnnc_multiply_held<{weights.kind(step, factor)}>",
            address(sums, 0),
            *self.vectors(factor, number, position),
            weights.place(self.panel, number, position),
            int64(factor.depth),
        )
