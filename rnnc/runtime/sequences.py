"""Resets: every sequence of a row becomes a row of its own, and back. Only data moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnc.runtime.arguments import Arguments, error
from rnnc.runtime.manifest import Manifest, Port
from rnnc.runtime.memory import NOT_AN_ARRAY, Array, Ints
from rnnc.runtime.ports import axes_of_extents, grid_shape

Place = tuple[slice | int, ...]


@dataclass(frozen=True, slots=True)
class Sequences:
    """Sequence k is steps start[k] .. start[k]+length[k] of row row[k]; `last` of its row, or not.

    `extent` is the extent that counts the steps.
    """

    extent: str
    row: Ints
    start: Ints
    length: Ints
    last: npt.NDArray[np.bool_]


def resets_of(
    manifest: Manifest, arguments: Arguments, resets: npt.ArrayLike | None, batch_first: bool
) -> npt.ArrayLike | None:
    """Those of a call; no reset at all, so that rows are cut apart by their lengths, where kernels
    take rows of one length only. Raises RNN734 where there are several extents."""
    if resets is None and _differ(manifest, arguments):
        [extent] = manifest.extents
        shape = (arguments.batch, arguments.extents[extent])
        return np.zeros(shape if batch_first else shape[::-1], np.bool_)
    return resets


def _differ(manifest: Manifest, arguments: Arguments) -> bool:
    """Whether rows are shorter than an extent in which kernels take one length only."""
    for name, variable in manifest.shared_ends.items():
        if (arguments.lengths[name] != arguments.extents[name]).any():
            if len(arguments.extents) > 1:
                message = f"rows of this model cannot have lengths of their own in '{name}'"
                raise error("RNN734", f"{message}: '{variable}' is cut before its end")
            return True
    return False


def cut(
    manifest: Manifest, arguments: Arguments, resets: npt.ArrayLike, batch_first: bool
) -> list[Sequences]:
    """The sequences that the resets make of the rows, in portions of similar length.

    A row without steps is one sequence without steps. Raises RNN735.
    """
    if len(manifest.extents) != 1:
        raise error("RNN735", "resets need a model with one run-time extent")
    [extent] = manifest.extents
    marks = _marks(resets, arguments.extents[extent], arguments.batch, batch_first)
    parts: list[tuple[int, int, int, bool]] = []
    for row, own in enumerate(arguments.lengths[extent].tolist()):
        starts = [0, *(np.flatnonzero(marks[1:own, row]) + 1).tolist()]
        ends = [*starts[1:], own]
        parts += [(row, a, b - a, b == own) for a, b in zip(starts, ends, strict=True)]
    return [
        Sequences(
            extent,
            np.array([part[0] for part in portion], np.int32),
            np.array([part[1] for part in portion], np.int32),
            np.array([part[2] for part in portion], np.int32),
            np.array([part[3] for part in portion], np.bool_),
        )
        for portion in _portions(parts, exact=extent in manifest.shared_ends)
    ]


def _marks(
    resets: npt.ArrayLike, steps: int, batch: int, batch_first: bool
) -> npt.NDArray[np.bool_]:
    """[steps, batch]"""
    try:
        marks = np.asarray(resets)
    except NOT_AN_ARRAY as reason:
        raise error("RNN735", f"resets are no array: {reason}") from reason
    wanted = (batch, steps) if batch_first else (steps, batch)
    if marks.shape != wanted or marks.dtype != np.bool_:
        found = f"{marks.dtype}{list(marks.shape)}"
        raise error("RNN735", f"resets must be bool{list(wanted)}, not {found}")
    return marks.T if batch_first else marks


def _portions(
    parts: list[tuple[int, int, int, bool]], exact: bool
) -> list[list[tuple[int, int, int, bool]]]:
    """All at once, or by length where padding to the longest would be most of the work.

    With `exact` those of a portion have one length.
    """
    longest = max((part[2] for part in parts), default=0)
    if not exact and longest * len(parts) <= 4 * sum(part[2] for part in parts):
        return [parts]
    found: dict[int, list[tuple[int, int, int, bool]]] = {}
    for part in parts:
        found.setdefault(part[2] if exact else part[2].bit_length(), []).append(part)
    return [found[size] for size in sorted(found)]


def gather(manifest: Manifest, arguments: Arguments, sequences: Sequences) -> Arguments:
    """The arguments with one batch row for each sequence."""
    extents = {sequences.extent: int(sequences.length.max(initial=0))}
    inputs = tuple(
        None if array is None else _gathered(port, array, sequences, extents)
        for port, array in zip(manifest.inputs, arguments.inputs, strict=True)
    )
    lengths = {sequences.extent: sequences.length}
    return Arguments(inputs, extents, len(sequences.row), lengths, True)


def _gathered(port: Port, array: Array, sequences: Sequences, extents: Mapping[str, int]) -> Array:
    if not axes_of_extents(port):
        return np.ascontiguousarray(np.take(array, sequences.row, axis=len(port.dims)))
    inner = array.shape[len(port.dims) + 1 :]
    result = np.zeros((*grid_shape(port, extents), len(sequences.row), *inner), array.dtype)
    for number, row in enumerate(sequences.row.tolist()):
        there, here = _places(port, sequences, number, row)
        result[here] = array[there]
    return result


def scatter(
    manifest: Manifest,
    sequences: Sequences,
    found: Mapping[str, Array],
    outputs: Mapping[str, Array],
) -> None:
    """Writes outputs of sequences to where their rows have them; an output without steps is that of
    a row's last sequence.
    """
    for port in manifest.outputs:
        source, target = found[port.name], outputs[port.name]
        if not axes_of_extents(port):
            ends = np.moveaxis(source, len(port.dims), 0)[sequences.last]
            np.moveaxis(target, len(port.dims), 0)[sequences.row[sequences.last]] = ends
            continue
        for number, row in enumerate(sequences.row.tolist()):
            there, here = _places(port, sequences, number, row)
            target[there] = source[here]


def _places(port: Port, sequences: Sequences, number: int, row: int) -> tuple[Place, Place]:
    """Where a sequence lies among the rows, and among the sequences: grid axes and batch."""
    start, length = int(sequences.start[number]), int(sequences.length[number])
    there: list[slice | int] = []
    here: list[slice | int] = []
    for dim in port.dims:
        if dim.extent is None:
            there.append(slice(None))
            here.append(slice(None))
        else:
            count = max(0, length + dim.offset)
            there.append(slice(start, start + count))
            here.append(slice(0, count))
    return (*there, row), (*here, number)
