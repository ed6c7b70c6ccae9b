"""Sets of dependences seen as distances alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import networkx as nx

from rnnc.analysis.dependence import Dependence


def moves(edge: Dependence) -> bool:
    """Whether another point is read."""
    return bool(edge.rays) or any(any(vertex) for vertex in edge.vertices)


def flat(edge: Dependence, number: int | None) -> Dependence:
    """The dependence as if its statements had no such dim."""

    def without(vector: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(0 if place == number else value for place, value in enumerate(vector))

    vertices = tuple(dict.fromkeys(without(vertex) for vertex in edge.vertices))
    rays = tuple(dict.fromkeys(ray for ray in map(without, edge.rays) if any(ray)))
    return replace(edge, vertices=vertices, rays=rays)


def still(edges: Sequence[Dependence]) -> nx.DiGraph[str]:
    """The reads of the same point, from source to reader, with the longest `delay` of each pair."""
    found: nx.DiGraph[str] = nx.DiGraph()
    for edge in edges:
        if not moves(edge):
            known = found.get_edge_data(edge.source, edge.reader, {"delay": 0})["delay"]
            found.add_edge(edge.source, edge.reader, delay=max(known, edge.delay))
    return found


def contracted(edges: Sequence[Dependence], number: int | None = None) -> tuple[Dependence, ...]:
    """The reads of other points, each by whatever such reads see of it at the reader's point.

    They have the same cycles, with far fewer statements. Distances are without dim `number`.
    """
    here = still(edges)
    moving = [edge for edge in edges if moves(edge)]
    sources = dict.fromkeys(edge.source for edge in moving)
    found: dict[Dependence, None] = {}
    reached: dict[str, dict[str, int]] = {}
    for edge in moving:
        if edge.reader not in reached:
            reached[edge.reader] = _longest(here, edge.reader)
        late = reached[edge.reader]
        without = flat(edge, number)
        for source in sources:
            if source in late:
                found[replace(without, reader=source, delay=edge.delay + late[source])] = None
    return tuple(found)


def _longest(graph: nx.DiGraph[str], start: str) -> dict[str, int]:
    """The longest delay from `start` to all that is behind it; cycles have no delay."""
    found = {start: 0}
    if start not in graph:
        return found
    pending = [start]
    while pending:
        name = pending.pop()
        for _, reader, delay in graph.out_edges(name, data="delay"):
            if found.get(reader, -1) < found[name] + delay:
                found[reader] = found[name] + delay
                pending.append(reader)
    return found


def undone(edges: Sequence[Dependence], dims: int) -> Sequence[Dependence]:
    """The reads that the dims in which all go one way do not carry."""
    for number in range(dims):
        steps = [[v[number] for v in (*e.vertices, *e.rays)] for e in edges]
        for sign in (1, -1):
            if all(sign * step >= 0 for found in steps for step in found):
                edges = [e for e in edges if any(not sign * v[number] > 0 for v in e.vertices)]
                break
    return edges
