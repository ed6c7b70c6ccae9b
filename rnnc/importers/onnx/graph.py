"""What the importer reads of an ONNX model, as plain data. The only module that sees protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from rnnc.diagnostics import Diagnostic, DiagnosticError

Array = npt.NDArray[np.generic]
RECURRENT = ("LSTM", "GRU", "RNN", "Scan")
Dim = int | str | None  # a number, a name, or nothing known


def refused(message: str, *hints: str) -> DiagnosticError:
    """RNN602."""
    return DiagnosticError([Diagnostic("RNN602", message, hints=hints)])


@dataclass(frozen=True, slots=True)
class Node:
    """One operator; a missing input or output has the name ''."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def input(self, number: int) -> str:
        return self.inputs[number] if number < len(self.inputs) else ""

    def output(self, number: int) -> str:
        return self.outputs[number] if number < len(self.outputs) else ""

    def refuse(self, why: str, *hints: str) -> DiagnosticError:
        return refused(f"node '{self.name}' ({self.op}): {why}", *hints)


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in an order in which values come before their uses; `inputs` are those without a
    value, with their dims and whether they are integers."""

    name: str
    inputs: Mapping[str, tuple[tuple[Dim, ...] | None, bool]]
    constants: Mapping[str, Array]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    opset: int


def read_model(path: Path) -> Graph:
    """The graph of a file. Raises RNN791 for what is no ONNX model, RNN602 for other operators."""
    onnx = require_onnx()
    try:
        model = onnx.load(str(path))
    except FileNotFoundError as error:
        raise _unreadable(path, "there is no such file") from error
    except Exception as error:  # protobuf has errors of its own for every way to be damaged
        raise _unreadable(path, f"it is no ONNX model: {error}") from error
    return read_graph(model)


def read_graph(model: Any) -> Graph:
    """The graph of an `onnx.ModelProto`."""
    own = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return _graph(model.graph, max(own, default=1))


def only(graph: Graph, name: str) -> Graph:
    """The graph of one node: what it takes and is no constant becomes an input."""
    found = next((node for node in graph.nodes if node.name == name), None)
    if found is None:
        names = ", ".join(f"'{node.name}'" for node in graph.nodes if node.op in RECURRENT)
        raise refused(f"the model has {names or 'no recurrent node'}, not '{name}'")
    if found.op not in RECURRENT:
        raise found.refuse("only recurrent nodes can be imported alone")
    inputs: dict[str, tuple[tuple[Dim, ...] | None, bool]] = {}
    weights = graph.constants.get(found.input(1))
    hidden = found.attributes.get("hidden_size")
    for place, source in enumerate(found.inputs):
        if source and source not in graph.constants:
            count = None if weights is None else weights.shape[0]
            width = None if weights is None else weights.shape[2]
            dims: tuple[Dim, ...] = (None, None, width) if place == 0 else (count, None, hidden)
            if place != 0 and found.attributes.get("layout", 0):
                dims = (None, count, hidden)
            inputs[source] = dims, place == 4
    outputs = tuple(output for output in found.outputs if output)
    return Graph(name, inputs, graph.constants, (found,), outputs, graph.opset)


def require_onnx() -> Any:
    """The package onnx. Raises RNN603 without it."""
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        message = "reading ONNX models needs the package onnx"
        hints = ("pip install onnx",)
        raise DiagnosticError([Diagnostic("RNN603", message, hints=hints)]) from error
    return onnx


def _graph(graph: Any, opset: int) -> Graph:
    helper = require_onnx().numpy_helper
    constants = {entry.name: helper.to_array(entry) for entry in graph.initializer}
    inputs: dict[str, tuple[tuple[Dim, ...] | None, bool]] = {}
    for entry in graph.input:
        if entry.name not in constants:
            kind = entry.type.tensor_type
            integer = kind.elem_type in (6, 7)  # int32, int64
            inputs[entry.name] = (_dims(kind), integer)
    nodes: list[Node] = []
    for number, entry in enumerate(graph.node):
        if entry.domain not in ("", "ai.onnx"):
            raise refused(f"node '{entry.name}': operators of '{entry.domain}' are not known")
        name = entry.name or f"{entry.op_type}_{number}"
        attributes = {a.name: _attribute(a, opset) for a in entry.attribute}
        node = Node(entry.op_type, name, tuple(entry.input), tuple(entry.output), attributes)
        if node.op == "Constant":
            constants[node.outputs[0]] = _constant(node)
        else:
            nodes.append(node)
    outputs = tuple(entry.name for entry in graph.output)
    return Graph(graph.name, inputs, constants, tuple(nodes), outputs, opset)


def _dims(kind: Any) -> tuple[Dim, ...] | None:
    if not kind.HasField("shape"):
        return None
    found: list[Dim] = []
    for dim in kind.shape.dim:
        found.append(dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None)
    return tuple(found)


def _attribute(attribute: Any, opset: int) -> Any:
    onnx = require_onnx()
    if attribute.type == onnx.AttributeProto.GRAPH:
        return _graph(attribute.g, opset)
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if attribute.type == onnx.AttributeProto.STRINGS:
        return [entry.decode() for entry in value]
    if attribute.type == onnx.AttributeProto.TENSOR:
        return onnx.numpy_helper.to_array(value)
    return value


def _constant(node: Node) -> Array:
    for name, value in node.attributes.items():
        if name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
            dtype = np.float32 if name.startswith("value_float") else None
            return cast(Array, np.asarray(value, dtype))
    raise node.refuse(f"a constant of the kind {', '.join(node.attributes) or 'none'}")


def _unreadable(path: Path, why: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic("RNN791", f"cannot read '{path}': {why}")])
