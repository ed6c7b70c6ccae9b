"""Statements united so that a loop over all of them can end early.

    s[n]     = f(s[n-1])                 one loop for s and a later one for total, which tells when
    total[n] = total[n-1] + g(s[n])      the rest of s is not looked at: too late to leave it out,
    runs[n]  = total[n-1] < 1            unless s, total and runs share their loop

A stop that sticks (analysis.monotone) takes other recurrences into its loop, with all that lies
between: those that it is computed from, the nearest first, then those that need not know of it.
Each stays that leaves one loop with an early exit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

import networkx as nx

from rnnc.analysis.components import Component
from rnnc.analysis.cuts import Arc, Rational, dot
from rnnc.analysis.dependence import Dependence
from rnnc.analysis.monotone import Monotone
from rnnc.analysis.partition import Part, Partition
from rnnc.ir.graph import Graph

# Statements and their dependences as one loop that may end early, if they can be one.
Loop = Callable[[Part, Sequence[Dependence]], Component | None]


def ends(component: Component) -> bool:
    """Whether one of its loops may end early."""
    return component.until is not None or any(ends(inner) for inner in component.inner)


def may_stop(graph: Graph, nodes: Iterable[str], around: tuple[str, ...]) -> bool:
    """Whether a statement among these sticks along a dim that no loop around has."""
    found = [graph[name] for name in nodes if graph[name].type.dtype == "bool"]
    dims = dict.fromkeys(dim for node in found for dim in node.domain.names if dim not in around)
    ways = [Monotone(graph, dim, sign) for dim in dims for sign in (1, -1)]
    return any(
        way.sticks_at(node) is not None
        for way in ways
        for node in found
        if way.dim in node.domain.names
    )


def ending(
    partition: Partition, part: Part, loop: Loop
) -> tuple[Partition, Part, Component] | None:
    """The parts with one that is a loop which may end early: `part` and all that it can save."""
    best: tuple[Partition, Part, Component] | None = None
    for other in partition.recurrences_near(part):
        wider, union = (partition, part) if best is None else best[:2]
        if other[0] in union:
            continue
        both = wider.between(other, union)
        trial = wider.united(both)
        found = loop(both, trial.inside(both))
        if found is not None:
            best = trial, both, found
    return best


def urgent(statement: str, edges: Sequence[Dependence], alpha: Rational) -> tuple[Arc, ...]:
    """What makes a statement run a turn before all that it does not need in the same turn.

    A loop that ends when `total[n-1] >= 1` then need not begin with index n to see that.
    """
    structure: nx.DiGraph[str] = nx.DiGraph()
    for edge in edges:
        steps = min((dot(alpha, vertex) for vertex in edge.vertices), default=Fraction(0))
        known = structure.get_edge_data(edge.reader, edge.source, {"steps": steps})
        structure.add_edge(edge.reader, edge.source, steps=min(steps, known["steps"]))
    names = tuple(structure)
    if statement not in structure:
        return ()
    needed = nx.single_source_bellman_ford_path_length(structure, statement, weight="steps")
    nowhere = (0,) * len(alpha)
    return tuple(
        Arc(statement, name, nowhere, 1, "")
        for name in names
        if name != statement and needed.get(name, 1) >= 1
    )
