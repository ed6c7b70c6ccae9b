"""ONNX's operators on values of one row as expressions: one row of the table an operator.

Axes of time, batch and direction go through; whatever mixes them is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .graph import Array, Node
from .values import Axis, Value
from .writer import Writer, number

Operand = Value | Array
_INFIX = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "Pow": "^"}
_COMPARE = {"Greater": ">", "GreaterOrEqual": ">=", "Less": "<", "LessOrEqual": "<=", "Equal": "=="}
_LOGIC = {"And": "and", "Or": "or"}
_UNARY = {
    "Tanh": "tanh({})", "Sigmoid": "sigmoid({})", "Relu": "relu({})", "Softplus": "softplus({})",
    "Exp": "exp({})", "Log": "log({})", "Sqrt": "sqrt({})", "Abs": "abs({})", "Sin": "sin({})",
    "Cos": "cos({})", "Floor": "floor({})", "Neg": "-({})", "Reciprocal": "1 / ({})",
    "Not": "not ({})", "Softsign": "({0}) / (1 + abs({0}))",
}  # fmt: skip
_REDUCE = {"ReduceSum": "sum", "ReduceMean": "mean", "ReduceMax": "max", "ReduceMin": "min"}
_NOTHING = ("Identity", "Dropout", "Cast", "CastLike")


@dataclass(slots=True)
class Operators:
    """Emits an equation for each result; `constants` grows by what is known when importing."""

    writer: Writer

    def emit(self, node: Node, operands: Sequence[Operand | None]) -> list[Value]:
        """The outputs of a node. Raises RNN602 for an operator, or a use, that is not known."""
        given = [operand for operand in operands if operand is not None]
        if node.op in _NOTHING:
            return [self.value(node, given[0])]
        if node.op in _INFIX or node.op in _COMPARE or node.op in _LOGIC:
            sign = {**_INFIX, **_COMPARE, **_LOGIC}[node.op]
            return [self.elementwise(node, given, lambda a, b: f"({a}) {sign} ({b})")]
        if node.op in ("Sum", "Max", "Min"):
            return [self.many(node, given)]
        if node.op in _UNARY:
            return [self.elementwise(node, given, _UNARY[node.op].format)]
        if node.op in _REDUCE:
            return [self.reduced(node, given)]
        made = _TABLE.get(node.op)
        if made is None:
            known = sorted([*_NOTHING, *_INFIX, *_COMPARE, *_LOGIC, *_UNARY, *_REDUCE, *_TABLE])
            raise node.refuse("the operator is not known", f"known: {', '.join(known)}")
        return made(self, node, given)

    # ---- pieces -------------------------------------------------------------------------------

    def value(self, node: Node, operand: Operand) -> Value:
        """A constant becomes a parameter."""
        if isinstance(operand, Value):
            return operand
        array = np.asarray(operand)
        text = self.writer.constant(array, f"{node.name}_value")
        return Value(tuple(array.shape), (text,))

    def named(self, node: Node, axes: tuple[Axis, ...], texts: Sequence[str]) -> Value:
        """Equations for a result; what it is called."""
        wanted = node.output(0) or node.name
        parts: list[str] = []
        step = "[t]" if "time" in axes else ""
        for text in texts:
            name = self.writer.name(wanted)
            self.writer.equations.append(f"{name}{step} = {text}")
            parts.append(f"{name}{step}")
        return Value(axes, tuple(parts))

    def elementwise(self, node: Node, given: Sequence[Operand], make: Callable[..., str]) -> Value:
        rank = max(len(o.axes) if isinstance(o, Value) else o.ndim for o in given)
        lead = next((o for o in given if isinstance(o, Value) and len(o.axes) == rank), None)
        if lead is None:
            raise node.refuse("no operand has all axes of the result")
        texts: list[list[str]] = []
        shapes = [lead.shape]
        for operand in given:
            texts.append(self.fitting(node, operand, lead))
            shapes.append(operand.shape if isinstance(operand, Value) else stripped(operand).shape)
        widest = max(shapes, key=len)
        for shape in shapes:
            if shape and shape != widest[len(widest) - len(shape) :]:
                raise node.refuse(
                    f"shapes {shape} and {widest} go together by stretching axes of 1"
                )
        axes = tuple(axis for axis in lead.axes if not isinstance(axis, int)) + widest
        if tuple(a for a in axes if not isinstance(a, int)) != tuple(
            a for a in lead.axes if not isinstance(a, int)
        ) or not grouped(lead.axes):
            raise node.refuse("axes of steps or of the batch stand behind those of the values")
        count = max(len(parts) for parts in texts)
        rows = [[parts[min(n, len(parts) - 1)] for parts in texts] for n in range(count)]
        return self.named(node, axes, [make(*row) for row in rows])

    def fitting(self, node: Node, operand: Operand, lead: Value) -> list[str]:
        """The texts of an operand beside `lead`, one a direction."""
        if isinstance(operand, Value):
            own = tuple(axis for axis in operand.axes if not isinstance(axis, int))
            whole = tuple(axis for axis in lead.axes if not isinstance(axis, int))
            if own != whole and own:
                raise node.refuse(f"operands have the axes {operand.axes} and {lead.axes}")
            return [*operand.parts]
        plain = stripped(operand)
        return [self.writer.constant(plain, f"{node.name}_value")]

    def many(self, node: Node, given: Sequence[Operand]) -> Value:
        if len(given) == 1:
            return self.value(node, given[0])
        if node.op == "Sum":
            return self.elementwise(node, given, lambda *parts: " + ".join(parts))
        name = node.op.lower()

        def nest(first: str, *others: str) -> str:
            return f"{name}({first}, {nest(*others)})" if others else first

        return self.elementwise(node, given, nest)

    def reduced(self, node: Node, given: Sequence[Operand]) -> Value:
        """Over all axes of one row's value."""
        x = self.value(node, given[0])
        axes = node.attributes.get("axes")
        if axes is None and len(given) > 1 and not isinstance(given[1], Value):
            axes = [int(axis) for axis in given[1]]
        wanted = sorted(axis % len(x.axes) for axis in (axes or range(len(x.axes))))
        own = [place for place, axis in enumerate(x.axes) if isinstance(axis, int)]
        if wanted != own or node.attributes.get("keepdims", 1) or len(x.parts) > 1:
            raise node.refuse("only whole values of a row can be reduced, with keepdims=0")
        kept = tuple(axis for axis in x.axes if not isinstance(axis, int))
        return self.named(node, kept, [f"{_REDUCE[node.op]}({x.parts[0]})"])


