"""A compiled model and what is done with it: load, bind, call. Needs neither TVM nor the compiler.

model = load(Path("lstm.rnnlib"))
network = model.bind({"W": ..., "U": ...})
y = network(x=x)["y"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rnnc.arrays import read_arrays
from rnnc.runtime import artifact
from rnnc.runtime.arguments import Arguments, Lengths, collect, error, in_range
from rnnc.runtime.artifact import CUDA, Artifact, check_processor
from rnnc.runtime.frame import Frame, Key, layout_key
from rnnc.runtime.library import Handle, Library
from rnnc.runtime.manifest import Manifest
from rnnc.runtime.memory import ARENAS, Array, address
from rnnc.runtime.parameters import arrays, checked
from rnnc.runtime.ports import batch_last, shape_text
from rnnc.runtime.sequences import cut, gather, resets_of, scatter
from rnnc.runtime.stream import Stream
from rnnc.runtime.threads import thread_count

_FRAMES = 64  # layouts that a bound model remembers


def load(path: Path) -> Model:
    """The model of an artifact, checked before anything of it runs.

    Raises RNN711 to RNN713, and RNN751 for a model of GPUs where there is none.
    """
    return opened(artifact.read(path))


def opened(artifact: Artifact) -> Model:
    """The model of an artifact in memory, for the kind of processor that it was made for."""
    if artifact.manifest.target.triple == CUDA:
        from rnnc.runtime.cuda.model import CudaModel

        return CudaModel(artifact)
    return Model(artifact)


class Model:
    """A compiled model without weights."""

    def __init__(self, artifact: Artifact) -> None:
        check_processor(artifact.manifest)
        self.artifact = artifact
        self.library = Library(artifact.library, artifact.manifest)

    @property
    def manifest(self) -> Manifest:
        return self.artifact.manifest

    @property
    def source(self) -> str:
        """The text that it was compiled from."""
        return self.artifact.source

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
        """As `inputs`."""
        return {port.name: shape_text(port) for port in self.manifest.outputs}

    @property
    def signature(self) -> str:
        """Name, sizes, inputs, parameters and outputs, one a line, to be printed."""
        sizes = ", ".join(f"{name}={value}" for name, value in self.manifest.sizes.items())
        lines = [f"{self.manifest.model}{{{sizes}}}"]
        for port in self.manifest.inputs:
            default = "" if port.default is None else f" = {port.default:g}"
            lines.append(f"    input {port.name}: {shape_text(port)}{default}")
        for path, (dtype, shape) in self.parameters.items():
            lines.append(f"    param {path}: {dtype}{list(shape)}")
        lines += [f"    output {name}: {text}" for name, text in self.outputs.items()]
        return "\n".join(lines)

    def random_parameters(self, seed: int) -> dict[str, Array]:
        """One array for each path, drawn as its initializer says: to try a model out."""
        from rnnc.runtime.initial import random_parameters

        return random_parameters(self.manifest, seed)

    def bind(self, params: Mapping[str, npt.ArrayLike] | str | Path | None = None) -> BoundModel:
        """The model with weights: arrays by path, a .npz or .safetensors file, or, with neither,
        those that are in the library.

        One array may hold all points of static dims, in leading axes, by the path without brackets.
        Checks all of them, computes what they alone decide and packs the weights, once; later
        changes to the arrays have no effect. Raises DiagnosticError (RNN72x, RNN791) with every
        mistake.
        """
        if params is None and self.manifest.embedded:
            return BoundModel(self, self.library.load_embedded())
        params = {} if params is None else params
        given = params if isinstance(params, Mapping) else read_arrays(Path(params))
        found = arrays(self.manifest, checked(self.manifest, given))
        return BoundModel(self, self.library.create(found))

    def save(self, path: str | Path) -> None:
        """Writes the artifact: a file if the path ends in .rnnlib, else a directory."""
        artifact.write(Path(path), self.artifact)

    def __repr__(self) -> str:
        inputs = ", ".join(f"{name}: {text}" for name, text in self.inputs.items())
        outputs = ", ".join(f"{name}: {text}" for name, text in self.outputs.items())
        return f"<{self.manifest.model}({inputs}) -> ({outputs})>"


class BoundModel:
    """A model with its weights, packed. Immutable: any number of threads may call it at once."""

    def __init__(self, model: Model, handle: Handle) -> None:
        self.model, self.handle = model, handle
        self._frames: dict[Key, Frame] = {}

    def __call__(
        self,
        *,
        lengths: Lengths | None = None,
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
        lengths: Lengths | None = None,
        resets: npt.ArrayLike | None = None,
        extents: Mapping[str, int] | None = None,
        threads: int | None = None,
        batch_first: bool = False,
    ) -> dict[str, Array]:
        """All outputs by name, for input arrays by name.

        Axes: static grid dims, run-time grid dims, batch, value axes; with `batch_first` the batch
        stands before the run-time dims, in outputs and `resets` as well. Real values are float32;
        other floats are converted. `lengths` gives each row its own extent ([batch], or a dict by
        extent), `resets` [T, batch] is true where a step begins a new sequence. `extents` names
        extents that no input tells. Outputs beyond a row's length are zero. `threads` is how many
        threads may work, this one among them; by default as many as there are processors.

        Raises DiagnosticError (RNN73x) for what does not fit; nothing is computed then.
        """
        count = thread_count(threads)
        plain = lengths is None and resets is None and not extents
        key = layout_key(inputs, batch_first) if plain else None
        try:
            if key is not None and (frame := self._frames.get(key)) is not None:
                places = frame.addresses(inputs)  # type: ignore[arg-type]
                if places is not None:
                    return self._outputs(frame, places, count)
            return self._checked(inputs, lengths, resets, extents or {}, count, batch_first, key)
        except MemoryError as reason:
            raise error("RNN736", f"not enough memory for this call: {reason}") from reason

    def stream(self, batch: int = 1, **start: npt.ArrayLike) -> Stream:
        """A sequence of each of `batch` rows that comes one step at a time; `start` are the inputs
        that decide how it begins.

        Raises RNN738 for a library without streams, RNN73x for arguments that do not fit.
        """
        return Stream.of(self.handle, batch, start)

    def _checked(
        self,
        inputs: Mapping[str, npt.ArrayLike],
        lengths: Lengths | None,
        resets: npt.ArrayLike | None,
        extents: Mapping[str, int],
        threads: int,
        batch_first: bool,
        key: Key | None,
    ) -> dict[str, Array]:
        """As `run`, for what was not called before."""
        manifest, library = self.model.manifest, self.model.library
        arguments = collect(manifest, inputs, extents, lengths, batch_first)
        resets = resets_of(manifest, arguments, resets, batch_first)
        if resets is not None:
            return self._cut(arguments, resets, threads, batch_first)
        frame = Frame.of(manifest, library, arguments, batch_first)
        outputs = self._outputs(frame, frame.places, threads)
        if key is not None:
            reusable = frame.reusable(manifest, inputs)  # type: ignore[arg-type]
            if reusable is not None:
                if len(self._frames) >= _FRAMES:
                    self._frames.clear()
                self._frames[key] = reusable
        return outputs

    def _outputs(self, frame: Frame, inputs: Sequence[int], threads: int) -> dict[str, Array]:
        """New arrays, filled from inputs at these addresses."""
        made = {output.port.name: np.empty(output.shape, output.dtype) for output in frame.outputs}
        if frame.sizes[-1]:  # the batch
            library = self.model.library
            places = [address(array) for array in made.values()]
            workspace = ARENAS.get(frame.workspace)
            words = frame.call(inputs, places, threads, workspace, library.pool)
            library.forward(self.handle, words)
        return made

    def _cut(
        self, arguments: Arguments, resets: npt.ArrayLike, threads: int, batch_first: bool
    ) -> dict[str, Array]:
        """Every sequence as a row of its own, and the outputs back in their rows."""
        manifest, library = self.model.manifest, self.model.library
        whole = Frame.of(manifest, library, arguments, batch_first)
        outputs = {out.port.name: np.zeros(out.shape, out.dtype) for out in whole.outputs}
        views = {
            out.port.name: batch_last(out.port, outputs[out.port.name])
            if batch_first
            else outputs[out.port.name]
            for out in whole.outputs
        }
        for sequences in cut(manifest, arguments, resets, batch_first):
            part = gather(manifest, arguments, sequences)
            part = in_range(manifest, part, sequences.row, sequences.start)
            frame = Frame.of(manifest, library, part, False)
            found = self._outputs(frame, frame.places, threads)
            scatter(manifest, sequences, found, views)
        return outputs
