"""Parameters that JAX knows, laid out and packed by operations of JAX: what
rnnc/runtime/parameters.py does with NumPy arrays, for arrays without values.

The products are bit for bit the same.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from rnnc.jax.primitive import Array, Invocation, run
from rnnc.runtime.arguments import error
from rnnc.runtime.library import Library
from rnnc.runtime.manifest import Block, Manifest, Pack, ParameterSpec, Prepared, affine
from rnnc.runtime.memory import DTYPES
from rnnc.runtime.parameters import Spec, checked, stacked_path, stacked_positions

Points = Mapping[tuple[int, ...], Array]  # as in the runtime, of JAX


def packed_weights(
    manifest: Manifest, library: Library, params: Mapping[str, Array], threads: int
) -> list[Array]:
    """The arrays that a call takes, in order: plain ones, then packs.

    Raises DiagnosticError (RNN72x) for names, shapes and dtypes that do not fit; ints are taken to
    the nearest of their range. Raises RNN705 for sparse weights: only values tell their length.
    """
    if manifest.weight_type == "sparse":
        message = "sparse weights cannot be packed while JAX traces"
        raise error("RNN705", message, "pack them once:  function.bind(params)")
    given = {name: jnp.asarray(array) for name, array in params.items()}
    _check(manifest, given)
    stored = [_points(manifest, spec, given) for spec in manifest.parameters]
    stored += _prepared(manifest, library, stored, threads)
    return _taken(manifest, manifest.weights, manifest.packs, stored)


def _check(manifest: Manifest, given: Mapping[str, Array]) -> None:
    """Everything but values."""
    unlimited = tuple(replace(spec, range=None) for spec in manifest.parameters)
    empty = {name: np.broadcast_to(np.zeros((), a.dtype), a.shape) for name, a in given.items()}
    checked(replace(manifest, parameters=unlimited), empty)


def _points(manifest: Manifest, spec: ParameterSpec, given: Mapping[str, Array]) -> Points:
    """A parameter's array for each point, from its own array or from one of all points."""
    stack = stacked_path(spec.template)
    lowers = [lower for lower, _ in stacked_positions(manifest)[stack]]
    found: dict[tuple[int, ...], Array] = {}
    for point, path in zip(spec.points, spec.paths, strict=True):
        if path in given:
            value = given[path]
        else:
            value = given[stack][tuple(i - lower for i, lower in zip(point, lowers, strict=True))]
        if jnp.iscomplexobj(value):
            value = jnp.stack([value.real, value.imag])
        found[point] = _in_range(spec, point, value).astype(DTYPES[spec.dtype])
    return found


def _in_range(spec: ParameterSpec, point: tuple[int, ...], value: Array) -> Array:
    """Kernels trust indices."""
    if spec.range is None:
        return value
    names = {name: i for (name, _, _), i in zip(spec.dims, point, strict=True)}
    lower, upper = (affine(form, names) for form in spec.range)
    return jnp.clip(value, lower, upper - 1)


