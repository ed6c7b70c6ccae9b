"""A module like CuPy whose GPU is host memory: what `rnnc.runtime.cuda` calls of it, by NumPy."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace, TracebackType
from typing import Any, Self

import numpy as np

from tests.oracles.arrays import Array


class Stream:
    """`current` is that of the only thread."""

    current: Stream

    def __init__(self, ptr: int, device_id: int = -1) -> None:
        self.ptr = ptr

    def __enter__(self) -> Self:
        self.outer, Stream.current = Stream.current, self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: object, trace: TracebackType | None
    ) -> None:
        Stream.current = self.outer


class Arrays(np.ndarray[Any, Any]):
    """Its module's name is all that tells whose it is."""

    holder = 0  # the number of the GPU

    def __dlpack_device__(self) -> tuple[int, int]:  # type: ignore[override]
        return 2, self.holder

    def __dlpack__(self, *, stream: int | None = None) -> Any:  # type: ignore[override]
        assert stream == Stream.current.ptr
        return np.asarray(self).view(np.ndarray).__dlpack__()

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self.__array_interface__, "stream": Stream.current.ptr}

    def __array__(self, *_: object, **__: object) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed")


Arrays.__module__ = "cupy"


def module(stream: int) -> ModuleType:
    """`import cupy`, where the current stream has this address."""
    Stream.current = Stream(stream)
    made: Any = ModuleType("cupy")

    def own(array: Array) -> Arrays:
        return array.view(Arrays)

    made.ndarray = Arrays
    made.asarray = lambda array: own(np.array(array))
    made.empty = lambda shape, dtype: own(np.full(shape, 1, dtype))
    made.zeros = lambda shape, dtype: own(np.zeros(shape, dtype))
    made.arange = lambda count: own(np.arange(count))
    made.stack = lambda parts, axis: own(np.stack(parts, axis))
    made.ascontiguousarray = lambda value, dtype: own(
        np.array(value.view(np.ndarray), dtype, order="C")
    )
    made.copyto = lambda target, value, where: np.copyto(
        target.view(np.ndarray), value, where=where.view(np.ndarray)
    )
    made.cuda = SimpleNamespace(get_current_stream=lambda: Stream.current, ExternalStream=Stream)
    found: ModuleType = made
    return found
