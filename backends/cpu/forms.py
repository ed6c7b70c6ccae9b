"""What kernels have in common: a *form* is a kernel without the names and numbers of its layer.

Layers that are written out one by one give kernels that read and write other buffers at other
places, and compute the same. In a form, buffers, values and dims are numbered as they occur, and
the numbers in an index or bound are names, which stand for integers or, in a bound, for what the
extents say:

    h1[w - 1] = tanh(h0[w - 2])    b.0[i.0 + n.0] = tanh(b.1[i.0 + n.1])    n.0 = -1, n.1 = -2
    h2[w - 2] = tanh(h1[w - 3])    the same                                 n.0 = -2, n.1 = -3

Equal forms are equal code. A number stays itself where the code depends on it: sizes, divisors, and
limits on the axes of elements, which decide between vectors and single lanes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rnnc.analysis.wave import (
    Bound,
    CeilDiv,
    FloorDiv,
    Increment,
    Maximum,
    Minimum,
    Polynomial,
    WaveLoop,
)
from rnnc.ir.domain import Constraint
from rnnc.ir.poly import Poly
from rnnc.plan import expression as ex
from rnnc.plan.plan import Buffer, BufferDim, Define, Kernel, Store

Index = tuple[Poly | ex.Expression, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """A kernel and its buffers, those of its loads and stores first; equal forms are equal code."""

    kernel: Kernel
    buffers: tuple[Buffer, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A kernel, its form, and what the form's names stand for.

    `buffers` are the names of the form's loaded and stored buffers, `outer` what the form's names
    for waves are in the kernel's environment, `numbers` what its names for numbers are.
    """

    kernel: Kernel
    form: Form
    buffers: tuple[str, ...]
    outer: Mapping[str, str]
    numbers: Mapping[str, Poly]


def member(
    kernel: Kernel,
    buffers: Mapping[str, Buffer],
    extents: tuple[str, ...],
    chosen: Mapping[str, Poly],
) -> Member:
    """The form of a kernel; numbers, by their names, may be chosen to be something else."""
    names = _Names(kernel, buffers, extents, chosen)
    return names.member()


