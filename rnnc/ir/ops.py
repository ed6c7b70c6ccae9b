"""Every operation of the recurrence IR: one row an op.

A row gives the arity (None: any), the attributes in their order, whether the op is *pointwise*
(element j of the result needs only elements j of the operands) and the type rule. Evaluation, text
form and kernels are tables keyed by these names; tests compare the keys.

Shapes are those of one batch row. Pointwise ops broadcast by suffix: the result has the longest of
the operands' shapes and every other shape must be a suffix of it (`[]` is a suffix of all).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from rnnc.ir.graph import Op
from rnnc.ir.poly import Poly
from rnnc.ir.types import DType, TensorType, promote


class TypeRuleError(Exception):
    """Operands that the op does not take; the verifier reports it as a compiler bug."""


Types = Sequence[TensorType]
Rule = Callable[[Op, Types], TensorType]


@dataclass(frozen=True, slots=True)
class OpRow:
    name: str
    arity: int | None
    attributes: tuple[str, ...]
    pointwise: bool
    rule: Rule


ReductionKind = Literal["sum", "prod", "max", "min", "any", "all", "argmax"]
REDUCTIONS: tuple[ReductionKind, ...] = ("sum", "prod", "max", "min", "any", "all", "argmax")


# ---- type rules -------------------------------------------------------------------------------


def _declared(_: Op, __: Types) -> TensorType:
    raise TypeRuleError("the type of this op is declared, not inferred")


def _constant(op: Op, _: Types) -> TensorType:
    return TensorType(constant_dtype(op["value"]))


def constant_dtype(value: object) -> DType:
    """The dtype of a Python number."""
    if isinstance(value, bool):
        return "bool"
    return "int" if isinstance(value, int) else "real" if isinstance(value, float) else "complex"


def _index(_: Op, __: Types) -> TensorType:
    return TensorType("int")


def _eye(op: Op, _: Types) -> TensorType:
    size = cast(Poly, op["size"])
    return TensorType("real", (size, size))


def broadcast_shape(shapes: Sequence[tuple[Poly, ...]]) -> tuple[Poly, ...]:
    """The longest shape, of which all others are suffixes."""
    longest = max(shapes, key=len, default=())
    for shape in shapes:
        if shape != longest[len(longest) - len(shape) :]:
            raise TypeRuleError(f"{_text(shape)} is no suffix of {_text(longest)}")
    return longest


def _text(shape: tuple[Poly, ...]) -> str:
    return "[" + ", ".join(str(size) for size in shape) + "]"


def _pointwise(result: Callable[[tuple[DType, ...]], DType]) -> Rule:
    def rule(_: Op, types: Types) -> TensorType:
        dtype = result(tuple(type.dtype for type in types))
        return TensorType(dtype, broadcast_shape([type.shape for type in types]))

    return rule


def _widest(dtypes: tuple[DType, ...]) -> DType:
    return promote("int", *dtypes)


def _float(dtypes: tuple[DType, ...]) -> DType:
    return promote("real", *dtypes)


def _modulus(dtypes: tuple[DType, ...]) -> DType:
    return "real" if dtypes[0] == "complex" else promote("int", *dtypes)


def _selected(dtypes: tuple[DType, ...]) -> DType:
    return promote(*dtypes[1:])


def _to_bool(_: tuple[DType, ...]) -> DType:
    return "bool"


def _to_real(_: tuple[DType, ...]) -> DType:
    return "real"


def _to_complex(_: tuple[DType, ...]) -> DType:
    return "complex"


def _to_int(_: tuple[DType, ...]) -> DType:
    return "int"


def _first(dtypes: tuple[DType, ...]) -> DType:
    return dtypes[0]


def _cast(op: Op, types: Types) -> TensorType:
    return TensorType(cast(DType, op["dtype"]), types[0].shape)


def _matmul(_: Op, types: Types) -> TensorType:
    left, right = types[0].shape, types[1].shape
    if not 1 <= len(left) <= 2 or not 1 <= len(right) <= 2 or left[-1] != right[0]:
        raise TypeRuleError(f"cannot multiply {_text(left)} by {_text(right)}")
    return TensorType(promote("real", *(t.dtype for t in types)), left[:-1] + right[1:])


def _axis(op: Op, types: Types) -> int:
    axis = cast(int, op["axis"])
    if not 0 <= axis < types[0].rank:
        raise TypeRuleError(f"axis {axis} of {_text(types[0].shape)}")
    return axis


def reduced_dtype(kind: str, dtype: DType) -> DType:
    """What a reduction of `dtype` gives."""
    if kind in ("any", "all"):
        return "bool"
    if kind == "argmax":
        return "int"
    return promote("int", dtype) if kind in ("sum", "prod") else dtype


def _reduce_axis(op: Op, types: Types) -> TensorType:
    axis, shape = _axis(op, types), types[0].shape
    dtype = reduced_dtype(cast(str, op["kind"]), types[0].dtype)
    return TensorType(dtype, shape[:axis] + shape[axis + 1 :])


def _reduce(op: Op, types: Types) -> TensorType:
    return TensorType(reduced_dtype(cast(str, op["kind"]), types[0].dtype), types[0].shape)


def _cumsum(op: Op, types: Types) -> TensorType:
    _axis(op, types)
    return TensorType(promote("int", types[0].dtype), types[0].shape)


def _concat(op: Op, types: Types) -> TensorType:
    axis = _axis(op, types)
    total = Poly()
    for type in types:
        rest = type.shape[:axis] + type.shape[axis + 1 :]
        if rest != types[0].shape[:axis] + types[0].shape[axis + 1 :]:
            raise TypeRuleError("concat of unlike shapes")
        total = total + type.shape[axis]
    shape = types[0].shape
    dtype = promote(*(type.dtype for type in types))
    return TensorType(dtype, (*shape[:axis], total, *shape[axis + 1 :]))


def _stack(_: Op, types: Types) -> TensorType:
    if any(type.shape != types[0].shape for type in types):
        raise TypeRuleError("stack of unlike shapes")
    dtype = promote(*(type.dtype for type in types))
    return TensorType(dtype, (Poly.of(len(types)), *types[0].shape))


def _slice(op: Op, types: Types) -> TensorType:
    axis, shape = _axis(op, types), types[0].shape
    size = cast(Poly, op["stop"]) - cast(Poly, op["start"])
    return TensorType(types[0].dtype, (*shape[:axis], size, *shape[axis + 1 :]))


def _pick(op: Op, types: Types) -> TensorType:
    axis, shape = _axis(op, types), types[0].shape
    return TensorType(types[0].dtype, shape[:axis] + shape[axis + 1 :], types[0].range)


def _gather(op: Op, types: Types) -> TensorType:
    axis, shape = _axis(op, types), types[0].shape
    if types[1].dtype != "int" or types[1].rank > 1:
        raise TypeRuleError("gather wants an int or a vector of ints")
    return TensorType(types[0].dtype, shape[:axis] + types[1].shape + shape[axis + 1 :])


def _volume(shape: tuple[Poly, ...]) -> Poly:
    volume = Poly.of(1)
    for size in shape:
        volume = volume * size
    return volume


def _reshape(op: Op, types: Types) -> TensorType:
    shape = cast(tuple[Poly, ...], op["shape"])
    return TensorType(types[0].dtype, shape)  # equal volumes are the elaborator's promise


def _broadcast(op: Op, types: Types) -> TensorType:
    shape, axes = cast(tuple[Poly, ...], op["shape"]), cast(tuple[int, ...], op["axes"])
    if tuple(shape[axis] for axis in axes) != types[0].shape:
        raise TypeRuleError(f"axes {axes} of {_text(shape)} are not {_text(types[0].shape)}")
    return TensorType(types[0].dtype, shape)


def _same(_: Op, types: Types) -> TensorType:
    return types[0]


def _fft(_: Op, types: Types) -> TensorType:
    return TensorType("complex", types[0].shape)


def _declared_points(op: Op, types: Types) -> TensorType:
    raise TypeRuleError("its leading axis is the number of bound points: declared, not inferred")


# ---- the table --------------------------------------------------------------------------------

OPS: dict[str, OpRow] = {
    row.name: row
    for row in (
        # leaves
        # `default` is the number that an absent array means (None: the array is required).
        OpRow("input", 0, ("name", "default"), False, _declared),
        # `path` names the dims of the domain in brackets: "lstm[l].W_i"; `initial` is the text of
        # the initializer ("" is none). bool and int params are stored and not trained.
        OpRow("param", 0, ("path", "initial"), False, _declared),
        OpRow("constant", 0, ("value",), True, _constant),
        # The value of a polynomial in the node's grid indices and sizes: `t`, `x / T`.
        OpRow("index", 0, ("value",), True, _index),
        OpRow("eye", 0, ("size",), False, _eye),
        # pointwise
        *(
            OpRow(name, 1, (), True, _pointwise(_float))
            for name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "softplus")
        ),
        OpRow("neg", 1, (), True, _pointwise(_widest)),
        OpRow("relu", 1, (), True, _pointwise(_widest)),
        OpRow("abs", 1, (), True, _pointwise(_modulus)),
        OpRow("floor", 1, (), True, _pointwise(_first)),
        OpRow("not", 1, (), True, _pointwise(_to_bool)),
        OpRow("re", 1, (), True, _pointwise(_to_real)),
        OpRow("im", 1, (), True, _pointwise(_to_real)),
        OpRow("conj", 1, (), True, _pointwise(_first)),
        OpRow("cast", 1, ("dtype",), True, _cast),
        OpRow("stop_gradient", 1, (), True, _pointwise(_first)),
        OpRow("dropout", 1, ("rate",), True, _pointwise(_first)),
        *(
            OpRow(name, 2, (), True, _pointwise(_widest))
            for name in ("add", "sub", "mul", "min", "max", "floordiv", "mod")
        ),
        OpRow("div", 2, (), True, _pointwise(_float)),
        OpRow("logaddexp", 2, (), True, _pointwise(_to_real)),
        OpRow("pow", 2, (), True, _pointwise(_widest)),
        *(
            OpRow(name, 2, (), True, _pointwise(_to_bool))
            for name in ("eq", "ne", "lt", "le", "gt", "ge", "and", "or")
        ),
        OpRow("complex", 2, (), True, _pointwise(_to_complex)),
        OpRow("straight_through", 2, (), True, _pointwise(_first)),  # (value, whose gradient)
        OpRow("select", 3, (), True, _pointwise(_selected)),  # (condition, then, else)
        # tensors; [M,K]@[K], [K]@[K,N], [M,K]@[K,N], [K]@[K] (no conjugation)
        OpRow("matmul", 2, (), False, _matmul),
        OpRow("reduce_axis", 1, ("kind", "axis"), False, _reduce_axis),
        OpRow("cumsum", 1, ("axis",), False, _cumsum),
        OpRow("concat", None, ("axis",), False, _concat),
        OpRow("stack", None, (), False, _stack),  # along a new leading axis
        OpRow("slice", 1, ("axis", "start", "stop"), False, _slice),
        # One element of an axis, at a polynomial in the grid indices and sizes.
        OpRow("pick", 1, ("axis", "at"), False, _pick),
        # (tensor, int or int[K]): a data-dependent element or elements of an axis.
        OpRow("gather", 2, ("axis",), False, _gather),
        OpRow("reshape", 1, ("shape",), False, _reshape),
        # Axis i of the operand becomes axis axes[i] of the result; the others repeat it.
        OpRow("broadcast", 1, ("shape", "axes"), False, _broadcast),
        OpRow("flip", 1, ("axis",), False, _same),
        OpRow("fft", 1, (), False, _fft),  # over the last axis, unitary
        OpRow("ifft", 1, (), False, _fft),
        # grid: over the points of `bound`, in lexicographic order
        OpRow("reduce", 1, ("kind",), False, _reduce),  # argmax: the index itself, one bound dim
        OpRow("stack_points", 1, (), False, _declared_points),
        OpRow("concat_points", 1, (), False, _declared_points),
        # A variable of the source: guarded cases, disjoint; zero where none holds.
        OpRow("merge", None, (), True, _declared),
    )
}


def infer(op: Op, types: Types) -> TensorType:
    """The type of `op` applied to operands of `types`; raises TypeRuleError."""
    row = OPS[op.name]
    if row.arity is not None and len(types) != row.arity:
        raise TypeRuleError(f"{op.name} takes {row.arity} operands, not {len(types)}")
    return row.rule(op, types)


def is_pointwise(op: Op) -> bool:
    return OPS[op.name].pointwise


def op(name: str, /, **attributes: object) -> Op:
    """An op with its attributes in the row's order."""
    row = OPS[name]
    if set(attributes) != set(row.attributes):
        raise TypeError(f"{name} takes {row.attributes}, not {tuple(attributes)}")
    return Op(name, tuple((key, attributes[key]) for key in row.attributes))  # type: ignore[misc]


# Ops that only say where elements are found: kernels read through them.
VIEWS = frozenset(
    ("slice", "pick", "reshape", "broadcast", "flip", "concat", "stack", "gather", "eye")
)
LEAVES = frozenset(("input", "param", "constant", "index", "merge"))


def is_view(op: Op) -> bool:
    """Whether an element of the result is an element of an operand."""
    return op.name in VIEWS


def is_statement(op: Op) -> bool:
    """Whether the op computes; leaves and views are only read."""
    return op.name not in LEAVES and op.name not in VIEWS
