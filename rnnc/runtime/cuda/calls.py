"""Calls on tensors that are in a GPU's memory already: nothing is copied, and nothing waits.

Outputs and the workspace come from the pools of the framework whose tensors are given. Only what
the host must look at is an exception: lengths, resets, and ints that have a range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnnc.runtime.arguments import (
    Arguments,
    check_names,
    error,
    in_range,
    only_extent,
    row_lengths,
)
from rnnc.runtime.cuda.apart import gathered, put_back
from rnnc.runtime.cuda.cudart import Cuda
from rnnc.runtime.cuda.frameworks import Framework, framework_of
from rnnc.runtime.cuda.layouts import Key, Layout, layout_key, layout_of
from rnnc.runtime.cuda.library import Entry
from rnnc.runtime.cuda.memory import Flags, Resident
from rnnc.runtime.cuda.setting import Setting
from rnnc.runtime.cuda.tensors import Tensor, held_by, tensor_of, written_on
from rnnc.runtime.manifest import Manifest, Port
from rnnc.runtime.memory import DTYPES, Array, Ints
from rnnc.runtime.ports import axes_of_extents, batch_before, batch_last
from rnnc.runtime.sequences import cut, resets_of

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
    """Rows that have lengths of their own: as the host knows them; row `row[k]` of the caller's,
    from step `start[k]` on, is row k."""

    known: Arguments
    row: Ints
    start: Ints


class Calls:
    """The calls of one bound model."""

    def __init__(self, model: Resources) -> None:
        self._model = model
        self._layouts: dict[Key, Layout] = {}
        self._captured: dict[int, Layout] = {}  # graphs go on reading their lengths

    def run(
        self,
        inputs: Mapping[str, Any],
        lengths: Any,
        resets: Any,
        extents: Mapping[str, int],
        batch_first: bool,
        stream: int | None,
    ) -> dict[str, Any]:
        """All outputs by name. Raises RNN73x, RNN743 for a tensor elsewhere, RNN753 for what cannot
        be captured into a graph."""
        model = self._model
        check_names(model.manifest.inputs, inputs)
        for name, value in inputs.items():
            check_place(f"input '{name}'", value, model.cuda, model.device)
        framework = framework_of(inputs)
        with model.cuda.on(model.device), _current(framework, stream, model.device):
            chosen = framework.stream(model.device) if stream is None else stream
            capture = model.cuda.capture_of(chosen)
            for other in {written_on(value) for value in inputs.values()} - {None, chosen}:
                model.cuda.follow(chosen, int(other or 0))
            at = Setting(model.cuda, model.device, framework, chosen, capture, batch_first)
            tensors = {
                port.name: _taken(at, port, inputs[port.name])
                for port in model.manifest.inputs
                if port.name in inputs
            }
            if lengths is None and resets is None:
                return self._launched(at, self._layout(at, tensors, extents, False), tensors, None)
            return self._in_rows(at, tensors, lengths, resets, extents)

    def _layout(
        self, at: Setting, tensors: Mapping[str, Tensor], extents: Mapping[str, int], ragged: bool
    ) -> Layout:
        model = self._model
        key = layout_key(tensors, extents, at.batch_first, ragged)
        found = self._layouts.get(key)
        if found is None:
            if at.capture is not None:
                message = "tensors of this layout are seen for the first time during a capture"
                raise error("RNN753", message, "make the call once before it is captured")
            if len(self._layouts) >= _LAYOUTS:
                self._layouts.clear()
            found = layout_of(
                model.manifest, model.forward, model.cuda, tensors, extents, at.batch_first, ragged
            )
            self._layouts[key] = found
        if at.capture is not None:
            self._captured[id(found)] = found
        return found

    def _launched(
        self, at: Setting, layout: Layout, tensors: Mapping[str, Tensor], rows: Rows | None
    ) -> dict[str, Any]:
        model = self._model
        outputs = self._new(at, layout, at.framework.empty)
        if not layout.known.batch:
            return outputs
        if rows is None:
            assert layout.full is not None
            own, ends = {}, layout.full.addresses
        else:
            own = {name: at.upload(array) for name, array in rows.known.lengths.items()}
            ends = [tensor.address for tensor in own.values()]
        given = {port.name: model.defaults.get(port.name, 0) for port in model.manifest.inputs}
        looked = self._in_range(at, tensors, layout.known, rows)
        given |= {name: tensor.address for name, tensor in {**tensors, **looked}.items()}
        workspace = at.framework.empty((layout.workspace,), "uint8", model.device)
        pointers = [
            *given.values(),
            *(tensor_of("an output", value, at.stream).address for value in outputs.values()),
            *model.weights.addresses,
            *ends,
            tensor_of("the workspace", workspace, at.stream).address,
            model.flags.of(at.stream, at.capture),
        ]
        code = model.forward(at.stream, pointers, layout.sizes)
        model.cuda.check(code, "launching a model")
        if rows is not None:
            self._clear_beyond(at, outputs, {name: tensor.value for name, tensor in own.items()})
        return outputs

    def _new(
        self, at: Setting, layout: Layout, make: Callable[[tuple[int, ...], str, int], Any]
    ) -> dict[str, Any]:
        ports = self._model.manifest.outputs
        return {
            port.name: make(shape, DTYPES[port.dtype].name, at.device)
            for port, shape in zip(ports, layout.outputs, strict=True)
        }

    # ---- what the host must look at -----------------------------------------------------------

    def _in_rows(
        self,
        at: Setting,
        tensors: Mapping[str, Tensor],
        lengths: Any,
        resets: Any,
        extents: Mapping[str, int],
    ) -> dict[str, Any]:
        """Rows with lengths of their own, or sequences of rows."""
        manifest = self._model.manifest
        if at.capture is not None:
            message = "lengths of rows, and resets, are looked at by the host, as no graph can"
            raise error("RNN753", message, "capture a call without lengths= and resets=")
        layout = self._layout(at, tensors, extents, True)
        whole = layout.known
        known = replace(whole, lengths=self._lengths(at, whole, lengths), ragged=True)
        marks = resets_of(manifest, known, at.seen("resets", resets), at.batch_first)
        if marks is None:
            row = np.arange(known.batch, dtype=np.int32)
            return self._launched(at, layout, tensors, Rows(known, row, np.zeros_like(row)))
        outputs = self._new(at, layout, at.framework.zeros)
        for sequences in cut(manifest, known, marks, at.batch_first):
            part, values = gathered(at, manifest, known, sequences, tensors)
            own = {
                port.name: _taken(at, port, values[port.name])
                for port in manifest.inputs
                if port.name in values
            }
            rows = Rows(part, sequences.row, sequences.start)
            found = self._launched(at, self._layout(at, own, part.extents, True), own, rows)
            put_back(at, manifest, known, part, sequences, found, outputs)
        return outputs

    def _lengths(self, at: Setting, whole: Arguments, lengths: Any) -> dict[str, Ints]:
        manifest = self._model.manifest
        if lengths is None:
            return dict(whole.lengths)
        named = lengths if isinstance(lengths, Mapping) else {only_extent(manifest): lengths}
        seen = {name: at.seen(f"lengths of '{name}'", value) for name, value in named.items()}
        return row_lengths(manifest, whole.extents, whole.batch, seen)

    def _in_range(
        self, at: Setting, tensors: Mapping[str, Tensor], whole: Arguments, rows: Rows | None
    ) -> dict[str, Tensor]:
        """Ints that had to be replaced, after a look at all that have a range: those at steps that
        their row does not have. In a capture they are trusted."""
        model = self._model
        ports = [port for port in model.manifest.inputs if port.range and port.name in tensors]
        if not ports or at.capture is not None:
            return {}
        arrays: dict[str, Array] = {}
        for port in ports:
            array = at.download(tensors[port.name])
            arrays[port.name] = batch_last(port, array) if at.batch_first else array
        inputs = tuple(arrays.get(port.name) for port in model.manifest.inputs)
        row = np.arange(whole.batch, dtype=np.int32)
        own = Rows(whole, row, np.zeros_like(row)) if rows is None else rows
        given = replace(own.known, inputs=inputs)
        found = in_range(model.manifest, given, own.row, own.start)
        replaced: dict[str, Tensor] = {}
        for port, before, after in zip(model.manifest.inputs, inputs, found.inputs, strict=True):
            if after is not None and after is not before:
                array = batch_before(port, after) if at.batch_first else after
                replaced[port.name] = at.upload(array)
        return replaced

    def _clear_beyond(
        self, at: Setting, outputs: Mapping[str, Any], lengths: Mapping[str, Any]
    ) -> None:
        """Zero where a row has no value."""
        for port in self._model.manifest.outputs:
            count = len(port.dims)
            axes = list(range(count + 1))  # where grid axes and batch are for the caller
            if at.batch_first:
                axes.insert(count - len(axes_of_extents(port)), axes.pop())
            for number in axes_of_extents(port):
                dim = port.dims[number]
                ends = lengths[str(dim.extent)]
                places = axes.index(number), axes.index(count)
                at.framework.clear_beyond(outputs[port.name], *places, ends, dim.offset)


def _current(
    framework: Framework, stream: int | None, device: int
) -> AbstractContextManager[object]:
    """What the framework itself does stands on the same stream."""
    return nullcontext() if stream is None else framework.on(stream, device)


def check_place(name: str, value: object, cuda: Cuda, device: int) -> None:
    """Raises RNN743 for what is not in the memory of this GPU."""
    found = held_by(value, cuda)
    if found != device:
        where = "in host memory" if found is None else f"on GPU {found}"
        message = f"{name} is {where}, the weights are on GPU {device}"
        raise error("RNN743", message, "move it there, or give arrays of the host alone")


def _taken(at: Setting, port: Port, value: Any) -> Tensor:
    """A tensor as kernels take it: copied only where its values or its memory do not fit."""
    name = f"input '{port.name}'"
    tensor = tensor_of(name, value, at.stream)
    rank = len(port.dims) + 1 + len(port.shape)
    if tensor.dtype.kind == "c" and port.shape[:1] == (2,) and len(tensor.shape) == rank - 1:
        value = at.framework.parts(value, len(port.dims) + 1)
        tensor = tensor_of(name, value, at.stream)
    wanted = DTYPES[port.dtype]
    if tensor.dtype != wanted:
        if port.dtype != "int" or tensor.dtype.kind not in "iu":
            message = f"{name} holds {tensor.dtype} but must hold {wanted}"
            raise error("RNN733", message, f"convert it to {wanted}")
    elif _fits(port, tensor):
        return tensor
    return tensor_of(name, at.framework.converted(value, wanted.name), at.stream)


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
