"""Arithmetic that carries a bound of its own rounding: a value in float64, and how far from it may
be what is computed in float32, with the operands of products in a narrower type.

Running error analysis (Higham, Accuracy and Stability of Numerical Algorithms, section 3.3), with
the unit roundoffs of IEEE's binary16, of bfloat16 (8 bits of significand) and of tf32 (11).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

UNIT = 2.0**-24  # of float32, to nearest
_FUNCTION = 8 * UNIT  # exp and tanh of device libraries are right to 2 ulp, their neighbours too
# What both operands of a product bring in, relative to it: (1 + u)^2 - 1. Of 3xtf32 what is lost is
# u^2 of each operand, and the product of both small parts.
PRODUCT = {
    "float32": 0.0,
    "tf32": 2 * 2.0**-11 + 2.0**-22,
    "3xtf32": 4 * 2.0**-22,
    "bf16": 2 * 2.0**-8 + 2.0**-16,
    "fp16": 2 * 2.0**-11 + 2.0**-22,
}
# Below its normal numbers, binary16 rounds to multiples of 2^-24.
TINY = {"float32": 0.0, "tf32": 0.0, "3xtf32": 0.0, "bf16": 0.0, "fp16": 2.0**-25}


@dataclass(frozen=True)
class Bounded:
    """`value`, and a bound `error` of what was computed in its place."""

    value: Floats
    error: Floats

    @staticmethod
    def exact(value: npt.ArrayLike) -> Bounded:
        array = np.asarray(value, np.float64)
        return Bounded(array, np.zeros_like(array))

    def _rounded(self, unit: float = UNIT) -> Bounded:
        return Bounded(self.value, self.error + unit * (np.abs(self.value) + self.error))

    def __add__(self, other: Bounded) -> Bounded:
        return Bounded(self.value + other.value, self.error + other.error)._rounded()

    def __sub__(self, other: Bounded) -> Bounded:
        return Bounded(self.value - other.value, self.error + other.error)._rounded()

    def __mul__(self, other: Bounded) -> Bounded:
        error = np.abs(self.value) * other.error + np.abs(other.value) * self.error
        return Bounded(self.value * other.value, error + self.error * other.error)._rounded()

    def sigmoid(self) -> Bounded:
        """Its slope is 1/4 at most."""
        return Bounded(1 / (1 + np.exp(-self.value)), self.error / 4)._rounded(_FUNCTION)

    def tanh(self) -> Bounded:
        return Bounded(np.tanh(self.value), self.error)._rounded(_FUNCTION)


def product(weights: npt.ArrayLike, vectors: Bounded, math: str) -> Bounded:
    """[rows, k] x [batch, k] -> [batch, rows]; sums in float32, which tensor cores may truncate."""
    matrix = np.asarray(weights, np.float64)
    size, tiny, depth = np.abs(matrix), TINY[math], matrix.shape[1]
    largest = np.abs(vectors.value) + vectors.error
    terms = largest @ size.T
    error = vectors.error @ size.T + PRODUCT[math] * terms
    error += tiny * (largest.sum(1)[:, None] + size.sum(1)) + depth * tiny**2
    return Bounded(vectors.value @ matrix.T, error + 2 * (depth + 8) * UNIT * (terms + error))
