"""Models as functions: what is compiled, checked and packed once, and what JAX traces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np

import rnnc
from rnnc.arrays import read_arrays
from rnnc.driver import LIBRARY_SUFFIX
from rnnc.jax.call import Call, Extents
from rnnc.jax.handler import registered
from rnnc.jax.primitive import Array
from rnnc.runtime.arguments import only_extent
from rnnc.runtime.binding import bound
from rnnc.runtime.model import Model, thread_count
from rnnc.runtime.parameters import checked

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
    """A model without weights. `model` tells its parameters, inputs and outputs."""

    def __init__(self, model: Model, threads: int | None = None) -> None:
        registered()
        self.model = model
        self._threads = thread_count(threads)

    def bind(self, params: Mapping[str, Array] | str | Path) -> BoundFunction:
        """The function with weights: checked and packed once, as `Model.bind` does; later changes
        to the arrays have no effect. Raises DiagnosticError (RNN72x, RNN791)."""
        manifest = self.model.manifest
        given = params if isinstance(params, Mapping) else read_arrays(Path(params))
        points = checked(manifest, given)
        held = bound(manifest, self.model.library, points, self._threads)
        return BoundFunction(Call(self.model, self._threads, held))

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
        """All outputs by name; axes, `lengths` and `extents` are those of `rnnc.compile`'s models.

        Raises DiagnosticError (RNN73x) for names, shapes and dtypes that do not fit.
        """
        found: dict[str, Array]
        if lengths is None and extents is None:
            found = self._outputs(inputs, {}, ())
            return found
        known = tuple((extents or {}).items())
        named = _named(self.model, lengths)
        _check(self._call, inputs, named, known)
        found = self._outputs(inputs, named, known)
        return found

    def _traced(
        self, inputs: Mapping[str, Array], lengths: Mapping[str, Array], extents: Extents
    ) -> dict[str, Array]:
        return self._call.outputs(inputs, (), lengths, extents)


def _named(model: Model, lengths: Array | Mapping[str, Array] | None) -> dict[str, Array]:
    """Lengths by extent: arrays of JAX as they are, others as NumPy's. Raises RNN734."""
    if lengths is None:
        return {}
    if not isinstance(lengths, Mapping):
        lengths = {only_extent(model.manifest): lengths}
    return {
        name: array if isinstance(array, jax.Array) else np.asarray(array)
        for name, array in lengths.items()
    }


def _check(
    call: Call, inputs: Mapping[str, Array], lengths: Mapping[str, Array], extents: Extents
) -> None:
    """Values of lengths are checked where they are known: not while JAX traces."""
    if any(not isinstance(array, jax.Array) for array in lengths.values()):
        given = {name: jax.numpy.asarray(array) for name, array in inputs.items()}
        call.measured(given, lengths, extents)
