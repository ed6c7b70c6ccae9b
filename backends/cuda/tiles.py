"""How the products of a kernel are divided among blocks and warps that use tensor cores.

In a wave rows are few, and columns too few to keep all processors busy: a block has 8 columns of 16
rows, of which its warps share k (`Tile`). Where rows are many, as in what is computed for all grid
points at once, a block has as large a tile as registers hold (`BlockTile`): what it reads is used
for all rows, or all columns, of the tile.

Tensor cores multiply 16 rows at least. With fewer the rest is wasted, which costs nothing: such a
product waits for its weights, and they are read once either way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rnnc.weights import MathType

from ..tensorir.packing import Products

LANES = 32  # a warp: internal rows and packed panels are whole multiples of it
BLOCK = 128  # threads of a block that does not stay
PLAIN_ROWS = 4  # that one warp computes together without tensor cores
ROWS = 16  # of an instruction
COLUMNS = 8
_SHARED = 48 << 10  # bytes of a block that need not be asked for
_FLOAT, _OFFSET = 4, 8


# ---- few rows -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tile:
    """16 rows x 8 columns of a block, by `warps` that share k.

    Sums of a pass stand in shared memory: [warp][slot][row][column].
    """

    warps: int
    rows: int = ROWS
    columns: int = COLUMNS

    def __str__(self) -> str:
        return f"read once for every {self.rows} rows"

    def sums(self, found: Products) -> int:
        """Floats of shared memory that the sums of a pass take."""
        return max(len(step.slots) for step in found.passes) * self.warps * self.rows * self.columns

    def memory(self, found: Products) -> int:
        """Bytes of shared memory."""
        return self.sums(found) * _FLOAT + starts(found, self.rows) * _OFFSET


def starts(found: Products, rows: int) -> int:
    """Offsets of rows, for each factor."""
    return sum(len(step.factors) for step in found.passes) * rows


def fragments(depth: int, group: int, warps: int) -> int:
    """How many steps of 8 words each warp takes that shares k."""
    return -(-depth // (8 * group * warps))


# ---- many rows ----------------------------------------------------------------------------------

_WARPS = BLOCK // LANES
_STEP = 16  # words of k that are multiplied between two meetings
_STAGES = 3  # of weights in shared memory
# Floats of a thread. They leave as many registers for operands and addresses; without tensor cores
# operands are read long ahead, and take more.
_MOST_SUMS, _MOST_PLAIN_SUMS = 128, 64


@dataclass(frozen=True, slots=True)
class BlockTile:
    """`rows` x `columns` (of each sum) of a block of four warps, which are `across` beside each
    other (block_tiles.h).

    Operands have `parts` words each, of `group` neighbours in k.
    """

    rows: int
    columns: int
    across: int
    group: int
    parts: int

    def __str__(self) -> str:
        return f"read once for every {self.rows} rows, in tiles of {self.rows} x {self.columns}"

    @property
    def tiles(self) -> int:
        """Instructions that a warp has one above the other."""
        return self.rows * self.across // (_WARPS * ROWS)

    @property
    def own(self) -> int:
        """Columns of a sum that a warp has."""
        return self.columns // self.across

    def panels(self, slots: int) -> int:
        """Instructions that a warp has side by side, of so many sums."""
        return slots * self.own // COLUMNS

    def sums(self, slots: int) -> int:
        """Floats of a thread."""
        return 4 * self.tiles * self.panels(slots)

    def shown(self, found: Products) -> int:
        """Floats between rows of sums in shared memory: neighbours lie in different banks."""
        width = found.shape.sums * self.own
        return width + (COLUMNS - width) % LANES

    def memory(self, found: Products) -> int:
        """Floats of shared memory, but for those of rows."""
        width = max(len(step.slots) for step in found.passes) * self.columns
        right = _STAGES * _STEP * (width + (8 - width) % LANES)
        left = 2 * self.parts * self.rows * _STEP
        return max(left + right, _WARPS * COLUMNS * self.shown(found))

    def fits(self, found: Products, digits: int, most: int) -> bool:
        """Whether shared memory has room for it, and registers, `most` of them for sums."""
        offsets = starts(found, self.rows) + digits * self.rows
        bytes = self.memory(found) * _FLOAT + offsets * _OFFSET
        return self.sums(found.shape.sums) <= most and bytes <= _SHARED

    def count(self, found: Products, rows: int) -> int:
        """How many of them cover so many rows and all columns."""
        return -(-rows // self.rows) * -(-found.shape.columns // self.columns)

    def read(self, found: Products) -> float:
        """What a step of k reads, in floats: from memory, and from shared memory, which is several
        times as fast."""
        sums = found.shape.sums
        columns = sums * self.columns / self.group
        again = self.rows * self.columns / self.own + columns * self.rows / (ROWS * self.tiles)
        return self.rows + columns + again * self.parts / self.group / 4


def block_tile(
    found: Products, math: MathType, digits: int, rows: int, points: int, processors: int
) -> BlockTile | None:
    """The one with which `processors` read least for `rows` rows at each of `points` with weights
    of their own, or None if a thread cannot hold all sums of an instruction.

    `digits` numbers say which point and row of the batch a row is.
    """

    def cost(tile: BlockTile) -> float:
        return -(-points * tile.count(found, rows) // processors) * tile.read(found)

    most = _MOST_PLAIN_SUMS if math == "float32" else _MOST_SUMS
    fitting = (tile for tile in _tiles(found, math) if tile.fits(found, digits, most))
    return min(fitting, key=cost, default=None)


def _tiles(found: Products, math: MathType) -> Iterator[BlockTile]:
    group = 2 if math in ("bf16", "fp16") else 1
    parts = 2 if math == "3xtf32" else 1
    for rows in (128, 64, 32):
        for across in (1, 2, 4):
            if rows * across % (_WARPS * ROWS):
                continue
            for columns in range(found.columns, 0, -COLUMNS * across):
                if found.columns % columns == 0 and columns % (COLUMNS * across) == 0:
                    yield BlockTile(rows, columns, across, group, parts)
