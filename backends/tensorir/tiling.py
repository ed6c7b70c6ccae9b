"""How a kernel with products is divided: the register tile, the work item, what is asked for ahead.

A default holds for every shape; what was measured to be better on a processor stands in a table of
exceptions that travels with the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rnnc.weights import PackType

MOST_ROWS = 14  # more rows of a register tile need more addresses than there are scalar registers
_MOST_WIDTH = 7  # vectors of one sum: leaves room for three rows
_MOST_AHEAD = 64  # rows of weights
_NARROW = ("bf16", "fp16", "int8")  # several weights a word
_MOST_ACCUMULATORS = 24  # of one row: more than any processor of today has registers for


@dataclass(frozen=True, slots=True)
class Shape:
    """What the products of a kernel look like.

    Sums that multiply the same vectors are a group: `slots` is how many sums each group has,
    `depths` are the lengths of its vectors. Every sum has `columns` columns.
    """

    slots: tuple[int, ...]
    depths: tuple[tuple[int, ...], ...]
    columns: int
    weights: PackType
    lanes: int

    @property
    def sums(self) -> int:
        return sum(self.slots)

    @property
    def vectors(self) -> int:
        """Vectors that hold the columns of a sum."""
        return -(-self.columns // self.lanes)

    def __str__(self) -> str:
        groups = (
            f"{slots} x {'+'.join(map(str, depths))}"
            for slots, depths in zip(self.slots, self.depths, strict=True)
        )
        return f"{', '.join(groups)} -> {self.columns} {self.weights}"


@dataclass(frozen=True, slots=True)
class Tiling:
    """Of a kernel with products.

    `width` vectors of each sum make a column tile. Many rows: a register tile has up to `rows` of
    them (fewer where registers are few), a work item up to `block`. One row: `together`
    neighbouring column tiles at once, and weights are asked for `prefetch` rows of words ahead: a
    number for each vector, group after group.
    """

    width: int
    rows: int
    block: int
    together: int
    prefetch: tuple[int, ...]

    def __str__(self) -> str:
        ahead = "/".join(map(str, self.prefetch))
        many = f"width {self.width}, rows {self.rows}, block {self.block}"
        return f"{many}, together {self.together}, ahead {ahead}"

    def suits(self, shape: Shape) -> bool:
        """Whether kernels of that shape can be divided like this."""
        if min(self.width, self.rows, self.block, self.together) < 1:
            return False
        if shape.vectors % (self.width * self.together) or self.rows > MOST_ROWS:
            return False
        depths = [depth for group in shape.depths for depth in group]
        if len(self.prefetch) != len(depths):
            return False
        if not all(0 <= ahead <= _MOST_AHEAD for ahead in self.prefetch):
            return False
        return max(shape.slots) * self.width * self.together <= _MOST_ACCUMULATORS


Tilings = Sequence[tuple[Shape, Tiling]]


def tiling(shape: Shape, exceptions: Tilings) -> Tiling:
    """That of the exceptions, or the default."""
    found = (tiling for known, tiling in exceptions if known == shape)
    return next(found, None) or default_tiling(shape)


def default_tiling(shape: Shape) -> Tiling:
    width = default_width(shape)
    together = default_together(shape, width)
    prefetch = tuple(default_prefetch(shape, depth) for group in shape.depths for depth in group)
    rows = 6 if shape.sums * width > 2 else MOST_ROWS
    # The left operands of a block stay in the first-level cache.
    return Tiling(width, rows, 48, together, prefetch)


def default_width(shape: Shape) -> int:
    """At least four accumulator vectors in all, and hardly more, in tiles of equal width.

    With fewer, each multiply-add waits for the last one.
    """
    wanted = max(1, min(-(-4 // shape.sums), shape.vectors))
    widths: list[int] = [*range(wanted, _MOST_WIDTH + 1), *range(wanted, 0, -1)]
    return next(width for width in widths if shape.vectors % width == 0)


def default_together(shape: Shape, width: int) -> int:
    """One row is bound by the bandwidth of the weights: two streams of them, if registers allow.

    A word of narrow weights is several multiply-adds, of which more must be under way at once.
    Streams of weights that are asked for ahead gain nothing from a second one.
    """
    asked = any(default_prefetch(shape, depth) for group in shape.depths for depth in group)
    most = 6 if shape.weights in _NARROW else 0 if asked else 4
    return 2 if shape.sums * width <= most and shape.vectors // width % 2 == 0 else 1


def default_prefetch(shape: Shape, depth: int) -> int:
    """Long streams the processor follows by itself: there, asking costs about 5 %."""
    return 4 if shape.weights not in _NARROW and 96 <= depth <= 320 else 0
