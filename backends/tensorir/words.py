"""How packed weights stand in memory, and how a kernel takes them apart.

A *word* holds neighbouring weights (in k) of one column, the first in the lowest bits: one load and
one or two operations in registers give whole vectors of each of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from rnnc.weights import MathType, PackType, stored

from .tir import Builder, Expr, constant, int32, lanes_of, splat, with_lanes


@dataclass(frozen=True, slots=True)
class Word:
    """`group` weights, loaded as one `dtype`.

    `scaled`: behind the words of a tile stands a row with the scale of each column, a float32.
    """

    weights: PackType
    group: int
    dtype: str
    scaled: bool = False

    def steps(self, depth: int) -> int:
        """How many words the weights of a column take."""
        return -(-depth // self.group)

    def rows(self, depth: int) -> int:
        """How many rows of words make a tile."""
        return self.steps(depth) + self.scaled

    def single(self, b: Builder, word: Expr, number: int) -> Expr:
        """Weight `number` of each word of a vector, in float32."""
        if self.weights == "float32":
            return word
        # A bfloat16 is the upper half of the float32 of the same value.
        if number == 0:
            bits = word << splat(int32(16), lanes_of(word))
        else:
            bits = word & constant(-0x10000, word)
        return b.let(tirx.reinterpret(with_lanes("float32", lanes_of(word)), bits), "w")


FLOAT32, BF16 = Word("float32", 1, "float32"), Word("bf16", 2, "int32")
INT8 = Word("int8", 4, "int32", scaled=True)
SPARSE = Word("sparse", 1, "int32")
FP16 = Word("fp16", 2, "int32")


def word(weights: PackType, math: MathType = "float32") -> Word:
    """The words of weights in memory."""
    found = stored(weights, math)
    return next(form for form in (FLOAT32, BF16, INT8, SPARSE, FP16) if form.weights == found)
