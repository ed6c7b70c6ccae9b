"""Sequences of tensors as rows of their own, and back: as `rnnc.runtime.sequences` moves arrays.

The host moves the numbers of grid points, by the same functions, and so finds out which go where;
values stay on the GPU, where the framework's own indexing moves them.

    steps of a row     0 1 2 3 4         a reset at 2
    rows of their own  0 1 . | 2 3 4
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnc.runtime.arguments import Arguments
from rnnc.runtime.cuda.setting import Setting
from rnnc.runtime.cuda.tensors import Tensor
from rnnc.runtime.manifest import Manifest, Port
from rnnc.runtime.memory import Array
from rnnc.runtime.ports import axes_of_extents, batch_before, grid_shape
from rnnc.runtime.sequences import Sequences, gather, scatter

Numbers = npt.NDArray[np.int64]


def gathered(
    at: Setting,
    manifest: Manifest,
    known: Arguments,
    sequences: Sequences,
    tensors: Mapping[str, Tensor],
) -> tuple[Arguments, dict[str, Any]]:
    """What is known of a call with one batch row for each sequence, and its inputs. Steps that a
    sequence does not have hold anything."""
    numbered = tuple(
        _numbers(port, known) if port.name in tensors else None for port in manifest.inputs
    )
    part = gather(manifest, replace(known, inputs=numbered), sequences)
    values: dict[str, Any] = {}
    for port, numbers in zip(manifest.inputs, part.inputs, strict=True):
        if numbers is not None:
            source = tensors[port.name].value
            wanted = batch_before(port, numbers) if at.batch_first else numbers
            values[port.name] = source[_places(at, port, known, wanted)]
    return replace(part, inputs=()), values


def put_back(
    at: Setting,
    manifest: Manifest,
    known: Arguments,
    part: Arguments,
    sequences: Sequences,
    found: Mapping[str, Any],
    outputs: Mapping[str, Any],
) -> None:
    """Writes the outputs of sequences to where their rows have them."""
    sources = {port.name: _numbers(port, part) for port in manifest.outputs}
    targets = {port.name: np.full(_shape(port, known), -1) for port in manifest.outputs}
    scatter(manifest, sequences, sources, targets)
    for port in manifest.outputs:
        read = targets[port.name].reshape(-1)
        written = np.flatnonzero(read >= 0)
        if written.size:
            values = found[port.name][_places(at, port, part, read[written])]
            outputs[port.name][_places(at, port, known, written)] = values


def _shape(port: Port, known: Arguments) -> tuple[int, ...]:
    return (*grid_shape(port, known.extents), known.batch)


def _numbers(port: Port, known: Arguments) -> Numbers:
    """The number of each grid point of each row."""
    shape = _shape(port, known)
    return np.arange(np.prod(shape, dtype=np.int64)).reshape(shape)


def _places(at: Setting, port: Port, known: Arguments, numbers: Array) -> tuple[Any, ...]:
    """Numbers as an index of a tensor as the caller lays it out."""
    shape = _shape(port, known)
    axes = list(np.unravel_index(numbers.astype(np.int64, copy=False), shape))
    if at.batch_first:
        axes.insert(len(port.dims) - len(axes_of_extents(port)), axes.pop())
    whole = at.upload(np.stack(axes)).value
    return tuple(whole[number] for number in range(len(axes)))
