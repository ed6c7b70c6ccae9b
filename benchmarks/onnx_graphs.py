"""ONNX graphs: formulas written as operators and Scan, and the LSTM and GRU operators.

ONNX Runtime runs both, OpenVINO the operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from frameworks import Array, Arrays, Call, Formula, Step

_OPSET = 17
_IR_VERSION = 9
_END = 2**31


@dataclass(frozen=True, eq=False)
class Node:
    """A value of a graph under construction; `shape` where it is known without looking."""

    graph: Graph
    name: str
    shape: tuple[int, ...] = ()

    def __add__(self, other: object) -> Node:
        return self.graph.apply("Add", self, other)

    def __radd__(self, other: object) -> Node:
        return self.graph.apply("Add", other, self)

    def __sub__(self, other: object) -> Node:
        return self.graph.apply("Sub", self, other)

    def __rsub__(self, other: object) -> Node:
        return self.graph.apply("Sub", other, self)

    def __mul__(self, other: object) -> Node:
        return self.graph.apply("Mul", self, other)

    def __rmul__(self, other: object) -> Node:
        return self.graph.apply("Mul", other, self)

    def __matmul__(self, other: object) -> Node:
        return self.graph.apply("MatMul", self, other)

    def __gt__(self, other: object) -> Node:
        return self.graph.apply("Greater", self, other)

    def __getitem__(self, index: slice | int | tuple[slice, ...]) -> Node:
        """A slice along the first axes, or one entry along the first."""
        graph = self.graph
        if isinstance(index, int):
            return graph.apply("Gather", self, np.array(index), axis=0)
        slices = index if isinstance(index, tuple) else (index,)
        steps = np.array([part.step or 1 for part in slices])
        first = np.array([0 if part.start is None else part.start for part in slices])
        last = np.array([_END if part.stop is None else part.stop for part in slices])
        return graph.apply("Slice", self, first, last, np.arange(len(slices)), steps)


class Graph:
    """The framework of formulas.py whose values are nodes of an ONNX graph."""

    def __init__(self) -> None:
        from onnx import TensorProto, helper, numpy_helper

        self._helper: Any = helper
        self._numpy, self._float = numpy_helper, TensorProto.FLOAT
        self._constants: list[Any] = []
        self._levels: list[list[Any]] = [[]]  # nodes of this graph, and of the bodies inside it
        self._names = 0

    def name(self) -> str:
        self._names += 1
        return f"v{self._names}"

    def constant(self, array: Array) -> Node:
        name = self.name()
        self._constants.append(self._numpy.from_array(np.asarray(array, order="C"), name))
        return Node(self, name, array.shape)

    def _node(self, value: object) -> Node:
        if isinstance(value, Node):
            return value
        if isinstance(value, float | int):
            return self.constant(np.array(value, np.float32))
        return self.constant(np.asarray(value))

    def apply(self, op: str, *operands: object, **attributes: object) -> Node:
        [found] = self.results(op, 1, *operands, **attributes)
        return found

    def results(self, op: str, count: int, *operands: object, **attributes: object) -> list[Node]:
        read = [self._node(operand).name if operand is not None else "" for operand in operands]
        written = [self.name() for _ in range(count)]
        self._levels[-1].append(self._helper.make_node(op, read, written, **attributes))
        return [Node(self, name) for name in written]

    # ---- what formulas use --------------------------------------------------------------------

    def sigmoid(self, a: Node) -> Node:
        return self.apply("Sigmoid", a)

    def tanh(self, a: Node) -> Node:
        return self.apply("Tanh", a)

    def relu(self, a: Node) -> Node:
        return self.apply("Relu", a)

    def softmax(self, a: Node, axis: int) -> Node:
        return self.apply("Softmax", a, axis=axis)

    def layer_norm(self, a: Node, gain: Node, bias: Node) -> Node:
        return self.apply("LayerNormalization", a, gain, bias, axis=-1, epsilon=1e-5)

    def cumulative_sum(self, a: Node) -> Node:
        return self.apply("CumSum", a, np.array(-1))

    def where(self, test: Node, a: object, b: object) -> Node:
        return self.apply("Where", test, a, b)

    def concat(self, parts: Sequence[Node], axis: int) -> Node:
        return self.apply("Concat", *parts, axis=axis)

    def split(self, a: Node, sizes: Sequence[int]) -> Sequence[Node]:
        return self.results("Split", len(sizes), a, np.array(sizes), axis=-1)

    def sum(self, a: Node, axis: int) -> Node:
        return self.apply("ReduceSum", a, np.array([axis]), keepdims=0)

    def zeros(self, shape: Sequence[int]) -> Node:
        return self.constant(np.zeros(shape, np.float32))

    def reshape(self, a: Node, shape: Sequence[int]) -> Node:
        return self.apply("Reshape", a, np.array(shape))

    def swap(self, a: Node, order: Sequence[int]) -> Node:
        return self.apply("Transpose", a, perm=list(order))

    def flip(self, a: Node, axis: int) -> Node:
        one = np.array([-1])
        return self.apply("Slice", a, one, np.array([-_END]), np.array([axis]), one)

    def take(self, a: Node, places: Array) -> Node:
        return self.apply("Gather", a, places, axis=0)

    def scan(
        self, step: Step, carry: tuple[Node, ...], sequences: tuple[Node, ...]
    ) -> tuple[Node, ...]:
        before = tuple(Node(self, self.name(), value.shape) for value in carry)
        now = tuple(Node(self, self.name()) for _ in sequences)
        self._levels.append([])
        after, found = step(before, now)
        # A body's results are its own: what it only passes on goes through a node.
        after = tuple(self.apply("Identity", value) for value in after)
        found = tuple(self.apply("Identity", value) for value in found)
        inputs, outputs = [map(self._value, side) for side in (before + now, after + found)]
        nodes = self._levels.pop()
        body = self._helper.make_graph(nodes, self.name(), list(inputs), list(outputs))
        count = len(carry) + len(found)
        read = (*carry, *sequences)
        made = self.results("Scan", count, *read, num_scan_inputs=len(sequences), body=body)
        return tuple(made[len(carry) :])

    def linear_scan(self, a: Node, b: Node) -> Node:
        def step(
            carry: tuple[Node, ...], now: tuple[Node, ...]
        ) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
            state = now[0] * carry[0] + now[1]
            return (state,), (state,)

        [found] = self.scan(step, (a[0] * 0.0,), (a, b))
        return found

    # ---- the whole ----------------------------------------------------------------------------

    def _value(self, value: Node) -> Any:
        return self._helper.make_tensor_value_info(value.name, self._float, None)

    def input(self, name: str, array: Array) -> Node:
        return Node(self, name, array.shape)

    def model(self, inputs: Arrays, result: Node, shape: Sequence[int] | None) -> bytes:
        """The serialized model, with its `result`."""
        make = self._helper.make_tensor_value_info
        self._levels[-1].append(self._helper.make_node("Identity", [result.name], ["result"]))
        read = [make(name, self._float, array.shape) for name, array in inputs.items()]
        graph = self._helper.make_graph(
            self._levels[-1], "graph", read, [make("result", self._float, shape)], self._constants
        )
        opsets = [self._helper.make_opsetid("", _OPSET)]
        model = self._helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        found: bytes = model.SerializeToString()
        return found


def formula_graph(formula: Formula, weights: Arrays, inputs: Arrays) -> bytes:
    graph = Graph()
    w = {name: graph.constant(array) for name, array in weights.items()}
    given = {name: graph.input(name, array) for name, array in inputs.items()}
    return graph.model(inputs, formula(graph, w, given), None)


# torch's order of gates, which ours is too, in the order of ONNX.
_GATES: Mapping[str, tuple[int, ...]] = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}


def operator_graph(op: str, layers: Sequence[Sequence[Mapping[str, Array]]], x: Array) -> bytes:
    """LSTM or GRU operators; each layer has the weights W, U, b, c of one or two directions."""
    graph = Graph()
    steps, batch, _ = x.shape
    value = graph.input("x", x)
    gates = _GATES[op]

    def ordered(array: Array) -> Array:
        blocks = np.split(array, len(gates))
        return np.concatenate([blocks[gate] for gate in gates])

    for directions in layers:
        hidden = directions[0]["U"].shape[1]
        packed = [np.stack([ordered(part[name]) for part in directions]) for name in "WUbc"]
        bias = np.concatenate(packed[2:], axis=1)
        attributes: dict[str, object] = {"hidden_size": hidden}
        attributes["direction"] = "bidirectional" if len(directions) > 1 else "forward"
        if op == "GRU":
            attributes["linear_before_reset"] = 1
        made = graph.apply(op, value, packed[0], packed[1], bias, **attributes)
        width = hidden * len(directions)
        value = graph.reshape(graph.swap(made, (0, 2, 1, 3)), (steps, batch, width))
    return graph.model({"x": x}, value, (steps, batch, width))


def onnxruntime_call(model: bytes, inputs: Arrays, threads: int) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: np.asarray(session.run(None, dict(inputs))[0])


def openvino_call(model: bytes, inputs: Arrays, threads: int) -> Call:
    """Least latency, one stream, single precision."""
    import openvino

    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = core.compile_model(core.read_model(model), "CPU", settings)
    request = compiled.create_infer_request()
    tensors = {name: openvino.Tensor(array, shared_memory=True) for name, array in inputs.items()}

    def call() -> Array:
        request.infer(tensors, share_inputs=True)
        return np.asarray(request.get_output_tensor(0).data)

    return call
