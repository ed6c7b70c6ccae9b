"""Parameters that JAX knows, as the library takes them: what rnnc/runtime/parameters.py does with
NumPy arrays, for arrays without values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import jax.numpy as jnp
import numpy as np

from rnnc.jax.primitive import Array
from rnnc.runtime.manifest import Manifest, ParameterSpec, affine
from rnnc.runtime.memory import DTYPES
from rnnc.runtime.parameters import checked, stacked_path, stacked_positions


def parameters(manifest: Manifest, params: Mapping[str, Array]) -> list[Array]:
    """An array for each path.

    Raises DiagnosticError (RNN72x) for names, shapes and dtypes that do not fit; ints are taken to
    the nearest of their range.
    """
    given = {name: jnp.asarray(array) for name, array in params.items()}
    _check(manifest, given)
    return [array for spec in manifest.parameters for array in _points(manifest, spec, given)]


def _check(manifest: Manifest, given: Mapping[str, Array]) -> None:
    """Everything but values."""
    unlimited = tuple(replace(spec, range=None) for spec in manifest.parameters)
    empty = {name: np.broadcast_to(np.zeros((), a.dtype), a.shape) for name, a in given.items()}
    checked(replace(manifest, parameters=unlimited), empty)


def _points(manifest: Manifest, spec: ParameterSpec, given: Mapping[str, Array]) -> list[Array]:
    """A parameter's array for each point, from its own array or from one of all points."""
    stack = stacked_path(spec.template)
    lowers = [lower for lower, _ in stacked_positions(manifest)[stack]]
    found: list[Array] = []
    for point, path in zip(spec.points, spec.paths, strict=True):
        if path in given:
            value = given[path]
        else:
            value = given[stack][tuple(i - lower for i, lower in zip(point, lowers, strict=True))]
        if jnp.iscomplexobj(value):
            value = jnp.stack([value.real, value.imag])
        found.append(_in_range(spec, point, value).astype(DTYPES[spec.dtype]))
    return found


def _in_range(spec: ParameterSpec, point: tuple[int, ...], value: Array) -> Array:
    """Kernels trust indices."""
    if spec.range is None:
        return value
    names = {name: i for (name, _, _), i in zip(spec.dims, point, strict=True)}
    lower, upper = (affine(form, names) for form in spec.range)
    return jnp.clip(value, lower, upper - 1)
