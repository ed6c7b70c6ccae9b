"""Calls on tensors that are in a GPU's memory already: nothing is copied, and nothing waits.

Outputs and the workspace come from the pools of the framework whose tensors are given. Only what
the host must look at is an exception: lengths, and ints that have a range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnnc.runtime.arguments import (
    Arguments,
    Lengths,
    check_names,
    error,
    in_range,
    only_extent,
    row_lengths,
)
from rnnc.runtime.cuda.cudart import Cuda
from rnnc.runtime.cuda.frameworks import Framework, framework_of
from rnnc.runtime.cuda.layouts import Key, Layout, layout_key, layout_of
from rnnc.runtime.cuda.library import Entry
from rnnc.runtime.cuda.memory import Flags, Resident
from rnnc.runtime.cuda.tensors import Tensor, gpu_of, tensor_of
from rnnc.runtime.manifest import Manifest, Port
from rnnc.runtime.memory import DTYPES, Array, address
from rnnc.runtime.ports import axes_of_extents, batch_before, batch_last

_LAYOUTS = 64  # that are remembered


@dataclass(frozen=True, slots=True)
class Resources:
    """A model on a GPU: `defaults` are where the values of inputs are that may be left out."""

    manifest: Manifest
    cuda: Cuda
    forward: Entry
    device: int
    weights: Resident
    flags: Flags
    defaults: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Rows:
    """Lengths of rows by extent: as the host knows them, and as tensors."""

    known: Arguments
    tensors: Mapping[str, Any]
    addresses: list[int]


class Calls:
    """The calls of one bound model."""

    def __init__(self, model: Resources) -> None:
        self._model = model
        self._layouts: dict[Key, Layout] = {}

    def run(
        self,
        inputs: Mapping[str, Any],
        lengths: Lengths | None,
        extents: Mapping[str, int],
        batch_first: bool,
        stream: int | None,
    ) -> dict[str, Any]:
        """All outputs by name. Raises RNN73x, RNN743 for a tensor elsewhere, RNN753 for what cannot
        be captured into a graph."""
        model = self._model
        check_names(model.manifest.inputs, inputs)
        for name, value in inputs.items():
            check_place(f"input '{name}'", value, model.device)
        framework = framework_of(inputs)
        with model.cuda.on(model.device):
            chosen = framework.stream(model.device) if stream is None else stream
            tensors = {
                port.name: _taken(framework, port, inputs[port.name], chosen)
                for port in model.manifest.inputs
                if port.name in inputs
            }
            layout = self._layout(tensors, extents, batch_first, chosen)
            return self._launched(framework, layout, tensors, lengths, batch_first, chosen)

    def _layout(
        self,
        tensors: Mapping[str, Tensor],
        extents: Mapping[str, int],
        batch_first: bool,
        stream: int,
    ) -> Layout:
        model = self._model
        key = layout_key(tensors, extents, batch_first)
        found = self._layouts.get(key)
        if found is None:
            if model.cuda.capture_of(stream) is not None:
                message = "tensors of this layout are seen for the first time during a capture"
                raise error("RNN753", message, "make the call once before it is captured")
            if len(self._layouts) >= _LAYOUTS:
                self._layouts.clear()
            found = layout_of(
                model.manifest, model.forward, model.cuda, tensors, extents, batch_first
            )
            self._layouts[key] = found
        return found

    def _launched(
        self,
        framework: Framework,
        layout: Layout,
        tensors: Mapping[str, Tensor],
        lengths: Lengths | None,
        batch_first: bool,
        stream: int,
    ) -> dict[str, Any]:
        model = self._model
        outputs = {
            port.name: framework.empty(shape, DTYPES[port.dtype].name, model.device)
            for port, shape in zip(model.manifest.outputs, layout.outputs, strict=True)
        }
        if not layout.known.batch:
            return outputs
        rows = None if lengths is None else self._rows(framework, layout, lengths, stream)
        known = layout.known if rows is None else rows.known
        given = {port.name: model.defaults.get(port.name, 0) for port in model.manifest.inputs}
        given |= {name: tensor.address for name, tensor in tensors.items()}
        looked = self._in_range(framework, tensors, known, batch_first, stream)
        given |= {name: tensor.address for name, tensor in looked.items()}
        workspace = framework.empty((layout.workspace,), "uint8", model.device)
        pointers = [
            *given.values(),
            *(tensor_of("an output", value, stream).address for value in outputs.values()),
            *model.weights.addresses,
            *(layout.full.addresses if rows is None else rows.addresses),
            tensor_of("the workspace", workspace, stream).address,
            model.flags.of(stream),
        ]
        code = model.forward(stream, pointers, layout.sizes)
        model.cuda.check(code, "launching a model")
        if rows is not None:
            self._clear_beyond(framework, outputs, rows, batch_first)
        return outputs

    # ---- what the host must look at -----------------------------------------------------------

    def _rows(self, framework: Framework, layout: Layout, lengths: Lengths, stream: int) -> Rows:
        model, known = self._model, layout.known
        if model.cuda.capture_of(stream) is not None:
            message = "lengths of rows are looked at by the host, which a graph cannot do"
            raise error("RNN753", message, "capture a call without lengths=")
        named = lengths if isinstance(lengths, Mapping) else {only_extent(model.manifest): lengths}
        own = row_lengths(
            model.manifest,
            known.extents,
            known.batch,
            {name: self._read(framework, value, stream) for name, value in named.items()},
        )
        for name, variable in model.manifest.shared_ends.items():
            if (own[name] != known.extents[name]).any():
                message = f"rows of this model cannot have lengths of their own in '{name}'"
                hint = "give arrays in host memory"
                raise error("RNN734", f"{message}: '{variable}' is cut before its end", hint)
        made = {name: self._on_device(framework, array, stream) for name, array in own.items()}
        places = [tensor_of("lengths", value, stream).address for value in made.values()]
        return Rows(Arguments((), known.extents, known.batch, own, True), made, places)

    def _in_range(
        self,
        framework: Framework,
        tensors: Mapping[str, Tensor],
        known: Arguments,
        batch_first: bool,
        stream: int,
    ) -> dict[str, Tensor]:
        """Ints that had to be replaced, after a look at all that have a range: those at steps that
        their row does not have. In a capture they are trusted."""
        model = self._model
        ports = [port for port in model.manifest.inputs if port.range and port.name in tensors]
        if not ports or model.cuda.capture_of(stream) is not None:
            return {}
        arrays: dict[str, Array] = {}
        for port in ports:
            array = self._on_host(tensors[port.name], stream)
            arrays[port.name] = batch_last(port, array) if batch_first else array
        inputs = tuple(arrays.get(port.name) for port in model.manifest.inputs)
        given = Arguments(inputs, known.extents, known.batch, known.lengths, known.ragged)
        row = np.arange(known.batch, dtype=np.int32)
        found = in_range(model.manifest, given, row, np.zeros_like(row))
        replaced: dict[str, Tensor] = {}
        for port, before, after in zip(model.manifest.inputs, inputs, found.inputs, strict=True):
            if after is not None and after is not before:
                array = batch_before(port, after) if batch_first else after
                made = self._on_device(framework, array, stream)
                replaced[port.name] = tensor_of(f"input '{port.name}'", made, stream)
        return replaced

    def _on_host(self, tensor: Tensor, stream: int) -> Array:
        """The values of a contiguous tensor, as soon as they are there."""
        array: Array = np.empty(tensor.shape, tensor.dtype)
        if array.nbytes:
            self._model.cuda.download(address(array), tensor.address, array.nbytes, stream)
        return array

    def _on_device(self, framework: Framework, array: Array, stream: int) -> Any:
        made = framework.empty(array.shape, array.dtype.name, self._model.device)
        place = tensor_of("an array", made, stream).address
        whole = np.ascontiguousarray(array)
        if array.nbytes:
            self._model.cuda.upload(place, address(whole), array.nbytes, stream)
        return made

    def _read(self, framework: Framework, value: Any, stream: int) -> Any:
        """Lengths as the host sees them."""
        if gpu_of(value) is None:
            return value
        return self._on_host(
            tensor_of("lengths", framework.converted(value, "int32"), stream), stream
        )

    def _clear_beyond(
        self, framework: Framework, outputs: Mapping[str, Any], rows: Rows, batch_first: bool
    ) -> None:
        """Zero where a row has no value."""
        for port in self._model.manifest.outputs:
            count = len(port.dims)
            axes = list(range(count + 1))  # where grid axes and batch are for the caller
            if batch_first:
                axes.insert(count - len(axes_of_extents(port)), axes.pop())
            for number in axes_of_extents(port):
                dim = port.dims[number]
                ends = rows.tensors[str(dim.extent)]
                places = axes.index(number), axes.index(count)
                framework.clear_beyond(outputs[port.name], *places, ends, dim.offset)


def check_place(name: str, value: object, device: int) -> None:
    """Raises RNN743 for what is not in the memory of this GPU."""
    found = gpu_of(value)
    if found != device:
        where = "in host memory" if found is None else f"on GPU {found}"
        message = f"{name} is {where}, the weights are on GPU {device}"
        raise error("RNN743", message, "move it there, or give arrays of the host alone")


def _taken(framework: Framework, port: Port, value: Any, stream: int) -> Tensor:
    """A tensor as kernels take it: copied only where its values or its memory do not fit."""
    name = f"input '{port.name}'"
    tensor = tensor_of(name, value, stream)
    rank = len(port.dims) + 1 + len(port.shape)
    if tensor.dtype.kind == "c" and port.shape[:1] == (2,) and len(tensor.shape) == rank - 1:
        value = framework.parts(value, len(port.dims) + 1)
        tensor = tensor_of(name, value, stream)
    wanted = DTYPES[port.dtype]
    if tensor.dtype != wanted:
        if port.dtype != "int" or tensor.dtype.kind not in "iu":
            message = f"{name} holds {tensor.dtype} but must hold {wanted}"
            raise error("RNN733", message, "convert it:  .float()")
    elif _fits(port, tensor):
        return tensor
    made = framework.converted(value, wanted.name)
    return replace(tensor_of(name, made, stream), kept=made)


def _fits(port: Port, tensor: Tensor) -> bool:
    """Aligned, and the value axes are contiguous; all axes are, where the host looks at values."""
    expected = 1
    first = 0 if port.range is not None else len(port.dims) + 1
    sizes, strides = tensor.shape[first:], tensor.strides[first:]
    for size, stride in zip(reversed(sizes), reversed(strides), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return tensor.address % tensor.dtype.itemsize == 0
