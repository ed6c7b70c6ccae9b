"""Expressions of a plan as scalar or vector code.

An emitter stands at one grid point and one batch row. In vector code the last element axis runs
over the lanes; what cannot be done on vectors (gathers, branches by lane) is done lane by lane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass, field, replace

from tvm import tirx

from rnnc.ir.domain import Constraint
from rnnc.ir.poly import Poly
from rnnc.ir.types import DType
from rnnc.plan import expression as ex

from .activations import POINTWISE
from .activations import Emitter as Pointwise
from .layout import MEMORY, Layout, Place, polynomial
from .tir import (
    Builder,
    Expr,
    constant,
    first_lanes,
    int64,
    load,
    masked_load,
    maximum,
    minimum,
    splat,
    with_lanes,
)

_REGISTER = {"real": "float32", "int": "int32", "bool": "bool"}
_NEUTRAL = {"sum": 0, "prod": 1, "max": float("-inf"), "min": float("inf"), "any": 0, "all": 1}
_INT_EDGE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Lanes:
    """The vector that is computed: lanes `base ..` of element axis `axis`, of which `size` exist.

    `is_ragged` says that the last vector has lanes beyond `size`.
    """

    axis: str
    base: Expr
    count: int
    size: int

    @property
    def is_ragged(self) -> bool:
        return self.size % self.count != 0

    def mask(self) -> Expr:
        return first_lanes(int64(self.size) - self.base, self.count)


@dataclass(frozen=True, slots=True)
class Emitter:
    """Emits expressions at one point; `locals` are the kernel's values that are known already.

    `pointwise` says how each op is computed.
    """

    b: Builder
    layout: Layout
    env: Mapping[str, Expr]
    row: Expr
    lanes: Lanes | None
    locals: Mapping[str, Expr]
    pointwise: Mapping[str, Pointwise] = field(default_factory=lambda: POINTWISE)

    @property
    def width(self) -> int:
        return 1 if self.lanes is None else self.lanes.count

    def value(self, expression: ex.Expression) -> Expr:
        """The value in all lanes."""
        match expression:
            case ex.Constant(number, dtype):
                return self.constant(number, dtype)
            case ex.IndexValue(poly, per_row):
                return self.index_value(poly, per_row)
            case ex.Local(name, _):
                return self.locals[name]
            case ex.Load():
                return self.load(expression)
            case ex.Apply():
                return self.apply(expression)
            case ex.Branch():
                return self.branch(expression)
            case ex.Reduce():
                return self.reduce(expression)
            case ex.Contract():
                raise AssertionError("a product is computed by its kernel, not as an element")

    def constant(self, number: float, dtype: DType) -> Expr:
        if dtype == "real":
            scalar: Expr = tirx.FloatImm("float32", float(number))
        elif dtype == "bool":
            scalar = tirx.const(bool(number), "bool")
        else:
            scalar = tirx.IntImm("int32", int(number))
        return splat(scalar, self.width)

    # ---- indices ------------------------------------------------------------------------------

    def lengths_env(self, *polys: Poly) -> Mapping[str, Expr]:
        """The environment in which extents in these are the row's own lengths."""
        own = {
            name: int64(load(self.layout.lengths[name], self.row))
            for poly in polys
            for name in poly.names
            if name in self.layout.lengths
        }
        return {**self.env, **own}

    def index_value(self, poly: Poly, per_row: bool) -> Expr:
        if self.lanes is not None and self.lanes.axis in poly.names:
            return self.by_lane(ex.IndexValue(poly, per_row), "int")
        env = self.lengths_env(poly) if per_row else self.env
        return splat(tirx.Cast("int32", polynomial(poly, env)), self.width)

    def depends_on_lane(self, expression: ex.Expression) -> bool:
        """Whether the value differs from lane to lane."""
        if self.lanes is None:
            return False
        axis = self.lanes.axis
        for inner in ex.walk(expression):
            match inner:
                case ex.Local():
                    return True
                case ex.IndexValue(poly, _):
                    if axis in poly.names:
                        return True
                case ex.Load(index=index, element=axes):
                    polys = [entry for entry in (*index, *axes) if isinstance(entry, Poly)]
                    if any(axis in poly.names for poly in polys):
                        return True
                case ex.Branch(constraints=constraints) | ex.Reduce(constraints=constraints):
                    if any(axis in constraint.poly.names for constraint in constraints):
                        return True
                    if isinstance(inner, ex.Reduce) and any(
                        axis in (*loop.lower.names, *loop.upper.names) for loop in inner.loops
                    ):
                        return True
        return False

    # ---- loads --------------------------------------------------------------------------------

    def load(self, access: ex.Load) -> Expr:
        place = self.layout.places[access.buffer]
        if self.lanes is None:
            raw = load(place.memory, self.offset(place, access))
            return self.let(self.from_memory(raw, access))
        axis = self.lanes.axis
        last = access.element[-1] if access.element else Poly()
        others = (*access.index, *access.element[:-1])
        fixed = not any(self.position_depends(entry) for entry in others)
        if fixed and isinstance(last, Poly):
            if axis not in last.names:
                scalar = replace(self, lanes=None)
                return self.let(splat(scalar.load(access), self.width))
            if axis not in (last - Poly.of(axis)).names:
                return self.vector_load(place, access)
        return self.by_lane(access, access.dtype)

    def position_depends(self, entry: Poly | ex.Expression) -> bool:
        assert self.lanes is not None
        if isinstance(entry, Poly):
            return self.lanes.axis in entry.names
        return self.depends_on_lane(entry)

    def vector_load(self, place: Place, access: ex.Load) -> Expr:
        assert self.lanes is not None
        at = replace(self, env={**self.env, self.lanes.axis: self.lanes.base}, lanes=None)
        offset = at.offset(place, access)
        if self.lanes.is_ragged and place.is_external:
            raw = masked_load(place.memory, offset, self.lanes.mask())
        else:
            raw = load(place.memory, offset, self.width)
        return self.let(self.from_memory(raw, access))

    def from_memory(self, raw: Expr, access: ex.Load) -> Expr:
        """Stored bools are bytes."""
        return tirx.NE(raw, constant(0, raw)) if access.dtype == "bool" else raw

    def offset(self, place: Place, access: ex.Load) -> Expr:
        """Elements from the start of the buffer to the one loaded (scalar indices only)."""
        total: Expr = int64(0)
        for number, entry in enumerate(access.index):
            clamped = bool(access.clamped) and access.clamped[number]
            total = total + self.position(place, number, entry, clamped) * place.dims[number]
        if place.plan.batched:
            total = total + self.row * place.batch
        for entry, stride in zip(access.element, place.inner, strict=True):
            where = polynomial(entry, self.env) if isinstance(entry, Poly) else self.scalar(entry)
            total = total + where * int64(stride)
        return total

    def scalar(self, expression: ex.Expression) -> Expr:
        """An int expression as an index."""
        return int64(replace(self, lanes=None).value(expression))

    def position(
        self, place: Place, number: int, entry: Poly | ex.Expression, clamped: bool
    ) -> Expr:
        """Where an index lies along a dim of the buffer, counted from its first stored one."""
        dim = place.plan.dims[number]
        lower = polynomial(dim.lower, self.layout.extents)
        if isinstance(entry, Poly):
            env = self.lengths_env(entry) if place.plan.batched else self.env
            at = polynomial(entry, env)
        else:
            at = self.scalar(entry)
        if clamped:
            at = self.b.let(at, "at")
            if dim.extent is not None and place.plan.batched:
                own = int64(load(self.layout.lengths[dim.extent], self.row))
                beyond = at - own + self.layout.extents[dim.extent]
                at = self.b.let(tirx.Select(tirx.GE(at, own), beyond, at), "at")
            upper = polynomial(dim.upper, self.layout.extents)
            at = tirx.Max(lower, tirx.Min(at, upper - int64(1)))
        at = at - lower
        return at if dim.slots is None else tirx.FloorMod(at, int64(dim.slots))

    def inside_row(self, place: Place, access: ex.Load) -> Iterator[Expr]:
        """For each held dim: whether an index that is stored lies before the end of the row."""
        for dim, entry in zip(place.plan.dims, access.index, strict=True):
            if dim.held and isinstance(entry, Poly):
                assert dim.extent is not None
                own = int64(load(self.layout.lengths[dim.extent], self.row))
                yield self.b.let(tirx.LT(polynomial(entry, self.env), own), "inside")

    # ---- pointwise ----------------------------------------------------------------------------

    def apply(self, node: ex.Apply) -> Expr:
        arguments = [self.value(argument) for argument in node.arguments]
        if node.op == "cast":
            return self.cast(arguments[0], node.dtype)
        return self.let(self.pointwise[node.op](self.b, arguments))

    def cast(self, value: Expr, dtype: DType) -> Expr:
        own = str(value.ty).partition("x")[0]
        wanted = _REGISTER[dtype]
        if own == wanted:
            return value
        if wanted == "bool":
            return self.let(tirx.Not(tirx.EQ(value, constant(0, value))))  # NaN is true
        return self.let(tirx.Cast(with_lanes(wanted, self.width), value))

    def let(self, value: Expr) -> Expr:
        return self.b.let(value)

    # ---- control ------------------------------------------------------------------------------

    def holds(self, constraints: tuple[Constraint, ...]) -> Expr:
        """Scalar constraints, all of them."""
        verdict: Expr | None = None
        for constraint in constraints:
            value = polynomial(constraint.poly, self.env)
            compare = tirx.GE if constraint.relation == ">=" else tirx.EQ
            test = compare(value, int64(0))
            verdict = test if verdict is None else tirx.And(verdict, test)
        return tirx.const(True, "bool") if verdict is None else verdict

    def branch(self, node: ex.Branch) -> Expr:
        here = self
        if self.lanes is not None:
            if any(splits_vector(constraint, self.lanes) for constraint in node.constraints):
                return self.by_lane(node, node.dtype)
            here = replace(self, env={**self.env, self.lanes.axis: self.lanes.base})
        result = Variable(self.b, node.dtype, self.width)
        test = self.b.let(here.holds(node.constraints), "test")
        with self.b.when(test):
            result.set(self.value(node.then))
        with self.b.when(tirx.Not(test)):
            result.set(self.value(node.otherwise))
        return self.let(result.get())

    def reduce(self, node: ex.Reduce) -> Expr:
        if self.lanes is not None:
            axis = self.lanes.axis
            bounds = [poly for loop in node.loops for poly in (loop.lower, loop.upper)]
            limits = [constraint.poly for constraint in node.constraints]
            if any(axis in poly.names for poly in (*bounds, *limits)):
                return self.by_lane(node, node.dtype)
        elif is_contiguous(node, self.layout.lanes):
            return self.reduce_vectors(node)
        dtype = _operand_dtype(node)
        total = Variable(self.b, dtype, self.width)
        total.set(self.constant(_neutral(node.kind, dtype), dtype))
        index = Variable(self.b, "int", self.width) if node.kind == "argmax" else None
        if index is not None:
            index.set(self.constant(0, "int"))
        with self.inside(node) as inner:
            value = inner.value(node.body)
            if index is not None:
                known = total.get()
                better = self.let(tirx.GT(value, known))
                at = inner.index_value(Poly.of(node.loops[0].name), False)
                index.set(tirx.Select(better, at, index.get()))
                total.set(tirx.Select(better, value, known))
            else:
                total.set(_combine(node.kind, total.get(), value))
        return self.let(total.get() if index is None else index.get())

    def reduce_vectors(self, node: ex.Reduce) -> Expr:
        """One value, of neighbouring elements: whole vectors are folded, at last their lanes."""
        *outer, last = node.loops
        size = (last.upper - last.lower).constant
        assert size is not None
        count = registers(size, self.layout.lanes)
        lanes = self.layout.lanes * count
        rest = size % lanes
        vectors = Variable(self.b, node.dtype, lanes)
        total = Variable(self.b, node.dtype, 1)
        neutral = self.constant(_neutral(node.kind, node.dtype), node.dtype)
        vectors.set(splat(neutral, lanes))
        total.set(neutral)
        known = {
            inner.name: splat(self.locals[inner.name], lanes)
            for inner in ex.walk(node.body)
            if isinstance(inner, ex.Local)
        }
        with self.inside(replace(node, loops=tuple(outer))) as here:
            first = polynomial(last.lower, here.env)
            with self.b.loop(0, size // lanes, name="v") as v:
                base = self.b.let(first + v * int64(lanes), "base")
                whole = Lanes(last.name, base, lanes, size - rest)
                folded = replace(here, lanes=whole, locals=known).value(node.body)
                vectors.set(_combine(node.kind, vectors.get(), folded))
            with self.b.loop(size - rest, size, name=last.name) as number:
                at = replace(here, env={**here.env, last.name: first + number})
                total.set(_combine(node.kind, total.get(), at.value(node.body)))
        pieces = [self.let(vectors.get_piece(number, count)) for number in range(count)]
        vector = Variable(self.b, node.dtype, self.layout.lanes)
        vector.set(self.folded(node.kind, pieces))
        parts = [self.let(vector.get_lane(int64(lane))) for lane in range(vector.width)]
        return self.let(_combine(node.kind, total.get(), self.folded(node.kind, parts)))

    def folded(self, kind: str, parts: Sequence[Expr]) -> Expr:
        """Parts, a power of two of them, in pairs."""
        while len(parts) > 1:
            half = len(parts) // 2
            pairs = zip(parts[:half], parts[half:], strict=True)
            parts = [self.let(_combine(kind, left, right)) for left, right in pairs]
        return parts[0]

    @contextmanager
    def inside(self, node: ex.Reduce) -> Iterator[Emitter]:
        """Inside the loops of a reduction, at a term that counts."""
        with ExitStack() as stack:
            here = self
            for loop in node.loops:
                lower = polynomial(loop.lower, here.bounds_env(loop, loop.lower))
                upper = polynomial(loop.upper, here.bounds_env(loop, loop.upper))
                variable = stack.enter_context(self.b.loop(lower, upper, name=loop.name))
                here = replace(here, env={**here.env, loop.name: variable})
            if node.constraints:
                last = node.loops[-1]
                polys = [constraint.poly for constraint in node.constraints]
                tested = replace(here, env=here.bounds_env(last, *polys))
                stack.enter_context(self.b.when(tested.holds(node.constraints)))
            yield here

    def bounds_env(self, loop: ex.Loop, *polys: Poly) -> Mapping[str, Expr]:
        """What extents mean in bounds of a loop of a reduction."""
        if loop.extent is None:
            return self.env
        return self.lengths_env(*polys)

    def by_lane(self, expression: ex.Expression, dtype: DType) -> Expr:
        """The value computed lane by lane, for lanes that exist."""
        assert self.lanes is not None
        result = Variable(self.b, dtype, self.width)
        result.set(self.constant(0, dtype))
        spilled: dict[str, Variable] = {}
        for inner in ex.walk(expression):
            if isinstance(inner, ex.Local) and inner.name not in spilled:
                spilled[inner.name] = Variable(self.b, inner.dtype, self.width)
                spilled[inner.name].set(self.locals[inner.name])
        count: Expr = int64(self.width)
        if self.lanes.is_ragged:
            count = tirx.Min(count, int64(self.lanes.size) - self.lanes.base)
        with self.b.loop(0, count, name="lane") as lane:
            env = {**self.env, self.lanes.axis: self.b.let(self.lanes.base + lane, "e")}
            known = {name: variable.get_lane(lane) for name, variable in spilled.items()}
            scalar = replace(self, env=env, lanes=None, locals=known)
            result.set_lane(lane, scalar.value(expression))
        return self.let(result.get())


def registers(size: int, lanes: int) -> int:
    """How many registers reduce so many elements, a power of two: each waits for itself alone."""
    return next((count for count in (4, 2) if size % (count * lanes) == 0), 1)


def is_contiguous(node: ex.Reduce, lanes: int) -> bool:
    """Whether the innermost loop of a fold of reals runs along neighbouring elements, a known
    number of them and at least a vector, and nothing else in the body depends on where it stands.
    """
    last = node.loops[-1]
    size = (last.upper - last.lower).constant
    if node.kind not in ("sum", "prod", "max", "min") or node.dtype != "real":
        return False
    if size is None or not 1 < lanes <= size or last.extent is not None:
        return False
    if any(last.name in constraint.poly.names for constraint in node.constraints):
        return False
    return all(is_elementwise(inner, last.name) for inner in ex.walk(node.body))


def is_elementwise(expression: ex.Expression, name: str) -> bool:
    """Whether an expression, apart from what it is made of, is vector code along `name`."""
    match expression:
        case ex.Load(index=index, element=element):
            others = (*index, *element[:-1])
            if not all(isinstance(entry, Poly) for entry in (*others, *element)):
                return False
            if any(isinstance(entry, Poly) and name in entry.names for entry in others):
                return False
            last = element[-1] if element else Poly()
            assert isinstance(last, Poly)
            return name not in last.names or name not in (last - Poly.of(name)).names
        case ex.Constant() | ex.Local():
            return True
        case ex.Apply(dtype=dtype):
            return dtype == "real"
    return False


def splits_vector(constraint: Constraint, lanes: Lanes) -> bool:
    """Whether a constraint may hold in some lanes of a vector only: not if it turns between two."""
    poly = constraint.poly
    if lanes.axis not in poly.names:
        return False
    unit = poly.coefficient(lanes.axis)
    limit = (poly - Poly.of(lanes.axis) * unit).constant
    if constraint.relation != ">=" or abs(unit) != 1 or limit is None:
        return True
    return (limit if unit == 1 else limit + 1) % lanes.count != 0


class Variable:
    """A value that is assigned more than once: a piece of stack, one element a lane.

    With several slots it is as many values; `slot` gives one of them.
    """

    def __init__(self, b: Builder, dtype: DType, width: int, slots: int = 1) -> None:
        self.b, self.dtype, self.width = b, dtype, width
        self.origin: Expr = int64(0)
        if slots == 1:
            self.memory = b.local("v", width, MEMORY[dtype])
        else:
            self.memory, self.origin = b.aligned("v", width * slots, MEMORY[dtype])
        self.first = self.origin

    def slot(self, number: Expr) -> Variable:
        found = copy(self)
        found.first = self.origin + number * int64(self.width)
        return found

    def set(self, value: Expr) -> None:
        self.b.store(self.memory, self.first, self._stored(value))

    def set_lane(self, lane: Expr, value: Expr) -> None:
        self.b.store(self.memory, self.first + lane, self._stored(value))

    def get(self) -> Expr:
        return self._loaded(load(self.memory, self.first, self.width))

    def get_piece(self, number: int, count: int) -> Expr:
        """One of `count` equal pieces of the lanes."""
        width = self.width // count
        return self._loaded(load(self.memory, self.first + int64(number * width), width))

    def get_lane(self, lane: Expr) -> Expr:
        return self._loaded(load(self.memory, self.first + lane))

    def _stored(self, value: Expr) -> Expr:
        if self.dtype != "bool":
            return value
        _, _, lanes = str(value.ty).partition("x")
        return tirx.Cast(with_lanes("uint8", int(lanes) if lanes else 1), value)

    def _loaded(self, value: Expr) -> Expr:
        return tirx.NE(value, constant(0, value)) if self.dtype == "bool" else value


def _operand_dtype(node: ex.Reduce) -> DType:
    if node.kind != "argmax":
        return node.dtype
    body = node.body
    return "int" if isinstance(body, ex.IndexValue) else getattr(body, "dtype", "real")


def _neutral(kind: str, dtype: DType) -> float:
    if kind == "argmax":
        kind = "max"
    if dtype == "int" and kind in ("max", "min"):
        return -_INT_EDGE if kind == "max" else _INT_EDGE
    if dtype == "bool" and kind in ("max", "min"):
        return kind == "min"
    return _NEUTRAL[kind]


def _combine(kind: str, total: Expr, value: Expr) -> Expr:
    table: dict[str, Callable[[Expr, Expr], Expr]] = {
        "sum": tirx.Add,
        "prod": tirx.Mul,
        "max": _propagating(maximum),
        "min": _propagating(minimum),
        "any": tirx.Or,
        "all": tirx.And,
    }
    return table[kind](total, value)


def _propagating(choose: Callable[[Expr, Expr], Expr]) -> Callable[[Expr, Expr], Expr]:
    """NaN on either side stays."""

    def combine(total: Expr, value: Expr) -> Expr:
        chosen = choose(value, total)
        is_nan = tirx.Not(tirx.EQ(value, value))  # tirx.NE is false for NaN
        return tirx.Select(is_nan, value, chosen)

    return combine
