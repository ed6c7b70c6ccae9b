"""From nodes to elements: which scalar expression gives one element of a node's value.

Views (slices, reshapes, concatenations, ...) are never stored: an element of a view is an element
of what it looks at, with other indices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from rnnc.analysis.boxes import interval, never_negative
from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.ir.domain import Constraint, Domain
from rnnc.ir.graph import DataIndex, Graph, Node, Operand
from rnnc.ir.ops import ReductionKind
from rnnc.ir.poly import Poly, PolyLike
from rnnc.ir.reads import value_operands
from rnnc.ir.types import DType, TensorType, promote
from rnnc.plan.expression import (
    Apply,
    Branch,
    Constant,
    Contract,
    Expression,
    IndexValue,
    Load,
    Local,
    Loop,
    Reduce,
    Weight,
    element,
)
from rnnc.plan.storage import Storage

Position = Poly | Expression  # of a grid dim or of an element axis
Point = Mapping[str, Position]


@dataclass(slots=True)
class ElementBuilder:
    """Builds the expressions of one kernel.

    `locals` are the nodes that the kernel defines itself; `limits` says which run-time extent ends
    a loop variable (rows may be shorter).
    """

    graph: Graph
    storage: Storage
    locals: frozenset[str]
    batched: bool
    limits: dict[str, str]
    loops: int = field(default=0)

    # ---- statements ---------------------------------------------------------------------------

    def statement(self, node: Node) -> Expression:
        """One element (at `e0`, `e1`, ...) of a computed node at its own point."""
        point: dict[str, Position] = {name: Poly.of(name) for name in node.domain.names}
        axes: list[Position] = [Poly.of(element(axis)) for axis in range(node.type.rank)]
        return self.computed(node, point, axes)

    def computed(self, node: Node, point: Point, axes: list[Position]) -> Expression:
        name, dtype = node.op.name, node.type.dtype
        match name:
            case "constant":
                return self.number(node)
            case "matmul":
                return self.product(node, point, axes)
            case "reduce_axis":
                return self.axis_reduction(node, point, axes)
            case "cumsum":
                return self.running_sum(node, point, axes)
            case "reduce":
                return self.grid_reduction(node, point, axes)
            case "stack_points" | "concat_points":
                return self.collected(node, point, axes)
            case "stop_gradient" | "dropout" | "straight_through":
                return self.operand(node, 0, point, axes)
            case "fft" | "ifft":
                raise unsupported(node, f"'{name}' has no CPU kernel yet")
        arguments = [
            self.operand(node, position, point, axes)
            for position in range(len(value_operands(node)))
        ]
        return Apply(name, self.promoted(node, arguments), dtype, node.op.attributes)

    def promoted(self, node: Node, arguments: list[Expression]) -> tuple[Expression, ...]:
        """Arguments brought to the dtype in which the op computes."""
        name = node.op.name
        dtypes = [self.graph[read.source].type.dtype for read in value_operands(node)]
        if name in ("cast", "not"):
            return tuple(arguments)
        if name in ("eq", "ne", "lt", "le", "gt", "ge"):
            wide = promote(*dtypes)
            wide = "int" if wide == "bool" else wide
            return tuple(convert(value, wide) for value in arguments)
        if name == "select":
            condition, *values = arguments
            return (condition, *(convert(value, node.type.dtype) for value in values))
        return tuple(convert(value, node.type.dtype) for value in arguments)

    # ---- reads --------------------------------------------------------------------------------

    def operand(self, node: Node, position: int, point: Point, axes: list[Position]) -> Expression:
        """An element of an operand; a shape that is a suffix repeats along the leading axes."""
        read = node.operands[position]
        source = self.graph[read.source]
        own = axes[len(axes) - source.type.rank :] if source.type.rank else []
        at = self.access(node, read, point)
        if source.id in self.locals and all(
            at[name] == Poly.of(name) for name in source.domain.names
        ):
            return Local(source.id, source.type.dtype)
        return self.value(source, at, own)

    def access(self, node: Node, read: Operand, point: Point) -> dict[str, Position]:
        """The point of the source that `node`, at `point`, reads."""
        source = self.graph[read.source]
        at: dict[str, Position] = {}
        for name, index in zip(source.domain.names, read.access, strict=True):
            if isinstance(index, DataIndex):
                at[name] = self.operand(node, index.operand, point, [])
            else:
                at[name] = substitute(node, index, point)
        return at

    def value(self, source: Node, at: Point, axes: list[Position]) -> Expression:
        """An element of any node at a point."""
        name = source.op.name
        home = self.storage.homes.get(source.id)
        if home is not None:
            return self.load(source, home.buffer, home.index, at, axes)
        match name:
            case "constant":
                return self.number(source)
            case "index":
                poly = cast(Poly, source.op["value"])
                return IndexValue(substitute(source, poly, at), self.batched)
            case "eye":
                row, column = axes
                same = Constraint(plain(source, row) - plain(source, column), "==")
                one, zero = Constant(1.0, "real"), Constant(0.0, "real")
                return Branch((same,), one, zero, "real")
            case "concat" | "stack":
                return self.parts(source, at, axes)
            case "slice" | "pick" | "reshape" | "broadcast" | "flip" | "gather":
                return self.operand_view(source, at, axes)
        raise AssertionError(f"{source.id} ({name}) is read but neither stored nor local")

    def number(self, node: Node) -> Constant:
        value = node.op["value"]
        assert isinstance(value, (bool, int, float))
        return Constant(value, node.type.dtype)

    def load(
        self,
        source: Node,
        buffer: str,
        places: tuple[Poly, ...],
        at: Point,
        axes: list[Position],
    ) -> Load:
        index: list[Position] = []
        for place in places:
            direct = next((name for name in at if place == Poly.of(name)), None)
            index.append(at[direct] if direct is not None else substitute(source, place, at))
        clamped = tuple(
            self.storage.may_leave(buffer, number, entry, self.limits)
            for number, entry in enumerate(index)
        )
        return Load(buffer, tuple(index), tuple(axes), source.type.dtype, clamped)

    # ---- views --------------------------------------------------------------------------------

    def operand_view(self, view: Node, at: Point, axes: list[Position]) -> Expression:
        shape = self.graph[view.operands[0].source].type.shape
        attributes = dict(view.op.attributes)
        match view.op.name:
            case "slice":
                axis, start = cast(int, attributes["axis"]), cast(Poly, attributes["start"])
                inner = [*axes]
                inner[axis] = plain(view, axes[axis]) + start if start.terms else axes[axis]
            case "pick":
                axis = cast(int, attributes["axis"])
                index, size = cast(Poly, attributes["at"]), number(view, shape[axis])
                where: Position = substitute(view, index, at)
                if not picks_inside(index, view.domain, size):
                    where = clamped(IndexValue(cast(Poly, where), self.batched), size)
                inner = [*axes[:axis], where, *axes[axis:]]
            case "flip":
                axis = cast(int, attributes["axis"])
                inner = [*axes]
                inner[axis] = shape[axis] - 1 - plain(view, axes[axis])
            case "broadcast":
                inner = [axes[axis] for axis in cast(tuple[int, ...], attributes["axes"])]
            case "gather":
                axis = cast(int, attributes["axis"])
                found = self.graph[view.operands[1].source].type
                place = self.operand(view, 1, at, axes[axis : axis + found.rank])
                size = number(view, shape[axis])
                inside = place if lies_inside(found, size) else clamped(place, size)
                inner = [*axes[:axis], inside, *axes[axis + found.rank :]]
            case _:
                inner = reshaped(view, axes, view.type.shape, shape)
        return self.view_operand(view, 0, at, inner)

    def view_operand(
        self, view: Node, position: int, at: Point, axes: list[Position]
    ) -> Expression:
        read = view.operands[position]
        source = self.graph[read.source]
        return self.value(source, self.access(view, read, at), axes)

    def parts(self, view: Node, at: Point, axes: list[Position]) -> Expression:
        """An element of a concatenation or stack: found in the part that holds its index."""
        axis = cast(int, view.op["axis"]) if view.op.name == "concat" else 0
        where = plain(view, axes[axis])
        offset = 0
        pieces: list[tuple[int, Expression]] = []
        for read in view.operands:
            source = self.graph[read.source]
            inner = [*axes]
            if view.op.name == "concat":
                inner[axis] = where - offset
                offset += number(view, source.type.shape[axis])
            else:
                inner = inner[1:]
                offset += 1
            rank = source.type.rank
            own = inner[len(inner) - rank :] if rank else []
            piece = self.value(source, self.access(view, read, at), own)
            pieces.append((offset, convert(piece, view.type.dtype)))
        result = pieces[-1][1]
        for end, piece in reversed(pieces[:-1]):
            result = choose(Constraint(end - 1 - where, ">="), piece, result, view.type.dtype)
        return result

    # ---- products and reductions --------------------------------------------------------------

    def fresh(self) -> str:
        self.loops += 1
        return f"k{self.loops}"

    def product(self, node: Node, point: Point, axes: list[Position]) -> Expression:
        left, right = (self.graph[read.source] for read in node.operands)
        k = self.fresh()
        inner: Position = Poly.of(k)
        left_axes: list[Position] = [axes[0], inner] if left.type.rank == 2 else [inner]
        right_axes: list[Position] = [inner, axes[-1]] if right.type.rank == 2 else [inner]
        size = number(node, left.type.shape[-1])
        a = self.stored_operand(node, 0, point, left_axes)
        b = self.stored_operand(node, 1, point, right_axes)
        if node.type.dtype == "real" and node.type.rank:
            rows = number(node, node.type.shape[-1])
            column = axes[-1]
            weight, vector = (b, a) if right.type.rank == 2 else (a, b)
            contract = contraction(self.storage, weight, vector, column, k, rows, size)
            if contract is not None:
                return contract
        terms = convert(a, node.type.dtype), convert(b, node.type.dtype)
        body = Apply("mul", terms, node.type.dtype)
        return Reduce("sum", (Loop(k, Poly(), Poly.of(size)),), (), body, node.type.dtype)

    def stored_operand(
        self, node: Node, position: int, point: Point, axes: list[Position]
    ) -> Expression:
        """An operand at other elements than the kernel's own: never a local."""
        read = node.operands[position]
        return self.value(self.graph[read.source], self.access(node, read, point), axes)

    def axis_reduction(self, node: Node, point: Point, axes: list[Position]) -> Expression:
        axis, k = cast(int, node.op["axis"]), self.fresh()
        source = self.graph[node.operands[0].source]
        inner = [*axes[:axis], Poly.of(k), *axes[axis:]]
        body = self.stored_operand(node, 0, point, inner)
        loop = Loop(k, Poly(), source.type.shape[axis])
        return reduction(node, (loop,), (), body)

    def running_sum(self, node: Node, point: Point, axes: list[Position]) -> Expression:
        axis, k = cast(int, node.op["axis"]), self.fresh()
        inner = [*axes]
        inner[axis] = Poly.of(k)
        body = self.stored_operand(node, 0, point, inner)
        loop = Loop(k, Poly(), plain(node, axes[axis]) + 1)
        return Reduce("sum", (loop,), (), convert(body, node.type.dtype), node.type.dtype)

    def grid_reduction(self, node: Node, point: Point, axes: list[Position]) -> Expression:
        assert node.bound is not None
        names = {name: self.fresh() for name in node.bound.names}
        cut = [extent_of(constraint.poly, self.graph) for constraint in node.bound.constraints]
        own_lengths = next((extent for extent in cut if extent is not None), None)
        inner: dict[str, Position] = {**point, **{own: Poly.of(k) for own, k in names.items()}}
        loops: list[Loop] = []
        for dim in node.bound.dims:
            assert dim.lower is not None and dim.upper is not None
            lower, upper = substitute(node, dim.lower, inner), substitute(node, dim.upper, inner)
            extent = None if dim.static else extent_of(dim.upper, self.graph)
            if extent is not None:
                self.limits[names[dim.name]] = extent
            extent = extent or extent_of(dim.lower, self.graph) or own_lengths
            loops.append(Loop(names[dim.name], lower, upper, extent if self.batched else None))
        limits = tuple(
            Constraint(substitute(node, c.poly, inner), c.relation) for c in node.bound.constraints
        )
        body = self.stored_operand(node, 0, inner, axes)
        return reduction(node, tuple(loops), limits, body)

    def collected(self, node: Node, point: Point, axes: list[Position]) -> Expression:
        """Element of `stack_points` / `concat_points`: the leading axis counts the bound points."""
        assert node.bound is not None
        source = self.graph[node.operands[0].source]
        if node.bound.constraints:
            raise unsupported(node, "a constrained static range is too long to be written out")
        where, own = plain(node, axes[0]), axes[1:]
        if node.op.name == "concat_points":
            width = number(node, source.type.shape[0])
            own = [where % width, *own]
            where = where // width
        inner: dict[str, Position] = dict(point)
        for dim in reversed(node.bound.dims):
            assert dim.lower is not None
            extent = number(node, dim.extent)
            last = dim is node.bound.dims[0]
            inner[dim.name] = (where if last else where % extent) + dim.lower
            where = where // extent
        return self.stored_operand(node, 0, inner, own)


