"""What calls with arrays of one layout have in common: everything but the caller's addresses.

Making a frame checks and measures every argument; a call with a known frame only collects
addresses, which is what makes small models fast.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnc.runtime.arguments import Arguments
from rnnc.runtime.library import Library
from rnnc.runtime.manifest import Manifest, Port
from rnnc.runtime.memory import DTYPES, Array, address
from rnnc.runtime.ports import batch_before, batch_last, grid_shape

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """An array to be made: `shape` is as the caller sees it."""

    port: Port
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


@dataclass(frozen=True, slots=True)
class Frame:
    """`sizes` is the library's argument, `workspace` how many bytes it wants. An entry of `inputs`
    is the address of an array that the frame itself keeps, or the name of the caller's, with its
    item size. `arguments` are those of the first call; they keep the frame's arrays alive.
    """

    arguments: Arguments
    sizes: ctypes.Array[ctypes.c_int64]
    workspace: int
    inputs: tuple[int | tuple[str, int], ...]
    outputs: tuple[Output, ...]
    lengths: tuple[int, ...]

    @staticmethod
    def of(manifest: Manifest, library: Library, arguments: Arguments, batch_first: bool) -> Frame:
        """The frame of one call, which keeps all its arrays."""
        numbers = [*arguments.extents.values(), arguments.batch]
        for port, array in zip(manifest.inputs, arguments.inputs, strict=True):
            numbers += _strides(port, array)
        outputs: list[Output] = []
        for port in manifest.outputs:
            shape = (*grid_shape(port, arguments.extents), arguments.batch, *port.shape)
            if math.prod(shape) > sys.maxsize // 8:
                raise MemoryError(f"output '{port.name}' would have the shape {list(shape)}")
            # Only its shape and strides are of interest: nothing touches its memory.
            array = np.empty(shape, DTYPES[port.dtype])
            if batch_first:
                array = np.empty(batch_before(port, array).shape, array.dtype)
            outputs.append(Output(port, array.shape, array.dtype))
            numbers += _strides(port, batch_last(port, array) if batch_first else array)
        sizes = (ctypes.c_int64 * len(numbers))(*numbers)
        return Frame(
            arguments,
            sizes,
            library.forward.workspace(sizes) if arguments.batch else 0,
            tuple(address(array) for array in arguments.inputs),
            tuple(outputs),
            tuple(address(array) for array in arguments.lengths.values()),
        )

    @property
    def places(self) -> list[int]:
        """Where the inputs are, of a frame that keeps all of them."""
        return [place for place in self.inputs if isinstance(place, int)]

    def reusable(self, manifest: Manifest, given: Mapping[str, Array]) -> Frame | None:
        """A frame for all calls with arrays of this layout; None if any had to be copied."""
        inputs: list[int | tuple[str, int]] = []
        kept: list[Array] = []
        for port, array, place in zip(
            manifest.inputs, self.arguments.inputs, self.inputs, strict=True
        ):
            if port.name not in given:
                inputs.append(place)
                kept.append(array)
            elif array.dtype == given[port.name].dtype and place == address(given[port.name]):
                inputs.append((port.name, array.itemsize))
            else:
                return None
        arguments = Arguments(
            tuple(kept), self.arguments.extents, self.arguments.batch, self.arguments.lengths
        )
        return Frame(
            arguments, self.sizes, self.workspace, tuple(inputs), self.outputs, self.lengths
        )

    def addresses(self, given: Mapping[str, Array]) -> list[int] | None:
        """Where the inputs of a call are; None if one is not aligned."""
        found: list[int] = []
        for entry in self.inputs:
            if isinstance(entry, int):
                found.append(entry)
                continue
            name, size = entry
            place = address(given[name])
            if place % size:
                return None
            found.append(place)
        return found


def layout_key(given: Mapping[str, npt.ArrayLike], batch_first: bool) -> Key | None:
    """What calls must have in common to share a frame; None if they never do."""
    key: list[object] = [batch_first]
    for name, array in given.items():
        if type(array) is not np.ndarray:
            return None
        key += (name, array.dtype, array.shape, array.strides)
    return tuple(key)


def _strides(port: Port, array: Array) -> list[int]:
    """Of grid axes and batch, in elements."""
    return [stride // array.itemsize for stride in array.strides[: len(port.dims) + 1]]
