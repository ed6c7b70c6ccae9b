"""Parameters drawn as their initializers say, for a compiled model."""

from __future__ import annotations

import numpy as np

from rnnc.ir.initial import initial_array, unspecified
from rnnc.runtime.manifest import Manifest, affine
from rnnc.runtime.memory import DTYPES, Array


def random_parameters(manifest: Manifest, seed: int) -> dict[str, Array]:
    """One array for each path; the same for the same seed."""
    generator = np.random.default_rng(seed)
    sizes = {name: value for name, value in manifest.sizes.items() if isinstance(value, int)}
    found: dict[str, Array] = {}
    for spec in manifest.parameters:
        for point, path in zip(spec.points, spec.paths, strict=True):
            names = {name: index for (name, _, _), index in zip(spec.dims, point, strict=True)}
            values = {**sizes, **names}
            if spec.initial:
                array = initial_array(spec.initial, spec.dtype, spec.shape, values, generator)
            else:
                limits = None
                if spec.range is not None:
                    limits = affine(spec.range[0], values), affine(spec.range[1], values)
                array = unspecified(spec.dtype, spec.shape, limits, generator)
            found[path] = array.astype(DTYPES[spec.dtype])
    return found
