"""Runs the recurrence IR with NumPy, one grid point at a time, as it is read: the oracle.

Demand-driven: an output's point asks for the points that it reads, and so on; each is computed
once. No schedule, no storage, no recursion. What the language says about batch rows is literal
here: every row is evaluated with its own extents, every sequence between resets by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from rnnc.ir.arguments import batch_size, checked_inputs, collected_params, known_sizes
from rnnc.ir.domain import Domain
from rnnc.ir.evaluate import EvaluationError, Site, check_range, evaluate
from rnnc.ir.graph import DataIndex, Graph, Index, Node, Operand
from rnnc.ir.pointwise import Array, Real, convert, numpy_dtype
from rnnc.ir.poly import Poly
from rnnc.ir.reads import index_positions
from rnnc.ir.rounding import Rounding, rounding, weight_position
from rnnc.ir.sequences import RowSequence, row_sequences
from rnnc.ir.signature import (
    Layout,
    extent_names,
    int_range,
    output_signature,
    shape_of,
)
from rnnc.weights import MathType, WeightType

Point = tuple[int, ...]
Key = tuple[str, Point]  # a node at a grid point, its indices in the order of the domain's dims


def interpret(
    graph: Graph,
    sizes: Mapping[str, int],
    inputs: Mapping[str, Array],
    params: Mapping[str, Array],
    dtype: Real = np.float64,
    lengths: Mapping[str, Array] | None = None,
    resets: Array | None = None,
    weights: WeightType = "float32",
    packed: Collection[str] | None = None,
    math: MathType = "float32",
) -> dict[str, Array]:
    """All outputs of the graph, by name, in the layout of `rnnc.ir.signature`.

    `sizes` gives statics and extents that have no value in the graph; `inputs` are arrays with a
    batch, those with a default may be absent; `params` are arrays by concrete path (`lstm[0].W`)
    or one for all points of static dims, in leading axes, by the path without brackets
    (`lstm.W`). `dtype` is the precision of real values. `lengths` gives each row its own extents,
    [B] by extent name; `resets` [T, B] is true where a step begins a new sequence. Outputs beyond
    a row's length are zero; an output without the reset dim is that of the row's last sequence.
    `weights` is the type to which the weights of products are rounded first, `math` that to which
    both their operands are, of all products with weights or of the nodes `packed`; "float32" leaves
    them as they are.

    Raises EvaluationError for arrays of a wrong shape and for indices out of their range.
    """
    sizes = known_sizes(graph, sizes)
    batch = batch_size(graph, inputs, lengths)
    arrays = checked_inputs(graph, sizes, inputs, batch, dtype)
    values = collected_params(graph, sizes, params, dtype)
    outputs = {
        name: np.zeros(shape, numpy_dtype(kind, dtype))
        for name, (kind, shape) in output_signature(graph, sizes, batch).items()
    }
    for sequence in row_sequences(batch, sizes, extent_names(graph), lengths, resets):
        narrow = rounding(weights, math)
        evaluation = _Evaluation(graph, sequence, arrays, values, dtype, narrow, packed)
        for output in graph.outputs:
            layout = Layout.of(output.domain, graph)
            follows_resets = any(extent is not None for extent in layout.extents)
            if not sequence.last and not follows_resets:
                continue
            for indices in output.domain.points(sequence.sizes):
                point = tuple(indices.values())
                place = layout.place(point, sequence.sizes, sequence.starts)
                outputs[output.name][place][list(sequence.rows)] = evaluation.value(
                    (output.node, point)
                )
    return outputs


# ---- evaluation of one sequence ---------------------------------------------------------------


@dataclass(slots=True)
class _Evaluation:
    """The values of a graph for rows that have the same extents; arrays are [rows or 1, ...]."""

    graph: Graph
    sequence: RowSequence
    inputs: Mapping[str, Array]
    params: Mapping[str, Mapping[Point, Array]]
    real: Real
    rounding: Rounding | None = None
    packed: Collection[str] | None = None
    known: dict[Key, Array] = field(default_factory=dict)

    def value(self, key: Key) -> Array:
        """The value of a node at a point, computing first whatever it reads."""
        pending, entered = [key], set[Key]()
        while pending:
            top = pending[-1]
            if top in self.known:
                entered.discard(top)
                pending.pop()
                continue
            missing = [read for read in self.reads(top) if read not in self.known]
            if not missing:
                self.known[top] = self.compute(top)
                continue
            entered.add(top)
            for read in missing:
                if read in entered:
                    raise AssertionError(f"{read} needs itself")
            pending += reversed(missing)
        return self.known[key]

    def values_at(self, node: Node, point: Point) -> dict[str, int]:
        return {**self.sequence.sizes, **dict(zip(node.domain.names, point, strict=True))}

    def reads(self, key: Key) -> Iterator[Key]:
        """The points that a value is computed from, as far as they can be told yet: what is read
        at a data-dependent index becomes known when the index is."""
        node, values = self.graph[key[0]], self.values_at(self.graph[key[0]], key[1])
        for operand, at in self.active(node, values):
            yield from self.index_keys(node, operand, at)
            yield from self.points_read(node, operand, at)

    def active(
        self, node: Node, values: Mapping[str, int]
    ) -> Iterator[tuple[Operand, Mapping[str, int]]]:
        """The value operands that matter at a point, each with the names' values at its read."""
        if node.op.name == "merge":
            case = self.case(node, values)
            if case is not None:
                yield case, values
            return
        if node.op.name in ("input", "param"):
            return
        if not node.domain.contains(values, values):
            raise AssertionError(f"{node.id} is read outside its domain, at {values}")
        indices = index_positions(node)
        for point in self.bound_points(node, values):
            for position, operand in enumerate(node.operands):
                if position not in indices:
                    yield operand, {**values, **point}

    def case(self, node: Node, values: Mapping[str, int]) -> Operand | None:
        """The case of a merge that defines a point, if any does."""
        found = [
            operand
            for operand in node.operands
            if operand.guard is not None and operand.guard.contains(values, values)
        ]
        if len(found) > 1:
            raise AssertionError(f"{node.id} is defined {len(found)} times at {values}")
        return found[0] if found else None

    def bound_points(self, node: Node, values: Mapping[str, int]) -> list[dict[str, int]]:
        """The points of a grid reduction; of any other node one, without names."""
        return list((node.bound or Domain()).points(values))

    def index_keys(self, node: Node, operand: Operand, at: Mapping[str, int]) -> Iterator[Key]:
        """Where the values are that serve an operand as indices."""
        for index in operand.access:
            if isinstance(index, DataIndex):
                source = node.operands[index.operand]
                yield source.source, tuple(_affine(i).evaluate(at) for i in source.access)

    def points_read(self, node: Node, operand: Operand, at: Mapping[str, int]) -> list[Key]:
        """The points of its source that an operand needs: one, or one for each distinct index of
        the rows; none yet while an index is unknown."""
        if any(key not in self.known for key in self.index_keys(node, operand, at)):
            return []
        points = dict.fromkeys(self.row_points(node, operand, at))
        return [(operand.source, point) for point in points]

    def row_points(self, node: Node, operand: Operand, at: Mapping[str, int]) -> list[Point]:
        """The point that each row reads (a single entry if no index is data-dependent)."""
        keys = self.index_keys(node, operand, at)
        columns: list[list[int]] = []
        for index in operand.access:
            if isinstance(index, DataIndex):
                found = self.known[next(keys)]
                if found.ndim != 1:
                    raise AssertionError(f"{node.id}: an index has shape {found.shape[1:]}")
                check_range(found, index.lower.evaluate(at), index.upper.evaluate(at))
                columns.append([int(entry) for entry in found.tolist()])
            else:
                columns.append([index.evaluate(at)])
        rows = max((len(column) for column in columns), default=1)
        return [
            tuple(column[row if len(column) > 1 else 0] for column in columns)
            for row in range(rows)
        ]

    def operand_value(self, node: Node, operand: Operand, at: Mapping[str, int]) -> Array:
        points = self.row_points(node, operand, at)
        distinct = dict.fromkeys(points)
        if len(distinct) == 1:
            return self.known[operand.source, points[0]]
        # Rows read different points: take from each point the rows that read it.
        found = {point: self.known[operand.source, point] for point in distinct}
        return np.stack([found[point][row % len(found[point])] for row, point in enumerate(points)])

    def compute(self, key: Key) -> Array:
        """The value at a point whose reads are all known."""
        node = self.graph[key[0]]
        values = self.values_at(node, key[1])
        match node.op.name:
            case "input":
                return self.input_value(node, key[1], values)
            case "param":
                return self.params[node.id][key[1]]
            case "merge":
                return self.merge_value(node, values)
        operands = [self.operand_value(node, *read) for read in self.active(node, values)]
        rounded = self.packed is None or node.id in self.packed
        if node.op.name == "matmul" and self.rounding is not None and rounded:
            position = weight_position(self.graph, node)
            operands = operands if position is None else [*self.rounding(operands, position)]
        points = self.bound_points(node, values) if node.bound is not None else ()
        return evaluate(node.op, operands, Site(node.type, values, self.real, points))

    def merge_value(self, node: Node, values: Mapping[str, int]) -> Array:
        """The value of the case that holds, else zero (false); a short shape fills the type's."""
        shape = shape_of(node.type, values)
        case = self.case(node, values)
        if case is None:
            return self.zero(node, values)
        found = convert(self.operand_value(node, case, values), node.type.dtype, self.real)
        spread = (found.shape[0], *(1,) * (len(shape) + 1 - found.ndim), *found.shape[1:])
        return np.broadcast_to(found.reshape(spread), (found.shape[0], *shape))

    def zero(self, node: Node, values: Mapping[str, int]) -> Array:
        shape = (1, *shape_of(node.type, values))
        return np.zeros(shape, numpy_dtype(node.type.dtype, self.real))

    def input_value(self, node: Node, point: Point, values: Mapping[str, int]) -> Array:
        """An input's array at a point; zero outside its grid."""
        if not node.domain.contains(values, values):
            return self.zero(node, values)
        layout = Layout.of(node.domain, self.graph)
        place = layout.place(point, self.sequence.sizes, self.sequence.starts)
        array = self.inputs[cast(str, node.op["name"])]
        value: Array = array[place][list(self.sequence.rows)]
        limits = int_range(node.type, values)
        if limits is not None:
            try:
                check_range(value, *limits)
            except EvaluationError as error:
                raise EvaluationError(f"{node.op['name']} at {point}: {error}") from None
        return value


def _affine(index: Index) -> Poly:
    if isinstance(index, DataIndex):
        raise AssertionError("an index operand is read at a data-dependent index")
    return index
