"""What binding makes of parameters: results of the preparation, arrays and packs for calls."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from rnnc.runtime.library import Library
from rnnc.runtime.manifest import Manifest, Pack, Prepared
from rnnc.runtime.memory import ARENAS, DTYPES, Array, address
from rnnc.runtime.parameters import Points, laid_out, packed


def bound(
    manifest: Manifest, library: Library, params: Sequence[Points], threads: int
) -> tuple[Array, ...]:
    """The arrays that a call takes, in order, from checked parameters: plain ones, then packs."""
    stored = [*params, *prepared(manifest, library, params, threads)]
    return taken(manifest, manifest.weights, manifest.packs, stored)


def taken(
    manifest: Manifest, weights: Sequence[int], packs: Sequence[Pack], stored: Sequence[Points]
) -> tuple[Array, ...]:
    """The arrays that an entry point takes."""
    specs = manifest.stored
    plain = (laid_out(specs[number], stored[number]) for number in weights)
    return (*plain, *packed(packs, stored))


def prepared(
    manifest: Manifest, library: Library, params: Sequence[Points], threads: int
) -> list[Points]:
    """The results of the preparation."""
    preparation = manifest.preparation
    if preparation is None:
        return []
    assert library.prepare is not None
    arrays = taken(manifest, preparation.weights, preparation.packs, params)
    numbers = [1]  # the batch
    results: list[Array] = []
    for result in preparation.results:
        grid = tuple(upper - lower for _, lower, upper in result.dims)
        array = np.empty((*grid, 1, *result.shape), DTYPES[result.dtype])
        numbers += [stride // array.itemsize for stride in array.strides[: len(grid) + 1]]
        results.append(array)
    sizes = (ctypes.c_int64 * len(numbers))(*numbers)
    addresses = [address(array) for array in (*results, *arrays)]
    workspace = ARENAS.get(library.prepare.workspace(sizes))
    library.prepare(threads, [*addresses, workspace], sizes)
    return [by_point(spec, array) for spec, array in zip(preparation.results, results, strict=True)]


def by_point(spec: Prepared, array: Array) -> Points:
    """Grid axes, a batch of one and value axes, as an array for each point."""
    lowers = [lower for _, lower, _ in spec.dims]
    return {
        tuple(i + lower for i, lower in zip(place, lowers, strict=True)): array[(*place, 0, ...)]
        for place in np.ndindex(*array.shape[: len(lowers)])
    }