# ---- helpers ----------------------------------------------------------------------------------


def substitute(node: Node, poly: Poly, point: Point) -> Poly:
    """A polynomial at a point whose needed coordinates are polynomials."""
    values: dict[str, PolyLike] = {}
    for name in poly.names:
        if name in point:
            values[name] = plain(node, point[name])
    return poly.substitute(values)


def plain(node: Node, position: Position) -> Poly:
    if isinstance(position, Poly):
        return position
    raise unsupported(node, "an index computed from a data-dependent index")


def number(node: Node, size: Poly) -> int:
    value = size.constant
    if value is None:
        raise unsupported(node, f"a shape that depends on the run-time extent in '{size}'")
    return value


def unsupported(node: Node, what: str) -> DiagnosticError:
    span = node.spans[0] if node.spans else None
    return DiagnosticError([Diagnostic("RNN703", f"cannot compile '{node.id}': {what}", span)])


def lies_inside(type: TensorType, size: int) -> bool:
    """Whether every value of an int that was declared is an index of an axis."""
    if type.range is None:
        return False
    lower, upper = (end.constant for end in type.range)
    return lower is not None and upper is not None and lower >= 0 and upper <= size


def picks_inside(index: Poly, points: Domain, size: int) -> bool:
    """Whether an affine index is one of an axis at all points."""
    found = interval(index, points)
    if found.lower is None or found.upper is None:
        return False
    return never_negative(found.lower) and never_negative(size - 1 - found.upper)