class _Names:
    """Renames everything of one kernel."""

    def __init__(
        self,
        kernel: Kernel,
        buffers: Mapping[str, Buffer],
        extents: tuple[str, ...],
        chosen: Mapping[str, Poly],
    ) -> None:
        self.kernel, self.given, self.chosen = kernel, buffers, chosen
        self.axes = {ex.element(axis) for axis in range(len(kernel.shape))}
        self.dims = {name: name for name in (*extents, *self.axes)}
        self.values: dict[str, str] = {}
        self.buffers: dict[str, str] = {}
        self.weights: list[Buffer] = []
        self.extents = {*extents}
        self.vectors: dict[Index, Index] = {}
        self.count = 0
        self.inner = {*self.dims}  # what needs no value from outside
        self.numbers: dict[str, Poly] = {}

    def member(self) -> Member:
        kernel = self.kernel
        made = Kernel(
            name="kernel",
            loops=tuple(self.wave_loop(loop) for loop in kernel.loops),
            constraints=tuple(self.constraint(entry) for entry in kernel.constraints),
            batched=kernel.batched,
            shape=kernel.shape,
            defines=tuple(self.define(entry) for entry in kernel.defines),
            stores=tuple(self.store(entry) for entry in kernel.stores),
        )
        named = tuple(self.stored(name) for name in self.buffers)
        waves = {own: name for name, own in self.dims.items() if name not in self.inner}
        form = Form(made, (*named, *self.weights))
        return Member(kernel, form, tuple(self.buffers), waves, self.numbers)

    # ---- names --------------------------------------------------------------------------------

    def dim(self, name: str) -> str:
        return self.dims.setdefault(name, f"i.{len(self.dims)}")

    def loop_dim(self, name: str) -> str:
        self.inner.add(name)
        return self.dim(name)

    def value(self, name: str) -> str:
        return self.values.setdefault(name, f"v.{len(self.values)}")

    def buffer(self, name: str) -> str:
        return self.buffers.setdefault(name, f"b.{len(self.buffers)}")

    # ---- numbers ------------------------------------------------------------------------------

    def renamed(self, poly: Poly) -> Poly:
        return poly.rename(self.dim)

    def number(self, value: Poly) -> Poly:
        """A name for what members may differ in, or what is chosen for it."""
        name = f"n.{self.count}"
        self.count += 1
        if name in self.chosen:
            return self.chosen[name]
        self.numbers[name] = value
        return Poly.of(name)

    def poly(self, poly: Poly) -> Poly:
        """With names for its constant term and factors."""
        made = self.renamed(poly)
        if self.axes & {*poly.names}:
            return made
        total = self.number(Poly.of(made.offset))
        for monomial, factor in made.terms:
            plain = len(monomial) == 1 and isinstance(monomial[0][0], str)
            if monomial:
                scale = self.number(Poly.of(factor)) if plain else factor
                total = total + Poly(((monomial, 1),)) * scale
        return total

    def element(self, poly: Poly) -> Poly:
        """An index of an axis: the code knows by which factor it varies from lane to lane."""
        if not self.axes & {*poly.names}:
            return self.poly(poly)
        return self.renamed(poly) - poly.offset + self.number(Poly.of(poly.offset))

    def limit(self, poly: Poly) -> Poly:
        """A bound; what only depends on extents is a number as a whole."""
        return self.number(poly) if {*poly.names} <= self.extents else self.poly(poly)

    def bound(self, bound: Bound) -> Bound:
        match bound:
            case Polynomial(poly):
                return Polynomial(self.limit(poly))
            case FloorDiv(numerator, denominator) | CeilDiv(numerator, denominator):
                return type(bound)(self.limit(numerator), denominator)
            case Increment(argument, amount):
                return Increment(self.bound(argument), amount)
            case Minimum(arguments) | Maximum(arguments):
                return type(bound)(tuple(self.bound(argument) for argument in arguments))

    def constraint(self, constraint: Constraint) -> Constraint:
        return replace(constraint, poly=self.poly(constraint.poly))

    # ---- parts --------------------------------------------------------------------------------

    def wave_loop(self, loop: WaveLoop) -> WaveLoop:
        lower, upper = self.bound(loop.lower), self.bound(loop.upper)
        return WaveLoop(self.loop_dim(loop.name), lower, upper, loop.exact)

    def define(self, define: Define) -> Define:
        value = self.expression(define.value)
        return Define(self.value(define.name), value, define.dtype)

    def store(self, store: Store) -> Store:
        index = tuple(self.poly(entry) for entry in store.index)
        element = tuple(self.element(entry) for entry in store.element)
        return Store(self.value(store.value), self.buffer(store.buffer), index, element)

    def expression(self, node: ex.Expression) -> ex.Expression:
        match node:
            case ex.Constant():
                return node
            case ex.IndexValue(poly, per_row):
                return ex.IndexValue(self.poly(poly), per_row)
            case ex.Local(name, dtype):
                return ex.Local(self.value(name), dtype)
            case ex.Load():
                return self.load(node)
            case ex.Apply(arguments=arguments):
                return replace(node, arguments=tuple(map(self.expression, arguments)))
            case ex.Reduce():
                loops = tuple(self.loop(loop) for loop in node.loops)
                limits = tuple(self.constraint(entry) for entry in node.constraints)
                body = self.expression(node.body)
                return replace(node, loops=loops, constraints=limits, body=body)
            case ex.Branch():
                limits = tuple(self.constraint(entry) for entry in node.constraints)
                then, otherwise = self.expression(node.then), self.expression(node.otherwise)
                return replace(node, constraints=limits, then=then, otherwise=otherwise)
            case ex.Contract(weight, vector, contraction):
                return ex.Contract(
                    self.weight(weight), self.vector(vector), self.loop_dim(contraction)
                )

    def loop(self, loop: ex.Loop) -> ex.Loop:
        lower, upper = self.limit(loop.lower), self.limit(loop.upper)
        return ex.Loop(self.loop_dim(loop.name), lower, upper, loop.extent)

    def load(self, load: ex.Load) -> ex.Load:
        element = tuple(
            self.element(entry) if isinstance(entry, Poly) else self.expression(entry)
            for entry in load.element
        )
        index = self.index(load.index)
        return replace(load, buffer=self.buffer(load.buffer), index=index, element=element)

    def index(self, index: Index) -> Index:
        return tuple(
            self.poly(entry) if isinstance(entry, Poly) else self.expression(entry)
            for entry in index
        )

    def vector(self, load: ex.Load) -> ex.Load:
        """Products of one vector share a pass: equal indices stay equal."""
        if load.index not in self.vectors:
            self.vectors[load.index] = self.index(load.index)
        element = tuple(
            self.renamed(entry) if isinstance(entry, Poly) else self.expression(entry)
            for entry in load.element
        )
        index = self.vectors[load.index]
        return replace(load, buffer=self.buffer(load.buffer), index=index, element=element)

    def weight(self, weight: ex.Weight) -> ex.Weight:
        """Which part of which parameter is packed does not show in the pack."""
        buffer = self.given[weight.param]
        name = f"w.{len(self.weights)}"
        alone = BufferDim("", Poly(), Poly.of(1), None)
        dims = tuple(
            alone if entry.constant is not None else dim
            for dim, entry in zip(buffer.dims, weight.index, strict=True)
        )
        sizes = zip(buffer.shape, weight.leading, strict=False)
        shape = tuple(1 if entry.constant is not None else size for size, entry in sizes)
        self.weights.append(replace(buffer, name=name, dims=dims, shape=shape))
        return ex.Weight(
            name,
            tuple(self.place(entry) for entry in weight.index),
            tuple(self.place(entry) for entry in weight.leading),
            row=0,
            rows=weight.rows,
            column=0,
            columns=weight.columns,
            transposed=False,
        )

    def place(self, entry: Poly) -> Poly:
        return Poly() if entry.constant is not None else self.renamed(entry)

    def stored(self, name: str) -> Buffer:
        """A loaded or stored buffer in the form's terms."""
        buffer = self.given[name]
        dims = tuple(
            replace(dim, name="", lower=self.limit(dim.lower), upper=self.limit(dim.upper))
            for dim in buffer.dims
        )
        return replace(buffer, name=self.buffers[name], dims=dims)
