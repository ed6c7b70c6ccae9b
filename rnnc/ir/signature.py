"""Which arrays a graph takes and gives: names, dtypes, shapes, and where a grid point lies in them.

Axes: static grid dims, then run-time grid dims, each in the variable's order; then the batch
(inputs and outputs); then the value's own axes. Parameters have one array for each grid point.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from rnnc.ir.domain import Dim, Domain
from rnnc.ir.graph import Graph, Node
from rnnc.ir.types import DType, TensorType


@dataclass(frozen=True, slots=True)
class Layout:
    """The grid axes of an array: `dims` in the array's order, each with its least index.

    `extents` names, for each dim, the run-time extent that ends it (None: a static dim).
    """

    dims: tuple[Dim, ...]
    positions: tuple[int, ...]
    extents: tuple[str | None, ...]

    @staticmethod
    def of(domain: Domain, graph: Graph) -> Layout:
        order = sorted(range(len(domain.dims)), key=lambda axis: not domain.dims[axis].static)
        dims = tuple(domain.dims[axis] for axis in order)
        return Layout(dims, tuple(order), tuple(extent_of(dim, graph) for dim in dims))

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(max(0, dim.extent.evaluate(sizes)) for dim in self.dims)

    def place(
        self, point: tuple[int, ...], sizes: Mapping[str, int], starts: Mapping[str, int]
    ) -> tuple[int, ...]:
        """Where a point of the domain lies; `starts` shifts the dims of an extent."""
        place: list[int] = []
        for dim, position, extent in zip(self.dims, self.positions, self.extents, strict=True):
            assert dim.lower is not None
            start = 0 if extent is None else starts.get(extent, 0)
            place.append(point[position] - dim.lower.evaluate(sizes) + start)
        return tuple(place)


def extent_names(graph: Graph) -> tuple[str, ...]:
    """The run-time extents, in the order of the graph's sizes."""
    return tuple(size.name for size in graph.sizes if size.kind == "extent")


def extent_of(dim: Dim, graph: Graph) -> str | None:
    """The run-time extent that ends a dim."""
    if dim.upper is None:
        return None
    return next((name for name in extent_names(graph) if name in dim.upper.names), None)


def shape_of(type: TensorType, sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(size.evaluate(sizes) for size in type.shape)


# ---- inputs and outputs -----------------------------------------------------------------------


def input_signature(
    graph: Graph, sizes: Mapping[str, int], batch: int
) -> dict[str, tuple[DType, tuple[int, ...]]]:
    """Name, dtype and shape of every input, in order."""
    return {
        cast(str, node.op["name"]): (
            node.type.dtype,
            (*Layout.of(node.domain, graph).shape(sizes), batch, *shape_of(node.type, sizes)),
        )
        for node in graph.inputs()
    }


def output_signature(
    graph: Graph, sizes: Mapping[str, int], batch: int
) -> dict[str, tuple[DType, tuple[int, ...]]]:
    """Name, dtype and shape of every output, in order."""
    found: dict[str, tuple[DType, tuple[int, ...]]] = {}
    for output in graph.outputs:
        type = graph[output.node].type
        grid = Layout.of(output.domain, graph).shape(sizes)
        found[output.name] = (type.dtype, (*grid, batch, *shape_of(type, sizes)))
    return found


# ---- parameters -------------------------------------------------------------------------------

_BRACKET = re.compile(r"\[([^\]]*)\]")


def concrete_path(node: Node, point: Mapping[str, int]) -> str:
    """The path of a param at a point: `lstm[l].W_i` at l = 2 is `lstm[2].W_i`."""

    def numbered(match: re.Match[str]) -> str:
        entries = (entry.strip() for entry in match[1].split(","))
        return "[" + ",".join(str(point.get(entry, entry)) for entry in entries) + "]"

    return _BRACKET.sub(numbered, cast(str, node.op["path"]))


def stacked_path(node: Node) -> str:
    """The path under which one array may hold all points: `lstm.W_i`."""
    return _BRACKET.sub("", cast(str, node.op["path"]))


def param_points(graph: Graph, sizes: Mapping[str, int]) -> dict[str, tuple[Node, dict[str, int]]]:
    """Every concrete path with its node and grid point, in order of the nodes."""
    return {
        concrete_path(node, point): (node, point)
        for node in graph.params()
        for point in node.domain.points({**graph.values, **sizes})
    }


def param_signature(
    graph: Graph, sizes: Mapping[str, int]
) -> dict[str, tuple[DType, tuple[int, ...]]]:
    """Concrete path, dtype and shape of every parameter, in order."""
    values = {**graph.values, **sizes}
    return {
        path: (node.type.dtype, shape_of(node.type, values | point))
        for path, (node, point) in param_points(graph, sizes).items()
    }


def int_range(type: TensorType, values: Mapping[str, int]) -> tuple[int, int] | None:
    """The half-open range of an int value at a point."""
    if type.range is None:
        return None
    lower, upper = type.range
    return lower.evaluate(values), upper.evaluate(values)
