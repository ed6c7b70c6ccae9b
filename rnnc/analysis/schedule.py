"""A legal schedule of least latency for every component of the dependence graph.

Strongly connected components in topological order. One that does not depend on itself is computed
for all points at once (`parallel`). Any other gets one rational vector alpha and an offset gamma
for each statement (`affine`: wave = floor(alpha . i + gamma)), found by cycle cuts; where no vector
serves all its dependences, or where layers are to run one after another, an outer loop carries some
of them and the rest is scheduled inside (`split`). Recurrences that know nothing of each other
share their waves (`joint`). One in which every element only depends on itself needs no waves at all
(`chain`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction

from rnnc.analysis.components import Component as Component
from rnnc.analysis.components import Obstacle as Obstacle
from rnnc.analysis.components import Options as Options
from rnnc.analysis.components import Schedule as Schedule
from rnnc.analysis.components import joint
from rnnc.analysis.cost import CostModel
from rnnc.analysis.cuts import Arc, Cut, Rational, dot, offsets
from rnnc.analysis.dependence import Dependence, dependences
from rnnc.analysis.early_exit import exit_of, exits, in_step
from rnnc.analysis.ending import ending, ends, may_stop, urgent
from rnnc.analysis.epilogues import with_epilogues
from rnnc.analysis.levels import level_reads
from rnnc.analysis.linear import STATES, chains
from rnnc.analysis.merging import merged
from rnnc.analysis.orders import Order
from rnnc.analysis.partition import Partition
from rnnc.analysis.space import Space, arcs_of
from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.ir.graph import Graph
from rnnc.ir.ops import is_statement


def schedule(graph: Graph, options: Options | None = None) -> Schedule:
    """The schedule of a graph; raises DiagnosticError (RNN404) where there is none."""
    options = options or Options()
    hints = {**graph.values, **dict(options.hints)}
    space = Space.of(graph, hints)
    statements = tuple(node.id for node in graph.nodes if is_statement(node.op))
    edges = dependences(graph, space.dims, space.places)
    cost = CostModel.of(graph, hints, options.weights, options.machine)
    best: tuple[Component, ...] | None = None
    obstacles: dict[str, Obstacle] = {}
    for order in candidates(options, space):
        chosen = replace(options, order=order, least=options.order == "wavefront")
        scheduler = Scheduler(space, cost, chosen, obstacles=obstacles)
        found = scheduler.components(statements, edges)
        if best is None or cost.better(found, best):
            best = found
    assert best is not None
    used = {found.node for _, found in exits(best)}
    rest = tuple(found for found in obstacles.values() if found.node not in used)
    return Schedule(space.dims, best, rest)


def candidates(options: Options, space: Space) -> Sequence[Order]:
    return ("layered", "wavefront") if options.order == "auto" else (options.order,)


class Scheduler:
    """Schedules any part of the statements of a graph, for any part of their dependences."""

    def __init__(
        self,
        space: Space,
        cost: CostModel,
        options: Options,
        around: tuple[str, ...] = (),
        turns: int = 1,
        rows: tuple[str, ...] | None = (),
        obstacles: dict[str, Obstacle] | None = None,
    ) -> None:
        self.space, self.cost, self.options = space, cost, options
        self.dims = space.dims
        # The dims of the loops around what is scheduled, and how often these turn in all.
        self.around, self.turns = around, turns
        # Those dims, if in each turn all statements have the same index of them: then a loop inside
        # may end early.
        self.rows = None if options.order == "sequential" else rows
        # What was united to one that does.
        self.loops: dict[tuple[str, ...], Component] = {}
        # By the statement that stops: what was found last, with most around it.
        self.obstacles: dict[str, Obstacle] = {} if obstacles is None else obstacles

    def components(
        self, nodes: Sequence[str], edges: Sequence[Dependence]
    ) -> tuple[Component, ...]:
        """Components in the order in which they run.

        Recurrences come as early as they can, and with them those that do not depend on each
        other; what they do not need stands after those that it reads.
        """
        partition = Partition.of(nodes, edges)
        if self.options.order == "wavefront":
            partition = merged(partition, self.space, self.options.least)
        partition = self.ending(partition)
        levels: dict[tuple[int, bool], list[Component]] = {}
        for part in partition.parts:
            own = partition.inside(part)
            made = self.component(part, own) if own else Component("parallel", part)
            levels.setdefault((partition.level(part), not own), []).append(made)
        found: list[Component] = []
        for (_, parallel), made_here in sorted(levels.items(), key=lambda item: item[0]):
            found += made_here if parallel else self.together(made_here)
        return with_epilogues(self.cost, found)

    def component(self, nodes: tuple[str, ...], edges: Sequence[Dependence]) -> Component:
        """A recurrence, in loops that end early where they can and that pays."""
        if nodes in self.loops:
            return self.loops[nodes]
        made = self.with_exit(self.ordered(nodes, edges))
        if self.rows is None:
            return made
        if made.kind in ("affine", "chain"):
            found = self.ending_inside(nodes, edges)
            # That nothing is left to do, no estimate knows before: it must not cost more than that.
            if found is not None and not self.cost.better([made], [found], self.turns):
                return found
        return made

    def ordered(self, nodes: tuple[str, ...], edges: Sequence[Dependence]) -> Component:
        """A recurrence: an outer loop where the order asks for one, else one vector."""
        if self.options.order != "sequential":
            leveled = self.leveled(nodes, edges)
            if leveled is not None:
                return leveled
        for number, dim in enumerate(self.dims):
            wanted = dim in self.space.static
            match self.options.order:
                case "wavefront":
                    wanted = False
                case "sequential":
                    wanted = True
            if wanted and not all(edge.stands(number) for edge in edges):
                for sign in (1, -1):
                    made = self.split_along(nodes, edges, self.space.unit(number, sign))
                    if made is not None:
                        return made
        found = self.space.solved(nodes, edges)
        if not isinstance(found, Component):
            return self.split(nodes, edges, found)
        step = chains(self.space.graph, nodes, self.around)
        if step is None or self.options.order == "sequential":
            return found
        made = replace(found, kind="chain")
        states = step.states
        made = replace(made, semiring=step.semiring)
        if step.semiring is None or states is None or states > STATES:
            return made
        chunks = self.options.chunks
        return replace(made, chunks=self.cost.chunks(made, states) if chunks is None else chunks)

    def leveled(self, nodes: tuple[str, ...], edges: Sequence[Dependence]) -> Component | None:
        """A loop over the levels of points that read along index arrays."""
        for number, dim in enumerate(self.dims):
            if not level_reads(self.space.graph, nodes, dim):
                continue
            made = self.split_along(nodes, edges, self.space.unit(number, 1))
            if made is None or any(dict(made.gamma).values()):
                continue
            if all(found.kind == "parallel" for found in made.inner):
                return replace(made, levels=dim)
        return None

    def with_exit(self, component: Component) -> Component:
        if self.rows is None:
            return component
        until, obstacles = exit_of(self.space.graph, component, self.rows)
        self.obstacles.update((found.node, found) for found in obstacles)
        return replace(component, until=until)

    # ---- loops that end early ------------------------------------------------------------------

    def ending(self, partition: Partition) -> Partition:
        """Unites what can be one loop that may end early, where that pays."""
        if self.rows is None:
            return partition
        for part in partition.parts:
            if part not in partition.parts or not may_stop(self.space.graph, part, self.rows):
                continue
            found = ending(partition, part, self.loop_that_ends)
            if found is None:
                continue
            wider, union, made = found
            if all(self.space.graph[name].op.name != "matmul" for name in union):
                continue  # what it could leave out costs less than to look
            apart = [
                self.component(other, own) if own else Component("parallel", other)
                for other in partition.parts
                if other[0] in union
                for own in [partition.inside(other)]
            ]
            if not self.cost.better(apart, [made], self.turns):
                partition, self.loops[union] = wider, made
        return partition

    def loop_that_ends(
        self, nodes: tuple[str, ...], edges: Sequence[Dependence]
    ) -> Component | None:
        """One index of a dim after another, with an early exit."""
        assert self.rows is not None
        for number, dim in enumerate(self.dims):
            if dim in self.rows or not may_stop(self.space.graph, nodes, self.rows):
                continue
            for sign in (1, -1):
                alpha = self.space.unit(number, sign)
                found = self.split_along(nodes, edges, alpha)
                if found is None or found.until is None:
                    continue
                if found.until.lag == 0:  # what is looked at should run before what it may save
                    wanted = urgent(found.until.node, edges, alpha)
                    sooner = self.split_along(nodes, edges, alpha, wanted)
                    return found if sooner is None or sooner.until is None else sooner
                return found
        return None

    def ending_inside(
        self, nodes: tuple[str, ...], edges: Sequence[Dependence]
    ) -> Component | None:
        """The best outer loop along one dim with a loop inside that may end early."""
        best: Component | None = None
        for number, dim in enumerate(self.dims):
            if all(edge.stands(number) for edge in edges):
                continue
            assert self.rows is not None
            if not may_stop(self.space.graph, nodes, (*self.rows, dim)):
                continue
            for sign in (1, -1):
                made = self.split_along(nodes, edges, self.space.unit(number, sign))
                if made is None or not ends(made):
                    continue
                if best is None or self.cost.better([made], [best], self.turns):
                    best = made
        return best

    # ---- several recurrences ------------------------------------------------------------------

    def together(self, components: Sequence[Component]) -> Iterable[Component]:
        """Recurrences that know nothing of each other: in one loop of waves where that pays."""
        plain = [found for found in components if self.joins(found)]
        if len(plain) > 1 and self.options.order != "sequential":
            made = joint([replace(found, kind="affine") for found in plain])
            if self.options.least or not self.cost.better(plain, [made], self.turns):
                yield made
                plain = []
        yield from plain
        yield from (found for found in components if not self.joins(found))

    def joins(self, found: Component) -> bool:
        """Whether a recurrence can share its waves with others, and may: a chain needs none."""
        is_chain = found.kind == "chain" and found.chunks == 1
        return found.kind == "affine" or (is_chain and self.options.least)

    # ---- outer loop, inner schedules ----------------------------------------------------------

    def split(
        self, nodes: tuple[str, ...], edges: Sequence[Dependence], conflict: tuple[Cut, ...]
    ) -> Component:
        """An outer loop along the vector that carries most dependences."""
        best: tuple[tuple[object, ...], Component] | None = None
        for values in itertools.product((0, 1, -1), repeat=len(self.dims)):
            if not any(values):
                continue
            alpha = tuple(Fraction(value) for value in values)
            loose = self.carried(nodes, edges, alpha)
            if loose is None or len(loose[1]) == len(edges):
                continue
            key = (len(loose[1]), self.space.cost(alpha), sum(v < 0 for v in values), values)
            if best is None or key < best[0]:
                made = self.split_along(nodes, edges, alpha)
                if made is not None:
                    best = (key, made)
        if best is None:
            raise no_schedule(self.space, nodes, edges, conflict)
        return replace(best[1], conflict=conflict)

    def carried(
        self,
        nodes: Sequence[str],
        edges: Sequence[Dependence],
        alpha: Rational,
        wanted: Sequence[Arc] = (),
    ) -> tuple[dict[str, Fraction], list[Dependence]] | None:
        """Offsets with which no dependence runs backwards, nor any of `wanted`, and those that
        alpha leaves inside."""
        if any(dot(alpha, ray) < 0 for edge in edges for ray in edge.rays):
            return None
        weak = [Arc(a.source, a.reader, a.distance, 0, a.text) for a in arcs_of(edges)]
        gamma, cycle = offsets(nodes, [*weak, *wanted], alpha)
        if cycle:
            return None
        loose = [
            edge
            for edge in edges
            if any(
                gamma[edge.reader] - gamma[edge.source] + dot(alpha, vertex) < 1
                for vertex in edge.vertices
            )
        ]
        return gamma, loose

    def split_along(
        self,
        nodes: tuple[str, ...],
        edges: Sequence[Dependence],
        alpha: Rational,
        wanted: Sequence[Arc] = (),
    ) -> Component | None:
        """An outer loop along alpha, and what it leaves scheduled inside; None if not legal."""
        found = self.carried(nodes, edges, alpha, wanted)
        if found is None or len(found[1]) == len(edges):
            return None
        gamma, loose = found
        outer = replace(self.space.along(nodes, alpha, gamma), kind="split")
        steps = [dim for dim, value in zip(self.dims, alpha, strict=True) if value]
        around = (*self.around, *steps) if len(steps) == 1 else self.around
        assert outer.waves is not None
        turns = self.turns * max(1, outer.waves.evaluate(self.cost.extents))
        rows = None
        if self.rows is not None and len(steps) == 1 and in_step(outer):
            rows = (*self.rows, *steps)
        try:
            inside = Scheduler(
                self.space, self.cost, self.options, around, turns, rows, self.obstacles
            )
            inner = inside.inner(nodes, loose)
        except DiagnosticError:
            return None
        return self.with_exit(replace(outer, inner=inner))

    def inner(self, nodes: tuple[str, ...], edges: Sequence[Dependence]) -> tuple[Component, ...]:
        """What an outer loop leaves to be scheduled: point by point, all of it stays together
        where one loop can carry that."""
        stays = all(edge.stands(number) for edge in edges for number in range(len(self.dims)))
        if self.options.order == "sequential" and not stays:
            with suppress(DiagnosticError):
                return (self.component(nodes, edges),)
        return self.components(nodes, edges)


# ---- helpers ----------------------------------------------------------------------------------


def no_schedule(
    space: Space, nodes: Sequence[str], edges: Sequence[Dependence], conflict: tuple[Cut, ...]
) -> DiagnosticError:
    spans = [span for name in nodes for span in space.graph[name].spans]
    reads = "; ".join(dict.fromkeys(reason for cut in conflict for reason in cut.reason))
    message = f"no order computes '{nodes[0]}': {reads}"
    hints = tuple(
        f"an order must do for any number of '{dim}'; equations for single ones may have another"
        for number, dim in enumerate(space.dims)
        if dim in space.static and not all(edge.stands(number) for edge in edges)
    )
    span = spans[0] if spans else None
    return DiagnosticError([Diagnostic("RNN404", message, span, hints=hints)])
