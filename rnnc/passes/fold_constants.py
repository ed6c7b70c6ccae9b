"""Computes what is known when compiling, and leaves out what changes nothing.

    a[t] = mul(x[t], 1.0);   b = sub(1.0, 0.25);   c[t] = select(l == 0, u[t], v[t])    on l in 1..3
becomes
    a[t] = cast(x[t]);       b = 0.75;             c[t] = cast(v[t])

Legal where the result is the same for every value, NaN, infinities and the sign of zero included:
`x * 0` and `x + 0.0` stay for real x (`-0.0 + 0.0` is `0.0`), `x - 0.0` goes. A number is computed
in double precision and kept only if it is finite, and an int only if it fits 32 bits. Comparisons
of indices are decided where they hold, or fail, at all points of the node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import numpy as np

from rnnc.analysis.boxes import interval
from rnnc.ir.graph import Graph, Node, Operand
from rnnc.ir.ops import constant_dtype, is_pointwise, op
from rnnc.ir.pointwise import pointwise
from rnnc.ir.poly import Poly
from rnnc.ir.reads import index_positions
from rnnc.passes.rewrite import Rewriter

Number = int | float | bool

# Leaves, variables, and what training treats differently.
_KEPT = frozenset(("constant", "index", "merge", "dropout", "stop_gradient", "straight_through"))
_INT_LIMIT = 2**31


@dataclass(frozen=True, slots=True)
class FoldConstants:
    name: ClassVar[str] = "fold-constants"

    def run(self, graph: Graph) -> Graph:
        rewriter = Rewriter.of(graph)
        for node in graph.nodes:
            if is_pointwise(node.op) and not index_positions(node):
                fold(rewriter, node)
        return rewriter.finish()


def fold(rewriter: Rewriter, node: Node) -> None:
    """Replaces the node by a constant or a copy, if it is one."""
    value = known(rewriter, node)
    if value is not None:
        made = replace(node, op=op("constant", value=value), operands=())
        rewriter.put(replace(made, type=replace(node.type, range=None)))
        return
    same = unchanged(rewriter, node)
    if same is not None and rewriter[same.source].type.shape == node.type.shape:
        rewriter.put(replace(node, op=op("cast", dtype=node.type.dtype), operands=(same,)))


# ---- numbers ----------------------------------------------------------------------------------


def known(rewriter: Rewriter, node: Node) -> Number | None:
    """The one value of a scalar node, or None."""
    if node.type.shape:
        return None
    if node.op.name == "index":
        return fitting(cast(Poly, node.op["value"]).constant)
    if node.op.name in _KEPT:
        return None
    values = [constant(rewriter, operand) for operand in node.operands]
    absorbed = _ABSORBING.get(node.op.name)
    if absorbed is not None and node.type.dtype != "real" and absorbed in values:
        return absorbed if node.type.dtype == "bool" else int(absorbed)
    if node.op.name in _COMPARISONS:
        decided = compared(rewriter, node)
        if decided is not None:
            return decided
    if any(value is None for value in values):
        return None
    result = pointwise(node.op, [np.asarray(value) for value in values]).item()
    return fitting(cast(Number, result)) if constant_dtype(result) == node.type.dtype else None


def constant(rewriter: Rewriter, operand: Operand) -> Number | None:
    """The number that is read, or None."""
    source = rewriter[operand.source]
    value = source.op["value"] if source.op.name == "constant" else None
    return value if isinstance(value, (bool, int, float)) else None


def fitting(value: Number | None) -> Number | None:
    """The number if every target can hold it."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, float) or -_INT_LIMIT <= value < _INT_LIMIT else None


# What makes the result of an op on ints or truth values, whatever the other operand.
_ABSORBING: Mapping[str, Number] = {"and": False, "or": True, "mul": 0}


# ---- comparisons of indices -------------------------------------------------------------------

