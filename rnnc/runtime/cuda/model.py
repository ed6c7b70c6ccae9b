"""A model compiled for GPUs, and the same with its weights in the memory of one.

model = rnnc.compile("lstm.rnn", sizes={"X": 64, "H": 256}, target="cuda")
network = model.bind("weights.safetensors")
y = network(x=x)["y"]  # x, and so y, in host memory
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnc.arrays import read_arrays
from rnnc.runtime.arguments import Arguments, Lengths, collect, error, in_range
from rnnc.runtime.artifact import Artifact, unfit
from rnnc.runtime.cuda.calls import Calls, Resources
from rnnc.runtime.cuda.gpus import runs_on
from rnnc.runtime.cuda.library import Library
from rnnc.runtime.cuda.memory import Arena, Flags, Resident, placed
from rnnc.runtime.cuda.packing import taken
from rnnc.runtime.cuda.tensors import gpu_of
from rnnc.runtime.manifest import Manifest, Prepared
from rnnc.runtime.memory import DTYPES, Array, address
from rnnc.runtime.model import BoundModel, Model
from rnnc.runtime.parameters import Points, checked
from rnnc.runtime.ports import axes_of_extents, batch_before, grid_shape
from rnnc.runtime.sequences import cut, gather, resets_of, scatter
from rnnc.runtime.stream import Stream


class CudaModel(Model):
    """A compiled model without weights. Raises RNN751 where there is no GPU."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.code = Library(
            artifact.library, artifact.manifest.model, artifact.manifest.preparation is not None
        )
        self.code.cuda.device_count()

    def bind(
        self,
        params: Mapping[str, npt.ArrayLike] | str | Path | None = None,
        device: int | None = None,
    ) -> CudaBoundModel:
        """The model with weights in the memory of a GPU, by default the current one.

        As for a model of the CPU; raises RNN712 as well, for a GPU that it was not made for.
        """
        given = read_arrays(Path(params)) if isinstance(params, str | Path) else params or {}
        cuda = self.code.cuda
        chosen = cuda.current_device() if device is None else device
        self._check_device(chosen)
        with cuda.on(chosen):
            return CudaBoundModel(self, checked(self.manifest, given), chosen)

    def _check_device(self, device: int) -> None:
        cuda, target = self.code.cuda, self.manifest.target
        count = cuda.device_count()
        if not 0 <= device < count:
            raise error("RNN751", f"there is no GPU {device}: this process sees {count}")
        capability = cuda.capability(device)
        if not any(runs_on(feature, capability) for feature in target.features):
            made = ", ".join(target.features)
            found = f"GPU {device} is sm_{capability[0]}{capability[1]}"
            raise unfit(self.manifest.model, f"for {made}; {found}", "compile it:  --target cuda")


