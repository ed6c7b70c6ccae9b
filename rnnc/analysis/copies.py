"""Dependences as if nothing were copied: who reads a copy reads what was copied.

    s[t, -1] = state[t-1];  s[t, n] reads s[t, n-1]     becomes     s[t, 0] reads state[t-1]

A value that is kept step after step (`h[t] = h[t-1]` where nothing is due) is a copy of a copy: it
stays a statement, or is followed back to where it was computed.

    h[t] = h[t-1] if t % 2 == 1;  h[t] reads h[t-1] if t % 2 == 0      becomes     h[t] reads h[t-2]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import networkx as nx

from rnnc.analysis.boxes import is_void, tightened
from rnnc.analysis.dependence import Dependence
from rnnc.analysis.lattice import is_contradictory
from rnnc.ir.graph import Graph
from rnnc.ir.poly import Poly

# Values kept for longer are not followed back.
_MOST_STEPS = 64


def is_copy(graph: Graph, name: str) -> bool:
    """Whether a statement only names another value."""
    node = graph[name]
    if node.op.name != "cast" or len(node.operands) != 1:
        return False
    read = graph[node.operands[0].source].type
    return (read.dtype, read.shape) == (node.type.dtype, node.type.shape)


def without_copies(graph: Graph, edges: Sequence[Dependence]) -> tuple[Dependence, ...]:
    """The dependences of all statements but copies that are not kept."""
    copies = {name for edge in edges for name in (edge.source, edge.reader) if is_copy(graph, name)}
    kept = _on_cycles(copies, edges)
    found = list(edges)
    for name in sorted(copies - kept):
        into = [edge for edge in found if edge.reader == name]
        out = [edge for edge in found if edge.source == name]
        found = [edge for edge in found if name not in (edge.source, edge.reader)]
        made = (_composed(first, last) for first, last in product(into, out))
        found += [edge for edge in made if not is_void(edge.points)]
    return tuple(found)


def without_kept(graph: Graph, edges: Sequence[Dependence]) -> tuple[Dependence, ...]:
    """The dependences of all statements but copies that are kept a known number of steps."""
    found = tuple(edge for edge in edges if not is_contradictory(edge.points))
    for name in dict.fromkeys(edge.reader for edge in edges if edge.reader == edge.source):
        if is_copy(graph, name):
            found = _without(name, found) or found
    return found


def _without(name: str, edges: tuple[Dependence, ...]) -> tuple[Dependence, ...]:
    """The dependences with those of a copy of itself followed back; () if there is no end to it."""
    into = [edge for edge in edges if edge.reader == name != edge.source]
    kept = [edge for edge in edges if edge.reader == name == edge.source]
    found = [edge for edge in edges if name not in (edge.source, edge.reader)]
    out = [edge for edge in edges if edge.source == name != edge.reader]
    for _ in range(_MOST_STEPS):
        found += _all_composed(into, out)
        out = _all_composed(kept, out)
        if not out:
            return tuple(dict.fromkeys(found))
    return ()


def _all_composed(first: Sequence[Dependence], last: Sequence[Dependence]) -> list[Dependence]:
    """Each of `last` behind each of `first`, where there are points."""
    made = (_composed(one, other) for one, other in product(first, last))
    return [edge for edge in made if not (is_void(edge.points) or is_contradictory(edge.points))]


def _on_cycles(copies: set[str], edges: Sequence[Dependence]) -> set[str]:
    """Copies of copies of ... themselves."""
    among = nx.DiGraph([(e.source, e.reader) for e in edges if {e.source, e.reader} <= copies])
    return {
        name
        for part in nx.strongly_connected_components(among)
        for name in part
        if len(part) > 1 or among.has_edge(name, name)
    }


def _composed(first: Dependence, last: Dependence) -> Dependence:
    """What `last` reads of a copy that is made by `first`."""
    lows = {name: low for name, low, _ in last.access}
    highs = {name: high for name, _, high in last.access}
    access = tuple(
        (name, _at(low, lows, highs), _at(high, highs, lows)) for name, low, high in first.access
    )
    exact = {name: low for name, low in lows.items() if low == highs[name]}
    limits = (*first.points.bounds, *first.points.constraints)
    own = set(first.points.names)
    points = last.points.restrict(
        *(c.substitute(exact) for c in limits if (own & set(c.poly.names)) <= set(exact))
    )
    sums = (
        tuple(a + b for a, b in zip(one, other, strict=True))
        for one, other in product(first.vertices, last.vertices)
    )
    return replace(
        last,
        source=first.source,
        vertices=tuple(dict.fromkeys(sums)),
        rays=tuple(dict.fromkeys((*first.rays, *last.rays))),
        delay=max(first.delay, last.delay),
        access=access,
        points=tightened(points),
    )


def _at(index: Poly, values: dict[str, Poly], others: dict[str, Poly]) -> Poly:
    """An end of an index, at the ends of a copy's own indices."""
    return index.substitute(
        {name: values[name] if index.coefficient(name) >= 0 else others[name] for name in values}
    )
