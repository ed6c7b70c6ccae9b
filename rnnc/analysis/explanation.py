"""What is known of a model and its schedule: the data of `rnnc explain`, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from rnnc.analysis.alternatives import alternatives, read, vector_text
from rnnc.analysis.boxes import bounds_of, box_of, hull, tightened
from rnnc.analysis.components import Component, Options, Schedule
from rnnc.analysis.counting import count
from rnnc.analysis.critical_path import Paths, length_of
from rnnc.analysis.cuts import Rational
from rnnc.analysis.evaluations import evaluations, skipped, states
from rnnc.analysis.evaluations import grid as grid_of
from rnnc.analysis.listing import listing
from rnnc.analysis.longest import Longest
from rnnc.analysis.orders import Order
from rnnc.analysis.recurrences import Recurrence, Recurrences
from rnnc.analysis.schedule import schedule
from rnnc.analysis.timing import Timing
from rnnc.analysis.width import formula, widest
from rnnc.diagnostics import DiagnosticError
from rnnc.ir.domain import Dim
from rnnc.ir.graph import Graph, Node
from rnnc.ir.poly import Poly
from rnnc.ir.signature import extent_names
from rnnc.placement import Placements
from rnnc.weights import WeightType

# What the order that was taken is compared with.
_ORDERS: tuple[Order, ...] = ("layered", "wavefront")

# An extent at which two numbers of waves are compared that are not known.
_SAMPLE = 100


@dataclass(frozen=True, slots=True)
class Amount:
    """A formula in the extents, and its value where all of them are known."""

    formula: str
    value: int | None

    @staticmethod
    def of(length: Longest, values: Mapping[str, int]) -> Amount:
        try:
            return Amount(str(length), length.evaluate(values))
        except KeyError:
            return Amount(str(length), None)

    def __str__(self) -> str:
        if self.value is None or self.formula == str(self.value):
            return self.formula
        return f"{self.formula} = {self.value}"


@dataclass(frozen=True, slots=True)
class Edge:
    """A read of another point: `distances` are the ends of how far it is, `rays` where it has none.

    Distances are over the dims of the grid.
    """

    text: str
    distances: tuple[tuple[int, ...], ...]
    rays: tuple[tuple[int, ...], ...]

    def __str__(self) -> str:
        ends = [_tuple(vector) for vector in self.distances]
        ends += [f"{_tuple(ray)}..." for ray in self.rays]
        return f"{self.text} {' or '.join(ends)}"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A schedule that was not taken: the read that forbids it, or what it would have cost."""

    schedule: str
    legal: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Other:
    """What another order of all that there is would take."""

    order: Order
    waves: Amount


@dataclass(frozen=True, slots=True)
class Explained:
    """One recurrence, as it was written."""

    variables: tuple[str, ...]
    grid: tuple[Dim, ...]
    edges: tuple[Edge, ...]
    schedule: str
    waves: Amount
    max_width: Amount
    critical_path: Amount
    evaluations: Amount
    skipped: Amount
    fused: tuple[tuple[str, ...], ...]
    rejected: tuple[Rejected, ...]
    data_dependent: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """`components` are the recurrences; a model without one has a single component, all of it.

    `hoisted` are the products that are computed for all points at once, `prepared` those that are
    computed when parameters are bound; `order` has a paragraph for each step of the schedule,
    `preparation` for each step of what runs then. `weights` is the type in which the weights of
    products are stored; zeros of the `masked` ones may be left out in any case. `placements` says
    what the target makes of it.
    """

    model: str
    values: Mapping[str, int]
    extents: tuple[str, ...]
    schedule: str
    waves: Amount
    max_width: Amount
    critical_path: Amount
    evaluations: Amount
    skipped: Amount
    components: tuple[Explained, ...]
    hoisted: tuple[str, ...]
    prepared: tuple[str, ...]
    preparation: tuple[str, ...]
    order: tuple[str, ...]
    others: tuple[Other, ...]
    weights: WeightType = "float32"
    masked: tuple[str, ...] = ()
    placements: Placements | None = None


def explanation(
    written: Graph,
    scheduled: Graph,
    found: Schedule,
    options: Options,
    fused: Sequence[Sequence[str]],
    prepared: Sequence[str],
    preparation: Sequence[str],
    sizes: Mapping[str, int],
) -> Explanation:
    """`written` is the graph as it was written, every variable complete; `scheduled` the one that
    `found` is the schedule of, as `options` say. `fused` are the statements whose products share a
    kernel, `prepared` the products that run when parameters are bound and `preparation` all that
    runs then, in words; `sizes` has the statics, and may have run-time extents.
    """
    return _Explainer(
        Paths(Recurrences(written)),
        scheduled,
        found,
        options,
        fused,
        prepared,
        preparation,
        sizes,
    ).explanation()