def clamped(place: Expression, size: int) -> Expression:
    """An index of an axis, so that no computed one reads beyond the array."""
    most = Apply("min", (place, Constant(size - 1, "int")), "int")
    return Apply("max", (most, Constant(0, "int")), "int")


def convert(value: Expression, dtype: DType) -> Expression:
    """The value in another dtype."""
    if isinstance(value, Constant):
        if dtype == "real":
            return Constant(float(value.value), dtype)
        if dtype == "int":
            return Constant(int(value.value), dtype) if value.dtype != "real" else value
    return (
        value if dtype_of(value) == dtype else Apply("cast", (value,), dtype, (("dtype", dtype),))
    )


def dtype_of(value: Expression) -> DType:
    """The dtype of an expression."""
    match value:
        case IndexValue():
            return "int"
        case Contract():
            return "real"
        case _:
            return value.dtype


def choose(
    constraint: Constraint, then: Expression, otherwise: Expression, dtype: DType
) -> Expression:
    """A branch, decided at once where the constraint has no names."""
    value = constraint.poly.constant
    if value is not None:
        return then if value >= 0 else otherwise
    return Branch((constraint,), then, otherwise, dtype)


def reduction(
    node: Node, loops: tuple[Loop, ...], limits: tuple[Constraint, ...], body: Expression
) -> Reduce:
    kind = cast(ReductionKind, node.op["kind"])
    if kind != "argmax":
        body = convert(body, node.type.dtype)
    return Reduce(kind, loops, limits, body, node.type.dtype)


