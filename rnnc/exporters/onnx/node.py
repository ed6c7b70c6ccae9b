"""A model as one node, which a library made with `--emit ort-op` runs in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnc.importers.onnx.graph import require_onnx
from rnnc.runtime.manifest import DType, Manifest, Port
from rnnc.runtime.operator import domain, free_extents, shape

from .writer import Array, finished

_NUMPY: dict[DType, type[np.generic]] = {"real": np.float32, "int": np.int32, "bool": np.bool_}


def export_node(about: Manifest, params: Mapping[str, Array], lengths: bool = False) -> Any:
    """The model as an `onnx.ModelProto`, with `params` (by concrete path) as initializers.

    Inputs and outputs are those of the spec. An input with a default is an initializer that may be
    given: one row, which is repeated. With `lengths`, inputs `lengths_T` give each row its own
    extents.
    """
    onnx = require_onnx()
    helper = onnx.helper
    inputs = [_info(onnx, port) for port in about.inputs]
    own = [f"lengths_{name}" if lengths else "" for name in about.extents]
    inputs += [
        helper.make_tensor_value_info(name, onnx.TensorProto.INT32, ["batch"])
        for name in own
        if name
    ]
    free = free_extents(about)
    inputs += [helper.make_tensor_value_info(n, onnx.TensorProto.INT64, []) for n in free]
    arrays: dict[str, Array] = {
        port.name: np.full(_one(port), port.default, _NUMPY[port.dtype])
        for port in about.inputs
        if port.default is not None
    }
    for spec in about.parameters:
        for path in spec.paths:
            arrays[path] = np.ascontiguousarray(params[path], _NUMPY[spec.dtype])
    names = [*(port.name for port in about.inputs), *own, *free]
    names += [path for spec in about.parameters for path in spec.paths]
    node = helper.make_node(
        about.prefix,
        names,
        [port.name for port in about.outputs],
        name=about.model,
        domain=domain(about),
        interface=int(np.uint64(about.interface).astype(np.int64)),
    )
    graph = helper.make_graph(
        [node],
        about.model,
        inputs,
        [_info(onnx, port) for port in about.outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return finished(graph, {domain(about): 1})


def _info(onnx: Any, port: Port) -> Any:
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(_NUMPY[port.dtype]))
    return onnx.helper.make_tensor_value_info(port.name, kind, shape(port))


def _one(port: Port) -> list[int]:
    """One point along every axis that is free."""
    return [size if isinstance(size, int) else 1 for size in shape(port)]
