"""Names that the language allows and C does not."""

from __future__ import annotations

import numpy as np

import rnnc

SPEC = """\
model primed{D}:
    dim t in 0.._T'
    input x[t]: [D]
    h[t] = x[t] + 0.5 * h[t-1]
    output y[t] = h[t]
"""


def test_an_extent_with_a_prime() -> None:
    x = np.ones((3, 2, 2), np.float32)
    found = rnnc.compile(SPEC, sizes={"D": 2}).bind({})(x=x)
    assert found["y"][:, 0, 0].tolist() == [1.0, 1.5, 1.75]
