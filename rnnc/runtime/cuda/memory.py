"""Memory of a GPU that the runtime asks for: weights, room for calls from the host, flags."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from threading import Lock, get_ident

import numpy as np

from rnnc.runtime.cuda.cudart import Cuda
from rnnc.runtime.memory import Array, address

ALIGNMENT = 256  # of every array, as cudaMalloc aligns
_STREAM_PER_THREAD = 2  # cudaStreamPerThread, which is another stream in each thread


class Block:
    """So many bytes on the current device, given back with the last reference."""

    def __init__(self, cuda: Cuda, size: int) -> None:
        self.address = cuda.allocate(max(size, ALIGNMENT))
        self.size = size
        weakref.finalize(self, cuda.free, self.address).atexit = False


class Resident:
    """Arrays in one block of device memory, copied there once."""

    def __init__(self, cuda: Cuda, arrays: Sequence[Array]) -> None:
        offsets, size = placed([array.nbytes for array in arrays])
        self._block = Block(cuda, size)
        self.addresses = [self._block.address + offset for offset in offsets]
        for array, place in zip(arrays, self.addresses, strict=True):
            if array.nbytes:
                contiguous = np.ascontiguousarray(array)
                cuda.upload(place, address(contiguous), array.nbytes, 0)
        cuda.wait(0)  # other streams do not wait for this one


class Arena:
    """One growing block. What was handed out stays valid: graphs go on using it."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._blocks: list[Block] = []

    def fits(self, size: int) -> bool:
        """Whether nothing has to be asked for."""
        return bool(self._blocks) and size <= self._blocks[-1].size

    def get(self, size: int) -> int:
        """The address of at least so many bytes."""
        if not self.fits(size):
            # Twice as large as the last at least: all blocks together stay below two of the last.
            least = 2 * self._blocks[-1].size if self._blocks else 4096
            self._blocks.append(Block(self._cuda, max(size, least)))
        return self._blocks[-1].address


class Flags:
    """Where the blocks of launches say how far they are: `size` bytes that begin as zeros, for each
    row of launches of which one waits for the other. Such are those on a stream, and those on a
    stream that become part of a graph, which may run beside all others. They stay, as graphs do
    that nobody tells of."""

    def __init__(self, cuda: Cuda, size: int) -> None:
        self._cuda, self._size = cuda, size
        self._blocks: dict[tuple[int, int, int | None], Block] = {}
        self._lock = Lock()

    def of(self, stream: int, capture: int | None) -> int:
        """The address of those for what is launched on a stream, or there becomes part of a graph;
        on the current device."""
        if not self._size:
            return 0
        thread = get_ident() if stream == _STREAM_PER_THREAD else 0
        key = (stream, thread, capture)
        with self._lock:
            if key not in self._blocks:
                with self._cuda.beside_captures():
                    block = Block(self._cuda, self._size)
                    self._cuda.clear(block.address, self._size)
                self._blocks[key] = block
            return self._blocks[key].address


def placed(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Where things of these sizes begin, one behind the other, and where the last ends."""
    offsets: list[int] = []
    end = 0
    for size in sizes:
        offsets.append(end)
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return offsets, end
