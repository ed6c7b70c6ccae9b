"""Parameters by path: checked, laid out, packed.

A stored array of the manifest is known by its points: a matrix of which kernels only read packs is
never copied but into those.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.runtime.manifest import Block, Manifest, Pack, ParameterSpec, Prepared, affine
from rnnc.runtime.memory import DTYPES, NOT_AN_ARRAY, STORED, Array, aligned_zeros
from rnnc.runtime.rounding import bfloat16, quantized
from rnnc.runtime.sparse import sparse


def stacked_path(template: str) -> str:
    """`lstm[l].W` without its brackets: `lstm.W`, the path of one array for all points."""
    return re.sub(r"\[[^\]]*\]", "", template)


Points = Mapping[tuple[int, ...], Array]  # an array for each grid point; any other is zero
Spec = ParameterSpec | Prepared


def checked(manifest: Manifest, given: Mapping[str, npt.ArrayLike]) -> tuple[Points, ...]:
    """The points of each parameter of the manifest, from arrays by path: their memory, if possible.

    A complex parameter `p: complex[N]` is real[2, N], its real part and its imaginary part; a
    complex array [N] is taken apart.

    Raises every mistake at once: RNN721 for what is missing, RNN722 for what has no place, RNN723
    for a wrong shape, RNN724 for a wrong dtype, RNN725 for an int out of its range.
    """
    found: list[Diagnostic] = []
    arrays: dict[str, Array] = {}
    for name, entry in given.items():
        try:
            arrays[name] = np.asarray(entry)
        except NOT_AN_ARRAY as error:
            message = f"parameter '{name}' cannot be read as an array: {error}"
            found.append(Diagnostic("RNN724", message))
    if found:
        raise DiagnosticError(found)
    used: set[str] = set()
    stacks = stacked_positions(manifest)
    result: list[Points] = []
    for spec in manifest.parameters:
        points: dict[tuple[int, ...], Array] = {}
        stack = stacked_path(spec.template)
        for point, path in zip(spec.points, spec.paths, strict=True):
            value, name = arrays.get(path), path
            if value is None and spec.dims and stack in arrays:
                name = stack
                value = _from_stack(arrays[stack], stacks[stack], point, spec, stack, found)
                if value is None:
                    used.add(stack)
                    break
            if value is None:
                message = f"parameter '{path}' is missing: {spec.dtype}{list(spec.shape)}"
                found.append(Diagnostic("RNN721", message))
                continue
            used.add(name)
            if np.iscomplexobj(value) and spec.shape == (2, *value.shape):
                value = np.stack([value.real, value.imag])  # as complex parameters are stored
            problem = _problem(path, value, spec, point)
            if problem is not None:
                found.append(problem)
                continue
            points[point] = value
        result.append(points)
    known = [path for spec in manifest.parameters for path in spec.paths]
    for name in arrays:
        if name not in used:
            close = difflib.get_close_matches(name, known, 1)
            hints = (f"did you mean '{close[0]}'?",) if close else ()
            message = f"the model has no parameter '{name}'"
            found.append(Diagnostic("RNN722", message, hints=hints))
    if found:
        raise DiagnosticError(found)
    return tuple(result)


def stacked_positions(manifest: Manifest) -> dict[str, tuple[tuple[int, int], ...]]:
    """For each stacked path the range of every static dim over all its specs."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    for spec in manifest.parameters:
        own = [(lower, upper) for _, lower, upper in spec.dims]
        known = ranges.get(stacked_path(spec.template))
        if known is not None and len(known) == len(own):
            own = [(min(a, c), max(b, d)) for (a, b), (c, d) in zip(known, own, strict=True)]
        ranges[stacked_path(spec.template)] = own
    return {name: tuple(own) for name, own in ranges.items()}


def laid_out(spec: Spec, points: Points) -> Array:
    """All points of a stored array, the last axis padded."""
    sizes = [upper - lower for _, lower, upper in spec.dims]
    inner = (*spec.shape[:-1], spec.padded) if spec.shape else ()
    store = aligned_zeros((*sizes, *inner), DTYPES[spec.dtype])
    for point, value in points.items():
        index = tuple(i - lower for i, (_, lower, _) in zip(point, spec.dims, strict=True))
        inside = tuple(slice(0, size) for size in spec.shape)
        store[index + inside] = value
    return store


