"""The parameters of a graph, from a file or drawn."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.ir.graph import Graph
from rnnc.ir.initial import random_params
from rnnc.ir.signature import Layout, param_points, shape_of, stacked_path

Array = npt.NDArray[np.generic]


def drawn(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """As the initializers of the spec say; the same at each call."""
    return dict(random_params(graph, {}, np.random.default_rng(seed)))


def parameters(graph: Graph, given: Mapping[str, Array]) -> dict[str, Array]:
    """All parameters by concrete path; an array may hold all points of static dims.

    Raises every mistake at once: RNN721 for what is missing, RNN722 for what has no place, RNN723
    for a wrong shape.
    """
    found: dict[str, Array] = {}
    wrong: list[Diagnostic] = []
    used: set[str] = set()
    for path, (node, point) in param_points(graph, {}).items():
        shape = shape_of(node.type, {**graph.values, **point})
        whole = stacked_path(node)
        if path in given:
            used.add(path)
            array = np.asarray(given[path])
        elif whole in given:
            used.add(whole)
            place = Layout.of(node.domain, graph).place(tuple(point.values()), graph.values, {})
            grid = Layout.of(node.domain, graph).shape(graph.values)
            array = np.asarray(given[whole])
            if array.shape[: len(grid)] == grid:
                array = array[place]
        else:
            wrong.append(Diagnostic("RNN721", f"parameter '{path}' is missing"))
            continue
        if np.iscomplexobj(array) and shape == (2, *array.shape):
            array = np.stack([array.real, array.imag])
        if array.shape != shape:
            message = f"parameter '{path}' is {list(array.shape)} but must be {list(shape)}"
            wrong.append(Diagnostic("RNN723", message))
        found[path] = array
    for name in given:
        if name not in used:
            wrong.append(Diagnostic("RNN722", f"the model has no parameter '{name}'"))
    if wrong:
        raise DiagnosticError(wrong)
    return found
