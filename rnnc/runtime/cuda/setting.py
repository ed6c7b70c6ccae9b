"""Under which circumstances a call on tensors is made, and what it exchanges with the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnc.runtime.cuda.cudart import Cuda
from rnnc.runtime.cuda.frameworks import Framework
from rnnc.runtime.cuda.tensors import Tensor, gpu_of, tensor_of
from rnnc.runtime.memory import Array, address


@dataclass(frozen=True, slots=True)
class Setting:
    """`capture` is the number of the graph that the call becomes part of, if it does."""

    cuda: Cuda
    device: int
    framework: Framework
    stream: int
    capture: int | None
    batch_first: bool

    def upload(self, array: Array) -> Tensor:
        """The values of an array of the host, as a tensor of the framework."""
        made = self.framework.empty(array.shape, array.dtype.name, self.device)
        tensor = tensor_of("an array", made, self.stream)
        whole = np.ascontiguousarray(array)
        if array.nbytes:
            self.cuda.upload(tensor.address, address(whole), array.nbytes, self.stream)
        return tensor

    def download(self, tensor: Tensor) -> Array:
        """The values of a contiguous tensor, as soon as they are there."""
        array: Array = np.empty(tensor.shape, tensor.dtype)
        if array.nbytes:
            self.cuda.download(address(array), tensor.address, array.nbytes, self.stream)
        return array

    def seen(self, name: str, value: Any) -> Any:
        """What the host can look at: the values of a tensor on a GPU, anything else as it is."""
        if gpu_of(value) is None:
            return value
        dtype = tensor_of(name, value, self.stream).dtype
        contiguous = self.framework.converted(value, dtype.name)
        return self.download(tensor_of(name, contiguous, self.stream))