def _from_stack(
    array: Array,
    ranges: tuple[tuple[int, int], ...],
    point: tuple[int, ...],
    spec: ParameterSpec,
    path: str,
    found: list[Diagnostic],
) -> Array | None:
    wanted = tuple(upper - lower for lower, upper in ranges)
    if array.shape[: len(wanted)] != wanted:
        shape = [*wanted, *spec.shape]
        message = f"parameter '{path}' is {list(array.shape)} but must be {shape}"
        found.append(Diagnostic("RNN723", message))
        return None
    index = tuple(i - lower for i, (lower, _) in zip(point, ranges, strict=True))
    return np.asarray(array[index])


def _problem(
    path: str, value: Array, spec: ParameterSpec, point: tuple[int, ...]
) -> Diagnostic | None:
    if value.shape != spec.shape:
        message = f"parameter '{path}' is {list(value.shape)} but must be {list(spec.shape)}"
        return Diagnostic("RNN723", message)
    allowed = {"real": "fiub", "int": "iu", "bool": "b"}[spec.dtype]
    if value.dtype.kind not in allowed:
        message = f"parameter '{path}' holds {value.dtype} but must hold {spec.dtype} values"
        return Diagnostic("RNN724", message)
    if spec.dtype == "int" and value.size:
        return _out_of_range(path, value, spec, point)
    return None


def _out_of_range(
    path: str, value: Array, spec: ParameterSpec, point: tuple[int, ...]
) -> Diagnostic | None:
    """Kernels trust indices: an int outside its range would be read outside an array."""
    least, most = int(np.iinfo(np.int32).min), int(np.iinfo(np.int32).max) + 1
    if spec.range is not None:
        names = {name: i for (name, _, _), i in zip(spec.dims, point, strict=True)}
        least, most = (affine(form, names) for form in spec.range)
    bad = [int(entry) for entry in (value.min(), value.max()) if not least <= int(entry) < most]
    if not bad:
        return None
    message = f"parameter '{path}' holds {bad[0]}, which is not in {least}..{most}"
    return Diagnostic("RNN725", message)


def packed(packs: Sequence[Pack], stored: Sequence[Points]) -> tuple[Array, ...]:
    """Packs, filled from stored arrays."""
    return tuple(_pack(pack, stored) for pack in packs)


def _pack(pack: Pack, stored: Sequence[Points]) -> Array:
    if pack.type == "sparse":
        return _sparse(pack, stored)
    sizes = tuple(upper - lower for _, lower, upper in pack.loops)
    steps = -(-pack.depth // pack.group)
    scaled = pack.type == "int8"
    shape = (*sizes, pack.tiles, steps + scaled, len(pack.gates), pack.lanes, pack.group)
    result = aligned_zeros(shape, STORED[pack.type])
    names = [name for name, _, _ in pack.loops]
    for place in np.ndindex(*sizes):
        point = (lower + i for i, (_, lower, _) in zip(place, pack.loops, strict=True))
        values = dict(zip(names, point, strict=True))
        for gate, block in enumerate(pack.gates):
            matrix = _block(block, stored[block.stored], values)
            if matrix is not None:
                tiles = result[(*place, ..., gate, slice(None), slice(None))]
                match pack.type:
                    case "float32":
                        _fill(tiles, matrix)
                    case "bf16":
                        _fill(tiles, bfloat16(matrix))
                    case "int8":
                        codes, scales = quantized(matrix)
                        _fill(tiles, codes)
                        _fill(tiles[:, steps:].view(np.float32), scales[:, None])
    return result


def _sparse(pack: Pack, stored: Sequence[Points]) -> Array:
    """As packed in float32, but vector by vector."""
    plain = _pack(replace(pack, type="float32"), stored)
    tiles = plain.reshape(-1, pack.depth, len(pack.gates), pack.lanes // pack.vector, pack.vector)
    vectors = tiles.transpose(0, 2, 3, 4, 1).reshape(-1, pack.vector, pack.depth)
    return sparse(np.asarray(vectors, np.float32), pack.window, pack.listed)


def _fill(tiles: Array, matrix: Array) -> None:
    """Writes rows x columns into [tiles, columns / group, lanes, group]: tile by tile, for the sake
    of caches."""
    lanes, group = tiles.shape[-2:]
    for tile in range(-(-len(matrix) // lanes)):
        rows = matrix[tile * lanes : (tile + 1) * lanes]
        for number in range(group):
            columns = rows[:, number::group].T
            tiles[tile, : len(columns), : len(rows), number] = columns


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
