"""Tensors in the memory of a GPU, of any framework: where they are and how they are laid out.

Read through DLPack (`__dlpack__`) or, where there is none, `__cuda_array_interface__`. Nothing is
copied, and nothing of the memory is touched.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnc.runtime.arguments import error
from rnnc.runtime.cuda.cudart import Cuda

_GPU = (2, 13)  # DLPack's kDLCUDA, kDLCUDAManaged
# DLPack's type codes as NumPy's kinds.
_KINDS = {0: "i", 1: "u", 2: "f", 5: "c", 6: "b"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """`strides` are in elements; `value` is the framework's own, `kept` what else keeps the memory
    alive."""

    address: int
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    value: Any
    kept: object = None


def gpu_of(value: object) -> int | None:
    """The number of the GPU in whose memory a value is; None if it is elsewhere."""
    find: Any = getattr(value, "__dlpack_device__", None)
    if find is not None:
        kind, number = find()
        return int(number) if int(kind) in _GPU else None
    return 0 if hasattr(value, "__cuda_array_interface__") else None


def held_by(value: Any, cuda: Cuda) -> int | None:
    """As `gpu_of`; where the address alone tells which GPU it is, CUDA knows."""
    if not _is_interface(value):
        return gpu_of(value)
    place = value.__cuda_array_interface__["data"][0]
    return cuda.holder_of(place) if place else 0


def written_on(value: Any) -> int | None:
    """The stream on which the values come to be, of those that nobody else waits for."""
    found = value.__cuda_array_interface__.get("stream") if _is_interface(value) else None
    return None if found is None else int(found)


def _is_interface(value: object) -> bool:
    """Whether `__cuda_array_interface__` is all that there is."""
    is_known = hasattr(value, "__dlpack__") or hasattr(value, "data_ptr")
    return not is_known and hasattr(value, "__cuda_array_interface__")


def tensor_of(name: str, value: Any, stream: int) -> Tensor:
    """The layout of a tensor on a GPU, whose values are there when `stream` has come so far.

    Raises RNN733 for what cannot be shared: other types, gradients, sparse layouts.
    """
    try:
        if hasattr(value, "data_ptr"):
            return _of_torch(value)
        if hasattr(value, "__dlpack__"):
            # DLPack's number of the default stream is 1.
            return _of_capsule(value, value.__dlpack__(stream=stream or 1))
        return _of_interface(value, value.__cuda_array_interface__)
    except (BufferError, RuntimeError, TypeError, ValueError) as reason:
        raise error("RNN733", f"{name} cannot be shared: {reason}") from reason


class _DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype = ctypes.c_void_p
_pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]


def _of_capsule(value: Any, capsule: object) -> Tensor:
    """A capsule that nobody takes gives its tensor back when it is dropped."""
    found = _DLTensor.from_address(_pointer_of(capsule, b"dltensor"))
    kind = _KINDS.get(found.code)
    if kind is None or found.lanes != 1:
        raise TypeError(f"its values have DLPack's type {found.code} of {found.bits} bits")
    shape = tuple(found.shape[: found.ndim])
    strides = tuple(found.strides[: found.ndim]) if found.strides else _contiguous(shape)
    place = (found.data or 0) + found.byte_offset
    return Tensor(place, np.dtype(f"{kind}{found.bits // 8}"), shape, strides, value, capsule)


def _of_torch(value: Any) -> Tensor:
    """What DLPack would say, without a look at streams: they are torch's own."""
    name = str(value.dtype).removeprefix("torch.")
    if name not in np.sctypeDict:
        raise TypeError(f"it holds {name}, which kernels do not take")
    if value.is_neg():
        raise BufferError("its values have yet to be negated:  .resolve_neg()")
    dtype = np.dtype(name)
    return Tensor(value.data_ptr(), dtype, tuple(value.shape), value.stride(), value)


def _of_interface(value: Any, found: dict[str, Any]) -> Tensor:
    if found.get("mask") is not None:
        raise TypeError("it is masked")
    dtype = np.dtype(found["typestr"])
    shape = tuple(found["shape"])
    strides = found.get("strides")
    steps = _contiguous(shape) if strides is None else tuple(s // dtype.itemsize for s in strides)
    return Tensor(found["data"][0], dtype, shape, steps, value, found)


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= size
    return tuple(strides)