@dataclass(frozen=True, slots=True)
class _Part:
    """Where some statements of a recurrence stand: the component that runs them, in which loops.

    `statements` come with the variables that they define points of; `vectors` and `timings` are
    those of the loops, outermost first.
    """

    component: Component
    statements: Mapping[str, str]
    loops: tuple[Component, ...]
    vectors: tuple[Mapping[str, Fraction], ...]
    timings: tuple[Timing, ...]


@dataclass(frozen=True, slots=True)
class _Explainer:
    paths: Paths
    graph: Graph
    schedule: Schedule
    options: Options
    fused: Sequence[Sequence[str]]
    prepared: Sequence[str]
    preparation: Sequence[str]
    values: Mapping[str, int]

    def explanation(self) -> Explanation:
        paths, values = self.paths, self.values
        one = Longest.of([Poly.of(1)])
        loops = [found for found in self.schedule.components if found.kind != "parallel"]
        parts = {found: tuple(self.parts(found)) for found in paths.recurrences.found}
        if parts:
            components = tuple(self.recurrence(found, parts[found]) for found in parts)
            done = sum((evaluations(paths, found) for found in parts), Longest())
            kept = sum((skipped(paths, found) for found in parts), Longest())
        else:
            components, done, kept = (self.parallel(),), self.points(), Longest()
        waves = sum(map(waves_of, loops), Longest()) if loops else one
        schedules = dict.fromkeys(found.schedule for found in components)
        return Explanation(
            model=paths.graph.name,
            values=values,
            extents=extent_names(paths.graph),
            schedule="; ".join(schedules),
            waves=Amount.of(waves, values),
            max_width=self.width(parts) if parts else components[0].max_width,
            critical_path=Amount.of(paths.longest, values),
            evaluations=Amount.of(done, values),
            skipped=Amount.of(kept, values),
            components=components,
            hoisted=tuple(self.hoisted()),
            prepared=tuple(dict.fromkeys(self.prepared)),
            preparation=tuple(self.preparation),
            order=listing(self.graph, self.schedule, values),
            others=tuple(self.others()),
        )

    def others(self) -> Iterator[Other]:
        """The orders that are as legal, where they differ."""
        for order in _ORDERS:
            try:
                found = schedule(self.graph, replace(self.options, order=order))
            except DiagnosticError:
                continue
            if found != self.schedule:
                waves = sum(map(waves_of, found.components), Longest())
                yield Other(order, Amount.of(waves, self.values))

    # ---- one recurrence -----------------------------------------------------------------------

    def recurrence(self, found: Recurrence, parts: Sequence[_Part]) -> Explained:
        paths, values = self.paths, self.values
        grid = grid_of(paths, found)
        waves = sum(map(waves_of, _different(part.loops[0] for part in parts)), Longest())
        return Explained(
            variables=tuple(name.removesuffix(".out") for name in states(paths, found)),
            grid=grid,
            edges=tuple(self.edges(found, [dim.name for dim in grid])),
            schedule="; then ".join(dict.fromkeys(self.described(part) for part in parts)),
            waves=Amount.of(waves, values),
            max_width=self.width({found: parts}),
            critical_path=Amount.of(paths.length([found]), values),
            evaluations=Amount.of(evaluations(paths, found), values),
            skipped=Amount.of(skipped(paths, found), values),
            fused=tuple(self.fused_in(parts)),
            rejected=tuple(self.rejected(found, grid, parts, waves)),
            data_dependent=any(low != high for edge in found.reads for _, low, high in edge.access),
        )

    def parts(self, found: Recurrence) -> Iterator[_Part]:
        """Where the recurrence's variables are computed, in the order of the schedule.

        Passes may rename a variable (or take it apart): it is still written at the same place.
        """
        wanted = [self.paths.graph[name] for name in states(self.paths, found)]
        names = {node.id for node in wanted}
        spans = {span for node in wanted for span in node.spans}
        cases: dict[str, str] = {}
        for node in self.graph.nodes:
            if node.op.name == "merge" and (node.id in names or spans & set(node.spans)):
                for case in node.operands:
                    cases.setdefault(case.source, node.id)
        for component in self.schedule.components:
            if component.kind != "parallel":
                yield from self.inside(component, cases, (), (), ())

    def inside(
        self,
        component: Component,
        wanted: Mapping[str, str],
        loops: tuple[Component, ...],
        vectors: tuple[Mapping[str, Fraction], ...],
        timings: tuple[Timing, ...],
    ) -> Iterator[_Part]:
        names = {name: wanted[name] for name in component.nodes if name in wanted}
        if not names:
            return
        own = (*loops, component)
        if component.timing is not None:
            timings = (*timings, component.timing)
        if component.kind == "split":
            vectors = (*vectors, self.vector(component.alpha))
            for part in component.inner:
                yield from self.inside(part, wanted, own, vectors, timings)
        elif component.kind == "joint":
            for part in component.inner:
                held = {name: wanted[name] for name in part.nodes if name in wanted}
                if held:
                    along = (*vectors, self.vector(part.alpha))
                    yield _Part(part, held, own, along, timings)
        else:
            if component.kind != "parallel":
                vectors = (*vectors, self.vector(component.alpha))
            yield _Part(component, names, own, vectors, timings)

    def vector(self, alpha: Rational) -> Mapping[str, Fraction]:
        return dict(zip(self.schedule.dims, alpha, strict=True))

    def described(self, part: _Part) -> str:
        """`wave = l + t`; `for each l: wave = t`."""
        widest = max(part.statements, key=lambda name: len(self.graph[name].domain.dims))
        *outer, inner = part.loops
        text = "".join(f"for each {self.turn(loop, widest)}: " for loop in outer)
        if inner.kind == "parallel":
            return text + "all points at once"
        chunks = part.component.chunks
        return f"{text}wave = {_wave(inner, widest)}" + (
            f", {chunks} stretches of it at once" if chunks > 1 else ""
        )

    def turn(self, loop: Component, statement: str) -> str:
        """`l`; `l, from the last`; the outer wave where it goes along several dims."""
        moving = [(d, v) for d, v in zip(self.schedule.dims, loop.alpha, strict=True) if v]
        if len(moving) == 1 and abs(moving[0][1]) == 1:
            dim, value = moving[0]
            if loop.levels is not None:
                return f"level of {dim}"
            return dim if value > 0 else f"{dim}, from the last"
        return str(_wave(loop, statement))

    def edges(self, found: Recurrence, dims: Sequence[str]) -> Iterator[Edge]:
        numbers = [self.paths.space.dims.index(dim) for dim in dims]

        def over_grid(vectors: Iterable[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
            cut = (tuple(vector[number] for number in numbers) for vector in vectors)
            return tuple(dict.fromkeys(cut))

        seen: dict[Edge, None] = {}
        for edge in found.reads:
            distances, rays = over_grid(edge.vertices), over_grid(edge.rays)
            rays = tuple(ray for ray in rays if any(ray))
            further = {tuple(map(sum, zip(d, r, strict=True))) for d in distances for r in rays}
            distances = tuple(d for d in distances if d not in further)
            if edge.delay and (rays or any(map(any, distances))):
                seen[Edge(read(self.paths, dims, edge), distances, rays)] = None
        yield from seen

    def sampled(self, length: Longest) -> int:
        return length.evaluate({**dict.fromkeys(length.names, _SAMPLE), **self.values})

    def rejected(
        self, found: Recurrence, grid: Sequence[Dim], parts: Sequence[_Part], waves: Longest
    ) -> Iterator[Rejected]:
        names = [dim.name for dim in grid]
        taken = None
        if len(_different(part.loops[0] for part in parts)) == 1 and all(
            len(part.loops) == 1 for part in parts
        ):
            along = parts[0].vectors[0]
            taken = tuple(along.get(dim, Fraction(0)) for dim in self.paths.space.dims)
        for other in alternatives(self.paths, found, names, taken):
            text = vector_text(other.alpha, self.paths.space.dims)
            if other.edge is not None:
                edge, distance = other.edge
                where = read(self.paths, names, edge, distance)
                cut = [distance[self.paths.space.dims.index(name)] for name in names]
                yield Rejected(text, False, f"edge {where} has distance {_tuple(cut)}")
            elif other.waves is not None and self.sampled(other.waves) < self.sampled(waves):
                fewer = Amount.of(other.waves, self.values)
                yield Rejected(text, True, f"{fewer} waves, but each of them costs more")

    def fused_in(self, parts: Sequence[_Part]) -> Iterator[tuple[str, ...]]:
        """The products of the recurrence's loops that share a kernel, as they were written."""
        inside = {name for part in parts for name in part.loops[0].nodes}
        for group in self.fused:
            if inside & set(group):
                yield tuple(self.written(name) for name in group)

    def written(self, name: str) -> str:
        spans = self.graph[name].spans
        return spans[0].text if spans else name

    # ---- width --------------------------------------------------------------------------------

    def width(self, parts: Mapping[Recurrence, Sequence[_Part]]) -> Amount:
        """The most points that share a wave: of all parts that one loop holds."""
        formulas: list[str] = []
        values: list[int | None] = []
        for loop in _different(part.loops[-1] for found in parts.values() for part in found):
            texts: list[str] = []
            statements: list[tuple[Node, Sequence[Timing]]] = []
            for recurrence, found in parts.items():
                for part in found:
                    if part.loops[-1] is loop:
                        names = {dim.name for dim in grid_of(self.paths, recurrence)}
                        held = self.fullest(part, names)
                        texts.append(str(formula(self.box(part, held, names), part.vectors)))
                        statements += held
            formulas.append(_sum(texts))
            values.append(self.most(statements))
        known = [value for value in values if value is not None]
        value = max(known, default=0) if len(known) == len(values) else None
        found_formulas = list(dict.fromkeys(formulas))
        if len(found_formulas) > 1:
            return Amount(f"max({', '.join(found_formulas)})", value)
        return Amount("".join(found_formulas) or "0", value)

    def fullest(self, part: _Part, names: set[str]) -> list[tuple[Node, Sequence[Timing]]]:
        """The statements of the variable that has most points in a wave; of those that have no
        dims but `names`, if there are such."""
        found: dict[str, list[tuple[Node, Sequence[Timing]]]] = {}
        inside: set[str] = set()
        for name, variable in part.statements.items():
            node = self.graph[name]
            found.setdefault(variable, []).append((node, part.timings))
            if set(self.graph[variable].domain.names) <= names:
                inside.add(variable)
        full = [held for variable, held in found.items() if variable in inside or not inside]
        return max(full, key=lambda held: self.most(held) or 0)

    def box(
        self, part: _Part, held: Sequence[tuple[Node, Sequence[Timing]]], names: set[str]
    ) -> tuple[Dim, ...]:
        """The stretch of each dim over which some statements of a variable define it."""
        ids = {node.id for node, _ in held}
        variable = self.graph[part.statements[held[0][0].id]]
        guards = [
            tightened(case.guard)
            for case in variable.operands
            if case.source in ids and case.guard is not None
        ]
        return tuple(
            box_of(dim, hull(bounds_of(guard.dim(dim.name)) for guard in guards))
            for dim in variable.domain.dims
            if dim.name in names
        )

    def most(self, statements: Sequence[tuple[Node, Sequence[Timing]]]) -> int | None:
        try:
            return widest(statements, self.values)
        except KeyError:
            return None

    # ---- what is in no recurrence -------------------------------------------------------------

    def hoisted(self) -> Iterator[str]:
        names = [
            name
            for component in self.schedule.components
            if component.kind == "parallel"
            for name in component.nodes
            if self.graph[name].op.name == "matmul"
        ]
        yield from dict.fromkeys(self.written(name) for name in names)

    def points(self) -> Longest:
        """The points of the largest variable."""
        return Longest.of(
            count(case.guard)
            for node in self.paths.graph.nodes
            if node.op.name == "merge"
            for case in node.operands
            if case.guard is not None
        ) | Longest.of([Poly.of(1)])

    def parallel(self) -> Explained:
        """A model without a recurrence."""
        one = Amount("1", 1)
        points = Amount.of(self.points(), self.values)
        return Explained(
            variables=tuple(output.name for output in self.paths.graph.outputs),
            grid=(),
            edges=(),
            schedule="all points at once",
            waves=one,
            max_width=points,
            critical_path=one,
            evaluations=points,
            skipped=Amount("0", 0),
            fused=tuple(tuple(map(self.written, group)) for group in self.fused),
            rejected=(),
            data_dependent=False,
        )


def waves_of(component: Component) -> Longest:
    """How many waves a component takes, one after another."""
    if component.waves is None:
        return Longest()
    own = length_of(component.waves)
    if component.kind != "split":
        return own
    inner = sum(map(waves_of, component.inner), Longest())
    return own * inner if inner.terms else own


def _sum(texts: Sequence[str]) -> str:
    """`2 * min(R, C)` for two equal ones."""
    parts: list[str] = []
    for text in dict.fromkeys(texts):
        times = texts.count(text)
        parts.append(text if times == 1 else str(times) if text == "1" else f"{times} * {text}")
    return " + ".join(parts)


def _different(components: Iterable[Component]) -> list[Component]:
    found: list[Component] = []
    for component in components:
        if not any(component is other for other in found):
            found.append(component)
    return found


def _wave(component: Component, statement: str) -> Poly:
    assert component.timing is not None
    return component.timing.wave(statement)


def _tuple(vector: Iterable[int]) -> str:
    return f"({', '.join(map(str, vector))})"
