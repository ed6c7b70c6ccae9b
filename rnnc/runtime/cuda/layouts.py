"""What calls with tensors of one layout have in common, found out once."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnnc.runtime.arguments import Arguments, collect
from rnnc.runtime.cuda.cudart import Cuda
from rnnc.runtime.cuda.library import Entry
from rnnc.runtime.cuda.memory import Resident
from rnnc.runtime.cuda.tensors import Tensor
from rnnc.runtime.manifest import Manifest, Port
from rnnc.runtime.memory import DTYPES, Array
from rnnc.runtime.ports import axes_of_extents, batch_before, batch_last, grid_shape

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """`sizes` is the library's argument, `workspace` how many bytes it wants, `outputs` the shapes
    as the caller sees them, `full` the lengths of rows that are as long as their extents, or None
    where rows have lengths of their own."""

    known: Arguments
    sizes: ctypes.Array[ctypes.c_int64]
    workspace: int
    outputs: tuple[tuple[int, ...], ...]
    full: Resident | None


def layout_key(
    tensors: Mapping[str, Tensor], extents: Mapping[str, int], batch_first: bool, ragged: bool
) -> Key:
    """What calls must have in common to share a layout."""
    given = ((name, t.dtype, t.shape, t.strides) for name, t in tensors.items())
    return batch_first, ragged, *extents.items(), *given


def layout_of(
    manifest: Manifest,
    forward: Entry,
    cuda: Cuda,
    tensors: Mapping[str, Tensor],
    extents: Mapping[str, int],
    batch_first: bool,
    ragged: bool,
) -> Layout:
    """Checks shapes and dtypes: those of a call with arrays of the host that have the same."""
    like = {name: np.zeros(tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
    found = collect(manifest, like, extents, None, batch_first)
    known = Arguments((), found.extents, found.batch, found.lengths, False)
    numbers = [*known.extents.values(), known.batch]
    for port in manifest.inputs:
        numbers += _strides(port, tensors.get(port.name), batch_first)
    shapes: list[tuple[int, ...]] = []
    for port in manifest.outputs:
        shape = (*grid_shape(port, known.extents), known.batch, *port.shape)
        # Only the layout of these arrays is of interest: nothing touches their memory.
        array: Array = np.empty(shape, DTYPES[port.dtype])
        if batch_first:
            array = np.empty(batch_before(port, array).shape, array.dtype)
        shapes.append(array.shape)
        ours = batch_last(port, array) if batch_first else array
        numbers += [stride // array.itemsize for stride in ours.strides[: len(port.dims) + 1]]
    sizes = (ctypes.c_int64 * len(numbers))(*numbers)
    workspace = forward.workspace(sizes) if known.batch else 0
    full = None if ragged else Resident(cuda, list(known.lengths.values()))
    return Layout(known, sizes, workspace, tuple(shapes), full)


def _strides(port: Port, tensor: Tensor | None, batch_first: bool) -> list[int]:
    """Of grid axes and batch, in elements; those of a default are zero."""
    count = len(port.dims) + 1
    if tensor is None:
        return [0] * count
    found = list(tensor.strides[:count])
    if batch_first:
        found.append(found.pop(len(port.dims) - len(axes_of_extents(port))))
    return found
