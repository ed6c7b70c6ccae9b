"""Aligned arrays, and arenas that are kept from call to call."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from rnnc.runtime.manifest import ALIGNMENT, DType

Array = npt.NDArray[np.generic]
Ints = npt.NDArray[np.int32]
DTYPES: dict[DType, np.dtype[np.generic]] = {
    "real": np.dtype(np.float32),
    "int": np.dtype(np.int32),
    "bool": np.dtype(np.bool_),
}
# What NumPy raises for lists of uneven length, tensors on a GPU or with a gradient, and the like.
NOT_AN_ARRAY = (ValueError, TypeError, RuntimeError)
_SLACK = 64  # bytes behind an array: kernels may read whole vectors


def address(array: Array) -> int:
    """Where its first element is."""
    return int(array.ctypes.data)


def aligned_zeros(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    """A zero array that begins at a multiple of 64 bytes."""
    count = 1
    for size in shape:
        count *= size
    raw = np.zeros(count * dtype.itemsize + ALIGNMENT + _SLACK, np.uint8)
    start = -address(raw) % ALIGNMENT
    return raw[start : start + count * dtype.itemsize].view(dtype).reshape(shape)


class Arenas:
    """One growing workspace for each thread: no allocation in the steady state."""

    def __init__(self) -> None:
        self._local = threading.local()

    def get(self, size: int) -> int:
        """The address of at least `size` bytes that only this thread uses."""
        if size > getattr(self._local, "size", -1):
            arena = aligned_zeros((max(size, 4096),), np.dtype(np.uint8))
            self._local.arena, self._local.size = arena, arena.size
            self._local.address = address(arena)
        found: int = self._local.address
        return found


ARENAS = Arenas()
