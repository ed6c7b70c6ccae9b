"""Packed weights of a bound model, read from the memory of its library."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from rnnc.runtime.model import BoundModel

_HEAD = 2  # pointers of an rnnc_model (model.h) before those of the arrays of a call
_ALIGNMENT = 64


def packs(bound: BoundModel) -> list[NDArray[np.uint8]]:
    """Of each pack of a call the bytes from its beginning to the end of the model."""
    manifest, handle = bound.model.manifest, bound.handle
    first = _HEAD + len(manifest.weights)
    places = (ctypes.c_int64 * (first + len(manifest.packs))).from_address(handle.address)
    end = handle.address + handle.library.model_size - _ALIGNMENT
    return [
        np.frombuffer(ctypes.string_at(place, end - place), np.uint8) for place in places[first:]
    ]
