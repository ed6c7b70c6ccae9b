"""The register tile: rows of a left operand times one packed panel of weights.

A panel holds `vectors` vectors of columns: `panel[k][column]`, so that the inner loop reads weights
with unit stride and every value of the left operand is broadcast. Rows need not be neighbours:
each has its own offset, which is how the points of a wave share one matmul.

    for k in 0..depth:                         accumulators stay in registers
        for row, vector: acc[row, vector] += left[offset[row] + k] * panel[k, vector]

Where a word of the panel holds several weights (`words`), a turn of the loop takes as many k.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from tvm import tirx

from ..tensorir.tiling import MOST_ROWS
from ..tensorir.tir import (
    Buffer,
    Builder,
    Expr,
    Function,
    address,
    constant,
    int64,
    load,
    multiply_add,
    quotient,
    splat,
)
from ..tensorir.words import FLOAT32, Word
from .target import CpuTarget


@dataclass(frozen=True, slots=True)
class Tile:
    """`rows` x `vectors` accumulators of `lanes` values."""

    rows: int
    vectors: int
    lanes: int

    @property
    def columns(self) -> int:
        return self.vectors * self.lanes


def rows_that_fit(vectors: int, target: CpuTarget, parts: int = 1) -> int:
    """How many rows of `vectors` accumulators the registers hold, next to the operands.

    Beside the accumulators live either the vectors of the panel and one broadcast value, or the
    broadcast values of all rows and one vector of the panel (see `each_product`); where words are
    taken apart, so many `parts` of each, with words and a mask.
    """
    # Without a fused multiply-add, products need a register of their own.
    fused = target.architecture != "x86_64" or target.vector_bytes > 16
    registers = target.vector_registers - (1 if fused else 2)
    registers -= 2 * (parts - 1)
    by_panel = (registers - parts * vectors) // vectors
    by_rows = registers // (vectors + parts)
    return max(1, min(MOST_ROWS, max(by_panel, min(by_rows, vectors - 1))))


def steps_at_once(tile: Tile, target: CpuTarget) -> int:
    """How many steps a turn of the loop over k takes: two, if loads of the second one find
    registers while the first is multiplied. They are 1 to 2 % faster."""
    taken = tile.rows * tile.vectors + min(tile.rows, tile.vectors)
    is_wide = target.vector_bytes == 64  # compilers for others put vectors on the stack
    return 2 if tile.rows > 1 and is_wide and taken + 4 <= target.vector_registers else 1


@dataclass(frozen=True, slots=True)
class Panels:
    """The weights of a factor: `count` panels side by side, `prefetch` rows of words asked for
    ahead.

    The tile's columns are those of the first panel, then of the next; 0: nothing is asked for.
    """

    count: int = 1
    prefetch: int = 0


@dataclass(frozen=True, slots=True)
class Factor:
    """One summand of a matmul: `left[row_offset + k] * panel[panel_offset + k * columns ...]`.

    `offsets` says where each row of the tile begins in `left`; the panels begin at word `start`.
    Of `depth` values the first `count` are multiplied.
    """

    left: Buffer
    offsets: Buffer
    weights: Buffer
    start: Expr
    depth: int
    count: Expr

    def arguments(self, first: Expr | int) -> list[Expr]:
        """What `Multiply` takes; its rows are those of the tile, wherever that is in a block."""
        left = [address(self.left, 0), address(self.offsets, 0)]
        return [*left, address(self.weights, self.start), self.count]


class Operand(Protocol):
    """A factor as the function takes it that multiplies."""

    def arguments(self, first: Expr | int) -> list[Expr]: ...


@dataclass(frozen=True, slots=True)
class Multiply:
    """A function that sums products of tiles of at most `tile.rows` rows, any depth.

    It is a function because every kernel of a model has such products: its code, of which there is
    a loop for each height, is emitted and compiled once.

        int32_t name(int64_t rows, float *sums,
                     {const float *left, const int64_t *offsets, const WORD *weights,
                      int64_t depth} for each factor)

    writes `sums[row][column]`, overwriting what was there. A turn of the loop over k takes `steps`.
    """

    tile: Tile
    factors: tuple[Panels, ...]
    form: Word = FLOAT32
    steps: int = 1

    @property
    def name(self) -> str:
        factors = "".join(f"_{panels.count}_{panels.prefetch}" for panels in self.factors)
        return f"rnnc_multiply_{self.form.weights}_{self.tile.rows}x{self.tile.vectors}{factors}"

    def function(self) -> Function:
        b = Builder(self.name)
        rows, sums = b.scalar("rows"), b.pointer("sums")
        operands = [
            Operands(
                b.pointer(f"left{number}"),
                b.pointer(f"offsets{number}", "int64"),
                b.pointer(f"weights{number}", self.form.dtype),
                b.scalar(f"depth{number}"),
                panels,
            )
            for number, panels in enumerate(self.factors)
        ]
        for height in range(self.tile.rows, 0, -1):
            with b.when(tirx.EQ(rows, int64(height))):
                accumulators = Accumulators(b, replace(self.tile, rows=height))
                for operand in operands:
                    accumulators.add_product(operand, self.form, self.steps)
                accumulators.store(sums)
        return b.finish()


def call_multiply(
    b: Builder,
    name: str,
    rows: Expr | int,
    sums: Buffer,
    factors: Sequence[Operand],
    first: Expr | int = 0,
) -> None:
    """The sums of `rows` rows, of a block from `first` on, to `sums`."""
    arguments = [argument for factor in factors for argument in factor.arguments(first)]
    b.call(name, int64(rows), address(sums, 0), *arguments)


@dataclass(frozen=True, slots=True)
class Operands:
    """The parameters of `Multiply` for one factor."""

    left: Buffer
    offsets: Buffer
    weights: Buffer
    depth: Expr
    panels: Panels


class Accumulators:
    """The accumulators of a tile, zero at first."""

    def __init__(self, b: Builder, tile: Tile, dtype: str = "float32") -> None:
        self.tile = tile
        self._builder = b
        self._memory = b.local("acc", tile.rows * tile.columns, dtype)
        zero = constant(0, load(self._memory, 0, tile.lanes))
        for row in range(tile.rows):
            for vector in range(tile.vectors):
                self.set(row, vector, zero)

    def get(self, row: int, vector: int) -> Expr:
        return load(self._memory, self._offset(row, vector), self.tile.lanes)

    def set(self, row: int, vector: int, value: Expr) -> None:
        self._builder.store(self._memory, self._offset(row, vector), value)

    def _offset(self, row: int, vector: int) -> int:
        return (row * self.tile.vectors + vector) * self.tile.lanes

    def store(self, sums: Buffer) -> None:
        """All of them, row by row."""
        for row in range(self.tile.rows):
            for vector in range(self.tile.vectors):
                self._builder.store(sums, self._offset(row, vector), self.get(row, vector))

    def add_product(self, given: Operands, form: Word, steps: int) -> None:
        """One factor; the loop over k takes so many `steps` in a turn."""
        b, panels = self._builder, given.panels
        width = self.tile.vectors // panels.count
        rows = [b.let(load(given.offsets, row), "at") for row in range(self.tile.rows)]
        whole = quotient(given.depth, form.group)
        panel = quotient(given.depth + int64(form.group - 1), form.group)
        panel = panel * int64(width * self.tile.lanes)
        bases = [b.let(panel * int64(number), "panel") for number in range(panels.count)]
        turns = quotient(whole, steps)
        with b.loop(0, turns, name="turn") as turn:
            for number in range(steps):
                k = b.let(turn * int64(steps) + int64(number), "k")
                self.step(given, form, rows, bases, k, form.group)
        if steps > 1:
            with b.loop(turns * int64(steps), whole, name="k") as k:
                self.step(given, form, rows, bases, k, form.group)
        for left in range(1, form.group):
            with b.when(tirx.EQ(given.depth - whole * int64(form.group), int64(left))):
                self.step(given, form, rows, bases, whole, left)

    def step(
        self,
        given: Operands,
        form: Word,
        rows: Sequence[Expr],
        bases: Sequence[Expr],
        step: Expr,
        count: int,
    ) -> None:
        """The first `count` weights of the words of a step."""
        b, tile, panels = self._builder, self.tile, given.panels
        width = tile.vectors // panels.count
        row_of_panel = step * int64(width * tile.lanes)
        starts = [b.let(base + row_of_panel) for base in bases]
        places = [start + int64(vector * tile.lanes) for start in starts for vector in range(width)]
        if panels.prefetch:
            ahead = int64(panels.prefetch * width * tile.lanes)
            for place in places:
                b.prefetch(given.weights, place + ahead)
        first = step * int64(form.group)

        def column(vector: int) -> list[Expr]:
            word = b.let(load(given.weights, places[vector], tile.lanes), "w")
            return [form.single(b, word, number) for number in range(count)]

        def values(row: int) -> list[Expr]:
            places = [rows[row] + (first + int64(number)) for number in range(count)]
            return [b.let(splat(load(given.left, place), tile.lanes), "a") for place in places]

        def multiply(row: int, vector: int, left: Expr, right: Expr) -> None:
            self.set(row, vector, multiply_add(left, right, self.get(row, vector)))

        each_product(tile, column, values, multiply)


def each_product(
    tile: Tile,
    column: Callable[[int], Sequence[Expr]],
    values: Callable[[int], Sequence[Expr]],
    multiply: Callable[[int, int, Expr, Expr], None],
) -> None:
    """`multiply` for every row and vector and each part of their words.

    The shorter side stays in registers, the longer passes by.
    """

    def each_part(row: int, vector: int, left: Sequence[Expr], right: Sequence[Expr]) -> None:
        for one, other in zip(left, right, strict=True):
            multiply(row, vector, one, other)

    if tile.rows < tile.vectors:
        lefts = [values(row) for row in range(tile.rows)]
        for vector in range(tile.vectors):
            right = column(vector)
            for row in range(tile.rows):
                each_part(row, vector, lefts[row], right)
    else:
        columns = [column(vector) for vector in range(tile.vectors)]
        for row in range(tile.rows):
            left = values(row)
            for vector in range(tile.vectors):
                each_part(row, vector, left, columns[vector])


@contextmanager
def share(b: Builder, count: Expr | int, task: Expr, num_tasks: Expr) -> Iterator[Expr]:
    """A loop over the task's share of 0..count: contiguous, sizes differing by at most one."""
    tasks = int64(num_tasks)
    number = int64(task)
    lower = b.let(quotient(int64(count) * number, tasks), "lower")
    upper = b.let(quotient(int64(count) * (number + int64(1)), tasks), "upper")
    with b.loop(lower, upper, name="n") as n:
        yield n


@contextmanager
def share_zigzag(
    b: Builder, count: Expr | int, task: Expr, num_tasks: Expr, turn: Expr
) -> Iterator[Expr]:
    """As `share`, backwards in odd turns: what was read last is read first, while in the cache."""
    tasks = int64(num_tasks)
    number = int64(task)
    lower = b.let(quotient(int64(count) * number, tasks), "lower")
    upper = b.let(quotient(int64(count) * (number + int64(1)), tasks), "upper")
    with b.loop(lower, upper, name="n") as n:
        backward = tirx.NE(turn & int64(1), int64(0))
        yield b.let(tirx.Select(backward, lower + upper - int64(1) - n, n), "n")
