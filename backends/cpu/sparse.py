"""Products of weights of which many are zero: only the others are read and multiplied.

A vector of columns shares a list of *groups*. A group looks at a window of neighbouring values of
the left operand and takes up to `STEPS` weights of each column there: a value is picked by its
place in the window, which is one instruction of AVX-512, a few of AVX2. Windows
overlap: each begins at the first k that some column still lacks, so that columns with few weights
wait for none but the fullest one. A vector without enough zeros is stored whole. What stands where
in a pack is said in runtime/sparse.h.

    for group in vector:                       window: values of left, from start[group] on
        for step: acc += pick(window, place[group, step]) * weight[group, step]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tvm import tirx

from rnnc.plan.expression import Contract, walk
from rnnc.plan.plan import Buffer as PlanBuffer
from rnnc.plan.plan import Kernel
from rnnc.weights import PackType

from ..tensorir.tir import (
    Buffer,
    Builder,
    Expr,
    Function,
    int32,
    int64,
    intrinsic,
    lanes_of,
    load,
    multiply_add,
    quotient,
    splat,
    with_lanes,
)
from .microkernel import Accumulators, Panels, Tile
from .target import CpuTarget

STEPS = 4  # weights of a column in a group; their places make a word
HEADER = 2  # words of a list before the starts of its groups
_PLACE_BITS = 8
_WINDOW = 64  # where values are picked from memory
_LANES_OF_TWO = 16  # of the vectors of which one instruction looks up in two
_SIGN = 31  # the bit by which AVX2 chooses between two values: places have it at 3
_SUMS = 4  # accumulators that a column of few rows needs: additions wait for one another


@dataclass(frozen=True, slots=True)
class SparseMultiply:
    """As `Multiply`, with sparse weights; `in_registers`: a window is two vectors of registers.

    int32_t name(int64_t rows, float *sums,
                 {const float *left, const int64_t *offsets, const int32_t *weights,
                  int64_t depth} for each factor)
    """

    tile: Tile
    factors: tuple[Panels, ...]
    in_registers: bool

    @staticmethod
    def most_rows(target: CpuTarget) -> int:
        """How many rows the registers hold: of each a window and a sum."""
        return max(1, (target.vector_registers - 4) // (3 if has_lookup(target) else 2))

    @property
    def name(self) -> str:
        return f"rnnc_multiply_sparse_{self.tile.rows}x{self.tile.vectors}_{len(self.factors)}"

    def function(self) -> Function:
        b = Builder(self.name)
        rows, sums = b.scalar("rows"), b.pointer("sums")
        operands = [
            SparseOperands(
                b.pointer(f"left{number}"),
                b.pointer(f"offsets{number}", "int64"),
                b.pointer(f"weights{number}", "int32"),
                b.scalar(f"depth{number}"),
            )
            for number in range(len(self.factors))
        ]
        for height in range(self.tile.rows, 0, -1):
            with b.when(tirx.EQ(rows, int64(height))), b.loop(0, self.tile.vectors) as vector:
                column = Column(b, self, height)
                for operand in operands:
                    column.add(operand, vector)
                column.store(sums, vector)
        return b.finish()


def stored(kernel: Kernel, buffers: Mapping[str, PlanBuffer], weights: PackType) -> PackType:
    """As what a kernel's weights are stored: as sparse, too, where one has a mask.

    A pack without enough zeros is stored whole and multiplied by the same kernel, up to a third
    slower than by `Multiply`.
    """
    has_mask = any(
        isinstance(part, Contract) and buffers[part.weight.param].masked
        for expression in kernel.expressions
        for part in walk(expression)
    )
    return "sparse" if has_mask and weights == "float32" else weights


def window(target: CpuTarget) -> int:
    """How many values a place can be among."""
    return 2 * target.lanes("float32") if has_lookup(target) else _WINDOW


def has_lookup(target: CpuTarget) -> bool:
    """Whether instructions pick values out of vectors in registers: AVX2 and AVX-512."""
    return target.architecture == "x86_64" and target.vector_bytes >= 32


def worth_listing(target: CpuTarget) -> float:
    """The most steps for each k that take no longer than all weights; measured on Zen 5."""
    if not has_lookup(target):
        return 0.17
    return 0.4 if target.lanes("float32") == _LANES_OF_TWO else 0.28


@dataclass(frozen=True, slots=True)
class SparseOperands:
    """The parameters of `SparseMultiply` for one factor."""

    left: Buffer
    offsets: Buffer
    weights: Buffer
    depth: Expr


class Column:
    """The sums of one vector of columns and `rows` rows; few rows have several sums each."""

    def __init__(self, b: Builder, kind: SparseMultiply, rows: int) -> None:
        self.b, self.kind, self.rows, self.lanes = b, kind, rows, kind.tile.lanes
        self.parts = max(1, _SUMS // rows)
        self.sums = Accumulators(b, Tile(rows, self.parts, self.lanes))

    def add(self, given: SparseOperands, vector: Expr) -> None:
        """One factor: groups, or the weights of a whole vector."""
        b = self.b
        rows = [b.let(load(given.offsets, row), "at") for row in range(self.rows)]
        begin = b.let(vector + int64(load(given.weights, vector)), "begin")
        groups = b.let(int64(load(given.weights, begin)), "groups")
        length = b.let(int64(load(given.weights, begin + int64(1))), "length")
        first = b.let(begin + length, "first")
        some = tirx.GT(given.depth, int64(0))
        lists = tirx.And(some, tirx.GE(groups, int64(0)))
        with b.when(lists), b.loop(0, groups, name="g") as group:
            self.group(given, rows, begin, first, group)
        with b.when(tirx.LT(groups, int64(0))):
            self.whole(given, rows, first)

    def group(
        self, given: SparseOperands, rows: Sequence[Expr], begin: Expr, first: Expr, group: Expr
    ) -> None:
        b, lanes = self.b, self.lanes
        at = b.let(first + group * int64((1 + STEPS) * lanes), "group")
        start = b.let(int64(load(given.weights, begin + group + int64(HEADER))), "start")
        windows = [Window(b, self.kind, given.left, b.let(row + start), lanes) for row in rows]
        places = b.let(load(given.weights, at, lanes), "places")
        for step in range(STEPS):
            shifted = b.let(places >> splat(int32(_PLACE_BITS * step), lanes), "place")
            weight = self.weights(given, at + int64((1 + step) * lanes))
            for row, window in enumerate(windows):
                self.accumulate(row, step, window.pick(shifted), weight)

    def whole(self, given: SparseOperands, rows: Sequence[Expr], first: Expr) -> None:
        """Every weight, `parts` values of k in a turn."""
        b, parts = self.b, self.parts
        turns = b.let(quotient(given.depth, parts), "turns")

        def step(k: Expr, part: int) -> None:
            weight = self.weights(given, first + k * int64(self.lanes))
            for row, at in enumerate(rows):
                value = b.let(splat(load(given.left, at + k), self.lanes), "a")
                self.accumulate(row, part, value, weight)

        with b.loop(0, turns, name="turn") as turn:
            for part in range(parts):
                step(b.let(turn * int64(parts) + int64(part), "k"), part)
        if parts > 1:
            with b.loop(turns * int64(parts), given.depth, name="k") as k:
                step(k, 0)

    def weights(self, given: SparseOperands, at: Expr) -> Expr:
        bits = load(given.weights, at, self.lanes)
        return self.b.let(tirx.reinterpret(with_lanes("float32", self.lanes), bits), "w")

    def accumulate(self, row: int, step: int, value: Expr, weight: Expr) -> None:
        part = step % self.parts
        self.sums.set(row, part, multiply_add(value, weight, self.sums.get(row, part)))

    def store(self, sums: Buffer, vector: Expr) -> None:
        """All sums, each into its row."""
        for row in range(self.rows):
            total = self.sums.get(row, 0)
            for part in range(1, self.parts):
                total = self.b.let(total + self.sums.get(row, part), "sum")
            at = (int64(row * self.kind.tile.vectors) + vector) * int64(self.lanes)
            self.b.store(sums, at, total)


class Window:
    """Neighbouring values of one row of the left operand, from `start` on."""

    def __init__(
        self, b: Builder, kind: SparseMultiply, left: Buffer, start: Expr, lanes: int
    ) -> None:
        self.b, self.left, self.start = b, left, start
        places = [start, start + int64(lanes)] if kind.in_registers else []
        self.halves = [b.let(load(left, place, lanes), "half") for place in places]

    def pick(self, places: Expr) -> Expr:
        """The value at each place, which stands in the lowest bits."""
        b, lanes = self.b, lanes_of(places)
        if self.halves:  # looks at as many bits as a place has there
            return b.let(self.look_up(places, *self.halves), "a")
        masked = places & splat(int32((1 << _PLACE_BITS) - 1), lanes)
        index = tirx.Cast(with_lanes("int64", lanes), masked) + splat(self.start, lanes)
        return b.let(tirx.BufferLoad(self.left, [index]), "a")

    def look_up(self, places: Expr, low: Expr, high: Expr) -> Expr:
        lanes = lanes_of(places)
        vector = with_lanes("float32", lanes)
        if lanes == _LANES_OF_TWO:
            return intrinsic("llvm.x86.avx512.vpermi2var.ps.512", vector, low, places, high)
        halves = (intrinsic("llvm.x86.avx2.permps", vector, half, places) for half in (low, high))
        is_high = tirx.reinterpret(vector, places << splat(int32(_SIGN - 3), lanes))
        return intrinsic("llvm.x86.avx.blendv.ps.256", vector, *halves, is_high)
