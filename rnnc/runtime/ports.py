"""Sizes and axes of inputs and outputs, as numbers and as text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnnc.runtime.manifest import Port
from rnnc.runtime.memory import Array


def axes_of_extents(port: Port) -> list[int]:
    """The axes of run-time extents: they are the last before the batch."""
    return [number for number, dim in enumerate(port.dims) if dim.extent is not None]


def dim_size(port: Port, number: int, extents: Mapping[str, int]) -> int:
    """How long grid axis `number` is."""
    dim = port.dims[number]
    if dim.extent is None:
        assert dim.size is not None
        return dim.size
    return max(0, extents[dim.extent] + dim.offset)


def grid_shape(port: Port, extents: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(dim_size(port, number, extents) for number in range(len(port.dims)))


def dim_text(port: Port, number: int) -> str:
    dim = port.dims[number]
    if dim.extent is None:
        return str(dim.size)
    return dim.extent if not dim.offset else f"{dim.extent}{dim.offset:+d}"


def shape_text(port: Port, batch_first: bool = False) -> str:
    """`real[T, batch, 64]`, or as the caller lays it out with `batch_first`."""
    axes = [dim_text(port, number) for number in range(len(port.dims))]
    place = len(port.dims) - (len(axes_of_extents(port)) if batch_first else 0)
    axes.insert(place, "batch")
    return f"{port.dtype}[{', '.join([*axes, *map(str, port.shape)])}]"


def batch_last(port: Port, array: Array) -> Array:
    """A view in our order of an array whose batch stands before the axes of extents."""
    behind = len(port.dims)
    return np.moveaxis(array, behind - len(axes_of_extents(port)), behind)


def batch_before(port: Port, array: Array) -> Array:
    """A view with the batch before the axes of extents, of an array in our order."""
    behind = len(port.dims)
    return np.moveaxis(array, behind, behind - len(axes_of_extents(port)))
