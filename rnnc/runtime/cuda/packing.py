"""Weights as kernels on a GPU read them, made in host memory by NumPy, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rnnc.runtime.manifest import Block, Manifest, Pack, ParameterSpec, Prepared, affine
from rnnc.runtime.memory import DTYPES, Array
from rnnc.runtime.parameters import Points
from rnnc.weights import PackType

Spec = ParameterSpec | Prepared


def taken(
    manifest: Manifest, weights: Sequence[int], packs: Sequence[Pack], stored: Sequence[Points]
) -> list[Array]:
    """The arrays that an entry point takes: plain ones, then packs."""
    specs = manifest.stored
    plain = [laid_out(specs[number], stored[number]) for number in weights]
    return [*plain, *(_pack(pack, stored) for pack in packs)]


def laid_out(spec: Spec, points: Points) -> Array:
    """All points of a stored array, the last axis padded."""
    sizes = [upper - lower for _, lower, upper in spec.dims]
    inner = (*spec.shape[:-1], spec.padded) if spec.shape else ()
    store = np.zeros((*sizes, *inner), DTYPES[spec.dtype])
    for point, value in points.items():
        index = tuple(i - lower for i, (_, lower, _) in zip(point, spec.dims, strict=True))
        inside = tuple(slice(0, size) for size in spec.shape)
        store[index + inside] = value
    return store


def _pack(pack: Pack, stored: Sequence[Points]) -> Array:
    sizes = tuple(upper - lower for _, lower, upper in pack.loops)
    steps = -(-pack.depth // pack.group)
    shape = (*sizes, pack.tiles, steps, len(pack.gates), pack.lanes, pack.group)
    result = np.zeros(shape, np.float32)
    names = [name for name, _, _ in pack.loops]
    for place in np.ndindex(*sizes):
        point = (lower + i for i, (_, lower, _) in zip(place, pack.loops, strict=True))
        values = dict(zip(names, point, strict=True))
        for gate, block in enumerate(pack.gates):
            matrix = _block(block, stored[block.stored], values)
            if matrix is not None:
                _fill(result[(*place, ..., gate, slice(None), slice(None))], matrix)
    return _STORED[pack.type](result)


def _fill(tiles: npt.NDArray[np.float32], matrix: Array) -> None:
    """Writes rows x columns into [tiles, columns / group, lanes, group]."""
    lanes, group = tiles.shape[-2:]
    for tile in range(-(-len(matrix) // lanes)):
        rows = matrix[tile * lanes : (tile + 1) * lanes]
        for number in range(group):
            columns = rows[:, number::group].T
            tiles[tile, : len(columns), : len(rows), number] = columns


def _bf16(values: npt.NDArray[np.float32]) -> Array:
    """The upper halves of the nearest values that have no lower one, ties to even."""
    bits = values.view(np.uint32)
    nearest = bits + (np.uint32(0x7FFF) + (bits >> 16 & 1))
    return (np.where(np.isnan(values), bits | 0x400000, nearest) >> 16).astype(np.uint16)


def _fp16(values: npt.NDArray[np.float32]) -> Array:
    """To nearest, ties to even; what is too large is infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


_STORED: dict[PackType, Callable[[npt.NDArray[np.float32]], Array]] = {
    "float32": np.asarray,
    "bf16": _bf16,
    "fp16": _fp16,
}


def _block(block: Block, points: Points, values: Mapping[str, int]) -> Array | None:
    """None at a point that has no array."""
    array = points.get(tuple(affine(form, values) for form in block.index))
    if array is None:
        return None
    matrix = np.asarray(array[tuple(affine(form, values) for form in block.leading)])
    if block.transposed:
        matrix = matrix.T
    rows = slice(block.row, block.row + block.rows)
    return np.asarray(matrix[rows, block.column : block.column + block.columns])
