"""A call of a model: arguments with the shapes that JAX knows -> an invocation, and its results.

What the runtime checks and measures of NumPy arrays it does here of empty arrays of the same
shapes, while JAX traces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from rnnc.jax.primitive import Array, Invocation, run
from rnnc.runtime.arguments import KINDS, Arguments, collect, error
from rnnc.runtime.frame import Frame
from rnnc.runtime.library import Handle
from rnnc.runtime.manifest import Affine, Port
from rnnc.runtime.memory import DTYPES
from rnnc.runtime.memory import Array as Held
from rnnc.runtime.model import Model

Extents = tuple[tuple[str, int], ...]


@dataclass(frozen=True, eq=False)
class Call:
    """What is the same in all calls of a function. Without `held`, a model with its weights, each
    call brings its own."""

    model: Model
    threads: int
    held: Handle | None

    def outputs(
        self,
        inputs: Mapping[str, Array],
        params: Sequence[Array],
        lengths: Mapping[str, Array],
        extents: Extents,
    ) -> dict[str, Array]:
        """All outputs by name; zero beyond a row's length. `params` has an array for each path.
        Lengths and ints are taken to the nearest that are legal. Raises RNN73x."""
        manifest = self.model.manifest
        whole = {
            name: _parts(port, inputs[name])
            for port in manifest.inputs
            if (name := port.name) in inputs
        }
        unknown = {name: array for name, array in inputs.items() if name not in whole}
        arguments = self.measured({**unknown, **whole}, lengths, extents)
        for name in lengths:
            if name in manifest.shared_ends:
                message = f"rows of this model cannot have lengths of their own in '{name}'"
                variable = manifest.shared_ends[name]
                raise error("RNN734", f"{message}: '{variable}' is cut before its end")
        own = {
            name: jnp.clip(array, 0, arguments.extents[name]).astype(jnp.int32)
            for name, array in lengths.items()
        }
        taken = {
            port.name: _taken(port, whole[port.name], arguments, own)
            for port in manifest.inputs
            if port.name in whole
        }
        return self._run(taken, params, own, extents)

    def measured(
        self, inputs: Mapping[str, Array], lengths: Mapping[str, Array], extents: Extents
    ) -> Arguments:
        """The arguments of such a call, without values. Raises RNN73x for what does not fit."""
        ports = {port.name: port for port in self.model.manifest.inputs}
        empty = {name: _empty(ports.get(name), array) for name, array in inputs.items()}
        values = {name: _values(array) for name, array in lengths.items()}
        return collect(self.model.manifest, empty, dict(extents), values or None, False)

    def _run(
        self,
        inputs: Mapping[str, Array],
        params: Sequence[Array],
        lengths: Mapping[str, Array],
        extents: Extents,
    ) -> dict[str, Array]:
        """The outputs of arguments in the form that kernels take, by one call."""
        manifest, library = self.model.manifest, self.model.library
        empty = {name: np.empty(array.shape, array.dtype) for name, array in inputs.items()}
        arguments = collect(manifest, empty, dict(extents), None, False)
        frame = Frame.of(manifest, library, arguments, False)
        names = [output.port.name for output in frame.outputs]
        results = [(output.shape, output.dtype) for output in frame.outputs]
        if not arguments.batch:
            return {n: jnp.zeros(*result) for n, result in zip(names, results, strict=True)}
        operands = [*inputs.values(), *params, *lengths.values()]
        number = {name: n for n, name in enumerate(inputs)}
        behind = len(inputs) + len(params)
        row = {name: behind + n for n, name in enumerate(lengths)}
        scratch = len(operands) + len(results)
        words = (
            *frame.sizes,
            self.threads,
            *(~number[p.name] if p.name in number else 0 for p in manifest.inputs),
            *(~(len(operands) + n) for n in range(len(results))),
            *(~row[name] if name in row else 0 for name in manifest.extents),
            *(0, ~scratch, frame.workspace, library.pool),  # no strides: arrays are row-major
        )
        memory = [frame.workspace]
        creation: tuple[int, ...] = ()
        if self.held is None:
            memory.append(library.model_size)
            creation = (
                *(library.place("create_in"), _signed(manifest.interface), ~(scratch + 1)),
                *(library.model_size, *(~(len(inputs) + n) for n in range(len(params)))),
            )

        def batched(
            given: Sequence[Array], axes: Sequence[int | None]
        ) -> tuple[list[Array], list[int]] | None:
            """More rows: the new axis and the batch as one, in the order of a row-major array."""
            if any(axis is not None for axis in axes[len(inputs) : behind]):
                return None
            size = next(
                array.shape[axis]
                for array, axis in zip(given, axes, strict=True)
                if axis is not None
            )
            before = {port.name: len(port.dims) for port in manifest.inputs}
            at = [*(before[name] for name in inputs), *(0 for _ in params), *(0 for _ in lengths)]
            rows = [
                array if len(inputs) <= n < behind else _more_rows(array, axis, at[n], size)
                for n, (array, axis) in enumerate(zip(given, axes, strict=True))
            ]
            more = self._run(
                dict(zip(inputs, rows, strict=False)),
                params=rows[len(inputs) : behind],
                lengths=dict(zip(lengths, rows[behind:], strict=True)),
                extents=tuple(arguments.extents.items()),
            )
            apart = [
                more[port.name].reshape(
                    *more[port.name].shape[: len(port.dims)],
                    size,
                    arguments.batch,
                    *port.shape,
                )
                for port in manifest.outputs
            ]
            unused = [jnp.zeros((size, count), jnp.uint8) for count in memory]
            axes_of_apart = [len(port.dims) for port in manifest.outputs]
            return [*apart, *unused], [*axes_of_apart, *(0 for _ in memory)]

        bytes_ = [((count,), np.dtype(np.uint8)) for count in memory]
        call = Invocation(library, self.held, words, creation, (*results, *bytes_), batched)
        return dict(zip(names, run(operands, call), strict=False))


def _more_rows(array: Array, axis: int | None, batch: int, size: int) -> Array:
    """The new axis before the batch, and both as one."""
    if axis is None:
        array = jnp.broadcast_to(
            jnp.expand_dims(array, batch), (*array.shape[:batch], size, *array.shape[batch:])
        )
    else:
        array = jnp.moveaxis(array, axis, batch)
    shape = array.shape
    return array.reshape(*shape[:batch], shape[batch] * shape[batch + 1], *shape[batch + 2 :])


def _parts(port: Port, value: Array) -> Array:
    """An array of JAX; a complex one as its real and imaginary part, where they are wanted."""
    array = jnp.asarray(value)
    place = len(port.dims) + 1
    if (
        jnp.iscomplexobj(array)
        and port.shape[:1] == (2,)
        and array.ndim == place + len(port.shape) - 1
    ):
        return jnp.stack([array.real, array.imag], axis=place)
    return array


def _empty(port: Port | None, array: Array) -> Held:
    """An array of the same shape, of no memory; of the port's dtype, if that of JAX is taken."""
    taken = port is not None and array.dtype.kind in KINDS[port.dtype]
    return np.zeros(array.shape, DTYPES[port.dtype] if taken and port is not None else array.dtype)


