"""What the parameters alone decide, computed once by the compiled library: when they are bound."""

from __future__ import annotations

import ctypes

import numpy as np

from rnnc.runtime.library import Library
from rnnc.runtime.manifest import Manifest
from rnnc.runtime.memory import ARENAS, DTYPES, Array, address
from rnnc.runtime.parameters import empty, packed


def weights(
    manifest: Manifest, library: Library, laid: tuple[Array, ...], threads: int
) -> tuple[Array, ...]:
    """The arrays that a call takes, in order, from laid-out parameters: plain ones, then packs."""
    stored = laid
    if manifest.preparation is not None:
        stored += prepared(manifest, library, laid, threads)
    plain = (stored[number] for number in manifest.weights)
    return (*plain, *packed(manifest, manifest.packs, stored))


def prepared(
    manifest: Manifest, library: Library, laid: tuple[Array, ...], threads: int
) -> tuple[Array, ...]:
    """The results of the preparation, laid out as parameters are."""
    preparation = manifest.preparation
    assert preparation is not None and library.prepare is not None
    taken = [laid[number] for number in preparation.weights]
    taken += packed(manifest, preparation.packs, laid)
    numbers = [1]  # the batch
    plain: list[Array] = []
    for result in preparation.results:
        grid = tuple(upper - lower for _, lower, upper in result.dims)
        array = np.empty((*grid, 1, *result.shape), DTYPES[result.dtype])
        numbers += [stride // array.itemsize for stride in array.strides[: len(grid) + 1]]
        plain.append(array)
    sizes = (ctypes.c_int64 * len(numbers))(*numbers)
    addresses = [address(array) for array in (*plain, *taken)]
    workspace = ARENAS.get(library.prepare.workspace(sizes))
    library.prepare(threads, [*addresses, workspace], sizes)
    found: list[Array] = []
    for result, array in zip(preparation.results, plain, strict=True):
        store = empty(result)
        inside = store[..., : result.shape[-1]] if result.shape else store
        inside[...] = array.reshape(inside.shape)
        found.append(store)
    return tuple(found)