def _prepared(
    manifest: Manifest, library: Library, params: Sequence[Points], threads: int
) -> list[Points]:
    """The results of the preparation: the parameters alone decide them."""
    preparation = manifest.preparation
    if preparation is None:
        return []
    assert library.prepare is not None
    operands = _taken(manifest, preparation.weights, preparation.packs, params)
    sizes = [1]  # the batch
    results: list[tuple[tuple[int, ...], np.dtype[np.generic]]] = []
    for result in preparation.results:
        grid = tuple(upper - lower for _, lower, upper in result.dims)
        shape, dtype = (*grid, 1, *result.shape), DTYPES[result.dtype]
        strides = np.empty(shape, dtype).strides[: len(grid) + 1]
        sizes += [stride // dtype.itemsize for stride in strides]
        results.append((shape, dtype))
    workspace = library.prepare.workspace((ctypes.c_int64 * len(sizes))(*sizes))
    behind = len(operands) + len(results)
    places = (*range(len(operands), behind), *range(len(operands)), behind)
    call = Invocation(
        library.prepare,
        threads,
        tuple(~place for place in places),
        tuple(sizes),
        (*results, ((workspace,), np.dtype(np.uint8))),
        library,
        lambda operands, axes: None,
    )
    arrays = run(operands, call)
    return [
        _by_point(spec, array) for spec, array in zip(preparation.results, arrays, strict=False)
    ]


def _by_point(spec: Prepared, array: Array) -> Points:
    lowers = [lower for _, lower, _ in spec.dims]
    return {
        tuple(i + lower for i, lower in zip(place, lowers, strict=True)): array[(*place, 0)]
        for place in np.ndindex(*array.shape[: len(lowers)])
    }


def _taken(
    manifest: Manifest, weights: Sequence[int], packs: Sequence[Pack], stored: Sequence[Points]
) -> list[Array]:
    specs = manifest.stored
    plain = [_laid_out(specs[number], stored[number]) for number in weights]
    return [*plain, *(_pack(pack, stored) for pack in packs)]


def _laid_out(spec: Spec, points: Points) -> Array:
    """All points of a stored array, the last axis padded."""
    sizes = [upper - lower for _, lower, upper in spec.dims]
    inner = (*spec.shape[:-1], spec.padded) if spec.shape else ()
    store = jnp.zeros((*sizes, *inner), DTYPES[spec.dtype])
    for point, value in points.items():
        index = tuple(i - lower for i, (_, lower, _) in zip(point, spec.dims, strict=True))
        store = store.at[index + tuple(slice(0, size) for size in spec.shape)].set(value)
    return store


def _pack(pack: Pack, stored: Sequence[Points]) -> Array:
    sizes = tuple(upper - lower for _, lower, upper in pack.loops)
    names = [name for name, _, _ in pack.loops]
    places: list[Array] = []
    for place in np.ndindex(*sizes):
        point = (lower + i for i, (_, lower, _) in zip(place, pack.loops, strict=True))
        values = dict(zip(names, point, strict=True))
        matrices = [_block(block, stored[block.stored], values) for block in pack.gates]
        places.append(jnp.stack([_tiles(pack, matrix) for matrix in matrices], axis=2))
    return jnp.stack(places).reshape(*sizes, *places[0].shape)


def _tiles(pack: Pack, matrix: Array) -> Array:
    """Rows x columns as [tiles, columns / group, lanes, group] of the type that is stored."""
    rows, lanes, steps = pack.tiles * pack.lanes, pack.lanes, -(-pack.depth // pack.group)
    missing = (0, rows - matrix.shape[0]), (0, steps * pack.group - matrix.shape[1])
    codes, scales = matrix, None
    if pack.type == "bf16":
        codes = jax.lax.bitcast_convert_type(matrix.astype(jnp.bfloat16), jnp.uint16)
    if pack.type == "int8":
        codes, scales = _quantized(matrix)
    tiles = jnp.pad(codes, missing).reshape(pack.tiles, lanes, steps, pack.group)
    tiles = tiles.transpose(0, 2, 1, 3)
    if scales is None:
        return tiles
    bits = jax.lax.bitcast_convert_type(jnp.pad(scales, missing[0]), jnp.int8)
    return jnp.concatenate([tiles, bits.reshape(pack.tiles, 1, lanes, pack.group)], axis=1)


def _quantized(matrix: Array) -> tuple[Array, Array]:
    """As rnnc/runtime/rounding.py."""
    largest = jnp.abs(matrix).max(axis=1, initial=0)
    finite = jnp.isfinite(largest)
    counts = finite & (largest >= np.float32(2.0**-100))
    safe = jnp.where(counts, largest, np.float32(127))
    # XLA would make a division by a constant a product, which rounds elsewhere.
    most = jax.lax.optimization_barrier(jnp.float32(127))
    scales = jnp.where(counts, safe / most, jnp.where(finite, 0.0, jnp.nan))
    known = jnp.where(counts[:, None], matrix, 0)
    codes = jnp.rint(known * (most / safe)[:, None])
    return codes.astype(jnp.int8), scales.astype(jnp.float32)


def _block(block: Block, points: Points, values: Mapping[str, int]) -> Array:
    """Zero at a point that has no array."""
    array = points.get(tuple(affine(form, values) for form in block.index))
    if array is None:
        return jnp.zeros((block.rows, block.columns), np.float32)
    matrix = array[tuple(affine(form, values) for form in block.leading)]
    if block.transposed:
        matrix = matrix.T
    rows = slice(block.row, block.row + block.rows)
    return matrix[rows, block.column : block.column + block.columns]
