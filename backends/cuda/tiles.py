"""How the products of a kernel are divided among blocks and warps that use tensor cores.

A block computes a tile of rows and columns of all sums of a kernel. Where rows are many, as in what
is computed for all grid points at once, its warps share the columns, and each reads weights once
for all rows. In a wave rows are few, and columns too few to keep all processors busy: there the
warps share k, and a block has 8 columns only.

Tensor cores multiply 16 rows at least. With fewer the rest is wasted, which costs nothing: such a
product waits for its weights, and they are read once either way.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..tensorir.packing import Pass, Products

LANES = 32  # a warp: internal rows and packed panels are whole multiples of it
BLOCK = 128  # threads of a block that does not stay
PLAIN_ROWS = 4  # that one warp computes together without tensor cores
ROWS = 16  # of an instruction
COLUMNS = 8
_MOST_ROWS = 64
_SHARED = 48 << 10  # bytes of a block that need not be asked for
_FLOAT, _OFFSET = 4, 8


@dataclass(frozen=True, slots=True)
class Tile:
    """`rows` x `columns` of a block, by `warps` that share its columns (`across`), or k.

    Sums of a pass stand in shared memory: [warp if they share k][panel][row][column], a row
    `stride` floats; a panel is what one warp, or all across, have of the columns of one sum.
    """

    across: bool
    warps: int
    rows: int
    columns: int

    @property
    def panel(self) -> int:
        """Columns of a panel."""
        return COLUMNS * self.warps if self.across else COLUMNS

    @property
    def stride(self) -> int:
        """Banks of shared memory: with 8 more, rows 0 to 3 lie in different ones."""
        return self.panel + 8 if self.across else self.panel

    def panels(self, step: Pass) -> int:
        """Of a pass."""
        return len(step.slots) * (self.columns // self.panel)

    def sums(self, found: Products) -> int:
        """Floats of shared memory that sums take: all passes across, else one at a time."""
        panels = [self.panels(step) for step in found.passes]
        used = sum(panels) if self.across else max(panels) * self.warps
        return used * self.rows * self.stride

    def starts(self, found: Products) -> int:
        """Offsets of rows, for each factor."""
        return sum(len(step.factors) for step in found.passes) * self.rows

    def parts(self, found: Products) -> int:
        """How many blocks share a column tile of the packed weights."""
        return found.columns // self.columns

    def memory(self, found: Products) -> int:
        """Bytes of shared memory."""
        return self.sums(found) * _FLOAT + self.starts(found) * _OFFSET

    def fits(self, found: Products) -> bool:
        return self.memory(found) <= _SHARED


def fragments(depth: int, group: int, warps: int) -> int:
    """How many steps of 8 words each warp takes that shares k."""
    return -(-depth // (8 * group * warps))


def tile(found: Products, warps: int, many: bool) -> Tile:
    """For `many` rows, or as few as a wave has."""
    if many and warps * COLUMNS == LANES:
        rows = _MOST_ROWS
        while rows >= ROWS:
            wide = Tile(True, warps, rows, found.columns)
            if wide.fits(found):
                return wide
            rows //= 2
    assert warps * LANES >= ROWS * COLUMNS, "a thread collects the sums of one element"
    return Tile(False, warps, ROWS, COLUMNS)
