"""Who owns which panels of weights that stay on the chip (capacity.py)."""

from __future__ import annotations

from tvm import tirx

from rnnc.plan.plan import Kernel
from rnnc.weights import MathType

from ..tensorir.layout import Layout
from ..tensorir.packing import Products
from ..tensorir.tir import Buffer, Expr, int64, quotient, remainder
from .capacity import Placed
from .source import DeviceBuilder
from .tiles import LANES


class Owner:
    """The owner, by itself a warp, of some weights of one kernel, in `memory`: registers, or the
    shared memory of `warp`'s block. Products are of type `math`."""

    width = 1  # columns of a panel

    def __init__(
        self,
        b: DeviceBuilder,
        layout: Layout,
        kernel: Kernel,
        found: Products,
        placed: Placed,
        warp: Expr,
        lane: Expr,
        memory: Buffer,
        math: MathType,
    ) -> None:
        assert placed.panels is not None
        self.b, self.layout, self.kernel, self.found = b, layout, kernel, found
        self.each, self.panels = placed.each, placed.panels
        self.lane, self.memory, self.math = lane, memory, math
        self.warps = b.block_size // LANES
        self.owner = b.let(self.owner_of(warp) - int64(placed.first), "owner")
        if placed.home == "registers":
            self.begin, self.stride = int64(placed.start), 1
        else:
            self.stride = LANES
            first = int64(placed.start) + remainder(warp, self.warps) * int64(placed.room * LANES)
            self.begin = b.let(first + lane, "resident")

    def owner_of(self, warp: Expr) -> Expr:
        """The number of the owner to which a warp belongs."""
        return warp

    def number(self, panel: Expr | int) -> Expr:
        """Neighbours own neighbouring panels."""
        own = tirx.call_extern("int64", "rnnc_unknown", self.owner)
        return self.b.let(own * int64(self.each) + int64(panel), "number")

    def is_own(self, number: Expr) -> Expr:
        """Whether a panel of that number is this owner's."""
        last = tirx.LT(number, int64(self.panels.count))
        return tirx.And(tirx.GE(self.owner, int64(0)), last)

    def point(self, number: Expr) -> tuple[dict[str, Expr], Expr]:
        """The point of the loops on which weights depend, and the first column, of a panel."""
        b = self.b
        panel = remainder(number, self.panels.columns)
        column = b.let(panel * int64(self.width) if self.width > 1 else panel, "column")
        rest = quotient(number, self.panels.columns)
        env: dict[str, Expr] = {}
        for loop in reversed(self.panels.loops):
            points = loop.upper - loop.lower
            env[loop.name] = b.let(remainder(rest, points) + int64(loop.lower), loop.name)
            rest = quotient(rest, points)
        return env, column
