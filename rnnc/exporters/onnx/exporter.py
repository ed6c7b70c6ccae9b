"""The walk through a graph: statements in order, at all their points at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from rnnc.diagnostics import Span
from rnnc.ir.domain import Constraint
from rnnc.ir.graph import Graph, Node
from rnnc.ir.poly import Poly
from rnnc.ir.reads import value_operands
from rnnc.ir.signature import Layout, concrete_path

from .loops import Loop, bounds_of, box, components
from .operators import COMBINERS, OPERATORS, joined, neutral, reduced, stacked
from .places import Places, Site
from .ports import declare_inputs, declare_lengths, write_outputs
from .reads import cases, read_operand
from .recurrent import emit_recurrent, find_recurrents
from .scans import emit_scan, remember
from .unroll import Unrolled, refused, unroll
from .writer import NUMPY, Array, Axis, Value, Writer, finished


def export_onnx(graph: Graph, params: Mapping[str, Array], lengths: bool = False) -> Any:
    """The model as an `onnx.ModelProto`, with `params` (by concrete path) as initializers.

    Inputs and outputs have the names, axes and order of the spec, in float32, int64 and bool;
    extents and batch are free, and at least 1. Statics of the graph must be numbers, and nothing
    in it complex. With `lengths`, inputs `lengths_T` (int32 [batch]) give each row its own extents;
    outputs beyond them are zero.

    Raises RNN604, with the place, for what ONNX cannot say.
    """
    return Export(graph, params, lengths).model()


class Export:
    """One model on its way."""

    def __init__(self, graph: Graph, params: Mapping[str, Array], lengths: bool) -> None:
        self.source = graph
        self.params = params
        self.unrolled: Unrolled = unroll(graph)
        self.graph = self.unrolled.graph
        self.writer = Writer()
        self.inputs: list[Any] = []
        self.batch: str | None = None  # [1], how many rows there are
        for output in graph.outputs:
            self.writer.name(output.name)
        extents = declare_inputs(self)
        self.places = Places(self.writer, extents, declare_lengths(self) if lengths else {})
        self.values: dict[str, Value] = {}
        self.states: dict[Loop, dict[tuple[str, int], Value]] = {}
        self.histories: dict[Loop, dict[str, Value]] = {}
        self.around: dict[str, tuple[Loop, ...]] = {}  # the loops that a member is in
        self.cycle: dict[str, tuple[str, ...]] = {}  # the members of the outermost one
        self.stack: list[tuple[Loop, Value]] = []
        self.span: Span | None = None  # of what is being written

    def model(self) -> Any:
        helper = self.writer.onnx.helper
        self.emit([node.id for node in self.graph.nodes])
        outputs = write_outputs(self)
        self.writer.prune([output.name for output in outputs])
        graph = helper.make_graph(
            self.writer.scope.nodes,
            self.source.name,
            self.inputs,
            outputs,
            list(self.writer.initializers.values()),
        )
        return finished(graph)

    def whole(self, value: Value, axes: Sequence[Axis], node: Node) -> str:
        """The array with all these axes and the batch, repeated where it does not vary."""
        value = self.writer.transpose(value, axes)
        mine = [axis.dim for axis in value.axes]
        if value.batch and len(mine) == len(axes) and value.rank == node.type.rank:
            return value.name
        missing = [place for place, axis in enumerate(axes) if axis.dim not in mine]
        missing += [] if value.batch else [len(axes)]
        wide = self.writer.unsqueeze(value, missing)
        lengths = [self.places.length(axis) for axis in axes]
        lengths.append(self.batch or self.writer.ints(1))
        shape = [size.constant for size in node.type.shape]
        lengths.append(self.writer.ints(*cast(list[int], shape)))
        joint = self.writer.node("Concat", lengths, "shape", axis=0)
        return self.writer.node("Expand", [wide, joint], f"{node.id}.whole")

    # ---- statements ---------------------------------------------------------------------------

    def emit(self, members: Sequence[str]) -> None:
        """The members, in the loops that are open."""
        loops = [loop for loop, _ in self.stack]
        parts = components(self.graph, members, loops)
        cells = [] if loops else find_recurrents(self, [part for part, cyclic in parts if cyclic])
        if any(len(directions) > 1 for directions in cells):
            together = [
                (one.members[0], other.members[0]) for one, *rest in cells for other in rest
            ]
            parts = components(self.graph, members, loops, together)
        operators = {frozenset(m for one in cell for m in one.members): cell for cell in cells}
        for part, cyclic in parts:
            if frozenset(part) in operators:
                emit_recurrent(self, operators[frozenset(part)])
            elif cyclic:
                emit_scan(self, part)
            else:
                self.single(self.graph[part[0]])
            for name in part:
                if name in self.values:
                    remember(self, name)

    def single(self, node: Node) -> None:
        """A node that is in no cycle; variables are read through, but in a loop."""
        self.span = node.spans[0] if node.spans else None
        if node.op.name != "merge":
            self.values[node.id] = self.statement(node)
        elif node.id in self.cycle:
            site = self.site(node, box(self.graph, node.id, self.cycle[node.id]))
            access = tuple(Poly.of(dim) for dim in node.domain.names)
            self.values[node.id] = cases(self, node.id, access, site)

    def site(self, node: Node, bounds: Mapping[str, tuple[Poly, Poly]]) -> Site:
        """Where a node is computed, with the loops that are open."""
        fixed: dict[str, Value] = {}
        names: dict[Loop, str] = {}
        ranges: dict[str, tuple[Poly, Poly]] = {}
        for loop, index in self.stack:
            if node.id in loop.dims:
                name = loop.dims[node.id]
                fixed[name] = index
                names[loop] = name
                ranges[name] = loop.lower, loop.upper
        axes = tuple(Axis(n, *bounds[n]) for n in node.domain.names if n not in fixed)
        return Site(axes, fixed, names, ranges)

    def statement(self, node: Node) -> Value:
        """What a node that is no variable computes, at all its points within the open loops."""
        match node.op.name:
            case "input":
                return self.input(node)
            case "param":
                return self.param(node)
            case "index":
                site = self.site(node, bounds_of(node))
                return self.places.index(cast(Poly, node.op["value"]), site)
        site = self.site(node, bounds_of(node))
        if node.bound is not None or node.op.name in ("reduce", "stack_points", "concat_points"):
            return self.reduction(node, site)
        values = [read_operand(self, node, operand, site) for operand in value_operands(node)]
        if node.op.name == "pick":
            return self.pick(node, values[0], site)
        if node.op.name not in OPERATORS:
            span = node.spans[0] if node.spans else None
            raise refused(f"'{node.op.name}' cannot be exported", span)
        return OPERATORS[node.op.name](self.writer, node, values)

    def input(self, node: Node) -> Value:
        origin, point = self.unrolled.points[node.id]
        layout = Layout.of(origin.domain, self.source)
        name = self.whole_input(origin, layout)
        for dim in layout.dims:
            if dim.static:
                at = point[dim.name] - cast(int, cast(Poly, dim.lower).constant)
                index = self.writer.number(at, "int").name
                name = self.writer.node("Gather", [name, index], f"{node.id}.at", axis=0)
        axes = tuple(Axis(n, *bounds_of(node)[n]) for n in node.domain.names)
        return Value(name, node.type.dtype, node.type.rank, axes, True)

    def whole_input(self, node: Node, layout: Layout) -> str:
        """The array of an input; what may be one point is repeated."""
        name = cast(str, node.op["name"])
        if node.op["default"] is None or self.batch is None:
            return name
        found = self.writer.scope.find(("whole", name))
        if found is None:
            lengths = [
                self.places.length(Axis(dim.name, *_ends(dim.lower, dim.upper)))
                for dim in layout.dims
            ]
            sizes = [cast(int, size.constant) for size in node.type.shape]
            lengths += [self.batch, self.writer.ints(*sizes)]
            shape = self.writer.node("Concat", lengths, "shape", axis=0)
            wide = self.writer.node("Expand", [name, shape], f"{name}.whole")
            found = self.writer.once(("whole", name), Value(wide, node.type.dtype))
        return found.name

    def param(self, node: Node) -> Value:
        path = concrete_path(*self.unrolled.points[node.id])
        if path not in self.writer.initializers:
            array = self.array(node).astype(NUMPY[node.type.dtype])
            self.writer.array(array, self.writer.name(path))
        return Value(path, node.type.dtype, node.type.rank)

    def array(self, node: Node) -> Array:
        """The values of a param."""
        return np.asarray(self.params[concrete_path(*self.unrolled.points[node.id])])

    def pick(self, node: Node, value: Value, site: Site) -> Value:
        axis = cast(int, node.op["axis"])
        index = self.places.index(cast(Poly, node.op["at"]), site)
        if index.own:
            raise refused("an axis at an index that varies", node.spans[0] if node.spans else None)
        arguments = [value.name, index.name]
        name = self.writer.node("Gather", arguments, node.id, axis=value.own + axis)
        return replace(value, name=name, rank=value.rank - 1)

    def reduction(self, node: Node, site: Site) -> Value:
        """Over static points, which are operands, and over run-time ones, which are axes."""
        bound = () if node.bound is None else node.bound.dims
        over = tuple(Axis(dim.name, *_ends(dim.lower, dim.upper)) for dim in bound)
        inner = replace(site, axes=site.axes + over)
        terms: list[Value] = []
        kind = str(dict(node.op.attributes).get("kind", ""))
        for operand in value_operands(node):
            value = read_operand(self, node, operand, inner)
            guard = operand.guard if operand.guard is not None else node.bound
            constraints = () if guard is None else guard.constraints
            terms.append(self.term(node, kind, value, constraints, inner, over))
        dtype = node.type.dtype
        match node.op.name:
            case "stack_points" if terms and not over:
                found = stacked(self.writer, terms, dtype, node.id)
                return self.grid(node, found)
            case "concat_points" if terms and not over:
                return joined(self.writer, terms, 0, dtype, node.id)
        if not terms and kind and kind != "argmax":
            return self.filled(node, neutral(kind, dtype))
        if kind not in COMBINERS:
            if kind == "argmax" and len(over) == 1 and len(terms) == 1:
                return terms[0]
            span = node.spans[0] if node.spans else None
            raise refused(f"'{kind or node.op.name}' over these points cannot be exported", span)
        operator = COMBINERS[kind]
        total = self.writer.cast(terms[0], dtype)
        for value in terms[1:]:
            pair = [total, self.writer.cast(value, dtype)]
            if dtype == "bool" and kind in ("max", "min"):
                operator = "Or" if kind == "max" else "And"
            total = self.writer.pointwise(operator, pair, dtype, node.id)
        return total

    def grid(self, node: Node, value: Value) -> Value:
        """The leading axis of stacked points as the axes that the type says."""
        if value.rank == node.type.rank:
            return value
        shape = [cast(int, size.constant) for size in node.type.shape]
        target = self.writer.ints(*[0] * value.own, *shape)
        name = self.writer.node("Reshape", [value.name, target], f"{node.id}.grid")
        return replace(value, name=name, rank=len(shape))

    def term(
        self,
        node: Node,
        kind: str,
        value: Value,
        constraints: tuple[Constraint, ...],
        site: Site,
        over: tuple[Axis, ...],
    ) -> Value:
        """One operand of a reduction, masked and summed over its run-time axes."""
        fill = "max" if kind == "argmax" else kind
        dtype = value.dtype if kind == "argmax" or not kind else node.type.dtype
        value = self.writer.cast(value, dtype)
        conditions = [self.places.condition(constraints, site), *map(self.places.existing, over)]
        for holds in conditions:
            if holds is None:
                continue
            rest = self.writer.number(neutral(fill, dtype), dtype)
            value = self.writer.where(holds, value, rest, f"{node.id}.held")
        for axis in over:
            if axis.dim not in [mine.dim for mine in value.axes]:
                zeros = Value(self.places.range(axis).name, "int", 0, (axis,))
                zeros = self.writer.pointwise("Sub", [zeros, zeros], "int", "zeros")
                zeros = self.writer.cast(zeros, "int" if dtype == "bool" else dtype)
                if dtype == "bool":
                    zeros = self.writer.cast(zeros, "bool")
                op = "Or" if dtype == "bool" else "Add"
                value = self.writer.pointwise(op, [value, zeros], dtype, f"{node.id}.each")
            place = [mine.dim for mine in value.axes].index(axis.dim)
            moved = replace(value, axes=(), batch=False, rank=value.own + value.rank)
            result = reduced(self.writer, node, moved, place)
            if kind == "argmax":
                first = self.places.index(axis.lower, Site((), {}, {}, {}))
                result = self.writer.pointwise("Add", [result, first], "int", f"{node.id}.index")
            axes = value.axes[:place] + value.axes[place + 1 :]
            value = replace(value, name=result.name, dtype=result.dtype, axes=axes)
        return value

    def filled(self, node: Node, number: bool | int | float) -> Value:
        """A constant of a node's type."""
        shape = [cast(int, size.constant) for size in node.type.shape]
        array = np.full(shape, number, NUMPY[node.type.dtype])
        return Value(self.writer.constant(array), node.type.dtype, len(shape))


def _ends(lower: Poly | None, upper: Poly | None) -> tuple[Poly, Poly]:
    assert lower is not None and upper is not None, "bound dims are closed"
    return lower, upper
