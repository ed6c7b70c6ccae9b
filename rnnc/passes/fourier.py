"""A discrete Fourier transform as O(n log n) stages over views, on pairs of reals.

Stockham's form: before a stage, X [rows, done] holds the transforms, `done` long, of the `rows`
sequences that begin at row and take every `rows`-th element. A stage of radix p leaves rest =
rows / p rows, with e(x) = exp(-2 pi i x):

    Y[row, q * done + k] = sum_r e(q r / p) e(k r / (p * done)) X[row + r * rest, k]

so that at the end one row holds the transform in its natural order. The numbers e(...) of k are
decided by no input: they are prepared once.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

from rnnc.ir.domain import Domain
from rnnc.ir.graph import Operand
from rnnc.ir.poly import Poly
from rnnc.passes.complex_pairs import Pair, Part, Writer

MOST = 13  # a stage of radix p costs p additions an element: larger ones would be dense matrices


def radices(size: int) -> list[int] | None:
    """Factors of which `size` is the product, all at most MOST; None if there are none."""
    found: list[int] = []
    for radix in (4, 2, 3, 5, 7, 11, 13):
        while size % radix == 0:
            found.append(radix)
            size //= radix
    return found if size == 1 else None


def transform(writer: Writer, value: Pair, shape: tuple[Poly, ...], inverse: bool) -> Pair:
    """The unitary transform along the last axis, whose size is a product of `radices`."""
    *outer, last = shape
    size = cast(int, last.constant)
    lead, sign, done = len(outer), 1 if inverse else -1, 1

    def each(value: Pair, name: str, **attributes: object) -> Pair:
        def apply(part: Part) -> Part:
            return None if part is None else writer.emit(name, part, **attributes)

        return Pair(apply(value.re), apply(value.im))

    value = each(value, "reshape", shape=(*outer, last, Poly.of(1)))
    for radix in cast(list[int], radices(size)):
        rest = size // done // radix
        rows = [
            each(value, "slice", axis=lead, start=Poly.of(r * rest), stop=Poly.of((r + 1) * rest))
            for r in range(radix)
        ]
        if done > 1:
            for r in range(1, radix):
                angle = sign * 2 * math.pi * r / (radix * done)
                rows[r] = writer.times(rows[r], phases(writer, done, angle))
        parts = [
            writer.total([turned(writer, rows[r], sign * q * r, radix) for r in range(radix)])
            for q in range(radix)
        ]
        value = joined(writer, parts, lead + 1, (*outer, Poly.of(rest), Poly.of(done)))
        done *= radix
    value = each(value, "reshape", shape=shape)
    scale = writer.number(1 / math.sqrt(size))
    return Pair(writer.mul(value.re, scale), writer.mul(value.im, scale))


def joined(writer: Writer, parts: list[Pair], axis: int, shape: tuple[Poly, ...]) -> Pair:
    def join(found: list[Part]) -> Part:
        if all(part is None for part in found):
            return None
        known = [writer.zeros(shape) if part is None else part for part in found]
        return writer.emit("concat", *known, axis=axis)

    return Pair(join([part.re for part in parts]), join([part.im for part in parts]))


def turned(writer: Writer, value: Pair, step: int, steps: int) -> Pair:
    """The value times e^(2 pi i step / steps); quarters of a circle cost nothing."""
    step %= steps
    match step * 4 // steps if step * 4 % steps == 0 else None:
        case 0:
            return value
        case 1:
            return Pair(writer.neg(value.im), value.re)
        case 2:
            return Pair(writer.neg(value.re), writer.neg(value.im))
        case 3:
            return Pair(value.im, writer.neg(value.re))
    angle = 2 * math.pi * step / steps
    unit = Pair(writer.number(math.cos(angle)), writer.number(math.sin(angle)))
    return writer.times(value, unit)


def phases(writer: Writer, count: int, angle: float) -> Pair:
    """e^(i k angle) for k in 0..count, at no grid point: it is the same at all."""
    once = Writer(writer.rewriter, replace(writer.site, domain=Domain()))
    ones = once.emit(
        "broadcast",
        once.number(1.0),
        shape=(Poly.of(count),),
        axes=(),
    )
    counted = once.emit("sub", once.emit("cumsum", ones, axis=0), once.number(1.0))
    turn = once.emit("mul", counted, once.number(angle))
    return Pair(Operand(once.emit("cos", turn).source), Operand(once.emit("sin", turn).source))
