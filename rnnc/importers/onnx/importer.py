"""The walk through a model: inputs, nodes, outputs.

Which axes of an input are steps and batch is known from the recurrent operator or the Scan that
takes it; where none does, from the names of its dims.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .graph import Array, Dim, Graph, Node, refused
from .operators import Operand, Operators
from .recurrent import GATES, emit, recurrent
from .scan import emit_scan, scan_roles
from .values import Axis, Role, Value
from .writer import Writer

_TIMES = {"t", "s", "l", "time", "seq", "seq_len", "seq_length", "sequence", "sequence_length"}


@dataclass(frozen=True, slots=True)
class Imported:
    """A spec, the arrays of its parameters by path, and which axes its ports have in ONNX.

    A port that is called otherwise in ONNX is listed under ONNX's name in `names`. rnnc's arrays
    have time first, then the batch, then the direction, then the value's axes.
    """

    text: str
    model: str
    weights: Mapping[str, Array]
    names: Mapping[str, str]
    axes: Mapping[str, tuple[Axis, ...]]
    lengths: str | None  # the input that says how long rows are


def import_onnx(graph: Graph, given: Mapping[str, Array] | None = None) -> Imported:
    """The model as a spec; `given` are values of inputs that shall be constants.

    Raises RNN602 with the node for what cannot be imported.
    """
    return Import(graph, given or {}).result()


class Import:
    """One model on its way."""

    def __init__(self, graph: Graph, given: Mapping[str, Array]) -> None:
        self.graph = graph
        self.constants = {**graph.constants, **given}
        self.open = {name: kind for name, kind in graph.inputs.items() if name not in given}
        self.writer = Writer()
        self.operators = Operators(self.writer)
        self.values: dict[str, Value] = {}
        self.names: dict[str, str] = {}
        self.lengths: str | None = None
        self.roles: dict[str, tuple[Axis | None, ...]] = {}

    def result(self) -> Imported:
        for node in self.graph.nodes:
            self.demand(node)
        for name, (dims, integer) in self.open.items():
            if name != self.lengths:
                self.input(name, dims, integer)
        for node in self.graph.nodes:
            self.node(node)
        axes = {name: self.values[name].axes for name in self.names}
        for name in self.graph.outputs:
            axes[name] = self.output(name)
        from rnnc.diagnostics import Source
        from rnnc.driver import format_source

        model = self.writer.name(self.graph.name or "model")
        text = self.writer.text(model, "Imported from ONNX.")
        text = format_source(Source(f"{model}.rnn", text))
        return Imported(text, model, self.writer.weights, self.names, axes, self.lengths)

    # ---- inputs -------------------------------------------------------------------------------

    def demand(self, node: Node) -> None:
        """What a node says of the axes of the model's inputs."""
        if node.op in GATES:
            first = bool(node.attributes.get("layout", 0))
            steps: tuple[Axis | None, ...] = ("batch", "time") if first else ("time", "batch")
            self.require(node, node.input(0), (*steps, None))
            state: tuple[Axis | None, ...]
            state = ("batch", "direction", None) if first else ("direction", "batch", None)
            for place in (5, 6) if node.op == "LSTM" else (5,):
                self.require(node, node.input(place), state)
            lengths = node.input(4)
            if lengths and lengths not in self.constants:
                if self.lengths not in (None, lengths):
                    raise node.refuse("it has other lengths of rows than another node")
                self.lengths = lengths
        if node.op == "Scan":
            for name, roles in scan_roles(node, self.graph.opset, self.open).items():
                self.require(node, name, roles)

    def require(self, node: Node, name: str, roles: tuple[Axis | None, ...]) -> None:
        """Follows a value back to an input of the model, through what only moves axes."""
        if name in self.open:
            known = self.roles.setdefault(name, roles)
            if known != roles:
                raise node.refuse(f"'{name}' has other axes for another node")
            return
        source = next((other for other in self.graph.nodes if name and name in other.outputs), None)
        if source is None:
            return
        if source.op == "Transpose":
            order = source.attributes.get("perm") or range(len(roles))[::-1]
            back: list[Axis | None] = [None] * len(roles)
            for place, axis in enumerate(order):
                back[axis] = roles[place]
            self.require(node, source.input(0), tuple(back))
        elif source.op in ("Identity", "Dropout", "Relu", "Tanh", "Sigmoid", "MatMul"):
            self.require(node, source.input(0), roles)

    def input(self, name: str, dims: tuple[Dim, ...] | None, integer: bool) -> None:
        roles = self.roles.get(name)
        if roles is None:
            roles = tuple(_role(dim) for dim in dims or ())
        if dims is None or len(dims) != len(roles):
            shape = "no shape" if dims is None else f"the shape {list(dims)}"
            raise refused(f"input '{name}' has {shape}, expected {len(roles)} axes")
        axes: list[Axis] = []
        for role, dim in zip(roles, dims, strict=True):
            if role is None and not isinstance(dim, int):
                what = f"axis '{dim or '?'}' is neither steps nor batch, and has no size"
                raise refused(f"input '{name}': {what}")
            axes.append(role if role is not None else dim)  # type: ignore[arg-type]
        own = self.writer.name(name)
        value = Value(tuple(axes), (own,), integer)
        shape = f"[{', '.join(map(str, value.shape))}]" if value.shape else "real"
        kind = "int" if integer else shape
        count = 1
        if "direction" in axes and dims[axes.index("direction")] == 2:
            count = 2
        if count == 2:
            parts = tuple(f"{own}[{place}]" for place in range(2))
            self.writer.inputs.append(f"{own}: [2, {', '.join(map(str, value.shape))}]")
            value = Value(value.axes, parts, integer)
        elif value.timed:
            self.writer.timed = True
            self.writer.inputs.append(f"{own}[t]: {kind}")
            value = Value(value.axes, (f"{own}[t]",), integer)
        else:
            self.writer.inputs.append(f"{own}: {kind}")
        self.values[name] = value
        self.names[name] = own

    # ---- nodes --------------------------------------------------------------------------------

    def operand(self, node: Node, name: str) -> Operand | None:
        if not name:
            return None
        if name in self.constants:
            return self.constants[name]
        if name not in self.values:
            raise node.refuse(f"its input '{name}' is not known")
        return self.values[name]

    def node(self, node: Node) -> None:
        if node.op in GATES:
            found = self.recurrent(node)
        elif node.op == "Scan":
            given = [self.operand(node, name) for name in node.inputs]
            found = emit_scan(node, given, self.graph.opset, self.writer, self.operators)
        else:
            operands = [self.operand(node, name) for name in node.inputs]
            if all(isinstance(operand, np.ndarray) for operand in operands):
                raise node.refuse("it computes a constant", "run a simplifier on the model first")
            found = self.operators.emit(node, operands)
        for name, value in zip(node.outputs, found, strict=False):
            if name:
                self.values[name] = value

    def recurrent(self, node: Node) -> list[Value]:
        found = recurrent(node, self.constants)
        x = self.operand(node, node.input(0))
        if not isinstance(x, Value):
            raise node.refuse("its input is a constant")
        initial: dict[str, Value] = {}
        for place, name in ((5, "h"), (6, "c")):
            state = self.operand(node, node.input(place)) if place < len(node.inputs) else None
            if isinstance(state, np.ndarray):
                if state.any():
                    state = self.constant_state(found.hidden, state, node, name)
                else:
                    state = None
            if state is not None:
                initial[name] = state
        self.check_lengths(node)
        return emit(found, x, initial, self.writer)

    def constant_state(self, hidden: int, array: Array, node: Node, name: str) -> Value:
        """The same initial state for all rows, one a direction."""
        rows = array.reshape(-1, array.shape[-2], hidden)
        if rows.shape[1] != 1 and (rows != rows[:, :1]).any():
            raise node.refuse("its initial states are constants that differ from row to row")
        parts = tuple(self.writer.constant(part[0], f"{node.name}_{name}0") for part in rows)
        return Value((hidden,), parts)

    def check_lengths(self, node: Node) -> None:
        lengths = self.constants.get(node.input(4)) if node.input(4) else None
        if lengths is not None and len(set(lengths.reshape(-1).tolist())) > 1:
            raise node.refuse("its lengths of rows are constants that differ")

    # ---- outputs ------------------------------------------------------------------------------

    def output(self, name: str) -> tuple[Axis, ...]:
        if not name:
            return ()
        if name not in self.values:
            raise refused(f"output '{name}' is no result of a node")
        value = self.values[name]
        own = self.writer.name(name)
        step = "[t]" if value.timed else ""
        self.writer.outputs.append(f"{own}{step} = {value.text}")
        self.names[name] = own
        return value.axes


def _role(dim: Dim) -> Role | None:
    """What a dim's name says."""
    if not isinstance(dim, str):
        return None
    plain = dim.lower()
    if plain in _TIMES or plain.startswith(("time", "seq")):
        return "time"
    return "batch" if plain in ("b", "n") or plain.startswith("batch") else None
