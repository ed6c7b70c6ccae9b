"""Models as functions: what is compiled, checked and packed once, and what JAX traces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np

import rnnc
from rnnc.driver import LIBRARY_SUFFIX
from rnnc.jax.call import Call, Extents
from rnnc.jax.handler import registered
from rnnc.jax.primitive import Array
from rnnc.jax.weights import parameters
from rnnc.runtime.arguments import error, only_extent
from rnnc.runtime.artifact import CUDA
from rnnc.runtime.model import Model
from rnnc.runtime.threads import thread_count

if TYPE_CHECKING:
    from rnnc.analysis.orders import Order
    from rnnc.driver import StaticValue
    from rnnc.weights import WeightType


def function(
    source: str | Path | Model,
    *,
    sizes: Mapping[str, StaticValue] | None = None,
    model: str | None = None,
    hints: Mapping[str, int] | None = None,
    target: str = "cpu",
    order: Order = "auto",
    weights: WeightType = "float32",
    threads: int | None = None,
) -> Function:
    """A model as a function of JAX: of a spec, compiled as `rnnc.compile` does, of a library that
    `rnnc compile` wrote (.rnnlib), or of a model that is there already.

    `threads` is how many threads may work on a call; by default as many as there are processors.
    Raises DiagnosticError.
    """
    if isinstance(source, Model):
        return Function(source, threads)
    if str(source).endswith(LIBRARY_SUFFIX):
        return Function(rnnc.load(source), threads)
    made = rnnc.compile(
        source, sizes=sizes, model=model, hints=hints, target=target, order=order, weights=weights
    )
    return Function(made, threads)


class Function:
    """A model without weights: a pure function of parameters and inputs. `model` tells its
    parameters, inputs and outputs."""

    def __init__(self, model: Model, threads: int | None = None) -> None:
        if model.manifest.target.triple == CUDA:
            message = f"'{model.manifest.model}' runs on a GPU; rnnc.jax calls models of the CPU"
            raise error("RNN743", message, "compile it for the CPU:  target='cpu'")
        registered()
        self.model = model
        self._threads = thread_count(threads)
        self._call = Call(model, self._threads, None)
        self._outputs = jax.jit(self._traced, static_argnums=3)

    def __call__(
        self,
        params: Mapping[str, Array],
        /,
        *,
        lengths: Array | Mapping[str, Array] | None = None,
        extents: Mapping[str, int] | None = None,
        **inputs: Array,
    ) -> dict[str, Array]:
        """All outputs by name; axes, `lengths` and `extents` are those of `rnnc.compile`'s models.

        Parameters are packed in every call, unless `bind` has done it once. Raises DiagnosticError
        (RNN72x, RNN73x) for names, shapes and dtypes that do not fit.
        """
        given = _given(self._call, inputs, lengths, extents)
        found: dict[str, Array] = self._outputs(dict(params), *given)
        return found

    def bind(self, params: Mapping[str, Array] | str | Path) -> BoundFunction:
        """The function with weights: checked and packed once, as `Model.bind` does; later changes
        to the arrays have no effect. Raises DiagnosticError (RNN72x, RNN791)."""
        held = self.model.bind(params).handle
        return BoundFunction(Call(self.model, self._threads, held))

    def _traced(
        self,
        params: Mapping[str, Array],
        inputs: Mapping[str, Array],
        lengths: Mapping[str, Array],
        extents: Extents,
    ) -> dict[str, Array]:
        arrays = parameters(self.model.manifest, params)
        return self._call.outputs(inputs, arrays, lengths, extents)

    def __repr__(self) -> str:
        return f"<function of JAX: {self.model!r}>"


class BoundFunction:
    """A model with its weights: a pure function of its inputs."""

    def __init__(self, call: Call) -> None:
        self.model = call.model
        self._call = call
        self._outputs = jax.jit(self._traced, static_argnums=2)

    def __call__(
        self,
        *,
        lengths: Array | Mapping[str, Array] | None = None,
        extents: Mapping[str, int] | None = None,
        **inputs: Array,
    ) -> dict[str, Array]:
        """As of a function without weights."""
        found: dict[str, Array] = self._outputs(*_given(self._call, inputs, lengths, extents))
        return found

    def _traced(
        self, inputs: Mapping[str, Array], lengths: Mapping[str, Array], extents: Extents
    ) -> dict[str, Array]:
        return self._call.outputs(inputs, (), lengths, extents)


Given = tuple[Mapping[str, Array], Mapping[str, Array], Extents]


def _given(
    call: Call,
    inputs: Mapping[str, Array],
    lengths: Array | Mapping[str, Array] | None,
    extents: Mapping[str, int] | None,
) -> Given:
    """Inputs, lengths by extent, and extents. Lengths are checked where their values are known,
    which they are not while JAX traces. Raises RNN734."""
    known = tuple((extents or {}).items())
    if lengths is None:
        return inputs, {}, known
    if not isinstance(lengths, Mapping):
        lengths = {only_extent(call.model.manifest): lengths}
    named = {
        name: array if isinstance(array, jax.Array) else np.asarray(array)
        for name, array in lengths.items()
    }
    if any(not isinstance(array, jax.Array) for array in named.values()):
        arrays = {name: jax.numpy.asarray(array) for name, array in inputs.items()}
        call.measured(arrays, named, known)
    return inputs, named, known