class CudaBoundModel(BoundModel):
    """A model with its weights in the memory of a GPU. Immutable: any number of threads may call it
    at once."""

    def __init__(self, model: CudaModel, params: Sequence[Points], device: int) -> None:
        self.model = model
        self.device = device
        self._code = model.code
        self._cuda = model.code.cuda
        self._arena = Arena(self._cuda)
        self._flags = Flags(self._cuda, model.code.flags)
        self._lock = Lock()  # of the arena
        manifest = model.manifest
        stored = [*params, *self._prepared(params)]
        self._weights = Resident(
            self._cuda, taken(manifest, manifest.weights, manifest.packs, stored)
        )
        defaults = [port for port in manifest.inputs if port.default is not None]
        values = [np.full(port.shape, port.default, DTYPES[port.dtype]) for port in defaults]
        kept = Resident(self._cuda, values)
        self._defaults = {p.name: a for p, a in zip(defaults, kept.addresses, strict=True)}
        self._kept = kept
        self._calls = Calls(
            Resources(
                manifest,
                self._cuda,
                self._code.forward,
                device,
                self._weights,
                self._flags,
                self._defaults,
            )
        )

    def _prepared(self, params: Sequence[Points]) -> list[Points]:
        """What the parameters alone decide."""
        preparation = self.model.manifest.preparation
        if preparation is None:
            return []
        assert self._code.prepare is not None
        arrays = taken(self.model.manifest, preparation.weights, preparation.packs, params)
        weights = Resident(self._cuda, arrays)
        numbers = [1]  # the batch
        results: list[Array] = []
        for result in preparation.results:
            grid = tuple(upper - lower for _, lower, upper in result.dims)
            array = np.zeros((*grid, 1, *result.shape), DTYPES[result.dtype])
            numbers += _strides(array, len(grid) + 1)
            results.append(array)
        sizes = (ctypes.c_int64 * len(numbers))(*numbers)
        made = Resident(self._cuda, results)
        workspace = self._arena.get(self._code.prepare.workspace(sizes))
        pointers = [*made.addresses, *weights.addresses, workspace, self._flags.of(0, None)]
        self._cuda.check(self._code.prepare(0, pointers, sizes), "preparing weights")
        for array, place in zip(results, made.addresses, strict=True):
            self._cuda.download(address(array), place, array.nbytes, 0)
        return [_by_point(s, a) for s, a in zip(preparation.results, results, strict=True)]

    def __call__(
        self,
        *,
        lengths: Any = None,
        resets: Any = None,
        extents: Mapping[str, int] | None = None,
        threads: int | None = None,
        batch_first: bool = False,
        **inputs: Any,
    ) -> dict[str, Any]:
        """All outputs by name; see `run`."""
        return self.run(
            inputs, lengths=lengths, resets=resets, extents=extents, batch_first=batch_first
        )

    def run(
        self,
        inputs: Mapping[str, Any],
        *,
        lengths: Any = None,
        resets: Any = None,
        extents: Mapping[str, int] | None = None,
        threads: int | None = None,
        batch_first: bool = False,
        stream: int | None = None,
    ) -> dict[str, Any]:
        """All outputs by name, for inputs by name: arrays of the host, or tensors on the GPU.

        For arrays as `BoundModel.run` has it, through copies in the GPU's memory. Tensors are of
        torch or CuPy, and so are the outputs; they are read and written where they are, on the
        framework's current stream or on `stream`, a cudaStream_t. Nothing waits, but for lengths,
        for resets and for ints that have a range, which the host looks at; those may be tensors or
        arrays. `threads` says nothing here.
        """
        if any(gpu_of(value) is not None for value in inputs.values()):
            return self._calls.run(inputs, lengths, resets, extents or {}, batch_first, stream)
        return self._on_arrays(inputs, lengths, resets, extents, batch_first)

    def _on_arrays(
        self,
        inputs: Mapping[str, npt.ArrayLike],
        lengths: Lengths | None,
        resets: npt.ArrayLike | None,
        extents: Mapping[str, int] | None,
        batch_first: bool,
    ) -> dict[str, Array]:
        manifest = self.model.manifest
        arguments = collect(manifest, inputs, extents or {}, lengths, batch_first)
        resets = resets_of(manifest, arguments, resets, batch_first)
        if resets is not None:
            found = self._sequences(arguments, resets, batch_first)
        else:
            batch = np.arange(arguments.batch, dtype=np.int32)
            found = self._copied(in_range(manifest, arguments, batch, np.zeros_like(batch)))
        if not batch_first:
            return found
        ports = {port.name: port for port in manifest.outputs}
        return {
            name: np.ascontiguousarray(batch_before(ports[name], array))
            for name, array in found.items()
        }

    def stream(self, batch: int = 1, **start: npt.ArrayLike) -> Stream:
        """Raises RNN738: libraries for GPUs have no functions for single steps."""
        message = f"'{self.model.manifest.model}' runs on a GPU, where there are no streams"
        raise error("RNN738", message, "compile it for the CPU:  --target cpu")

    def _sequences(
        self, arguments: Arguments, resets: npt.ArrayLike, batch_first: bool
    ) -> dict[str, Array]:
        """Every sequence as a row of its own, and the outputs back in their rows."""
        manifest = self.model.manifest
        found = _new(manifest, arguments)
        for sequences in cut(manifest, arguments, resets, batch_first):
            part = gather(manifest, arguments, sequences)
            part = in_range(manifest, part, sequences.row, sequences.start)
            scatter(manifest, sequences, self._copied(part), found)
        return found

    def _copied(self, arguments: Arguments) -> dict[str, Array]:
        """New arrays, computed from arrays of the host; zero where a row has no value."""
        manifest = self.model.manifest
        outputs = _new(manifest, arguments)
        if not arguments.batch:
            return outputs
        given = [None if a is None else np.ascontiguousarray(a) for a in arguments.inputs]
        numbers = [*arguments.extents.values(), arguments.batch]
        for port, array in zip(manifest.inputs, given, strict=True):
            count = len(port.dims) + 1
            numbers += [0] * count if array is None else _strides(array, count)
        for port in manifest.outputs:
            numbers += _strides(outputs[port.name], len(port.dims) + 1)
        sizes = (ctypes.c_int64 * len(numbers))(*numbers)
        up = [array for array in (*given, *arguments.lengths.values()) if array is not None]
        results = list(outputs.values())
        bytes_of = [array.nbytes for array in (*up, *results)]
        offsets, size = placed([*bytes_of, self._code.forward.workspace(sizes)])
        with self._lock, self._cuda.on(self.device):
            start = self._arena.get(size)
            places = [start + offset for offset in offsets]
            for array, place in zip(up, places, strict=False):
                self._cuda.upload(place, address(array), array.nbytes, 0)
            ups = iter(places)
            inputs = [
                self._defaults[port.name] if array is None else next(ups)
                for port, array in zip(manifest.inputs, given, strict=True)
            ]
            own = [next(ups) for _ in arguments.lengths]
            made = [next(ups) for _ in results]
            weights, flags = self._weights.addresses, self._flags.of(0, None)
            pointers = [*inputs, *made, *weights, *own, next(ups), flags]
            self._cuda.check(self._code.forward(0, pointers, sizes), "launching a model")
            for array, place in zip(results, made, strict=True):
                self._cuda.download(address(array), place, array.nbytes, 0)
        if arguments.ragged:
            _clear_beyond(manifest, arguments, outputs)
        return outputs


