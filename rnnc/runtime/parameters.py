"""Parameters by path: checked, laid out, packed."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.runtime.manifest import Block, Manifest, Pack, ParameterSpec, Prepared, affine
from rnnc.runtime.memory import DTYPES, NOT_AN_ARRAY, Array, aligned_zeros


def stacked_path(template: str) -> str:
    """`lstm[l].W` without its brackets: `lstm.W`, the path of one array for all points."""
    return re.sub(r"\[[^\]]*\]", "", template)


def lay_out(manifest: Manifest, given: Mapping[str, npt.ArrayLike]) -> tuple[Array, ...]:
    """One array for each parameter of the manifest, from arrays by path.

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
    laid: list[Array] = []
    for spec in manifest.parameters:
        store = empty(spec)
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
            problem = _problem(path, value, spec, point)
            if problem is not None:
                found.append(problem)
                continue
            index = tuple(i - lower for i, (_, lower, _) in zip(point, spec.dims, strict=True))
            inside = tuple(slice(0, size) for size in spec.shape)
            store[index + inside] = value
        laid.append(store)
    known = [path for spec in manifest.parameters for path in spec.paths]
    for name in arrays:
        if name not in used:
            close = difflib.get_close_matches(name, known, 1)
            hints = (f"did you mean '{close[0]}'?",) if close else ()
            message = f"the model has no parameter '{name}'"
            found.append(Diagnostic("RNN722", message, hints=hints))
    if found:
        raise DiagnosticError(found)
    return tuple(laid)


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


def empty(spec: ParameterSpec | Prepared) -> Array:
    """Zeros for all points of a stored array, the last axis padded."""
    sizes = [upper - lower for _, lower, upper in spec.dims]
    inner = (*spec.shape[:-1], spec.padded) if spec.shape else ()
    return aligned_zeros((*sizes, *inner), DTYPES[spec.dtype])


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


def packed(manifest: Manifest, packs: Sequence[Pack], stored: Sequence[Array]) -> tuple[Array, ...]:
    """Packs, filled from stored arrays."""
    return tuple(_pack(pack, manifest.stored, stored) for pack in packs)


def _pack(pack: Pack, specs: Sequence[ParameterSpec | Prepared], stored: Sequence[Array]) -> Array:
    sizes = tuple(upper - lower for _, lower, upper in pack.loops)
    shape = (*sizes, pack.tiles, pack.depth, len(pack.gates), pack.lanes)
    result = aligned_zeros(shape, DTYPES["real"])
    names = [name for name, _, _ in pack.loops]
    for point in itertools.product(*(range(lower, upper) for _, lower, upper in pack.loops)):
        values = dict(zip(names, point, strict=True))
        place = tuple(i - lower for i, (_, lower, _) in zip(point, pack.loops, strict=True))
        for gate, block in enumerate(pack.gates):
            matrix = _block(block, specs[block.stored], stored[block.stored], values)
            rows = np.zeros((pack.tiles * pack.lanes, pack.depth), np.float32)
            rows[: block.rows] = matrix
            tiles = rows.reshape(pack.tiles, pack.lanes, pack.depth).transpose(0, 2, 1)
            here = result[place] if place else result
            here[:, :, gate] = tiles
    return result


def _block(
    block: Block, spec: ParameterSpec | Prepared, laid: Array, values: Mapping[str, int]
) -> Array:
    index = [
        affine(form, values) - lower
        for form, (_, lower, _) in zip(block.index, spec.dims, strict=True)
    ]
    leading = [affine(form, values) for form in block.leading]
    matrix = laid[(*index, *leading)][..., : spec.shape[-1]]
    if block.transposed:
        matrix = matrix.T
    rows = slice(block.row, block.row + block.rows)
    return np.asarray(matrix[rows, block.column : block.column + block.columns])