def stripped(array: Array) -> Array:
    """Without leading axes of length one."""
    while array.ndim and array.shape[0] == 1:
        array = array[0]
    return array


def grouped(axes: Sequence[Axis]) -> bool:
    """Whether the axes of a row's value stand last."""
    own = [isinstance(axis, int) for axis in axes]
    return own == sorted(own)


# ---- products ---------------------------------------------------------------------------------


def _matmul(self: Operators, node: Node, given: Sequence[Operand]) -> list[Value]:
    left, right = (self.value(node, operand) for operand in given)
    if len(left.parts) > 1 or len(right.parts) > 1 or not grouped(left.axes):
        raise node.refuse("it multiplies both directions at once")
    outer = tuple(axis for axis in left.axes if not isinstance(axis, int))
    if any(not isinstance(axis, int) for axis in right.axes):
        raise node.refuse("its right operand depends on the step or the row")
    shapes = left.shape, right.shape
    if not shapes[0] or not shapes[1] or len(shapes[1]) > 2 or len(shapes[0]) > 2:
        raise node.refuse(f"it multiplies {shapes[0]} with {shapes[1]}")
    inner = (*shapes[0][:-1], *shapes[1][1:]) if len(shapes[1]) == 2 else shapes[0][:-1]
    return [self.named(node, (*outer, *inner), [f"({left.parts[0]}) @ {right.parts[0]}"])]


def _gemm(self: Operators, node: Node, given: Sequence[Operand]) -> list[Value]:
    x = self.value(node, given[0])
    if not isinstance(given[1], np.ndarray) or node.attributes.get("transA", 0):
        raise node.refuse("only a value times a constant matrix is known")
    matrix = given[1] if node.attributes.get("transB", 0) else given[1].T
    matrix = np.multiply(matrix, np.float32(node.attributes.get("alpha", 1.0)))
    if len(x.parts) > 1 or x.shape != (matrix.shape[1],) or x.axes[-1] != matrix.shape[1]:
        raise node.refuse(f"it multiplies {x.axes} with a matrix of {matrix.shape}")
    name = self.writer.constant(matrix, f"{node.name}_W")
    text = f"{name} @ {x.parts[0]}"
    if len(given) > 2:
        if isinstance(given[2], Value):
            raise node.refuse("its third operand is no constant")
        bias = stripped(np.multiply(given[2], np.float32(node.attributes.get("beta", 1.0))))
        text += f" + {self.writer.constant(bias, f'{node.name}_b')}"
    return [self.named(node, (*x.axes[:-1], matrix.shape[0]), [text])]


# ---- pieces of values -------------------------------------------------------------------------


def _concat(self: Operators, node: Node, given: Sequence[Operand]) -> list[Value]:
    values = [self.value(node, operand) for operand in given]
    axes = values[0].axes
    last = node.attributes["axis"] % len(axes)
    if any(len(v.parts) > 1 or len(v.shape) != 1 or v.axes[:-1] != axes[:-1] for v in values):
        raise node.refuse("it joins something else than vectors")
    if last != len(axes) - 1:
        raise node.refuse("it joins along an axis of steps or of the batch")
    text = f"concat({', '.join(value.parts[0] for value in values)})"
    size = sum(value.shape[0] for value in values)
    return [self.named(node, (*axes[:-1], size), [text])]


