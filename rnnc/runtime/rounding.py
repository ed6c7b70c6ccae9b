"""Weights in the types in which they are stored."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnnc.runtime.memory import Array


def bfloat16(values: Array) -> npt.NDArray[np.uint16]:
    """The bits of the nearest bfloat16, ties to even; what is too large becomes infinite.

    float64 is rounded to float32 first. NaN stays NaN.
    """
    with np.errstate(over="ignore"):
        single = np.asarray(values, np.float32)
    bits = np.ascontiguousarray(single).view(np.uint32)
    last = (bits >> np.uint32(16)) & np.uint32(1)
    nearest = (bits + (np.uint32(0x7FFF) + last)) >> np.uint32(16)
    quiet = (bits >> np.uint32(16)) | np.uint32(0x40)
    return np.where(np.isnan(single), quiet, nearest).astype(np.uint16)