def _values(lengths: Array) -> Held:
    """What is known of lengths: all, if they are not JAX's."""
    if isinstance(lengths, jax.Array):
        return np.zeros(lengths.shape, lengths.dtype)
    return np.asarray(lengths)


def _taken(port: Port, array: Array, arguments: Arguments, own: Mapping[str, Array]) -> Array:
    """The array in the dtype that kernels take, ints in their range."""
    if port.dtype != "int":
        return array.astype(DTYPES[port.dtype])
    if port.range is None:
        limits = np.iinfo(np.int32)
        return jnp.clip(array, limits.min, limits.max).astype(jnp.int32)
    values = {**_extents(port, arguments, own), **_indices(port, array)}
    lower, upper = (_affine(form, values) for form in port.range)
    return jnp.maximum(jnp.minimum(array, upper - 1), lower).astype(jnp.int32)


def _extents(port: Port, arguments: Arguments, own: Mapping[str, Array]) -> dict[str, Array]:
    """Each row's own extents, beside the batch axis of a port's array."""
    after = (1,) * len(port.shape)
    return {
        name: own[name].reshape(-1, *after) if name in own else jnp.int32(extent)
        for name, extent in arguments.extents.items()
    }


def _indices(port: Port, array: Array) -> dict[str, Array]:
    """The grid indices of a port's array, each along its axis."""
    return {
        dim.name: jnp.arange(array.shape[axis]).reshape(-1, *(1,) * (array.ndim - axis - 1))
        + port.lowers[axis]
        for axis, dim in enumerate(port.dims)
    }


def _affine(form: Affine, values: Mapping[str, Array]) -> Array:
    total = jnp.int32(0)
    for name, factor in form.items():
        total = total + factor * (values[name] if name else 1)
    return total


def _signed(number: int) -> int:
    """64 bits as an int64."""
    return number - 2**64 if number >= 2**63 else number
