"""Run-time extents: given with --extent, or told by arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import click
import numpy as np
import numpy.typing as npt

from rnnc.driver import StaticValue
from rnnc.ir.graph import Graph
from rnnc.ir.poly import Poly
from rnnc.ir.signature import Layout, extent_names


def made_up_extents(
    graph: Graph, given: Mapping[str, StaticValue], otherwise: int
) -> dict[str, int]:
    """Every run-time extent of the graph: as given, or `otherwise`."""
    return dict.fromkeys(extent_names(graph), otherwise) | checked_extents(graph, given)


def checked_extents(
    graph: Graph, given: Mapping[str, StaticValue], option: str = "--extent"
) -> dict[str, int]:
    """The extents that an option gives; wrong usage if the graph has no such extent."""
    names = extent_names(graph)
    found: dict[str, int] = {}
    for name, value in given.items():
        if name not in names:
            known = ", ".join(names) or "none"
            raise click.UsageError(f"{option} {name}: the run-time extents here are {known}")
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise click.UsageError(f"{option} {name}={value}: an extent is a number from 0 on")
        found[name] = value
    return found


def extents_of(graph: Graph, arrays: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, int]:
    """The extents that the inputs' shapes tell; whether they agree is for the model to check."""
    found: dict[str, int] = {}
    for node in graph.inputs():
        layout = Layout.of(node.domain, graph)
        shape = np.shape(arrays.get(cast(str, node.op["name"]), ()))
        for dim, extent, length in zip(layout.dims, layout.extents, shape, strict=False):
            if extent is not None:
                margin = (dim.extent - Poly.of(extent)).evaluate(graph.values)
                found.setdefault(extent, length - margin)
    return found
