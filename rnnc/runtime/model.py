"""A compiled model and what is done with it: load, bind, call. Needs neither TVM nor the compiler.

model = load(Path("lstm.rnnlib"))
network = model.bind({"W": ..., "U": ...})
y = network(x=x)["y"]
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rnnc.arrays import read_arrays
from rnnc.runtime import artifact
from rnnc.runtime.arguments import Arguments, collect, dim_size, error, shape_text
from rnnc.runtime.library import Library
from rnnc.runtime.manifest import Manifest, Port
from rnnc.runtime.memory import ARENAS, DTYPES, Array
from rnnc.runtime.parameters import lay_out, packed
from rnnc.runtime.sequences import cut, gather, scatter


def load(path: Path) -> Model:
    """The model of an artifact, checked before anything of it runs."""
    manifest, code = artifact.read(path)
    return Model(manifest, code)


class Model:
    """A compiled model without weights."""

    def __init__(self, manifest: Manifest, code: bytes) -> None:
        self.manifest = manifest
        self._code = code
        self.library = Library(code)

    @property
    def parameters(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """dtype and shape of every parameter, by path, in the order of the spec."""
        return {
            path: (spec.dtype, spec.shape)
            for spec in self.manifest.parameters
            for path in spec.paths
        }

    @property
    def inputs(self) -> dict[str, str]:
        """Each input's dtype and axes as text, `real[T, batch, 64]`."""
        return {port.name: shape_text(port) for port in self.manifest.inputs}

    @property
    def outputs(self) -> dict[str, str]:
        return {port.name: shape_text(port) for port in self.manifest.outputs}

    def bind(self, params: Mapping[str, npt.ArrayLike] | str | Path) -> BoundModel:
        """The model with weights: arrays by path, or a .npz or .safetensors file.

        Checks all of them and packs them once. Raises DiagnosticError with every mistake.
        """
        given = params if isinstance(params, Mapping) else read_arrays(Path(params))
        return BoundModel(self, given)

    def save(self, path: str | Path) -> None:
        """Writes the artifact: a file if the path ends in .rnnlib, else a directory."""
        artifact.write(Path(path), self.manifest, self._code)

    def __repr__(self) -> str:
        inputs = ", ".join(f"{name}: {text}" for name, text in self.inputs.items())
        outputs = ", ".join(f"{name}: {text}" for name, text in self.outputs.items())
        return f"<{self.manifest.model}({inputs}) -> ({outputs})>"


class BoundModel:
    """A model with its weights, packed. Immutable: any number of threads may call it at once."""

    def __init__(self, model: Model, params: Mapping[str, npt.ArrayLike]) -> None:
        self.model = model
        laid = lay_out(model.manifest, params)
        self._weights = (*laid, *packed(model.manifest, laid))
        self._addresses = tuple(int(array.ctypes.data) for array in self._weights)

    def __call__(
        self,
        *,
        lengths: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None,
        resets: npt.ArrayLike | None = None,
        extents: Mapping[str, int] | None = None,
        threads: int | None = None,
        batch_first: bool = False,
        **inputs: npt.ArrayLike,
    ) -> dict[str, Array]:
        """All outputs by name; see `run`."""
        return self.run(
            inputs,
            lengths=lengths,
            resets=resets,
            extents=extents,
            threads=threads,
            batch_first=batch_first,
        )

    def run(
        self,
        inputs: Mapping[str, npt.ArrayLike],
        *,
        lengths: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None,
        resets: npt.ArrayLike | None = None,
        extents: Mapping[str, int] | None = None,
        threads: int | None = None,
        batch_first: bool = False,
    ) -> dict[str, Array]:
        """All outputs by name, for input arrays by name.

        Axes: static grid dims, run-time grid dims, batch, value axes; with `batch_first` the batch
        stands before the run-time dims. `lengths` gives each row its own extent ([batch], or a
        dict by extent), `resets` [T, batch] is true where a step begins a new sequence. `extents`
        names extents that no input tells. Outputs beyond a row's length are zero.

        Raises DiagnosticError (RNN73x) for what does not fit; nothing is computed then.
        """
        manifest = self.model.manifest
        count = (os.cpu_count() or 1) if threads is None else threads
        if count < 1:
            raise error("RNN732", f"threads must be at least 1, not {count}")
        arguments = collect(manifest, inputs, extents or {}, lengths, batch_first)
        if resets is None:
            found = self._outputs(arguments, count)
        else:
            sequences = cut(manifest, arguments, resets)
            split = gather(manifest, arguments, sequences)
            found = scatter(manifest, arguments, sequences, self._outputs(split, count))
        if batch_first:
            return {port.name: _batch_first(port, found[port.name]) for port in manifest.outputs}
        return found

    def _outputs(self, arguments: Arguments, threads: int) -> dict[str, Array]:
        manifest = self.model.manifest
        outputs = {port.name: _empty(port, arguments) for port in manifest.outputs}
        if arguments.batch:
            self._forward(arguments, tuple(outputs.values()), threads)
            for port in manifest.outputs:
                _clear_beyond(port, outputs[port.name], arguments)
        return outputs

    def _forward(self, arguments: Arguments, outputs: tuple[Array, ...], threads: int) -> None:
        manifest, library = self.model.manifest, self.model.library
        numbers = [arguments.extents[name] for name in manifest.extents]
        numbers.append(arguments.batch)
        ports = (*manifest.inputs, *manifest.outputs)
        arrays = (*arguments.inputs, *outputs)
        for port, array in zip(ports, arrays, strict=True):
            size = array.itemsize
            numbers += [stride // size for stride in array.strides[: len(port.dims) + 1]]
        sizes = (ctypes.c_int64 * len(numbers))(*numbers)
        lengths = [arguments.lengths[name] for name in manifest.extents]
        workspace = ARENAS.get(library.workspace_bytes(sizes))
        addresses = [
            *(int(array.ctypes.data) for array in arrays),
            *self._addresses,
            *(int(array.ctypes.data) for array in lengths),
            workspace,
        ]
        pointers = (ctypes.c_void_p * len(addresses))(*addresses)
        library.forward(library.pool if threads > 1 else None, threads, pointers, sizes)


def _empty(port: Port, arguments: Arguments) -> Array:
    sizes = [dim_size(port, number, arguments.extents) for number in range(len(port.dims))]
    return np.empty((*sizes, arguments.batch, *port.shape), DTYPES[port.dtype])


def _clear_beyond(port: Port, array: Array, arguments: Arguments) -> None:
    """Zero where a row has no value."""
    for number, dim in enumerate(port.dims):
        if dim.extent is None:
            continue
        own = arguments.lengths[dim.extent]
        if np.all(own == arguments.extents[dim.extent]):
            continue
        moved = np.moveaxis(array, (number, len(port.dims)), (0, 1))
        for row, length in enumerate(own.tolist()):
            moved[max(0, length + dim.offset) :, row] = 0


def _batch_first(port: Port, array: Array) -> Array:
    running = sum(dim.extent is not None for dim in port.dims)
    return np.moveaxis(array, len(port.dims), len(port.dims) - running)
