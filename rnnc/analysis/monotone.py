"""Statements that never change back along a dim: `done[t] = done[t-1] or ...`, `total[t] < 1`.

A dim is gone through from its first index (`sign` 1) or from its last one (-1): `done[t+1] or ...`.
What is said of *places* counts along the way: an index, or minus an index. A truth value *sticks*
at `value` along a dim if, where it has that value, it has it at every later point as well. Two
forms are proved: it is joined to its own last value (`or` sticks at true, `and` at false), or it
compares something that only grows (or is NaN from some point on) with something that does not
depend on the dim: `total[n-1] < 1` sticks at false. NaN compares as false, so that only false
sticks. Rounding keeps x + h >= x where h >= 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rnnc.analysis.boxes import never_negative, tightened
from rnnc.ir.domain import Domain
from rnnc.ir.graph import Graph, Node, Operand
from rnnc.ir.ops import is_view
from rnnc.ir.poly import Poly

# x < c for an x that only grows becomes false once and for all; so does c > x.
_BELOW = {"lt": 0, "le": 0, "gt": 1, "ge": 1}
_POSITIVE = frozenset(("sigmoid", "exp", "relu", "abs", "softplus", "sqrt"))
# Not negative where all operands are not.
_KEEPS_SIGN = frozenset(("add", "mul", "div", "min", "max", "cast", "matmul", "cumsum", "floor"))


@dataclass(frozen=True, slots=True)
class Monotone:
    """What is proved of the nodes of a graph along `dim`."""

    graph: Graph
    dim: str
    sign: int = 1
    signs: dict[str, bool] = field(default_factory=dict)

    def sticks_at(self, node: Node) -> bool | None:
        """The value at which a bool statement sticks, if it is proved to."""
        name = node.op.name
        if node.type.dtype != "bool" or self.first(node) is None:
            return None
        if name in ("and", "or"):
            if any(self.is_last(node, operand, node) for operand in node.operands):
                return name == "or"
        elif name in _BELOW:
            place = _BELOW[name]
            growing, limit = node.operands[place], node.operands[1 - place]
            if self.stands(limit) and self.grows(node, growing):
                return False
        return None

    # ---- reads --------------------------------------------------------------------------------

    def stands(self, operand: Operand) -> bool:
        """Whether what is read is the same at all points of the dim."""
        return all(
            isinstance(index, Poly) and self.dim not in index.names for index in operand.access
        )

    def shift(self, reader: Node, operand: Operand) -> int | None:
        """How many places on a read goes whose other indices are the reader's own."""
        source = self.graph[operand.source]
        found: int | None = None
        for name, index in zip(source.domain.names, operand.access, strict=True):
            if not isinstance(index, Poly) or name not in reader.domain.names:
                return None
            apart = (index - Poly.of(name)).constant
            if apart is None or (apart and name != self.dim):
                return None
            found = apart * self.sign if name == self.dim else found
        return found

    def is_last(self, reader: Node, operand: Operand, wanted: Node) -> bool:
        """Whether a read gives `wanted` at the point before the reader's, except at its first."""
        if self.shift(reader, operand) != -1:
            return False
        source = self.graph[operand.source]
        if source.id == wanted.id:
            return True
        return source.op.name == "merge" and self.is_all_from(source, wanted, self.first(reader))

    def is_all_from(self, variable: Node, wanted: Node, first: Poly | None) -> bool:
        """Whether the variable is `wanted`, at the same point, from place `first` on."""
        if first is None or self.dim not in variable.domain.names:
            return False
        for case in variable.operands:
            source = self.graph[case.source]
            if source.id == wanted.id:
                if self.shift(variable, case) != 0:
                    return False
                continue
            assert case.guard is not None
            end = self.end(tightened(case.guard))
            if end is None or not never_negative(first - end):
                return False
        return any(case.source == wanted.id for case in variable.operands)

    def first(self, node: Node) -> Poly | None:
        """The first place of a statement that has every point from there to its last."""
        box = tightened(node.domain)
        if self.dim not in box.names or box.constraints:
            return None
        dim = box.dim(self.dim)
        index = dim.lower if self.sign > 0 else dim.upper
        if index is None or set(index.names) & set(box.names):
            return None
        return index if self.sign > 0 else 1 - index

    def end(self, box: Domain) -> Poly | None:
        """The place behind all of a box."""
        dim = box.dim(self.dim)
        if self.sign > 0:
            return dim.upper
        return None if dim.lower is None else 1 - dim.lower

    # ---- what grows ---------------------------------------------------------------------------

    def grows(self, reader: Node, operand: Operand) -> bool:
        """Whether what is read never gets smaller along the dim, or is NaN from some point on."""
        source, shift = self.graph[operand.source], self.shift(reader, operand)
        start = self.first(reader)
        if shift is None or start is None or source.type.shape != reader.type.shape:
            return False
        candidates = [source]
        if source.op.name == "merge":
            candidates = [self.graph[case.source] for case in source.operands]
        for total in candidates:
            first = self.first(total)
            if first is None or not never_negative(start + shift - first + 1):
                continue
            if source.op.name == "merge" and not self.is_all_from(source, total, first):
                continue
            if source.op.name != "merge" and not never_negative(start + shift - first):
                continue
            if self.at_least_last(total, total):
                return True
        return False

    def at_least_last(self, node: Node, total: Node) -> bool:
        """Whether a node is never smaller than `total` at the point before (or NaN with it)."""
        if node.type.dtype not in ("real", "int"):
            return False
        match node.op.name:
            case "add":
                pairs = (node.operands, node.operands[::-1])
                return any(
                    self.read_at_least_last(node, left, total) and self.not_negative(right.source)
                    for left, right in pairs
                )
            case "max":
                return any(self.read_at_least_last(node, read, total) for read in node.operands)
            case "select":
                return all(self.read_at_least_last(node, read, total) for read in node.operands[1:])
        return False

    def read_at_least_last(self, reader: Node, operand: Operand, total: Node) -> bool:
        source = self.graph[operand.source]
        if source.type != total.type or reader.type != total.type:
            return False
        if self.is_last(reader, operand, total):
            return True
        here = self.shift(reader, operand) == 0 and source.domain == total.domain
        return here and self.at_least_last(source, total) and source.id != total.id

    # ---- signs --------------------------------------------------------------------------------

    def not_negative(self, name: str) -> bool:
        """Whether a value is >= 0 or NaN, at all points and in all elements."""
        if name not in self.signs:
            self.signs[name] = False  # what needs itself for its proof has none
            self.signs[name] = self.keeps_from_zero(self.graph[name])
        return self.signs[name]

    def keeps_from_zero(self, node: Node) -> bool:
        if node.type.dtype == "complex":
            return False
        if node.type.dtype == "bool" or node.op.name in _POSITIVE:
            return True
        operands = node.operands[:1] if node.op.name == "gather" else node.operands
        match node.op.name:
            case "constant":
                value = node.op["value"]
                return isinstance(value, (int, float)) and value >= 0
            case "mul" if operands[0] == operands[1]:
                return True
            case "select":
                operands = operands[1:]
            case "reduce" | "reduce_axis" if node.op["kind"] not in ("sum", "prod", "max", "min"):
                return node.op["kind"] == "argmax"
            case "reduce" if node.op["kind"] == "max":
                return False  # that of no points is -inf
            case "reduce" | "reduce_axis" | "merge":
                pass
            case name if name not in _KEEPS_SIGN and not is_view(node.op):
                return False
        return bool(operands) and all(self.not_negative(read.source) for read in operands)