# Of left - right, between its ends: whether the comparison holds at all points, or at none.
_COMPARISONS: Mapping[str, Callable[[int | None, int | None], bool | None]] = {
    "ge": lambda low, high: at_least(low, high, 0),
    "gt": lambda low, high: at_least(low, high, 1),
    "lt": lambda low, high: inverted(at_least(low, high, 0)),
    "le": lambda low, high: inverted(at_least(low, high, 1)),
    "eq": lambda low, high: is_zero(low, high),
    "ne": lambda low, high: inverted(is_zero(low, high)),
}


def at_least(low: int | None, high: int | None, limit: int) -> bool | None:
    if low is not None and low >= limit:
        return True
    return False if high is not None and high < limit else None


def is_zero(low: int | None, high: int | None) -> bool | None:
    if low == high == 0:
        return True
    return False if (low or 0) > 0 or (high or 0) < 0 else None


def inverted(verdict: bool | None) -> bool | None:
    return None if verdict is None else not verdict


def compared(rewriter: Rewriter, node: Node) -> bool | None:
    """The result of comparing two indices if it is the same at all points of the node."""
    left, right = (position(rewriter, operand) for operand in node.operands)
    if left is None or right is None:
        return None
    difference = left - right
    # An extent may mean a row's own length, of which the domain knows nothing.
    if any(name not in node.domain.names for name in difference.names):
        return None
    ends = interval(difference, node.domain)
    low = None if ends.lower is None else ends.lower.constant
    high = None if ends.upper is None else ends.upper.constant
    return _COMPARISONS[node.op.name](low, high)


def position(rewriter: Rewriter, operand: Operand) -> Poly | None:
    """What is read as a polynomial in the reader's indices, or None."""
    source = rewriter[operand.source]
    if source.op.name == "constant":
        value = source.op["value"]
        return Poly.of(int(value)) if isinstance(value, int) else None
    if source.op.name != "index":
        return None
    access = dict(zip(source.domain.names, operand.access, strict=True))
    if not all(isinstance(index, Poly) for index in access.values()):
        return None
    return cast(Poly, source.op["value"]).substitute(cast(Mapping[str, Poly], access))


# ---- operands that are the result -------------------------------------------------------------


def unchanged(rewriter: Rewriter, node: Node) -> Operand | None:
    """The operand that is the result (after a change of dtype), or None."""
    if node.op.name == "select":
        condition = constant(rewriter, node.operands[0])
        if condition is not None:
            return node.operands[1 if condition else 2]
        same = node.operands[1] == node.operands[2]
        return node.operands[1] if same else None
    if len(node.operands) != 2:
        return None
    left, right = node.operands
    if is_neutral(rewriter, node, right, left, _RIGHT):
        return left
    return right if is_neutral(rewriter, node, left, right, _LEFT) else None


# Numbers that change nothing on the right, and on the left; 0 among reals is a zero with a sign.
_LEFT: Mapping[str, Number] = {"mul": 1, "add": 0, "and": True, "or": False}
_RIGHT: Mapping[str, Number] = {**_LEFT, "sub": 0, "div": 1, "pow": 1}


def is_neutral(
    rewriter: Rewriter, node: Node, number: Operand, other: Operand, table: Mapping[str, Number]
) -> bool:
    """Whether combining `other` with the number that is read gives `other`, to the last bit."""
    wanted, value = table.get(node.op.name), constant(rewriter, number)
    if wanted is None or value is None or value != wanted or node.type.dtype == "complex":
        return False  # a complex product of infinities may be NaN
    if node.op.name in ("and", "or"):
        return isinstance(value, bool) and rewriter[other.source].type.dtype == "bool"
    if node.op.name in ("add", "sub") and rewriter[other.source].type.dtype == "real":
        # x + -0.0 and x - 0.0 are x; x + 0.0 and x - -0.0 are not, for x == -0.0.
        is_negative = isinstance(value, float) and math.copysign(1.0, value) < 0
        return is_negative == (node.op.name == "add")
    return True