def _split(self: Operators, node: Node, given: Sequence[Operand]) -> list[Value]:
    x, count = self.value(node, given[0]), len(node.outputs)
    sizes = node.attributes.get("split")
    if sizes is None and len(given) > 1 and isinstance(given[1], np.ndarray):
        sizes = [int(size) for size in given[1]]
    if len(x.shape) != 1 or node.attributes.get("axis", 0) % len(x.axes) != len(x.axes) - 1:
        raise node.refuse("it cuts something else than vectors")
    sizes = sizes or [x.shape[0] // count] * count
    step = "[t]" if x.timed else ""
    names = [self.writer.name(output or f"{node.name}_part") + step for output in node.outputs]
    self.writer.equations.append(
        f"{', '.join(names)} = split({x.parts[0]}, [{', '.join(map(str, sizes))}])"
    )
    return [Value((*x.axes[:-1], size), (name,)) for name, size in zip(names, sizes, strict=True)]


def _softmax(self: Operators, node: Node, given: Sequence[Operand]) -> list[Value]:
    x = self.value(node, given[0])
    if len(x.parts) > 1 or node.attributes.get("axis", -1) % len(x.axes) != len(x.axes) - 1:
        raise node.refuse("only the softmax of a vector is known")
    return [self.named(node, x.axes, [f"softmax({x.parts[0]})"])]


def _where(self: Operators, node: Node, given: Sequence[Operand]) -> list[Value]:
    return [self.elementwise(node, given, lambda c, a, b: f"({a}) if ({c}) else ({b})")]


def _clip(self: Operators, node: Node, given: Sequence[Operand]) -> list[Value]:
    limits = [node.attributes.get("min"), node.attributes.get("max")]
    for place, operand in enumerate(given[1:]):
        if isinstance(operand, Value):
            raise node.refuse("its limits are no constants")
        limits[place] = float(operand)

    def cut(text: str) -> str:
        low, high = limits
        text = text if high is None else f"min({number(high)}, {text})"
        return text if low is None else f"max({number(low)}, {text})"

    return [self.elementwise(node, given[:1], cut)]


# ---- shapes -----------------------------------------------------------------------------------


def _transpose(self: Operators, node: Node, given: Sequence[Operand]) -> list[Value]:
    x = self.value(node, given[0])
    order = tuple(node.attributes.get("perm") or reversed(range(len(x.axes))))
    moved = x.permuted(order)
    if moved.shape != x.shape:
        raise node.refuse("it transposes the values of a row")
    return [moved]


def _squeeze(self: Operators, node: Node, given: Sequence[Operand]) -> list[Value]:
    """Only of the axis of directions."""
    x = self.value(node, given[0])
    axes = node.attributes.get("axes")
    if axes is None and len(given) > 1 and isinstance(given[1], np.ndarray):
        axes = [int(axis) for axis in given[1]]
    if axes is None:
        axes = [place for place, axis in enumerate(x.axes) if axis == "direction"]
    dropped = {axis % len(x.axes) for axis in axes}
    if any(x.axes[axis] != "direction" for axis in dropped) or len(x.parts) > 1:
        raise node.refuse(f"it drops axes of {x.axes}")
    left = tuple(axis for place, axis in enumerate(x.axes) if place not in dropped)
    return [replace(x, axes=left)]


def _reshape(self: Operators, node: Node, given: Sequence[Operand]) -> list[Value]:
    """Directions and values become one axis: both directions side by side."""
    x = self.value(node, given[0])
    if len(given) < 2 or isinstance(given[1], Value):
        raise node.refuse("its shape is no constant")
    shape = [int(size) for size in given[1]]
    if x.axes[-2:-1] == ("direction",) and len(x.shape) == 1 and len(shape) == len(x.axes) - 1:
        size = x.shape[0] * len(x.parts)
        if shape[-1] in (-1, size):
            text = ", ".join(x.parts)
            joined = x.parts[0] if len(x.parts) == 1 else f"concat({text})"
            return [self.named(node, (*x.axes[:-2], size), [joined])]
    raise node.refuse(f"it makes {shape} of {x.axes}")


def _gather(self: Operators, node: Node, given: Sequence[Operand]) -> list[Value]:
    """The first or last step, or rows of a table."""
    axis = node.attributes.get("axis", 0)
    table, index = given
    if isinstance(table, Value) and isinstance(index, np.ndarray) and index.ndim == 0:
        place = axis % len(table.axes)
        if table.axes[place] == "time" and int(index) in (0, -1):
            return [table.at("0" if int(index) == 0 else "T-1")]
    if isinstance(table, np.ndarray) and isinstance(index, Value) and table.ndim == 2:
        by_row = axis == 0 and index.integer and not index.shape
        if by_row:
            name = self.writer.constant(table, f"{node.name}_table")
            axes = (*index.axes, table.shape[1])
            return [self.named(node, axes, [f"{name}[{index.parts[0]}]"])]
    raise node.refuse("only the first or last step, and rows of a table, are known")


_TABLE: dict[str, Callable[[Operators, Node, Sequence[Operand]], list[Value]]] = {
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Concat": _concat,
    "Split": _split,
    "Softmax": _softmax,
    "Where": _where,
    "Clip": _clip,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Gather": _gather,
}
