"""Recurrences along index arrays: points and rows sorted by level, then level after level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from rnnc.ir.poly import Poly
from rnnc.plan import expression as ex
from rnnc.plan.plan import Levels

from .elements import Emitter
from .layout import Environment, Layout, polynomial
from .tir import Buffer, Builder, Expr, int64, load


@dataclass(frozen=True, slots=True)
class Listing:
    """`count` points of a dim, each of one batch row, from `first` on in two arrays.

    They are those of a level; at level 0 the buffers `zero` are zero there.
    """

    dim: str
    first: Expr
    count: Expr
    points: Buffer
    rows: Buffer
    level: Expr
    zero: frozenset[str]

    def place(self, b: Builder, number: Expr, env: Environment) -> tuple[Environment, Expr]:
        """The environment and the batch row of entry `number`."""
        at = b.let(self.first + number, "entry")
        point = b.let(tirx.Cast("int64", load(self.points, at)), self.dim)
        return {**env, self.dim: point}, b.let(tirx.Cast("int64", load(self.rows, at)), "row")


@dataclass(frozen=True, slots=True)
class Sorter:
    """The buffers of a `Levels` step; `zero` are those that are zero at its first level."""

    b: Builder
    layout: Layout
    step: Levels
    env: Environment
    zero: frozenset[str] = frozenset()

    def memory(self, name: str) -> Buffer:
        return self.layout.places[name].memory

    def read(self, name: str, position: Expr) -> Expr:
        return self.b.let(tirx.Cast("int64", load(self.memory(name), position)), "entry")

    def write(self, name: str, position: Expr, value: Expr) -> None:
        self.b.store(self.memory(name), position, tirx.Cast("int32", value))

    @property
    def count(self) -> Expr:
        return polynomial(self.step.upper, self.env)

    def sort(self) -> None:
        """A counting sort by level, for one task: O(points x rows)."""
        b, step = self.b, self.step
        with b.loop(0, self.count + int64(1), name="w") as w:
            self.write(step.ends, w, int64(0))

        def count(row: Expr, point: Expr) -> None:
            level = self.level(row, point)
            self.write(step.ends, level, self.read(step.ends, level) + int64(1))

        self.each_point(count)
        running = b.local("running", 2, "int64")  # points of lower levels, levels
        b.store(running, 0, int64(0))
        b.store(running, 1, int64(0))
        with b.loop(0, self.count, name="w") as w:
            own = self.read(step.ends, w)
            self.write(step.ends, w, load(running, 0))
            b.store(running, 0, load(running, 0) + own)
            used = tirx.Cast("int64", tirx.GT(own, int64(0)))
            b.store(running, 1, load(running, 1) + used)

        def place(row: Expr, point: Expr) -> None:
            level = self.level(row, point)
            at = self.read(step.ends, level)
            self.write(step.points, at, point)
            self.write(step.rows, at, row)
            self.write(step.ends, level, at + int64(1))

        self.each_point(place)
        self.write(step.ends, self.count, load(running, 1))

    def each_point(self, act: Callable[[Expr, Expr], None]) -> None:
        b, step = self.b, self.step
        with b.loop(0, self.layout.batch, name="row") as row:
            upper = self.count
            if step.extent is not None:
                own = tirx.Cast("int64", load(self.layout.lengths[step.extent], row))
                upper = b.let(tirx.Min(own, upper), "own")
            with b.loop(0, upper, name="point") as point:
                act(row, point)

    def level(self, row: Expr, point: Expr) -> Expr:
        b, place = self.b, self.layout.places[self.step.level]
        at = Emitter(b, self.layout, {**self.env, self.step.dim: point}, row, None, {})
        access = ex.Load(self.step.level, (Poly.of(self.step.dim),), (), "int")
        return b.let(tirx.Cast("int64", load(place.memory, at.offset(place, access))), "level")

    def count_levels(self) -> Expr:
        """How many there are."""
        return self.read(self.step.ends, self.count)

    def listing(self, level: Expr) -> Listing:
        """The points and rows of one level."""
        b, step = self.b, self.step
        before = b.let(tirx.Max(level - int64(1), int64(0)), "before")
        first = tirx.Select(tirx.GT(level, int64(0)), self.read(step.ends, before), int64(0))
        start = b.let(first, "first")
        count = b.let(self.read(step.ends, level) - start, "count")
        points, rows = self.memory(step.points), self.memory(step.rows)
        return Listing(step.dim, start, count, points, rows, level, self.zero)
