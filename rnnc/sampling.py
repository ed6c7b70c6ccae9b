"""Made-up parameters and inputs for a graph: for `verify`, `bench` and `demo`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import numpy.typing as npt

from rnnc.ir.graph import Graph, Node
from rnnc.ir.initial import random_params
from rnnc.ir.signature import Layout, input_signature, int_range
from rnnc.ir.types import DType

Array = npt.NDArray[np.generic]


# Added to the initial values, many of which are zero: a zero hides what it is multiplied with.
_NOISE = 0.05


def random_parameters(graph: Graph, seed: int) -> dict[str, Array]:
    """One array for each concrete path: as its initializer says, plus a little noise."""
    random = np.random.default_rng(seed)
    return {
        path: _single(np.add(array, random.uniform(-_NOISE, _NOISE, array.shape)))
        if np.issubdtype(array.dtype, np.inexact)
        else array
        for path, array in random_params(graph, {}, random).items()
    }


def _single(array: Array) -> Array:
    return array.astype(np.complex64 if np.iscomplexobj(array) else np.float32)


def random_inputs(
    graph: Graph, extents: Mapping[str, int], batch: int, seed: int
) -> dict[str, Array]:
    """One array for each input, also for those that have a default; ints within their range."""
    random = np.random.default_rng(seed)
    sizes = {**graph.values, **extents}
    signature = input_signature(graph, sizes, batch)
    found: dict[str, Array] = {}
    for node in graph.inputs():
        name = cast(str, node.op["name"])
        dtype, shape = signature[name]
        if node.type.range is None:
            found[name] = _random(random, dtype, shape, None)
        else:
            found[name] = _within_range(random, graph, node, shape, sizes)
    return found


def _within_range(
    random: np.random.Generator,
    graph: Graph,
    node: Node,
    shape: tuple[int, ...],
    sizes: Mapping[str, int],
) -> Array:
    """Ints whose range may depend on the grid point (`left[n]: int in -1..n`)."""
    values = np.zeros(shape, np.int64)
    layout = Layout.of(node.domain, graph)
    for point in node.domain.points(sizes):
        place = layout.place(tuple(point.values()), sizes, {})
        limits = int_range(node.type, {**sizes, **point})
        values[place] = _random(random, "int", shape[len(place) :], limits)
    return values


def _random(
    random: np.random.Generator,
    dtype: DType,
    shape: tuple[int, ...],
    limits: tuple[int, int] | None,
) -> Array:
    match dtype:
        case "bool":
            return random.random(shape) < 0.5
        case "int":
            lower, upper = limits or (0, 2)
            # An empty range has no legal value; what reads it is outside the grid.
            return random.integers(lower, max(upper, lower + 1), shape)
        case "real":
            return _single(random.normal(size=shape))
        case "complex":
            return _single(random.normal(size=shape) + 1j * random.normal(size=shape))
