"""Resets: every sequence of a row becomes a row of its own, and back. Only data moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnc.runtime.arguments import Arguments, error
from rnnc.runtime.manifest import Manifest, Port
from rnnc.runtime.memory import DTYPES, Array, Ints


@dataclass(frozen=True, slots=True)
class Sequences:
    """Sequence k is steps start[k] .. start[k]+length[k] of row row[k], rows in order."""

    extent: str
    row: Ints
    start: Ints
    length: Ints
    last: Ints  # for each row, its last sequence


def cut(manifest: Manifest, arguments: Arguments, resets: npt.ArrayLike) -> Sequences:
    """The sequences that the resets make of the rows. Raises RNN735."""
    marks = np.asarray(resets)
    if len(manifest.extents) != 1:
        raise error("RNN735", "resets need a model with one run-time extent")
    [extent] = manifest.extents
    steps = arguments.extents[extent]
    if marks.shape != (steps, arguments.batch) or marks.dtype.kind != "b":
        found = f"{marks.dtype}{list(marks.shape)}"
        raise error("RNN735", f"resets must be bool[{steps}, {arguments.batch}], not {found}")
    rows: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    last: list[int] = []
    for row, own in enumerate(arguments.lengths[extent].tolist()):
        begins = [0, *(t for t in range(1, own) if marks[t, row])]
        rows += [row] * len(begins)
        starts += begins
        ends += [*begins[1:], own]
        last.append(len(rows) - 1)
    start = np.asarray(starts, np.int32)
    length = np.asarray(ends, np.int32) - start
    ints = np.int32
    return Sequences(extent, np.asarray(rows, ints), start, length, np.asarray(last, ints))


def gather(manifest: Manifest, arguments: Arguments, sequences: Sequences) -> Arguments:
    """The arguments with one batch row for each sequence."""
    longest = int(sequences.length.max(initial=0))
    inputs = tuple(
        _gathered(port, array, sequences, longest)
        for port, array in zip(manifest.inputs, arguments.inputs, strict=True)
    )
    return Arguments(
        inputs,
        {sequences.extent: longest},
        len(sequences.row),
        {sequences.extent: sequences.length.astype(np.int32)},
    )


def _gathered(port: Port, array: Array, sequences: Sequences, longest: int) -> Array:
    running = [n for n, dim in enumerate(port.dims) if dim.extent is not None]
    rows = np.take(array, sequences.row, axis=len(port.dims))
    if not running:
        return np.ascontiguousarray(rows)
    [axis] = running
    dim = port.dims[axis]
    moved = np.moveaxis(rows, (axis, len(port.dims)), (0, 1))
    steps = max(0, longest + dim.offset)
    result = np.zeros((steps, *moved.shape[1:]), moved.dtype)
    for number, (start, length) in enumerate(
        zip(sequences.start.tolist(), sequences.length.tolist(), strict=True)
    ):
        count = max(0, length + dim.offset)
        result[:count, number] = moved[start : start + count, number]
    return np.ascontiguousarray(np.moveaxis(result, (0, 1), (axis, len(port.dims))))


def scatter(
    manifest: Manifest,
    arguments: Arguments,
    sequences: Sequences,
    outputs: Mapping[str, Array],
) -> dict[str, Array]:
    """Outputs of sequences put back into rows; those without the dim are the last sequence's."""
    found: dict[str, Array] = {}
    for port in manifest.outputs:
        array = outputs[port.name]
        axes = len(port.dims)
        running = [n for n, dim in enumerate(port.dims) if dim.extent is not None]
        if not running:
            found[port.name] = np.take(array, sequences.last, axis=axes)
            continue
        [axis] = running
        dim = port.dims[axis]
        moved = np.moveaxis(array, (axis, axes), (0, 1))
        steps = max(0, arguments.extents[sequences.extent] + dim.offset)
        shape = (steps, arguments.batch, *moved.shape[2:])
        result = np.zeros(shape, DTYPES[port.dtype])
        for number, (row, start, length) in enumerate(
            zip(
                sequences.row.tolist(),
                sequences.start.tolist(),
                sequences.length.tolist(),
                strict=True,
            )
        ):
            count = max(0, length + dim.offset)
            result[start : start + count, row] = moved[:count, number]
        found[port.name] = np.ascontiguousarray(np.moveaxis(result, (0, 1), (axis, axes)))
    return found
