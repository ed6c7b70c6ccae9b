"""Loops that may end early, in plans: what is tested behind each wave, and what is filled in then.

for w in 0..T:                                  until done[w] is True in all rows
    phase: token, h, done at t = w       ->     then phase: token[t], done[t] for t = w.end, ...
"""

from __future__ import annotations

from rnnc.analysis.boxes import tightened
from rnnc.analysis.components import Component, Exit
from rnnc.analysis.early_exit import pace
from rnnc.analysis.timing import Timing, statement_loops
from rnnc.analysis.wave import Bound, Polynomial, WaveLoop
from rnnc.ir.domain import Constraint, Domain
from rnnc.ir.graph import Graph, Node
from rnnc.ir.poly import Poly
from rnnc.plan.elements import extent_of
from rnnc.plan.plan import Until, ended
from rnnc.plan.storage import Storage

Nest = tuple[tuple[Timing, str], ...]  # the timings around a statement, with their variables


def until(graph: Graph, storage: Storage, component: Component, found: Exit, nest: Nest) -> Until:
    """The test, inside the loops of `nest`; nothing is filled in yet."""
    node = graph[found.node]
    loops, constraints = statement_loops(node, nest)
    home = storage.homes[node.id]
    assert not constraints, "what sticks has all points from its first to its last"
    limits = limits_of(graph, node)
    backwards = pace(component, found.dim) < 0
    return Until(
        home.buffer,
        home.index,
        found.value,
        found.delay,
        loops,
        tuple(limit for limit in limits if not (backwards and limit[0] == found.dim)),
        tuple(limit for limit in limits if backwards and limit[0] == found.dim),
    )


def limits_of(graph: Graph, node: Node) -> tuple[tuple[str, str], ...]:
    """The dims of a statement that end with a run-time extent, each with that."""
    return tuple(
        (dim.name, extent)
        for dim in node.domain.dims
        if dim.upper is not None
        and not dim.static
        and (extent := extent_of(dim.upper, graph)) is not None
    )


def rest_loops(
    node: Node, nest: Nest, count: Bound
) -> tuple[tuple[WaveLoop, ...], tuple[Constraint, ...]]:
    """The points of a statement in the waves that an exit leaves out, wave by wave."""
    loops, constraints = statement_loops(node, nest)
    _, variable = nest[-1]
    waves = WaveLoop(variable, Polynomial(Poly.of(ended(variable))), count)
    return (waves, *loops), constraints


def tested(graph: Graph, component: Component, found: Exit) -> tuple[int, Domain]:
    """How far behind, along the exit's dim, the node's last points are still looked at, and from
    which points on: another task may already be in the wave that follows."""
    node = graph[found.node]
    speed = pace(component, found.dim)
    behind = -(-(found.delay + 1) // abs(speed))
    points = tightened(node.domain)
    dim = points.dim(found.dim)
    assert dim.lower is not None and dim.upper is not None
    if speed > 0:
        later = Constraint(Poly.of(found.dim) - behind - dim.lower, ">=")
        return behind, tightened(points.restrict(later))
    later = Constraint(dim.upper - 1 - behind - Poly.of(found.dim), ">=")
    return -behind, tightened(points.restrict(later))
