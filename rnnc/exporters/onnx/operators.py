"""What every operation of the IR is in ONNX; those that are not in the table are refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from rnnc.ir.graph import Node
from rnnc.ir.ops import constant_dtype
from rnnc.ir.poly import Poly
from rnnc.ir.types import DType, promote

from .unroll import refused
from .writer import Value, Writer

Emitter = Callable[[Writer, Node, Sequence[Value]], Value]

_UNARY = {
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "sin": "Sin",
    "cos": "Cos",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "softplus": "Softplus",
    "neg": "Neg",
    "relu": "Relu",
    "abs": "Abs",
}
_BINARY = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "min": "Min",
    "max": "Max",
    "pow": "Pow",
}
_LOGIC = {"and": "And", "or": "Or"}
_COMPARISONS = {
    "eq": "Equal",
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
}
_REDUCTIONS = {"sum": "ReduceSum", "prod": "ReduceProd", "max": "ReduceMax", "min": "ReduceMin"}
COMBINERS = {"sum": "Add", "prod": "Mul", "max": "Max", "min": "Min", "any": "Or", "all": "And"}


def _unary(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    [value] = values
    operator = _UNARY[node.op.name]
    if node.op.name == "relu" and node.type.dtype == "int":
        zero = writer.number(0, "int")
        return writer.pointwise("Max", [writer.cast(value, "int"), zero], "int", node.id)
    return writer.pointwise(operator, [writer.cast(value, node.type.dtype)], value.dtype, node.id)


def _binary(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    dtype = node.type.dtype
    given = [writer.cast(value, dtype) for value in values]
    return writer.pointwise(_BINARY[node.op.name], given, dtype, node.id)


def _logic(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    given = [writer.cast(value, "bool") for value in values]
    return writer.pointwise(_LOGIC[node.op.name], given, "bool", node.id)


def _comparison(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    kind = promote("int", *(value.dtype for value in values))
    given = [writer.cast(value, kind) for value in values]
    if node.op.name == "ne":
        equal = writer.pointwise("Equal", given, "bool", f"{node.id}.eq")
        return writer.pointwise("Not", [equal], "bool", node.id)
    return writer.pointwise(_COMPARISONS[node.op.name], given, "bool", node.id)


def _not(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    return writer.pointwise("Not", [writer.cast(values[0], "bool")], "bool", node.id)


def _floor(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    if values[0].dtype != "real":
        return values[0]
    return writer.pointwise("Floor", values, "real", node.id)


def _mod(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    left, right = (writer.cast(value, node.type.dtype) for value in values)
    if node.type.dtype == "int":
        return writer.pointwise("Mod", [left, right], "int", node.id)
    whole = _floordiv(writer, node, values)
    product = writer.pointwise("Mul", [whole, right], "real", f"{node.id}.whole")
    return writer.pointwise("Sub", [left, product], "real", node.id)


def _floordiv(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    left, right = (writer.cast(value, node.type.dtype) for value in values)
    if node.type.dtype == "int":  # ONNX divides towards zero
        rest = writer.pointwise("Mod", [left, right], "int", f"{node.id}.rest")
        left = writer.pointwise("Sub", [left, rest], "int", f"{node.id}.exact")
        return writer.pointwise("Div", [left, right], "int", node.id)
    quotient = writer.pointwise("Div", [left, right], "real", f"{node.id}.quotient")
    return writer.pointwise("Floor", [quotient], "real", node.id)


def _logaddexp(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    """The larger one and softplus of minus the distance; that of two equal infinities is none."""
    given = [writer.cast(value, "real") for value in values]
    larger = writer.pointwise("Max", given, "real", f"{node.id}.larger")
    smaller = writer.pointwise("Min", given, "real", f"{node.id}.smaller")
    equal = writer.pointwise("Equal", given, "bool", f"{node.id}.equal")
    distance = writer.pointwise("Sub", [smaller, larger], "real", f"{node.id}.distance")
    distance = writer.where(equal, writer.number(0.0, "real"), distance, f"{node.id}.below")
    rest = writer.pointwise("Softplus", [distance], "real", f"{node.id}.rest")
    return writer.pointwise("Add", [larger, rest], "real", node.id)


def _cast(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    return writer.cast(values[0], node.type.dtype)


def _same(_: Writer, __: Node, values: Sequence[Value]) -> Value:
    return values[0]


def _select(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    condition, *branches = values
    then, otherwise = (writer.cast(value, node.type.dtype) for value in branches)
    return writer.where(writer.cast(condition, "bool"), then, otherwise, node.id)


def _constant(writer: Writer, node: Node, _: Sequence[Value]) -> Value:
    value = cast(float, node.op["value"])
    return writer.number(value, constant_dtype(value))


def _eye(writer: Writer, node: Node, _: Sequence[Value]) -> Value:
    return Value(writer.constant(np.eye(_number(node.op["size"]), dtype=np.float32)), "real", 2)


# ---- tensors ----------------------------------------------------------------------------------


def _number(value: object) -> int:
    found = value.constant if isinstance(value, Poly) else value
    assert isinstance(found, int), "statics are numbers, and grid indices have been replaced"
    return found


def _matmul(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    left, right = (writer.cast(value, "real") for value in values)
    if left.rank == 2 and right.rank == 1 and left.own == 0 and right.own > 0:
        # A vector for each row of the batch: one product of all of them with the matrix.
        turned = _turned(writer, left)
        name = writer.node("MatMul", [right.name, turned], node.id)
        return replace(right, name=name)
    if right.rank == 2 and right.own == 0:
        return replace(left, name=writer.node("MatMul", [left.name, right.name], node.id))
    rows = _with_unit(writer, left, 0) if left.rank == 1 else left
    columns = _with_unit(writer, right, 1) if right.rank == 1 else right
    names, result = writer.aligned([rows, columns], [2, 2])
    product = writer.node("MatMul", names, f"{node.id}.product")
    units = [place for place, value in ((-2, left), (-1, right)) if value.rank == 1]
    if units:
        product = writer.node("Squeeze", [product, writer.ints(*units)], node.id)
    return replace(result, name=product, dtype="real", rank=2 - len(units))


def _turned(writer: Writer, matrix: Value) -> str:
    key = ("turned", matrix.name)
    found = writer.scope.find(key)
    if found is None:
        inner = writer.scope
        if matrix.name in writer.initializers:
            while writer.scope.outer is not None:
                writer.scope = writer.scope.outer
        name = writer.node("Transpose", [matrix.name], f"{matrix.name}.T", perm=[1, 0])
        found = writer.once(key, replace(matrix, name=name))
        writer.scope = inner
    return found.name


def _with_unit(writer: Writer, value: Value, place: int) -> Value:
    return replace(value, name=writer.unsqueeze(value, [value.own + place]), rank=value.rank + 1)


def _reduce_axis(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    axis = values[0].own + cast(int, node.op["axis"])
    return reduced(writer, node, values[0], axis)


def reduced(writer: Writer, node: Node, value: Value, axis: int) -> Value:
    """A reduction along one axis of the array, which is an own one."""
    kind = cast(str, node.op["kind"])
    found = replace(value, rank=value.rank - 1)
    if kind == "argmax":
        name = writer.node("ArgMax", [value.name], node.id, axis=axis, keepdims=0)
        return replace(found, name=name, dtype="int")
    dtype: DType = node.type.dtype
    if dtype == "bool":
        given = writer.cast(value, "int").name
        operator = "ReduceMax" if kind in ("any", "max") else "ReduceMin"
        name = writer.node(operator, [given, writer.ints(axis)], f"{node.id}.int", keepdims=0)
        return writer.cast(replace(found, name=name, dtype="int"), "bool")
    given = writer.cast(value, dtype).name
    name = writer.node(_REDUCTIONS[kind], [given, writer.ints(axis)], node.id, keepdims=0)
    return replace(found, name=name, dtype=dtype)


def _cumsum(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    value = writer.cast(values[0], node.type.dtype)
    axis = writer.constant(np.asarray(value.own + cast(int, node.op["axis"]), np.int64), "axes")
    return replace(value, name=writer.node("CumSum", [value.name, axis], node.id))


def joined(writer: Writer, values: Sequence[Value], axis: int, dtype: DType, hint: str) -> Value:
    """The arrays one behind the other along an own axis, which may differ in length."""
    given = [writer.cast(value, dtype) for value in values]
    names, result = writer.aligned(given, [value.rank for value in given])
    whole: list[str] = []
    for name, value in zip(names, given, strict=True):
        short = value.own != result.own
        whole.append(_repeated(writer, name, result, value.rank, given, names) if short else name)
    name = writer.node("Concat", whole, hint, axis=axis - given[0].rank)
    return replace(result, name=name, dtype=dtype, rank=given[0].rank)


def _repeated(
    writer: Writer,
    name: str,
    result: Value,
    rank: int,
    given: Sequence[Value],
    names: Sequence[str],
) -> str:
    """The array repeated along the axes before the own ones, whose lengths others have."""
    if result.own == 0:
        return name
    shape: list[str] = []
    for place, axis in enumerate([*[a.dim for a in result.axes], *[None] * result.batch]):
        for other, value in zip(names, given, strict=True):
            has = value.batch if axis is None else axis in [a.dim for a in value.axes]
            if has:
                at = place - result.own - rank
                length = writer.node("Shape", [other], "shape", start=at, end=at + 1)
                shape.append(length)
                break
    shape += [writer.ints(1)] * rank
    return writer.node("Expand", [name, writer.node("Concat", shape, "shape", axis=0)], name)


def _concat(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    return joined(writer, values, cast(int, node.op["axis"]), node.type.dtype, node.id)


def stacked(writer: Writer, values: Sequence[Value], dtype: DType, hint: str) -> Value:
    """The values along a new first own axis."""
    return joined(writer, [_with_unit(writer, value, 0) for value in values], 0, dtype, hint)


def _stack(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    return stacked(writer, values, node.type.dtype, node.id)


def _slice(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    [value] = values
    axis = value.own + cast(int, node.op["axis"])
    ends = [writer.ints(_number(node.op[end])) for end in ("start", "stop")]
    name = writer.node("Slice", [value.name, *ends, writer.ints(axis)], node.id)
    return replace(value, name=name)


def _gather(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    tensor, index = values
    axis = cast(int, node.op["axis"])
    if index.own == 0:
        arguments = [tensor.name, index.name]
        name = writer.node("Gather", arguments, node.id, axis=tensor.own + axis)
        return replace(tensor, name=name, rank=index.rank + tensor.rank - 1)
    if tensor.own == 0 and axis == 0:
        # Rows of a table: the index's axes come first, and so do its grid and batch.
        name = writer.node("Gather", [tensor.name, index.name], node.id, axis=0)
        return replace(index, name=name, dtype=tensor.dtype, rank=index.rank + tensor.rank - 1)
    message = "elements of a value at places that are values too cannot be exported"
    raise refused(message, node.spans[0] if node.spans else None)


def _reshape(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    [value] = values
    shape = [_number(size) for size in cast(tuple[Poly, ...], node.op["shape"])]
    name = writer.node("Reshape", [value.name, writer.ints(*[0] * value.own, *shape)], node.id)
    return replace(value, name=name, rank=len(shape))


def _broadcast(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    [value] = values
    shape = [_number(size) for size in cast(tuple[Poly, ...], node.op["shape"])]
    axes = cast(tuple[int, ...], node.op["axes"])
    order = sorted(range(len(axes)), key=lambda place: axes[place])
    if order != list(range(len(axes))):
        perm = [*range(value.own), *(value.own + place for place in order)]
        name = writer.node("Transpose", [value.name], f"{node.id}.t", perm=perm)
        value = replace(value, name=name)
    missing = [value.own + place for place in range(len(shape)) if place not in axes]
    wide = writer.unsqueeze(value, missing)
    target = writer.ints(*[1] * value.own, *shape)
    return replace(value, name=writer.node("Expand", [wide, target], node.id), rank=len(shape))


def _flip(writer: Writer, node: Node, values: Sequence[Value]) -> Value:
    [value] = values
    axis = value.own + cast(int, node.op["axis"])
    ends = [writer.ints(-1), writer.ints(np.iinfo(np.int64).min)]
    arguments = [value.name, *ends, writer.ints(axis), writer.ints(-1)]
    return replace(value, name=writer.node("Slice", arguments, node.id))


def neutral(kind: str, dtype: DType) -> bool | int | float:
    """What a reduction over nothing gives."""
    if dtype == "bool":
        return kind in ("all", "min")
    limits = np.iinfo(np.int64)
    if kind == "max":
        return limits.min if dtype == "int" else -math.inf
    if kind == "min":
        return limits.max if dtype == "int" else math.inf
    return int(kind == "prod")


OPERATORS: Mapping[str, Emitter] = {
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(_BINARY, _binary),
    **dict.fromkeys(_LOGIC, _logic),
    **dict.fromkeys((*_COMPARISONS, "ne"), _comparison),
    **dict.fromkeys(("stop_gradient", "dropout", "straight_through"), _same),
    "not": _not,
    "floor": _floor,
    "mod": _mod,
    "floordiv": _floordiv,
    "logaddexp": _logaddexp,
    "cast": _cast,
    "select": _select,
    "constant": _constant,
    "eye": _eye,
    "matmul": _matmul,
    "reduce_axis": _reduce_axis,
    "cumsum": _cumsum,
    "concat": _concat,
    "stack": _stack,
    "slice": _slice,
    "gather": _gather,
    "reshape": _reshape,
    "broadcast": _broadcast,
    "flip": _flip,
}