def extent_of(bound: Poly, graph: Graph) -> str | None:
    """The run-time extent that a bound names."""
    extents = [size.name for size in graph.sizes if size.kind == "extent"]
    return next((name for name in bound.names if name in extents), None)


def reshaped(
    view: Node, axes: list[Position], shape: tuple[Poly, ...], inner: tuple[Poly, ...]
) -> list[Position]:
    """Element indices of the operand of a reshape (row-major order is kept)."""
    flat = Poly()
    for axis, size in zip(axes, shape, strict=True):
        flat = flat * number(view, size) + plain(view, axis)
    result: list[Position] = []
    for size in reversed(inner):
        extent = number(view, size)
        result.insert(0, flat % extent if len(result) + 1 < len(inner) else flat)
        flat = flat // extent
    return result


def contraction(
    storage: Storage,
    weight: Expression,
    vector: Expression,
    column: Position,
    k: str,
    rows: int,
    size: int,
) -> Contract | None:
    """The product as a contraction with a packed weight, if its operands are plain loads."""
    if not isinstance(weight, Load) or not isinstance(vector, Load):
        return None
    if storage.role(weight.buffer) != "param" or weight.dtype != "real" or vector.dtype != "real":
        return None
    if not isinstance(column, Poly) or column.names == ():
        return None
    [last] = column.names
    entries = [entry for entry in (*weight.index, *weight.element) if isinstance(entry, Poly)]
    if len(entries) != len(weight.index) + len(weight.element) or len(weight.element) < 2:
        return None
    elements = entries[len(weight.index) :]
    row, across = elements[-2], elements[-1]
    transposed = k in row.names
    if transposed:
        row, across = across, row
    base, start = row - Poly.of(last), across - Poly.of(k)
    if base.constant is None or start.constant is None:
        return None
    leading = tuple(elements[:-2])
    if any(k in entry.names or last in entry.names for entry in (*leading, *entries[:-2])):
        return None
    reach = vector.element[-1]
    others = (*vector.index, *vector.element[:-1])
    if not isinstance(reach, Poly) or (reach - Poly.of(k)).constant is None:
        return None
    if any(not isinstance(e, Poly) or k in e.names or last in e.names for e in others):
        return None
    if storage.role(vector.buffer) == "param":
        return None
    index = tuple(entries[: len(weight.index)])
    block = Weight(
        weight.buffer, index, leading, base.constant, rows, start.constant, size, transposed
    )
    return Contract(block, vector, k)
