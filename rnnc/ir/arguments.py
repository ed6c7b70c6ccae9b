"""Arrays given by a caller, checked and cut to grid points for the interpreter."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import cast

import numpy as np

from rnnc.ir.evaluate import EvaluationError, check_range
from rnnc.ir.graph import Graph, Node
from rnnc.ir.pointwise import Array, Real, convert, numpy_dtype
from rnnc.ir.signature import (
    Layout,
    input_signature,
    int_range,
    param_points,
    shape_of,
    stacked_path,
)
from rnnc.ir.types import DType

Point = tuple[int, ...]


def batch_size(
    graph: Graph, inputs: Mapping[str, Array], lengths: Mapping[str, Array] | None
) -> int:
    """The number of rows, as the first given input (or else the lengths) has it; else 1."""
    for node in graph.inputs():
        name = cast(str, node.op["name"])
        if name in inputs:
            axis = len(node.domain.dims)
            shape = np.shape(inputs[name])
            if axis >= len(shape):
                raise EvaluationError(f"input {name} has no batch axis: its shape is {shape}")
            return int(shape[axis])
    return next((len(array) for array in (lengths or {}).values()), 1)


def known_sizes(graph: Graph, sizes: Mapping[str, int]) -> dict[str, int]:
    """All sizes of the graph; raises EvaluationError if one is missing."""
    found = {**graph.values, **sizes}
    missing = [size.name for size in graph.sizes if size.name not in found]
    if missing:
        raise EvaluationError(f"no value for {', '.join(missing)}")
    return found


def checked_inputs(
    graph: Graph, sizes: Mapping[str, int], inputs: Mapping[str, Array], batch: int, real: Real
) -> dict[str, Array]:
    """Every input as an array of its dtype and shape, absent ones filled with their default."""
    found: dict[str, Array] = {}
    nodes = {cast(str, node.op["name"]): node for node in graph.inputs()}
    for name, (dtype, shape) in input_signature(graph, sizes, batch).items():
        default = nodes[name].op["default"]
        if name in inputs:
            found[name] = as_dtype(f"input {name}", inputs[name], dtype, shape, real)
        elif default is None:
            raise EvaluationError(f"input {name} is missing")
        else:
            found[name] = np.full(shape, default, numpy_dtype(dtype, real))
    _no_others("input", inputs, found)
    return found


def collected_params(
    graph: Graph, sizes: Mapping[str, int], params: Mapping[str, Array], real: Real
) -> dict[str, dict[Point, Array]]:
    """For each param node its arrays by grid point, each with a batch axis of one.

    A path is looked up as it is, then as part of an array for all points.
    """
    found: dict[str, dict[Point, Array]] = {node.id: {} for node in graph.params()}
    used: set[str] = set()
    for path, (node, point) in param_points(graph, sizes).items():
        values = {**sizes, **point}
        if path in params:
            array = params[path]
            used.add(path)
        elif stacked_path(node) in params:
            array = _entry(graph, node, point, sizes, params[stacked_path(node)])
            used.add(stacked_path(node))
        else:
            raise EvaluationError(f"parameter {path} is missing")
        array = as_dtype(path, array, node.type.dtype, shape_of(node.type, values), real)
        limits = int_range(node.type, values)
        if limits is not None:
            check_range(array, *limits)
        found[node.id][tuple(point.values())] = array[None]
    _no_others("parameter", params, used)
    return found


def _entry(
    graph: Graph, node: Node, point: Mapping[str, int], sizes: Mapping[str, int], stacked: Array
) -> Array:
    layout = Layout.of(node.domain, graph)
    grid = layout.shape(sizes)
    if stacked.shape[: len(grid)] != grid:
        raise EvaluationError(
            f"{stacked_path(node)} has shape {stacked.shape}; its leading axes are {grid}"
        )
    return np.asarray(stacked[layout.place(tuple(point.values()), sizes, {})])


def as_dtype(what: str, array: Array, dtype: DType, shape: tuple[int, ...], real: Real) -> Array:
    """The array in the interpreter's dtype; EvaluationError for a wrong shape."""
    array = np.asarray(array)
    if array.shape != shape:
        raise EvaluationError(f"{what} has shape {array.shape}, not {shape}")
    return convert(array, dtype, real)


def _no_others(what: str, given: Mapping[str, Array], known: Container[str]) -> None:
    others = [name for name in given if name not in known]
    if others:
        raise EvaluationError(f"no such {what}: {', '.join(others)}")