def _new(manifest: Manifest, arguments: Arguments) -> dict[str, Array]:
    """Arrays of zeros for the outputs."""
    found: dict[str, Array] = {}
    for port in manifest.outputs:
        shape = (*grid_shape(port, arguments.extents), arguments.batch, *port.shape)
        found[port.name] = np.zeros(shape, DTYPES[port.dtype])
    return found


def _clear_beyond(manifest: Manifest, arguments: Arguments, outputs: Mapping[str, Array]) -> None:
    """Zero where a row has no value."""
    for port in manifest.outputs:
        for axis in axes_of_extents(port):
            dim = port.dims[axis]
            steps = np.moveaxis(outputs[port.name], (axis, len(port.dims)), (0, 1))
            for row, length in enumerate(arguments.lengths[str(dim.extent)].tolist()):
                steps[max(0, length + dim.offset) :, row] = 0


def _strides(array: Array, axes: int) -> list[int]:
    """Of the first axes, in elements."""
    return [stride // array.itemsize for stride in array.strides[:axes]]


def _by_point(spec: Prepared, array: Array) -> Points:
    """Grid axes, a batch of one and value axes, as an array for each point."""
    lowers = [lower for _, lower, _ in spec.dims]
    return {
        tuple(i + lower for i, lower in zip(place, lowers, strict=True)): array[(*place, 0, ...)]
        for place in np.ndindex(*array.shape[: len(lowers)])
    }
