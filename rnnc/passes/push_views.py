"""Moves slices and picks towards the leaves, so that gates become products of weight blocks.

    a[t]: real[4*H] = W @ x[t];  i[t]: real[H] = slice{axis=0, start=0, stop=H}(a[t])
becomes
    W.1: real[H, X] = slice{axis=0, start=0, stop=H}(W);  i[t]: real[H] = W.1 @ x[t]

Legal because element j of a pointwise result needs only element j of the operands, and row j of a
product only row j of the left factor. Views of parameters and stored values cost nothing: a kernel
reads them in place. Views of inputs, merges, cumulative sums and transforms stay where they are.

It pays while it saves work or leaves vectors. What others read as well is computed in any case: a
pick does not compute one element of a product again, nor, where it picks another one at every
point, of any vector. Inside a recurrence it does: what it picks from would be a wave of its own.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import ClassVar, cast

from rnnc.ir.graph import Graph, Node, Operand
from rnnc.ir.ops import is_pointwise, op
from rnnc.ir.poly import Poly
from rnnc.passes.rewrite import Rewriter, cycles, moved, point_of


@dataclass(frozen=True, slots=True)
class PushViews:
    name: ClassVar[str] = "push-views"

    def run(self, graph: Graph) -> Graph:
        rewriter, inside = Rewriter.of(graph), cycles(graph)
        pending = deque(node.id for node in graph.nodes if node.op.name in ("slice", "pick"))
        while pending:
            view = rewriter[pending.popleft()]
            if (
                view.op.name in ("slice", "pick")
                and not is_summed(graph, rewriter, view)
                and (view.id in inside or pays(graph, rewriter, view))
            ):
                pending += push(rewriter, view)
        return rewriter.finish()


def is_summed(graph: Graph, rewriter: Rewriter, view: Node) -> bool:
    """Whether a vector is viewed that is a product and that somebody sums up as well.

    It must be stored for that, from where a view reads it; a layer norm's gates are such views.
    """
    source = rewriter[view.operands[0].source]
    if view.op.name != "slice" or source.op.name != "matmul" or source.id not in graph:
        return False
    return any(reader.op.name == "reduce_axis" for reader, _ in graph.readers(source.id))


def pays(graph: Graph, rewriter: Rewriter, view: Node) -> bool:
    """Whether a view of something computed is better computed by itself."""
    source = rewriter[view.operands[0].source]
    if view.op.name != "pick" or source.id not in graph:
        return True
    varies = cast(Poly, view.op["at"]).constant is None
    alone = len({reader.id for reader, _ in graph.readers(source.id)}) == 1
    if source.op.name == "matmul":
        return view.type.rank > 0 or (alone and not varies)
    return alone or not varies or not is_pointwise(source.op)


def push(rewriter: Rewriter, view: Node) -> list[str]:
    """Rewrites one view by one level; the ids of the views that this made."""
    [read] = view.operands
    source = rewriter[read.source]
    values = point_of(source, read.access)
    if values is None or source.op.name == "merge":
        return []
    operands = tuple(moved(operand, values) for operand in source.operands)
    axis = cast(int, view.op["axis"])
    made: list[str] = []

    def narrowed(operand: Operand, at: int) -> Operand:
        """The operand with the view applied to its axis `at`."""
        attributes = {**dict(view.op.attributes), "axis": at}
        inner = rewriter.derive(view, op(view.op.name, **attributes), (operand,))
        made.append(inner.id)
        return Operand(inner.id, tuple(Poly.of(name) for name in view.domain.names))

    name = source.op.name
    if is_pointwise(source.op):
        rank = source.type.rank
        parts: list[Operand] = []
        for operand in operands:
            at = axis - (rank - rewriter[operand.source].type.rank)
            parts.append(operand if at < 0 else narrowed(operand, at))
        rewriter.put(replace(view, op=source.op, operands=tuple(parts)))
    elif name == "matmul":
        left, right = operands
        if axis == 0 and rewriter[left.source].type.rank == 2:
            left = narrowed(left, 0)
        else:
            right = narrowed(right, rewriter[right.source].type.rank - 1)
        rewriter.put(replace(view, op=source.op, operands=(left, right)))
    elif name in ("slice", "pick"):
        return compose(rewriter, view, source, operands[0])
    elif name == "concat" and source.op["axis"] == axis:
        return into_part(rewriter, view, operands)
    elif name == "stack" and axis == 0 and view.op.name == "pick":
        part = cast(Poly, view.op["at"]).constant
        if part is not None:
            rewriter.put(alias(view, operands[part]))
    elif name == "reshape" and view.op.name == "pick" and axis == 0:
        return row_of_reshape(rewriter, view, source, operands[0])
    elif name in ("stack", "reduce_axis"):
        if name == "stack" and axis == 0:
            return []
        inner_axis = axis - 1 if name == "stack" else axis
        attributes = dict(source.op.attributes)
        if name == "reduce_axis":
            summed = cast(int, source.op["axis"])
            inner_axis = axis + (axis >= summed)
            attributes["axis"] = summed - (view.op.name == "pick" and inner_axis < summed)
        parts = [narrowed(operand, inner_axis) for operand in operands]
        rewriter.put(replace(view, op=op(name, **attributes), operands=tuple(parts)))
    return made


def row_of_reshape(rewriter: Rewriter, view: Node, source: Node, operand: Operand) -> list[str]:
    """A row of a vector that was given the shape of a matrix is a slice of the vector."""
    at = cast(Poly, view.op["at"])
    if source.type.rank != 2 or rewriter[operand.source].type.rank != 1:
        return []
    start = at * source.type.shape[1]
    if start.constant is None:
        return []
    stop = start + source.type.shape[1]
    rewriter.put(replace(view, op=op("slice", axis=0, start=start, stop=stop), operands=(operand,)))
    return [view.id]


def alias(view: Node, operand: Operand) -> Node:
    """The view as a mere copy of another value (a pointwise op that kernels fuse away)."""
    return replace(view, op=op("cast", dtype=view.type.dtype), operands=(operand,))


def compose(rewriter: Rewriter, view: Node, source: Node, operand: Operand) -> list[str]:
    """A view of a slice along the same axis is a view of what was sliced."""
    axis = view.op["axis"]
    if source.op.name != "slice" or source.op["axis"] != axis:
        return []
    start = cast(Poly, source.op["start"])
    shifted = {
        key: cast(Poly, value) + start if key in ("start", "stop", "at") else value
        for key, value in view.op.attributes
    }
    rewriter.put(replace(view, op=op(view.op.name, **shifted), operands=(operand,)))
    return [view.id]


def into_part(rewriter: Rewriter, view: Node, operands: tuple[Operand, ...]) -> list[str]:
    """A view that lies within one part of a concatenation is a view of that part."""
    axis = cast(int, view.op["axis"])
    if view.op.name == "pick":
        start = cast(Poly, view.op["at"])
        stop = start + 1
    else:
        start, stop = cast(Poly, view.op["start"]), cast(Poly, view.op["stop"])
    offset = Poly()
    for operand in operands:
        size = rewriter[operand.source].type.shape[axis]
        low, high = (start - offset).constant, (stop - offset - size).constant
        if low is not None and high is not None and low >= 0 and high <= 0:
            shifted = {
                key: cast(Poly, value) - offset if key in ("start", "stop", "at") else value
                for key, value in view.op.attributes
            }
            whole = view.op.name == "slice" and low == 0 and high == 0
            moved_view = replace(view, op=op(view.op.name, **shifted), operands=(operand,))
            rewriter.put(alias(view, operand) if whole else moved_view)
            return [view.id]
        offset = offset + size
    return []
