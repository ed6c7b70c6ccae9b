"""What calls with arrays of one layout have in common: everything but the caller's addresses.

Making a frame checks and measures every argument; a call with a known frame only collects
addresses, which is what makes small models fast.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
    """`sizes` are extents and batch, `strides` the address of those of inputs and outputs,
    `workspace` how many bytes a call wants. `inputs` are addresses, 0 for what was left out, or the
    names of the caller's arrays with their item sizes; `lengths` addresses or 0. `kept` holds what
    has these addresses.
    """

    sizes: tuple[int, ...]
    inputs: tuple[int | tuple[str, int], ...]
    outputs: tuple[Output, ...]
    lengths: tuple[int, ...]
    strides: int
    workspace: int
    words: struct.Struct
    kept: tuple[object, ...]

    @staticmethod
    def of(manifest: Manifest, library: Library, arguments: Arguments, batch_first: bool) -> Frame:
        """The frame of one call, which keeps all its arrays."""
        numbers: list[int] = []
        for port, given in zip(manifest.inputs, arguments.inputs, strict=True):
            numbers += [0] * (len(port.dims) + 1) if given is None else _strides(port, given)
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
        strides = np.array(numbers, np.int64)
        sizes = (*arguments.extents.values(), arguments.batch)
        inputs = tuple(0 if array is None else address(array) for array in arguments.inputs)
        own = arguments.lengths.values()
        lengths = [address(array) if arguments.ragged else 0 for array in own]
        return Frame(
            sizes,
            inputs,
            tuple(outputs),
            tuple(lengths),
            address(strides),
            library.workspace_size(struct.pack(f"{len(sizes)}q", *sizes)) if sizes[-1] else 0,
            struct.Struct(f"{len(sizes) + len(inputs) + len(outputs) + len(lengths) + 5}q"),
            (strides, arguments),
        )

    def call(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        threads: int,
        workspace: int,
        pool: int,
    ) -> bytes:
        """The words of a call, in the order of the header's struct."""
        return self.words.pack(
            *self.sizes,
            threads,
            *inputs,
            *outputs,
            *self.lengths,
            self.strides,
            workspace,
            self.workspace,
            pool,
        )

    @property
    def places(self) -> list[int]:
        """Where the inputs are, of a frame that keeps all of them."""
        return [place for place in self.inputs if isinstance(place, int)]

    def reusable(self, manifest: Manifest, given: Mapping[str, Array]) -> Frame | None:
        """A frame for all calls with arrays of this layout; None if any had to be copied."""
        inputs: list[int | tuple[str, int]] = []
        for port, place in zip(manifest.inputs, self.inputs, strict=True):
            if port.name not in given:
                inputs.append(0)
                continue
            array = given[port.name]
            if array.dtype != DTYPES[port.dtype] or place != address(array):
                return None
            inputs.append((port.name, array.itemsize))
        return replace(self, inputs=tuple(inputs), kept=self.kept[:1])

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
