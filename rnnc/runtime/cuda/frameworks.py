"""What calls on tensors want of the framework whose tensors they are: its stream and its memory.

Both frameworks keep memory in pools by stream: asking for some costs little, what is given back is
used again only by what comes later on the same stream, and graphs that are captured get their own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from rnnc.runtime.arguments import error


class Framework(Protocol):
    """Shapes and dtypes as of NumPy; `dtype` is a name: "float32", "int32", "bool", "uint8".

    A tuple of int64 tensors is an index of a tensor, as it is of an array of NumPy.
    """

    def stream(self, device: int) -> int:
        """The current stream: a cudaStream_t."""
        ...

    def on(self, stream: int, device: int) -> AbstractContextManager[object]:
        """Makes another stream the current one."""
        ...

    def empty(self, shape: tuple[int, ...], dtype: str, device: int) -> Any: ...

    def zeros(self, shape: tuple[int, ...], dtype: str, device: int) -> Any: ...

    def converted(self, value: Any, dtype: str) -> Any:
        """A contiguous tensor with the values of another."""
        ...

    def parts(self, value: Any, axis: int) -> Any:
        """Real and imaginary parts along a new axis."""
        ...

    def clear_beyond(self, value: Any, axis: int, batch: int, lengths: Any, offset: int) -> None:
        """Zero at steps of `axis` from `lengths + offset` on, of each row along axis `batch`."""
        ...


class Torch:
    """`kind` is the type of torch's device."""

    def __init__(self, kind: str = "cuda") -> None:
        self._torch: Any = sys.modules["torch"]
        self._kind = kind

    def stream(self, device: int) -> int:
        return int(self._torch.cuda.current_stream(device).cuda_stream)

    def on(self, stream: int, device: int) -> AbstractContextManager[object]:
        cuda = self._torch.cuda
        found: AbstractContextManager[object] = cuda.stream(cuda.ExternalStream(stream, device))
        return found

    def empty(self, shape: tuple[int, ...], dtype: str, device: int) -> Any:
        place = self._torch.device(self._kind, device)
        return self._torch.empty(shape, dtype=getattr(self._torch, dtype), device=place)

    def zeros(self, shape: tuple[int, ...], dtype: str, device: int) -> Any:
        return self.empty(shape, dtype, device).zero_()

    def converted(self, value: Any, dtype: str) -> Any:
        return value.to(getattr(self._torch, dtype)).contiguous()

    def parts(self, value: Any, axis: int) -> Any:
        return self._torch.stack((value.real, value.imag), axis)

    def clear_beyond(self, value: Any, axis: int, batch: int, lengths: Any, offset: int) -> None:
        steps = self._torch.arange(value.shape[axis], device=value.device)
        value.masked_fill_(_beyond(steps, lengths + offset, value.ndim, axis, batch), 0)


class Cupy:
    def __init__(self) -> None:
        self._cupy: Any = sys.modules["cupy"]

    def stream(self, device: int) -> int:
        return int(self._cupy.cuda.get_current_stream().ptr)

    def on(self, stream: int, device: int) -> AbstractContextManager[object]:
        found: AbstractContextManager[object] = self._cupy.cuda.ExternalStream(stream, device)
        return found

    def empty(self, shape: tuple[int, ...], dtype: str, device: int) -> Any:
        return self._cupy.empty(shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: str, device: int) -> Any:
        return self._cupy.zeros(shape, dtype)

    def converted(self, value: Any, dtype: str) -> Any:
        return self._cupy.ascontiguousarray(value, dtype)

    def parts(self, value: Any, axis: int) -> Any:
        return self._cupy.stack((value.real, value.imag), axis)

    def clear_beyond(self, value: Any, axis: int, batch: int, lengths: Any, offset: int) -> None:
        steps = self._cupy.arange(value.shape[axis])
        beyond = _beyond(steps, lengths + offset, value.ndim, axis, batch)
        self._cupy.copyto(value, 0, where=beyond)


def _beyond(steps: Any, ends: Any, rank: int, axis: int, batch: int) -> Any:
    """Whether a step is behind the end of its row, to be broadcast over `rank` axes."""
    along = tuple(-1 if number == axis else 1 for number in range(rank))
    across = tuple(-1 if number == batch else 1 for number in range(rank))
    return steps.reshape(along) >= ends.reshape(across)


def framework_of(values: Mapping[str, Any]) -> Framework:
    """Raises RNN733 for tensors of a framework that is not known."""
    for value in values.values():
        torch: Any = sys.modules.get("torch")
        if torch is not None and isinstance(value, torch.Tensor):
            return Torch()
        if type(value).__module__.partition(".")[0] == "cupy":
            return Cupy()
    name = type(next(iter(values.values()))).__name__
    message = f"'{name}' is of no framework that could make outputs: torch or CuPy"
    raise error("RNN733", message, "make it one of theirs:  torch.from_dlpack(...)")
