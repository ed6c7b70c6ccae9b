"""Products of int8 weights: rows of the left operand are rounded to int8 too, sums are exact.

    for each block of rows: round its rows, once for all column tiles
        for column tile, row tile: multiply codes, scale the sums

A row is divided by its scale, the largest magnitude / 127, and rounded to the nearest integer, ties
to even; so was each column of the panel when it was packed (runtime/model.c). Products of
these codes are summed in int32, which holds 2^17 of them, and multiplied by both scales. All
processors compute the same integers. A row whose largest magnitude is below 2^-100 is zero; one
with an infinity or NaN gives NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tvm import tirx

from ..tensorir.tir import (
    Buffer,
    Builder,
    Expr,
    Function,
    address,
    constant,
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
from ..tensorir.words import INT8
from .microkernel import Accumulators, Panels, Tile, each_product
from .target import CpuTarget

MOST_DEPTH = 1 << 17  # 2^17 * 127 * 127 < 2^31
_MAGNITUDE = 0x7FFFFFFF  # all bits but the sign; as integers magnitudes are in order
_INFINITE = 0x7F800000
_TINY = 0x0D800000  # 2^-100: 127 divided by less might be infinite
_SIGN_BITS = -0x7F7F7F80  # 0x80808080: added to each byte, it makes signed ones unsigned
_MADDWD = {
    16: "llvm.x86.sse2.pmadd.wd",
    32: "llvm.x86.avx2.pmadd.wd",
    64: "llvm.x86.avx512.pmaddw.d.512",
}


@dataclass(frozen=True, slots=True)
class Dot:
    """How four products of bytes are added to each lane of a vector of int32.

    A word is taken apart into `parts` vectors, each of which `add` multiplies at once. `biased`:
    weights are taken as 128 more than they are.
    """

    parts: int
    biased: bool
    maddwd: str | None

    @staticmethod
    def of(target: CpuTarget) -> Dot:
        match target.byte_products:
            case "vpdpbusd":
                return Dot(1, True, None)
            case "pmaddwd":
                return Dot(2, False, _MADDWD[target.vector_bytes])
            case _:
                return Dot(INT8.group, False, None)

    def weights(self, b: Builder, word: Expr) -> list[Expr]:
        return [b.let(word ^ constant(_SIGN_BITS, word))] if self.biased else self.values(b, word)

    def values(self, b: Builder, word: Expr) -> list[Expr]:
        if self.biased:
            return [word]
        if self.maddwd is None:
            up = (splat(int32(24 - 8 * n), lanes_of(word)) for n in range(INT8.group))
            return [b.let((word << bits) >> splat(int32(24), lanes_of(word))) for bits in up]
        lanes = 2 * lanes_of(word)
        pairs = tirx.reinterpret(with_lanes("int16", lanes), word)
        byte = splat(tirx.IntImm("int16", 8), lanes)
        return [b.let((pairs << byte) >> byte), b.let(pairs >> byte)]

    def add(self, total: Expr, value: Expr, weight: Expr) -> Expr:
        if self.biased:
            bytes_of_word = with_lanes("int8", 4 * lanes_of(total))
            operands = (tirx.reinterpret(bytes_of_word, part) for part in (weight, value))
            name = f"llvm.x86.avx512.vpdpbusd.{32 * lanes_of(total)}"
            return intrinsic(name, with_lanes("int32", lanes_of(total)), total, *operands)
        if self.maddwd is None:
            return total + value * weight
        return total + intrinsic(self.maddwd, with_lanes("int32", lanes_of(total)), value, weight)


@dataclass(frozen=True, slots=True)
class Quantize:
    """A function that rounds rows to int8.

        int32_t rnnc_quantize(int64_t rows, const float *left, const int64_t *offsets,
                              int64_t depth, int8_t *codes, float *scales, int32_t *totals)

    writes, for each row, `depth` codes and zeros up to a whole word, its scale and the sum of its
    codes.
    """

    lanes: int
    name: str = "rnnc_quantize"

    def function(self) -> Function:
        b = Builder(self.name)
        rows, left, offsets = b.scalar("rows"), b.pointer("left"), b.pointer("offsets", "int64")
        depth, codes = b.scalar("depth"), b.pointer("codes", "int8")
        scales, totals = b.pointer("scales"), b.pointer("totals", "int32")
        length = b.let(quotient(depth + int64(INT8.group - 1), INT8.group) * int64(INT8.group))
        with b.loop(0, rows, name="row") as row:
            start, to = b.let(load(offsets, row), "at"), b.let(row * length, "to")
            largest = self.largest(b, left, start, depth)
            finite = b.let(tirx.LT(largest, int32(_INFINITE)))
            counts = b.let(tirx.And(finite, tirx.GE(largest, int32(_TINY))))
            magnitude = b.let(tirx.reinterpret("float32", largest))
            zero, most = tirx.FloatImm("float32", 0.0), tirx.FloatImm("float32", 127.0)
            safe = b.let(tirx.Select(counts, magnitude, most), "safe")
            scale = tirx.Select(counts, safe / most, zero)
            nan = tirx.FloatImm("float32", float("nan"))
            b.store(scales, row, tirx.Select(finite, scale, nan))
            inverse = b.let(most / safe, "inverse")
            mask = b.let(tirx.Select(counts, int32(-1), int32(0)), "mask")
            b.store(codes, to + length - int64(INT8.group), splat(tirx.IntImm("int8", 0), 4))
            b.store(totals, row, int32(0))
            whole = b.let(quotient(depth, self.lanes) * int64(self.lanes), "whole")
            for lanes, first, last in ((self.lanes, 0, whole), (1, whole, depth)):
                sums = b.local("sums", lanes, "int32")
                b.store(sums, 0, splat(int32(0), lanes))
                with b.loop(first, last, lanes, name="k") as k:
                    bits = tirx.reinterpret(
                        with_lanes("int32", lanes), load(left, start + k, lanes)
                    ) & splat(mask, lanes)
                    value = tirx.reinterpret(with_lanes("float32", lanes), bits)
                    scaled = value * splat(inverse, lanes)
                    nearest = intrinsic("llvm.rint", with_lanes("float32", lanes), scaled)
                    code = b.let(tirx.Cast(with_lanes("int32", lanes), nearest), "code")
                    b.store(codes, to + k, tirx.Cast(with_lanes("int8", lanes), code))
                    b.store(sums, 0, load(sums, 0, lanes) + code)
                total = reduction("add", load(sums, 0, lanes))
                b.store(totals, row, load(totals, row) + total)
        return b.finish()

    def largest(self, b: Builder, left: Buffer, start: Expr, depth: Expr) -> Expr:
        """The bits of the largest magnitude; NaN is larger than infinity."""
        found = b.local("found", 1, "int32")
        b.store(found, 0, int32(0))
        whole = b.let(quotient(depth, self.lanes) * int64(self.lanes), "whole")
        for lanes, first, last in ((self.lanes, 0, whole), (1, whole, depth)):
            most = b.local("most", lanes, "int32")
            b.store(most, 0, splat(int32(0), lanes))
            with b.loop(first, last, lanes, name="k") as k:
                bits = tirx.reinterpret(with_lanes("int32", lanes), load(left, start + k, lanes))
                bits = bits & splat(int32(_MAGNITUDE), lanes)
                b.store(most, 0, tirx.Max(load(most, 0, lanes), bits))
            b.store(found, 0, tirx.Max(load(found, 0), reduction("smax", load(most, 0, lanes))))
        return b.let(load(found, 0), "largest")


def reduction(name: str, vector: Expr) -> Expr:
    """One int32 of all lanes."""
    if lanes_of(vector) == 1:
        return vector
    return intrinsic(f"llvm.vector.reduce.{name}", "int32", vector)


@dataclass(frozen=True, slots=True)
class RoundedRows:
    """The rows of a block in int8: `depth` values of each, from its offset in `left` on.

    Codes are words, padded with zeros; with them come each row's scale and the sum of its codes.
    """

    left: Buffer
    offsets: Buffer
    depth: int
    codes: Buffer
    scales: Buffer
    totals: Buffer

    @staticmethod
    def of(b: Builder, left: Buffer, depth: int, rows: int) -> RoundedRows:
        """Room for so many rows."""
        return RoundedRows(
            left,
            b.local("offsets", rows, "int64"),
            depth,
            b.local("codes", rows * max(INT8.steps(depth), 1), "int32"),
            b.local("scales", rows),
            b.local("totals", rows, "int32"),
        )

    def round(self, b: Builder, rows: Expr | int, lanes: int) -> None:
        """The first so many rows; their offsets are known."""
        given = [address(self.left, 0), address(self.offsets, 0), int64(self.depth)]
        b.call(Quantize(lanes).name, int64(rows), *given, *self.made(int64(0)))

    def made(self, first: Expr) -> list[Expr]:
        """The addresses of codes, scales and totals from a row on."""
        codes = address(self.codes, first * int64(INT8.steps(self.depth)))
        return [codes, address(self.scales, first), address(self.totals, first)]


@dataclass(frozen=True, slots=True)
class RoundedFactor:
    """One summand of a matmul: the rows of a block times the panels at word `start`."""

    rows: RoundedRows
    weights: Buffer
    start: Expr

    def arguments(self, first: Expr | int) -> list[Expr]:
        """What `QuantizedMultiply` takes, for rows from `first` on."""
        weights = address(self.weights, self.start)
        return [*self.rows.made(int64(first)), weights, int64(self.rows.depth)]


@dataclass(frozen=True, slots=True)
class QuantizedMultiply:
    """As `Multiply`, with int8 weights and rows that were rounded before.

    int32_t name(int64_t rows, float *sums,
                 {const int32_t *codes, const float *scales, const int32_t *totals,
                  const int32_t *weights, int64_t depth} for each factor)
    """

    tile: Tile
    factors: tuple[Panels, ...]
    dot: Dot

    @property
    def name(self) -> str:
        factors = "".join(f"_{panels.count}_{panels.prefetch}" for panels in self.factors)
        return f"rnnc_multiply_int8_{self.tile.rows}x{self.tile.vectors}{factors}"

    def function(self) -> Function:
        b = Builder(self.name)
        rows, sums = b.scalar("rows"), b.pointer("sums")
        operands = [
            IntegerOperands(
                b.pointer(f"codes{number}", "int32"),
                b.pointer(f"scales{number}"),
                b.pointer(f"totals{number}", "int32"),
                b.pointer(f"weights{number}", "int32"),
                b.scalar(f"depth{number}"),
                panels,
            )
            for number, panels in enumerate(self.factors)
        ]
        for height in range(self.tile.rows, 0, -1):
            with b.when(tirx.EQ(rows, int64(height))):
                for number, operand in enumerate(operands):
                    self.product(b, replace(self.tile, rows=height), operand, sums, number > 0)
        return b.finish()

    def product(
        self, b: Builder, tile: Tile, given: IntegerOperands, sums: Buffer, more: bool
    ) -> None:
        """One factor; with `more`, added to what `sums` holds."""
        accumulators = Accumulators(b, tile, "int32")
        width = tile.vectors // given.panels.count * tile.lanes
        steps = b.let(quotient(given.depth + int64(INT8.group - 1), INT8.group), "steps")
        panel = (steps + int64(1)) * int64(width)
        bases = [b.let(panel * int64(number), "panel") for number in range(given.panels.count)]
        if self.dot.biased:
            for row in range(tile.rows):
                start = b.let(splat(load(given.totals, row) * int32(-128), tile.lanes))
                for vector in range(tile.vectors):
                    accumulators.set(row, vector, start)

        def places(step: Expr) -> list[Expr]:
            starts = [b.let(base + step * int64(width)) for base in bases]
            columns = range(0, width, tile.lanes)
            return [start + int64(column) for start in starts for column in columns]

        with b.loop(0, steps, name="k") as k:
            here = places(k)
            if given.panels.prefetch:
                for place in here:
                    b.prefetch(given.weights, place + int64(given.panels.prefetch * width))

            def column(vector: int) -> list[Expr]:
                return self.dot.weights(b, b.let(load(given.weights, here[vector], tile.lanes)))

            def value(row: int) -> list[Expr]:
                word = b.let(load(given.codes, int64(row) * steps + k))
                return self.dot.values(b, b.let(splat(word, tile.lanes)))

            def multiply(row: int, vector: int, left: Expr, right: Expr) -> None:
                total = self.dot.add(accumulators.get(row, vector), left, right)
                accumulators.set(row, vector, total)

            each_product(tile, column, value, multiply)
        scales = places(steps)
        for vector in range(tile.vectors):
            bits = load(given.weights, scales[vector], tile.lanes)
            scale = b.let(tirx.reinterpret(with_lanes("float32", tile.lanes), bits), "scale")
            for row in range(tile.rows):
                total = tirx.Cast(with_lanes("float32", tile.lanes), accumulators.get(row, vector))
                # First the scales: a sum of codes times one of them might be infinite.
                both = b.let(splat(load(given.scales, row), tile.lanes) * scale)
                at = (row * tile.vectors + vector) * tile.lanes
                if more:
                    b.store(sums, at, multiply_add(total, both, load(sums, at, tile.lanes)))
                else:
                    b.store(sums, at, total * both)


@dataclass(frozen=True, slots=True)
class IntegerOperands:
    """The parameters of `QuantizedMultiply` for one factor."""

    codes: Buffer
    scales: Buffer
    totals: Buffer
    weights: Buffer
    depth: Expr
    panels: Panels
