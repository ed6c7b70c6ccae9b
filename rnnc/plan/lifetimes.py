"""How much of a buffer is alive at a time: dims of which a few slots suffice.

    h[t] = tanh(a[t] + U @ h[t - 1])       waves: t;  read in the same loop one wave later, and
    y = h[T - 1]                           behind the loop at its last index

keeps two of its T + 1 states: index t lives at t mod 2. The rule: what shares a place with index i
(i + m, i + 2m and so on) is written in a later wave than every read and write of i, or never. For
reads in the writers' own loop of waves the least m follows from how many waves pass between a write
and its reads; behind the loop a value is there only if nothing that shares its place comes later.

Rows shorter than the array end earlier: a buffer whose last value is read by its row's own length
is *held*: nothing is written for a row from its length on. Reads that a short row takes to the
margin beyond the end of the array need that margin for as long as the longest row runs: they keep
the whole dim.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rnnc.analysis.boxes import interval, never_negative, tightened
from rnnc.analysis.components import Component, Schedule
from rnnc.analysis.early_exit import exits
from rnnc.analysis.regions import region
from rnnc.analysis.sets import is_empty
from rnnc.analysis.timing import Timing
from rnnc.ir.domain import Constraint, Domain
from rnnc.ir.graph import DataIndex, Graph, Operand
from rnnc.ir.ops import is_statement
from rnnc.ir.placed import Placed
from rnnc.ir.poly import Poly, PolyLike
from rnnc.plan.exits import tested
from rnnc.plan.plan import Buffer
from rnnc.plan.storage import Storage

Index = tuple[Poly | None, ...]  # of a buffer; None where it depends on data
Moment = tuple[tuple[int, Timing | None], ...]  # number of the step and its waves, outermost first

_SHIFT = "#"  # how far apart two indices are that share a place: m or more


@dataclass(frozen=True, slots=True)
class Use:
    """`statement` reads or writes a buffer at `index`, from every point of `points`."""

    statement: str
    index: Index
    points: Domain


@dataclass(slots=True)
class Uses:
    """Of one buffer."""

    reads: list[Use] = field(default_factory=list)
    writes: list[Use] = field(default_factory=list)


def slotted(graph: Graph, schedule: Schedule, storage: Storage) -> Storage:
    """The storage with slots for one dim of every state buffer where that is possible."""
    moments = dict(moments_of(schedule.components, ()))
    uses = uses_of(graph, schedule, storage)
    buffers = dict(storage.buffers)
    for name, buffer in buffers.items():
        if buffer.role == "state":
            buffers[name] = Lifetimes(graph, storage, moments, buffer, uses[name]).slotted()
    return replace(storage, buffers=buffers)


def moments_of(components: Sequence[Component], outer: Moment) -> Iterator[tuple[str, Moment]]:
    """When each statement runs. Components in a row that have no waves may run at once."""
    number = 0
    for component in components:
        number += component.timing is not None
        # The chunks of a scan run at once; points on the same level do too, whatever is inside.
        at_once = component.chunks > 1 or component.levels is not None
        moment = (*outer, (number, None if at_once else component.timing))
        if component.kind == "split" and not at_once:
            yield from moments_of(component.inner, moment)
        else:
            yield from ((name, moment) for name in component.nodes)
        number += component.timing is not None


# ---- who uses what ----------------------------------------------------------------------------


def uses_of(graph: Graph, schedule: Schedule, storage: Storage) -> dict[str, Uses]:
    """All reads and writes of each buffer."""
    found = {name: Uses() for name in storage.buffers}
    for node in graph.nodes:
        if not is_statement(node.op):
            continue
        for operand in node.operands:
            points = tightened(region(node, operand))
            for buffer, index in loads(
                graph, storage, operand, {n: Poly.of(n) for n in points.names}
            ):
                found[buffer].reads.append(Use(node.id, index, points))
        for home in storage.writes.get(node.id, ()):
            points = tightened(node.domain)
            found[home.buffer].writes.append(Use(node.id, home.index, points))
    for component, end in exits(schedule.components):
        home = storage.homes[end.node]
        behind, points = tested(graph, component, end)
        earlier = {end.dim: Poly.of(end.dim) - behind}
        index = tuple(place.substitute(earlier) for place in home.index)
        found[home.buffer].reads.append(Use(end.node, index, points))
    return found


def loads(
    graph: Graph, storage: Storage, operand: Operand, point: Mapping[str, Poly | None]
) -> Iterator[tuple[str, Index]]:
    """Where the value of an operand is found, seen from its reader's point."""
    source = graph[operand.source]
    at: dict[str, Poly | None] = {}
    for name, index in zip(source.domain.names, operand.access, strict=True):
        at[name] = None if isinstance(index, DataIndex) else substituted(index, point)
    home = storage.homes.get(source.id)
    if home is not None:
        yield home.buffer, tuple(substituted(place, at) for place in home.index)
    elif not is_statement(source.op):
        for inner in source.operands:
            yield from loads(graph, storage, inner, at)


def substituted(poly: Poly, values: Mapping[str, Poly | None]) -> Poly | None:
    known: dict[str, PolyLike] = {}
    for name in poly.names:
        if name in values:
            value = values[name]
            if value is None:
                return None
            known[name] = value
    return poly.substitute(known)


def fixed_places(use: Use, number: int) -> dict[int, int]:
    """The dims of a buffer, but for `number`, of which a use has one index."""
    return {
        place: entry.constant
        for place, entry in enumerate(use.index)
        if place != number and entry is not None and entry.constant is not None
    }


