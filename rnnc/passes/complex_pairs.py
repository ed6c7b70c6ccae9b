"""Arithmetic on complex numbers as pairs of reals, written as nodes of the IR.

A part is an operand, or None where it is zero for certain: a product with a real number then takes
two multiplications, one with a unit `1j` none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rnnc.ir.graph import Node, Operand
from rnnc.ir.ops import op
from rnnc.ir.poly import Poly
from rnnc.ir.types import TensorType
from rnnc.passes.rewrite import Rewriter, identity

Part = Operand | None


@dataclass(frozen=True, slots=True)
class Pair:
    """A complex number by its parts, read at one point."""

    re: Part
    im: Part

    def __getitem__(self, part: int) -> Part:
        return (self.re, self.im)[part]

    def __iter__(self) -> Iterator[Part]:
        return iter((self.re, self.im))


@dataclass(frozen=True, slots=True)
class Writer:
    """Adds nodes on the domain of `site`; operands are over its dims."""

    rewriter: Rewriter
    site: Node

    def emit(self, name: str, *operands: Operand, **attributes: object) -> Operand:
        made = self.rewriter.derive(self.site, op(name, **attributes), operands)
        return Operand(made.id, identity(self.site.domain))

    def number(self, value: float) -> Operand:
        return self.emit("constant", value=value)

    def zeros(self, shape: tuple[Poly, ...]) -> Operand:
        zero = self.number(0.0)
        return self.emit("broadcast", zero, shape=shape, axes=()) if shape else zero

    def type(self, operand: Operand) -> TensorType:
        return self.rewriter[operand.source].type

    # ---- reals, of which some are zero --------------------------------------------------------

    def neg(self, a: Part) -> Part:
        return None if a is None else self.emit("neg", a)

    def add(self, a: Part, b: Part) -> Part:
        if a is None or b is None:
            return a or b
        return self.emit("add", a, b)

    def sub(self, a: Part, b: Part) -> Part:
        if a is None or b is None:
            return a or self.neg(b)
        return self.emit("sub", a, b)

    def mul(self, a: Part, b: Part) -> Part:
        return None if a is None or b is None else self.emit("mul", a, b)

    def div(self, a: Part, b: Operand) -> Part:
        return None if a is None else self.emit("div", a, b)

    def known(self, a: Part) -> Operand:
        """The part as an operand; a zero is written out and has no axes."""
        return self.number(0.0) if a is None else a

    def select(self, condition: Operand, a: Part, b: Part) -> Part:
        if a is None and b is None:
            return None
        return self.emit("select", condition, self.known(a), self.known(b))

    # ---- pairs --------------------------------------------------------------------------------

    def plus(self, a: Pair, b: Pair) -> Pair:
        return Pair(self.add(a.re, b.re), self.add(a.im, b.im))

    def minus(self, a: Pair, b: Pair) -> Pair:
        return Pair(self.sub(a.re, b.re), self.sub(a.im, b.im))

    def times(self, a: Pair, b: Pair) -> Pair:
        return Pair(
            self.sub(self.mul(a.re, b.re), self.mul(a.im, b.im)),
            self.add(self.mul(a.re, b.im), self.mul(a.im, b.re)),
        )

    def by(self, a: Pair, b: Pair) -> Pair:
        """The quotient. Smith 1962, CACM 5(8): no square of a part of the divisor can overflow."""
        if b.im is None:
            divisor = self.known(b.re)
            return Pair(self.div(a.re, divisor), self.div(a.im, divisor))
        if b.re is None:  # (a + ib) / id = (b - ia) / d
            return Pair(self.div(a.im, b.im), self.neg(self.div(a.re, b.im)))
        wide = self.emit("ge", self.emit("abs", b.re), self.emit("abs", b.im))
        large = self.emit("select", wide, b.re, b.im)
        small = self.emit("select", wide, b.im, b.re)
        ratio = self.emit("div", small, large)
        divisor = self.emit("add", large, self.emit("mul", small, ratio))
        re_small, im_small = self.mul(a.re, ratio), self.mul(a.im, ratio)
        re = self.select(wide, self.add(a.re, im_small), self.add(re_small, a.im))
        im = self.select(wide, self.sub(a.im, re_small), self.sub(im_small, a.re))
        return Pair(self.div(re, divisor), self.div(im, divisor))

    def matmul(self, a: Pair, b: Pair) -> Pair:
        def product(x: Part, y: Part) -> Part:
            return None if x is None or y is None else self.emit("matmul", x, y)

        return Pair(
            self.sub(product(a.re, b.re), product(a.im, b.im)),
            self.add(product(a.re, b.im), product(a.im, b.re)),
        )

    def modulus(self, a: Pair) -> Operand:
        """Scaled by the larger part, so that no square overflows or vanishes."""
        if a.re is None or a.im is None:
            return self.emit("abs", self.known(a.re or a.im))
        one, other = self.emit("abs", a.re), self.emit("abs", a.im)
        large, small = self.emit("max", one, other), self.emit("min", one, other)
        zero = self.number(0.0)
        is_zero = self.emit("eq", large, zero)
        ratio = self.emit("div", small, self.emit("select", is_zero, self.number(1.0), large))
        square = self.emit("add", self.emit("mul", ratio, ratio), self.number(1.0))
        return self.emit("mul", large, self.emit("sqrt", square))

    def exp(self, a: Pair) -> Pair:
        if a.im is None:
            return Pair(self.emit("exp", self.known(a.re)), None)
        cos, sin = self.emit("cos", a.im), self.emit("sin", a.im)
        if a.re is None:
            return Pair(cos, sin)
        size = self.emit("exp", a.re)
        return Pair(self.emit("mul", size, cos), self.emit("mul", size, sin))

    def sqrt(self, a: Pair) -> Pair:
        """The root whose real part is not negative: its larger part first, without cancellation."""
        re, im, zero = self.known(a.re), self.known(a.im), self.number(0.0)
        mean = self.emit("add", self.emit("abs", re), self.modulus(a))
        large = self.emit("sqrt", self.emit("mul", mean, self.number(0.5)))
        is_zero = self.emit("eq", large, zero)
        twice = self.emit("select", is_zero, self.number(1.0), self.emit("add", large, large))
        small = self.emit("div", im, twice)
        right = self.emit("ge", re, zero)
        below = self.emit("lt", im, zero)
        signed = self.emit("select", below, self.emit("neg", large), large)
        return Pair(
            self.emit("select", right, large, self.emit("abs", small)),
            self.emit("select", right, small, signed),
        )

    def power(self, a: Pair, exponent: int) -> Pair:
        """By repeated squares."""
        found, square, left = Pair(self.number(1.0), None), a, abs(exponent)
        first = True
        while left:
            if left % 2:
                found, first = (square if first else self.times(found, square)), False
            left //= 2
            square = self.times(square, square) if left else square
        return found if exponent >= 0 else self.by(Pair(self.number(1.0), None), found)

    def total(self, pairs: Sequence[Pair]) -> Pair:
        found = pairs[0]
        for pair in pairs[1:]:
            found = self.plus(found, pair)
        return found
