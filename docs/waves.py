"""The grid of a model with the wave in which each point is computed, as an SVG picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rnnc.analysis.components import Component
from rnnc.driver import Compilation
from rnnc.ir.graph import Node
from rnnc.ir.signature import extent_names

Point = tuple[int, ...]
Wave = tuple[int, ...]

# Extents of a picture, of which none is another's; more of them are small.
_EXTENTS = (6, 5, 4, 3)
_MOST_PANELS, _MOST_BLOCKS = 4, 3
_SIDE, _GAP, _TITLE = 18, 14, 16
_FIRST, _LAST = (68, 84, 140), (253, 216, 90)  # colours of the first and the last wave


@dataclass(frozen=True, slots=True)
class Panel:
    """A variable: the number of the wave of each of its points that wait for others."""

    variable: str
    dims: tuple[str, ...]
    waves: tuple[tuple[Point, int], ...]


def panels(compilation: Compilation) -> tuple[Panel, ...]:
    """The variables of the recurrences, those of most dims first; two that look the same are one.

    Empty where all points run at once.
    """
    graph, loops = compilation.completed, compilation.schedule.components
    places = {
        name: (number, component)
        for number, component in enumerate(loops)
        if component.kind != "parallel"
        for name in component.nodes
    }
    small = zip(extent_names(graph), _EXTENTS, strict=False)
    values = {**dict.fromkeys(extent_names(graph), min(_EXTENTS)), **dict(small), **graph.values}
    found: dict[object, Panel] = {}
    for node in graph.nodes:
        if node.op.name != "merge" or not node.domain.dims:
            continue
        waves: dict[Point, Wave] = {}
        for case in node.operands:
            if case.source in places and case.guard is not None:
                number, component = places[case.source]
                for point in case.guard.points(values):
                    wave = _wave(component, graph[case.source], point, values)
                    waves[tuple(point.values())] = (number, *wave)
        if waves:
            shape = node.domain.names, tuple(sorted(waves))
            panel = Panel(node.id, node.domain.names, tuple(_ranked(waves)))
            found.setdefault((shape, panel.waves), panel)
    most = sorted(found.values(), key=lambda panel: -len(panel.dims))
    return tuple(most[:_MOST_PANELS])


def _wave(
    component: Component, node: Node, point: Mapping[str, int], values: Mapping[str, int]
) -> Wave:
    """What orders points: the waves of the loops around it, outermost first, and places between."""
    own: Wave = ()
    if component.timing is not None and node.id in component.timing.positions:
        position = component.timing.positions[node.id]
        own = (position.evaluate({**values, **point}) // component.timing.scale,)
    if component.kind == "split":
        for number, inner in enumerate(component.inner):
            if node.id in inner.nodes:
                return (*own, number, *_wave(inner, node, point, values))
    return own


def _ranked(waves: Mapping[Point, Wave]) -> Iterator[tuple[Point, int]]:
    ranks = {wave: rank for rank, wave in enumerate(sorted(set(waves.values())))}
    for point in sorted(waves):
        yield point, ranks[waves[point]]


# ---- the picture ------------------------------------------------------------------------------


def picture(found: Sequence[Panel]) -> str:
    """The panels side by side. Rows are the last dim but one, columns the last; of further
    dims, the first few indices make a block each."""
    parts: list[str] = []
    left, height = 0, 0
    for panel in found:
        blocks = sorted({point[:-2] for point, _ in panel.waves})[:_MOST_BLOCKS]
        rows = sorted({point[-2] for point, _ in panel.waves if len(point) > 1}) or [0]
        columns = sorted({point[-1] for point, _ in panel.waves})
        last = max(wave for _, wave in panel.waves)
        for block in blocks:
            fixed = ", ".join(
                f"{dim}={index}" for dim, index in zip(panel.dims, block, strict=False)
            )
            axes = ", ".join(panel.dims[-2:])
            title = f"{panel.variable}[{fixed + ', ' if fixed else ''}{axes}]"
            parts.append(f'<text x="{left}" y="11" text-anchor="start">{title}</text>')
            for point, wave in panel.waves:
                if point[:-2] == block:
                    row = rows.index(point[-2]) if len(point) > 1 else 0
                    x = left + _SIDE * columns.index(point[-1])
                    parts += _square(x, _TITLE + _SIDE * row, wave, last)
            left += max(_SIDE * len(columns), 7 * len(title)) + _GAP
            height = max(height, _TITLE + _SIDE * len(rows))
    size = f'width="{left}" height="{height}" viewBox="0 0 {left} {height}"'
    style = 'font-family="monospace" font-size="10" text-anchor="middle"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>'
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def _square(x: int, y: int, wave: int, last: int) -> Iterator[str]:
    share = wave / last if last else 0.0
    mixed = [round(a + share * (b - a)) for a, b in zip(_FIRST, _LAST, strict=True)]
    colour = "#" + "".join(f"{value:02x}" for value in mixed)
    yield f'<rect x="{x}" y="{y}" width="17" height="17" fill="{colour}"/>'
    ink = "#fff" if share < 0.5 else "#000"
    yield f'<text x="{x + 8}" y="{y + 12}" fill="{ink}">{wave}</text>'
