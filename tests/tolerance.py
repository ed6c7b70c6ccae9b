"""The one rule by which tests call two floating-point results equal."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, DTypeLike


class Tolerance(TypedDict):
    """Keyword arguments of `numpy.testing.assert_allclose`."""

    rtol: float
    atol: float


def tolerance(dtype: DTypeLike, steps: int = 1) -> Tolerance:
    """What `steps` dependent steps in `dtype` may differ by, in another order of operations.

    A step sums some hundred products of size one and passes them through gates that do not expand
    differences: 64 units in the last place. Errors of different steps are independent, so that
    they grow with the square root of their number. Integers and bools must be equal.
    """
    kind = np.dtype(dtype)
    if not np.issubdtype(kind, np.inexact):
        return {"rtol": 0.0, "atol": 0.0}
    allowed = 64 * float(np.finfo(kind).eps) * float(np.sqrt(max(1, steps)))
    return {"rtol": allowed, "atol": allowed}


def assert_close(actual: ArrayLike, expected: ArrayLike, dtype: DTypeLike, steps: int = 1) -> None:
    """Fails, showing the largest difference, unless the arrays agree and have one shape."""
    left, right = np.asarray(actual), np.asarray(expected)
    assert left.shape == right.shape, f"shape {left.shape} is not {right.shape}"
    wide = np.result_type(left, right, np.float64)
    np.testing.assert_allclose(left.astype(wide), right.astype(wide), **tolerance(dtype, steps))
