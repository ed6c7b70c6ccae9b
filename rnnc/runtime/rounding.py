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


_TINY = np.float32(2.0**-100)


def quantized(values: Array) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Rows as integers from -127 to 127, the nearest, ties to even, and the scale of each row: its
    largest magnitude / 127.

    A row without a magnitude of 2^-100 or more is zero, with scale 0; one that holds an infinity or
    NaN is zero, with scale NaN.
    """
    with np.errstate(over="ignore"):
        single = np.asarray(values, np.float32)
    largest = np.abs(single).max(axis=1, initial=0)
    finite = np.isfinite(largest)
    counts = finite & (largest >= _TINY)
    safe = np.where(counts, largest, np.float32(127))
    scales = np.where(counts, safe / np.float32(127), np.where(finite, 0, np.nan))
    known = np.where(counts[:, None], single, 0)
    codes = np.rint(known * (np.float32(127) / safe)[:, None])
    return codes.astype(np.int8), scales.astype(np.float32)