def fixed_shift(use: Use, write: Use, number: int) -> int | None:
    """How far a write lies behind a use along a dim, if both have one index of it."""
    here, there = use.index[number], write.index[number]
    if here is None or there is None or here.constant is None or there.constant is None:
        return None
    return there.constant - here.constant


# ---- one buffer -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Of the values of one buffer."""

    graph: Graph
    storage: Storage
    moments: Mapping[str, Moment]
    buffer: Buffer
    uses: Uses

    def slotted(self) -> Buffer:
        """The buffer with slots for the first dim that needs fewer than it has."""
        if any(None in use.index or self.may_leave(use) for use in self.uses.reads):
            return self.buffer
        # A dim that is as long as the arrays first: it is worth most.
        dims = sorted(enumerate(self.buffer.dims), key=lambda row: row[1].extent is None)
        for number, dim in dims:
            for direction in (1, -1):
                slots = self.slots(number, direction)
                if slots is None or never_negative(Poly.of(slots) - dim.stored):
                    continue
                held = self.is_held(number)
                if held and (direction < 0 or self.buffer.dtype != "real"):
                    continue  # what is left out must harm no one: no index may come of it
                made = replace(dim, slots=slots, held=held)
                found = tuple(made if own is dim else own for own in self.buffer.dims)
                return replace(self.buffer, dims=found)
        return self.buffer

    def slots(self, number: int, direction: int) -> int | None:
        """The least number of slots for dim `number` if indices are written in that direction."""
        most = 1
        writes = Placed((fixed_places(write, number), write) for write in self.uses.writes)
        for use in (*self.uses.reads, *self.uses.writes):
            for write in writes.at(dict(enumerate(use.index))):  # others share no place with it
                shift = fixed_shift(use, write, number)
                if shift is not None and shift * direction < most:
                    continue
                distance = self.distance(use, write, number, direction)
                if distance is None:
                    return None
                most = max(most, distance)
        return most

    def distance(self, use: Use, write: Use, number: int, direction: int) -> int | None:
        """How far behind a used index the writes begin that are safe for it, if there are any."""
        shift = Poly.of(_SHIFT) * direction
        values: dict[str, PolyLike] = {}
        limits: list[Constraint] = []
        reach: Poly | None = None  # the largest shift that the writer makes
        for place, (target, entry) in enumerate(zip(write.index, use.index, strict=True)):
            assert target is not None and entry is not None
            wanted = entry + shift if place == number else entry
            own = target.names[0] if len(target.names) == 1 else ""
            if target == Poly.of(own) and own not in values:
                values[own] = wanted
                if place == number:
                    dim = write.points.dim(own)
                    assert dim.lower is not None and dim.upper is not None
                    reach = dim.upper - 1 - entry if direction > 0 else entry - dim.lower
            elif place == number:
                reach = (target.substitute(values) - entry) * direction
            else:
                limits.append(Constraint(wanted - target.substitute(values), "=="))
        limits += (c.substitute(values) for c in (*write.points.bounds, *write.points.constraints))
        limits = [limit for limit in limits if _SHIFT not in limit.poly.names]
        points = tightened(use.points.restrict(*(c for c in limits if c.poly.constant is None)))
        if any(c.poly.constant is not None and not c.holds({}) for c in limits) or is_empty(points):
            return 1
        found = self.later(use, write, values, points)
        most = None if reach is None else interval(reach, points).upper
        if most is not None and never_negative(most.offset - most):
            found.append(max(1, most.offset + 1))
        return min(found, default=None)

    def later(
        self, use: Use, write: Use, values: Mapping[str, PolyLike], points: Domain
    ) -> list[int]:
        """Shifts from which on the write surely runs after the use."""
        found: list[int] = []
        by_row = self.buffer.batched and self.extents_in(use)
        moments = zip(self.moments[use.statement], self.moments[write.statement], strict=False)
        for (use_number, timing), (write_number, _) in moments:
            if use_number != write_number:
                return [*found, 1] if write_number > use_number else found
            if timing is None or by_row:  # a row's own index says nothing of the array's waves
                return found
            between = timing.positions[write.statement].substitute(values)
            between = between - timing.positions[use.statement]
            pace = between.coefficient(_SHIFT)
            least = interval(between - Poly.of(_SHIFT) * pace, points).lower
            if pace < 0 or least is None or not never_negative(least - least.offset):
                return found
            if pace > 0:
                found.append(max(1, -(-(timing.scale - least.offset) // pace)))
            if least.offset + pace < 0:
                return found
        return found

    # ---- rows of their own length -------------------------------------------------------------

    @property
    def extents(self) -> tuple[str, ...]:
        return tuple(size.name for size in self.graph.sizes if size.kind == "extent")

    def extents_in(self, use: Use) -> bool:
        entries = [entry for entry in use.index if entry is not None]
        return any(name in self.extents for entry in entries for name in entry.names)

    def may_leave(self, use: Use) -> bool:
        """Whether a short row takes its reads to the margin beyond the array's end."""
        limits = {
            dim.name: extent
            for dim in use.points.dims
            if dim.upper is not None and not dim.static
            for extent in self.extents
            if extent in dim.upper.names
        }
        return self.buffer.batched and any(
            self.storage.may_leave(self.buffer.name, number, entry, limits)
            for number, entry in enumerate(use.index)
            if entry is not None
        )

    def is_held(self, number: int) -> bool:
        """Whether some read finds the last index by its row's own length."""
        extent = self.buffer.dims[number].extent
        return self.buffer.batched and any(
            extent in entry.names
            for use in self.uses.reads
            if (entry := use.index[number]) is not None
        )
