"""The walk through a graph: inputs, statements in order, loops, outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from rnnc.diagnostics import Span
from rnnc.ir.domain import Constraint
from rnnc.ir.graph import DataIndex, Graph, Node, Operand
from rnnc.ir.poly import Poly
from rnnc.ir.reads import value_operands
from rnnc.ir.signature import Layout, concrete_path, extent_names
from rnnc.version import VERSION

from .loops import Loop, box, carried, components, find_loop
from .operators import COMBINERS, OPERATORS, joined, neutral, reduced, stacked
from .places import Places, Site
from .recurrent import emit_recurrent, find_recurrents
from .unroll import Unrolled, refused, unroll
from .writer import NUMPY, Array, Axis, Scope, Value, Writer

OPSET = 18
IR_VERSION = 8  # the one that came with the opset


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
        extents = self._declare_inputs()
        self.places = Places(self.writer, extents, self._declare_lengths() if lengths else {})
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
        outputs = self._outputs()
        self.writer.prune([output.name for output in outputs])
        graph = helper.make_graph(
            self.writer.scope.nodes,
            self.source.name,
            self.inputs,
            outputs,
            list(self.writer.initializers.values()),
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="rnnc",
            producer_version=VERSION,
        )

    # ---- inputs and outputs -------------------------------------------------------------------

    def _info(self, name: str, node: Node, layout: Layout) -> Any:
        dims: list[int | str] = []
        for dim, extent in zip(layout.dims, layout.extents, strict=True):
            length = dim.extent.constant
            dims.append(length if length is not None else extent or str(dim.extent))
            if length is None and str(dim.extent) != extent:
                dims[-1] = str(dim.extent)
        shape = [size.constant for size in node.type.shape]
        onnx = self.writer.onnx
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(NUMPY[node.type.dtype]))
        return onnx.helper.make_tensor_value_info(name, kind, [*dims, "batch", *shape])

    def _declare_inputs(self) -> dict[str, Value]:
        """The extents as values: read off the inputs' shapes, or inputs themselves.

        Inputs with a default are initializers as well, of one point along every free axis.
        """
        extents: dict[str, Value] = {}
        inputs = self.source.inputs()
        required = [node for node in inputs if node.op["default"] is None]
        for node in inputs:
            name = self.writer.name(cast(str, node.op["name"]))
            layout = Layout.of(node.domain, self.source)
            self.inputs.append(self._info(name, node, layout))
            if node not in required:
                lengths = (dim.extent.constant or 1 for dim in layout.dims)
                shape = [*lengths, 1, *(cast(int, size.constant) for size in node.type.shape)]
                default = cast(float, node.op["default"])
                self.writer.array(np.full(shape, default, NUMPY[node.type.dtype]), name)
        for node in required or inputs[:1]:
            name = cast(str, node.op["name"])
            layout = Layout.of(node.domain, self.source)
            place = len(layout.dims)
            if self.batch is None:
                self.batch = self.writer.node("Shape", [name], "batch", start=place, end=place + 1)
            for at, (dim, extent) in enumerate(zip(layout.dims, layout.extents, strict=True)):
                known = extent is None or extent in extents or not required
                if extent is not None and not known and dim.extent == Poly.of(extent):
                    shape_at = self.writer.node("Shape", [name], "shape", start=at, end=at + 1)
                    size = self.writer.node("Squeeze", [shape_at], extent)
                    extents[extent] = Value(size, "int")
        helper, kinds = self.writer.onnx.helper, self.writer.onnx.TensorProto
        for extent in extent_names(self.source):
            if extent not in extents:
                name = self.writer.name(extent)
                self.inputs.append(helper.make_tensor_value_info(name, kinds.INT64, []))
                extents[extent] = Value(name, "int")
        return extents

    def _declare_lengths(self) -> dict[str, Value]:
        """The extents of each row. Raises RNN604 where rows would begin at different points."""
        names = frozenset(extent_names(self.source))
        for node in self.graph.nodes:
            bound = () if node.bound is None else node.bound.dims
            for dim in (*node.domain.dims, *bound):
                lower, upper = dim.lower or Poly(), dim.upper or Poly()
                grows = all(upper.coefficient(n) > 0 for n in names.intersection(upper.names))
                if names.intersection(lower.names) or not grows or not upper.is_affine:
                    span = node.spans[0] if node.spans else None
                    message = "rows of different lengths have different points here"
                    raise refused(f"{message}: {dim} cannot be exported with lengths", span)
        found: dict[str, Value] = {}
        helper, kinds = self.writer.onnx.helper, self.writer.onnx.TensorProto
        for extent in extent_names(self.source):
            name = self.writer.name(f"lengths_{extent}")
            self.inputs.append(helper.make_tensor_value_info(name, kinds.INT32, ["batch"]))
            if self.batch is None:
                self.batch = self.writer.node("Shape", [name], "batch")
            wide = self.writer.node("Cast", [name], f"{extent}.own", to=kinds.INT64)
            found[extent] = Value(wide, "int", 0, (), True)
        return found

    def _outputs(self) -> list[Any]:
        infos: list[Any] = []
        for output in self.source.outputs:
            names = self.unrolled.outputs[output.name]
            layout = Layout.of(output.domain, self.source)
            parts: list[str] = []
            for name in names:
                node = self.graph[name]
                self.span = node.spans[0] if node.spans else None
                dynamic = [dim for dim in layout.dims if not dim.static]
                own = {dim.name: dim for dim in node.domain.dims}
                axes: list[Axis] = []
                for dim, mine in zip(dynamic, own, strict=True):
                    assert dim.lower is not None and dim.upper is not None
                    axes.append(Axis(mine, dim.lower, dim.upper))
                site = Site(tuple(axes), {}, {}, {})
                access = tuple(Poly.of(axis.dim) for axis in axes)
                value = self.read(name, access, site)
                value = self.writer.cast(value, node.type.dtype)
                for axis in axes:
                    exists = self.places.existing(axis)
                    if exists is not None:
                        zero = self.writer.number(0, node.type.dtype)
                        value = self.writer.where(exists, value, zero, f"{name}.existing")
                parts.append(self.whole(value, tuple(axes), node))
            final = output.name
            node = self.source[output.node]
            static = [dim for dim in layout.dims if dim.static]
            if static:
                wide = [self.writer.unsqueeze(Value(part, "real"), [0]) for part in parts]
                joint = self.writer.node("Concat", wide, f"{final}.all", axis=0)
                sizes = [cast(int, dim.extent.constant) for dim in static]
                if len(sizes) > 1:
                    rest = self.writer.node("Shape", [joint], "shape", start=1)
                    shape = [self.writer.ints(*sizes), rest]
                    shape = [self.writer.node("Concat", shape, "shape", axis=0)]
                    joint = self.writer.node("Reshape", [joint, *shape], f"{final}.grid")
            else:
                [joint] = parts
            helper = self.writer.onnx.helper
            self.writer.scope.nodes.append(helper.make_node("Identity", [joint], [final]))
            infos.append(self._info(final, node, layout))
        return infos

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
                self.loop(part)
            else:
                self.single(self.graph[part[0]])
            for name in part:
                if name in self.values:
                    self.remember(name)

    def single(self, node: Node) -> None:
        """A node that is in no cycle; variables are read through, but in a loop."""
        self.span = node.spans[0] if node.spans else None
        if node.op.name != "merge":
            self.values[node.id] = self.statement(node)
        elif node.id in self.cycle:
            site = self.site(node, box(self.graph, node.id, self.cycle[node.id]))
            access = tuple(Poly.of(dim) for dim in node.domain.names)
            self.values[node.id] = self.cases(node.id, access, site)

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
                site = self.site(node, _bounds(node))
                return self.places.index(cast(Poly, node.op["value"]), site)
        site = self.site(node, _bounds(node))
        if node.bound is not None or node.op.name in ("reduce", "stack_points", "concat_points"):
            return self.reduction(node, site)
        values = [self.operand(node, operand, site) for operand in value_operands(node)]
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
        axes = tuple(Axis(n, *_bounds(node)[n]) for n in node.domain.names)
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
            value = self.operand(node, operand, inner)
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

    # ---- reads --------------------------------------------------------------------------------

    def operand(
        self, node: Node, operand: Operand, site: Site, at: Mapping[str, Poly] | None = None
    ) -> Value:
        """An operand of a node; `at` are the node's indices where they are not the site's own.

        An index that is a value is one of the site's indices, in its range, under a name.
        """
        moved = at or {}
        fixed, ranges = dict(site.fixed), dict(site.ranges)
        access: list[Poly] = []
        for index in operand.access:
            if isinstance(index, DataIndex):
                value = self.operand(node, node.operands[index.operand], site, at)
                name = f"?{value.name}"
                fixed[name] = self.writer.cast(value, "int")
                ranges[name] = index.lower.substitute(moved), index.upper.substitute(moved)
                index = Poly.of(name)
            access.append(index.substitute(moved))
        return self.read(operand.source, tuple(access), replace(site, fixed=fixed, ranges=ranges))

    def read(self, name: str, access: tuple[Poly, ...], site: Site) -> Value:
        """A node at the points that a site reads."""
        if self.graph[name].op.name == "merge" and not self.is_stored(name):
            return self.cases(name, access, site)
        if self.graph[name].op.name != "merge":
            return self.stored(name, access, site)
        inside: list[Constraint] = []
        node = self.graph[name]
        bounds = box(self.graph, name, self.cycle[name])
        for dim, index in zip(node.domain.names, access, strict=True):
            loop = self.carrier(name, site, dim)
            lower, upper = (loop.lower, loop.upper) if loop is not None else bounds[dim]
            outside = loop is None or loop not in site.names
            outside |= loop is not None and self.distance(name, loop, index, site) is None
            if outside:
                inside.append(Constraint(index - lower, ">="))
            if outside or (loop is not None and not loop.forward and self.places.is_ragged(upper)):
                inside.append(Constraint(upper - 1 - index, ">="))
        if self.places.never(site, *inside):
            return self.cases(name, access, site, outside=True)
        value = self.stored(name, access, site)
        holds = self.places.condition(tuple(inside), site)
        if holds is None:
            return value
        rest = self.cases(name, access, site, outside=True)
        return self.writer.where(holds, value, self.writer.cast(rest, value.dtype), f"{name}.read")

    def is_stored(self, name: str) -> bool:
        return name in self.values or any(name in loop.dims for loop, _ in self.stack)

    def carrier(self, name: str, site: Site, dim: str) -> Loop | None:
        """The loop that the node was computed in along a dim."""
        for loop in self.around.get(name, ()):
            if loop.dims[name] == dim:
                return loop
        return None

    def distance(self, name: str, loop: Loop, index: Poly, site: Site) -> int | None:
        """How many steps of a loop around both ago a member is read; None if that varies."""
        if loop not in site.names:
            return None
        constant = (Poly.of(site.names[loop]) - index).constant
        return None if constant is None else abs(constant)

    def cases(
        self, name: str, access: tuple[Poly, ...], site: Site, outside: bool = False
    ) -> Value:
        """A variable, from its equations; `outside` takes those alone that are in no loop."""
        node = self.graph[name]
        at = dict(zip(node.domain.names, access, strict=True))
        dtype = node.type.dtype
        value: Value | None = None
        for case in value_operands(node):
            if outside and case.source in self.cycle.get(name, ()):
                continue
            assert case.guard is not None
            limits = (*case.guard.bounds, *case.guard.constraints)
            guard = tuple(constraint.substitute(at) for constraint in limits)
            if self.places.never(site, *guard):
                continue
            holds = self.places.condition(guard, site)
            found = self.writer.cast(self.operand(node, case, site, at), dtype)
            if holds is None:
                return found
            value = self.writer.where(holds, found, value or self.filled(node, 0), f"{name}.case")
        return value or self.filled(node, 0)

    def filled(self, node: Node, number: bool | int | float) -> Value:
        """A constant of a node's type."""
        shape = [cast(int, size.constant) for size in node.type.shape]
        array = np.full(shape, number, NUMPY[node.type.dtype])
        return Value(self.writer.constant(array), node.type.dtype, len(shape))

    def stored(self, name: str, access: tuple[Poly, ...], site: Site) -> Value:
        """An array that is there, at the points that a site reads."""
        node = self.graph[name]
        at = dict(zip(node.domain.names, access, strict=True))
        value = self.values.get(name)
        for loop in self.around.get(name, ()):
            if loop not in site.names:
                break
            distance = self.distance(name, loop, at[loop.dims[name]], site)
            if distance is None:
                value = self.histories[loop][name]
                break
            if distance:
                value = self.states[loop][name, distance]
                break
        assert value is not None, f"{name} is read before it is computed"
        for axis in value.axes:
            value = self.along(value, axis, at[axis.dim], site)
        return value

    def along(self, value: Value, axis: Axis, index: Poly, site: Site) -> Value:
        """The array with one axis read at an index of the site."""
        marked = [a.dim for a in value.axes]
        place = marked.index(axis.dim)
        for mine in site.axes:
            same = mine.lower == axis.lower and mine.upper == axis.upper
            if same and index == Poly.of(mine.dim):
                return self.renamed(value, place, (replace(mine, dim=f"#{mine.dim}"),))
        found = self.places.index(index - axis.lower, site)
        length = axis.upper - axis.lower
        ends = Constraint(index - axis.lower, ">="), Constraint(axis.upper - 1 - index, ">=")
        if found.batch or not all(self.places.always(site, end) for end in ends):
            found = self.places.clipped(found, length)
        marks = tuple(replace(mine, dim=f"#{mine.dim}") for mine in found.axes)
        if found.batch:
            return self.renamed(self.by_row(value, place, found), place, marks)
        name = self.writer.node("Gather", [value.name, found.name], f"{value.name}.at", axis=place)
        return self.renamed(replace(value, name=name), place, marks)

    def by_row(self, value: Value, place: int, index: Value) -> Value:
        """The array with one axis read at an index of each row."""
        writer, hint = self.writer, f"{value.name}.at"
        before, more, after = place, len(index.axes), len(value.axes) - place - 1
        own = range(value.rank)
        if not value.batch:
            name = writer.node("Gather", [value.name, index.name], hint, axis=place)
            batch, rest = before + more, range(before + more + 1, before + more + 1 + after)
            own = range(before + more + 1 + after, before + more + 1 + after + value.rank)
            perm = [*range(before + more), *rest, batch, *own]
            name = writer.node("Transpose", [name], hint, perm=perm)
            return replace(value, name=name, batch=True)
        axes = len(value.axes)
        perm = [axes, place, *range(place), *range(place + 1, axes)]
        perm += range(axes + 1, axes + 1 + value.rank)
        rows = writer.node("Transpose", [value.name], hint, perm=perm)
        at = writer.node("Transpose", [index.name], f"{hint}.row", perm=[more, *range(more)])
        at = writer.node("Unsqueeze", [at, writer.ints(-1)], f"{hint}.row")
        name = writer.node("GatherND", [rows, at], hint, batch_dims=1)
        # [batch, the index's axes, those before, those behind, own ones]
        perm = [*range(1 + more, 1 + more + before), *range(1, 1 + more)]
        perm += [*range(1 + more + before, 1 + more + before + after), 0]
        perm += range(1 + more + before + after, 1 + more + before + after + value.rank)
        return replace(value, name=writer.node("Transpose", [name], hint, perm=perm))

    def renamed(self, value: Value, place: int, axes: tuple[Axis, ...]) -> Value:
        """The axis at a place is these now; the mark `#` goes when all are the reader's."""
        found = (*value.axes[:place], *axes, *value.axes[place + 1 :])
        dims = [axis.dim for axis in found]
        if len(set(dims)) != len(dims):
            raise refused("a diagonal of the grid cannot be exported", self.span)
        if all(dim.startswith("#") for dim in dims):
            found = tuple(replace(axis, dim=axis.dim.removeprefix("#")) for axis in found)
        return replace(value, axes=found)

    # ---- loops --------------------------------------------------------------------------------

    def loop(self, members: tuple[str, ...]) -> None:
        """A Scan."""
        loop = find_loop(self.graph, members, [loop for loop, _ in self.stack])
        for name in members:
            self.cycle.setdefault(name, members)
        states = [(s, step) for s, delay in loop.delays.items() for step in range(1, delay + 1)]
        first = [self.before(loop, name, step) for name, step in states]
        empty = [self.nothing(loop, name) for name in loop.kept]
        axis = Axis(self.writer.name(loop.dims[members[0]]), loop.lower, loop.upper)
        steps = self.places.range(axis)

        outer, self.writer.scope = self.writer.scope, Scope(self.writer.scope)
        index = Value(self.writer.name(f"{axis.dim}.now"), "int")
        inputs: list[Value] = []
        carried_on: dict[tuple[str, int], Value] = {}
        for (name, step), value in zip(states, first, strict=True):
            inside = replace(value, name=self.writer.name(f"{name}.{step}ago"))
            carried_on[name, step] = inside
            inputs.append(inside)
        self.states[loop] = carried_on
        self.histories[loop] = {}
        for name, value in zip(loop.kept, empty, strict=True):
            inside = replace(value, name=self.writer.name(f"{name}.history"))
            self.histories[loop][name] = inside
            inputs.append(inside)
        for name in members:
            self.around[name] = (*self.around.get(name, ()), loop)
        self.stack.append((loop, index))
        self.emit(members)
        nexts: list[str] = []
        for (name, step), value in zip(states, first, strict=True):
            now = carried_on[name, step - 1] if step > 1 else self.values[name]
            now = self.writer.cast(now, value.dtype)
            nexts.append(self.copy(self.whole(now, value.axes, self.graph[name])))
        nexts += [self.copy(self.histories[loop][name].name) for name in loop.kept]
        kept = [name for name in members if self.is_needed(name, members)]
        wholes: list[tuple[str, Value]] = []
        for name in kept:
            value = self.values[name]
            nexts.append(self.copy(self.whole(value, value.axes, self.graph[name])))
            wholes.append((name, replace(value, batch=True, rank=self.graph[name].type.rank)))
        self.stack.pop()
        body = self.body(f"{axis.dim}.step", [*inputs, index], nexts)
        self.writer.scope = outer

        backwards = 0 if loop.forward else 1
        hints = [f"{name}.{step}last" for name, step in states]
        hints += [f"{name}.all" for name in loop.kept]
        outputs = self.writer.nodes(
            "Scan",
            [*(value.name for value in (*first, *empty)), steps.name],
            [*hints, *kept],
            body=body,
            num_scan_inputs=1,
            scan_input_directions=[backwards],
            scan_output_directions=[backwards] * len(kept),
        )
        for name in members:
            self.values.pop(name, None)
            self.around[name] = self.around[name][:-1] if self.stack else self.around[name]
        for (name, value), array in zip(wholes, outputs[len(first) + len(empty) :], strict=True):
            whole = Axis(loop.dims[name], loop.lower, loop.upper)
            self.values[name] = replace(value, name=array, axes=(whole, *value.axes))

    def copy(self, name: str) -> str:
        """An output of a body is no input of it, and no other output."""
        return self.writer.node("Identity", [name], f"{name}.out")

    def before(self, loop: Loop, name: str, step: int) -> Value:
        """A member as it was so many steps before the loop begins."""
        node = self.graph[name]
        bounds = box(self.graph, name, self.cycle[name])
        full = self.site(node, {**_bounds(node), **bounds})
        dim = loop.dims[name]
        axes = tuple(axis for axis in full.axes if axis.dim != dim)
        site = replace(full, axes=axes)
        at = loop.lower - step if loop.forward else loop.upper - 1 + step
        access = tuple(at if other == dim else Poly.of(other) for other in node.domain.names)
        merged = node.op.name == "merge"
        value = self.cases(name, access, site, outside=True) if merged else self.filled(node, 0)
        dtype = node.type.dtype
        whole = self.whole(self.writer.cast(value, dtype), axes, node)
        return Value(whole, dtype, node.type.rank, axes, True)

    def nothing(self, loop: Loop, name: str) -> Value:
        """A member at all steps of a loop, before it begins: zeros."""
        node = self.graph[name]
        site = self.site(node, {**_bounds(node), **box(self.graph, name, self.cycle[name])})
        whole = Axis(loop.dims[name], loop.lower, loop.upper)
        axes = (whole, *(axis for axis in site.axes if axis.dim != whole.dim))
        zeros = self.whole(self.filled(node, 0), axes, node)
        return Value(zeros, node.type.dtype, node.type.rank, axes, True)

    def remember(self, name: str) -> None:
        """Puts what a member is at this step where all its steps are."""
        for loop, index in self.stack:
            if name not in loop.kept:
                continue
            history = self.histories[loop][name]
            whole = history.axes[0]
            here = self.writer.pointwise(
                "Equal", [self.places.range(whole), index], "bool", f"{name}.here"
            )
            now = self.writer.cast(self.values[name], history.dtype)
            found = self.writer.where(here, now, history, f"{name}.history")
            made = self.whole(found, history.axes, self.graph[name])
            self.histories[loop][name] = replace(history, name=made)

    def is_needed(self, name: str, members: tuple[str, ...]) -> bool:
        """Whether anybody outside of the loop that is open reads it."""
        loops = [loop for loop, _ in self.stack[:-1]]
        if any(name in output for output in self.unrolled.outputs.values()):
            return True
        if any(name in loop.delays or name in loop.kept for loop in loops):
            return True
        for reader, position in self.graph.readers(name):
            operand = reader.operands[position]
            if reader.id not in members or carried(self.graph, reader.id, operand, loops):
                return True
        return False

    def body(self, name: str, inputs: Sequence[Value], outputs: Sequence[str]) -> Any:
        helper = self.writer.onnx.helper
        infos = []
        for value in inputs:
            kind = helper.np_dtype_to_tensor_dtype(np.dtype(NUMPY[value.dtype]))
            infos.append(helper.make_tensor_value_info(value.name, kind, None))
        made = [helper.make_empty_tensor_value_info(output) for output in outputs]
        return helper.make_graph(self.writer.scope.nodes, name, infos, made)


def _bounds(node: Node) -> dict[str, tuple[Poly, Poly]]:
    """Of the dims that have both; those of a variable may be open."""
    return {
        dim.name: (dim.lower, dim.upper)
        for dim in node.domain.dims
        if dim.lower is not None and dim.upper is not None
    }


def _ends(lower: Poly | None, upper: Poly | None) -> tuple[Poly, Poly]:
    assert lower is not None and upper is not None, "bound dims are closed"
    return lower, upper
