"""Recurrences as nodes RNN, GRU and LSTM, where they are that; both directions as one node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rnnc.ir.graph import Graph
from rnnc.ir.poly import Poly

from .cells import Cell, find_cell
from .equations import Constants, Equations
from .loops import Loop, components, find_loop
from .places import Site
from .reads import read
from .scans import before
from .writer import Axis, Value

if TYPE_CHECKING:
    from .exporter import Export

_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}


@dataclass(frozen=True, eq=False)
class Recurrent:
    """One direction: the members of the cycle, the loop that they make, and what they compute.

    `aliases` are the members that have the value of a state, by the state; `memory` says whether
    others read c, which they do at its last step alone.
    """

    members: tuple[str, ...]
    loop: Loop
    cell: Cell
    aliases: dict[str, tuple[str, ...]]
    memory: bool

    @property
    def axis(self) -> Axis:
        return Axis(self.loop.dims[self.members[0]], self.loop.lower, self.loop.upper)

    def is_reverse_of(self, other: Recurrent) -> bool:
        """Whether both are the two directions of one operator."""
        mine, its = self.cell, other.cell
        return (
            self.axis == other.axis
            and self.loop.forward != other.loop.forward
            and (mine.operator, mine.hidden) == (its.operator, its.hidden)
            and (mine.inputs, mine.arrays.keys()) == (its.inputs, its.arrays.keys())
            and mine.attributes == its.attributes
        )


def find_recurrents(
    export: Export, cycles: Sequence[tuple[str, ...]]
) -> list[tuple[Recurrent, ...]]:
    """The cycles that are operators; two directions that can be computed at once are together."""
    constants = Constants(export.graph, export.array)
    single = [found for part in cycles if (found := _recurrent(export.graph, part, constants))]
    pairs = _joinable(export.graph, _directions(single))
    joined = {one.members for pair in pairs for one in pair}
    return [*pairs, *((one,) for one in single if one.members not in joined)]


def _directions(single: Sequence[Recurrent]) -> list[tuple[Recurrent, ...]]:
    """Forward and reverse ones that are alike, each in one pair at most."""
    pairs: list[tuple[Recurrent, ...]] = []
    left = [one for one in single if not one.loop.forward]
    for one in single:
        other = next((other for other in left if one.is_reverse_of(other)), None)
        if other is not None:
            left.remove(other)
            pairs.append((one, other))
    return pairs


def _joinable(graph: Graph, pairs: Sequence[tuple[Recurrent, ...]]) -> list[tuple[Recurrent, ...]]:
    """The pairs that can be computed at once, because nothing stands between their directions."""
    if not pairs:
        return []
    together = [(one.members[0], other.members[0]) for one, other in pairs]
    names = [node.id for node in graph.nodes]
    found = {frozenset(part) for part, _ in components(graph, names, (), together)}
    return [pair for pair in pairs if frozenset(m for one in pair for m in one.members) in found]


def _recurrent(graph: Graph, members: tuple[str, ...], constants: Constants) -> Recurrent | None:
    if any(len(graph[name].domain.dims) != 1 for name in members):
        return None
    loop = find_loop(graph, members, ())
    vectors = all(graph[state].type.rank == 1 for state in loop.delays)
    if loop.kept or not vectors or len(loop.delays) > 2 or set(loop.delays.values()) != {1}:
        return None
    equations = Equations(graph, members, loop, constants)
    cell = find_cell(equations)
    if cell is None:
        return None
    aliases = {
        state: tuple(n for n in members if equations.definition(n) == equations.definition(state))
        for state in cell.states
    }
    h, *memory = aliases.values()
    last = loop.upper - 1 if loop.forward else loop.lower
    others = [(name, index) for name, index in _outside(graph, members) if name not in h]
    if any(name not in c or index != last for name, index in others for c in memory or [()]):
        return None
    return Recurrent(members, loop, cell, aliases, bool(others))


def _outside(graph: Graph, members: Sequence[str]) -> Iterator[tuple[str, Poly | None]]:
    """Which members are read by others, and where; None where an output has all points."""
    inside = set(members)
    for output in graph.outputs:
        if output.node in inside:
            yield output.node, None
    for name in members:
        for reader, position in graph.readers(name):
            if reader.id not in inside:
                [index] = reader.operands[position].access
                yield name, index if isinstance(index, Poly) else None


# ---- writing ----------------------------------------------------------------------------------


def emit_recurrent(export: Export, directions: Sequence[Recurrent]) -> None:
    """The node, and its outputs as values of the members."""
    writer = export.writer
    for one in directions:
        for name in one.members:
            export.cycle[name] = one.members
    first = directions[0]
    cell = first.cell
    hint = cell.states[0]

    def initializer(name: str) -> str:
        if name not in cell.arrays:
            return ""
        array = np.stack([one.cell.arrays[name] for one in directions]).astype(np.float32)
        return writer.array(array, writer.name(f"{hint}.{name}"))

    inputs = [_sequence(export, first), *map(initializer, ("W", "R", "B"))]
    inputs.append(_lengths(export, first.axis))
    inputs += [_initial(export, directions, place) for place in range(len(cell.states))]
    inputs += [initializer("P")] * (cell.operator == "LSTM")
    while not inputs[-1]:
        inputs.pop()
    names = [f"{hint}.Y"]
    if any(one.memory for one in directions):
        names += ["", f"{cell.states[-1]}.last"]
    outputs = writer.nodes(
        cell.operator, inputs, names, hidden_size=cell.hidden, **_attributes(directions)
    )
    for place, one in enumerate(directions):
        if len(directions) == 1:
            own = [writer.node("Squeeze", [outputs[0], writer.ints(1)], hint), *outputs[2:]]
        else:
            at = writer.number(place, "int").name
            own = [writer.node("Gather", [outputs[0], at], one.cell.states[0], axis=1)]
            own += [
                writer.node("Gather", [name, writer.ints(place)], one.cell.states[1], axis=0)
                for name in outputs[2:]
            ]
        ends = (one.loop.upper - 1, one.loop.upper), (one.loop.lower, one.loop.lower + 1)
        ranges = (one.loop.lower, one.loop.upper), ends[0 if one.loop.forward else 1]
        for state, array, bounds in zip(one.cell.states, own, ranges, strict=False):
            for name in one.aliases[state]:
                axis = Axis(one.loop.dims[name], *bounds)
                export.values[name] = Value(array, "real", 1, (axis,), True)


def _attributes(directions: Sequence[Recurrent]) -> dict[str, object]:
    cell = directions[0].cell
    found: dict[str, object] = dict(cell.attributes)
    activations = [a for one in directions for a in one.cell.activations]
    if tuple(a.name for a in activations) != _DEFAULTS[cell.operator] * len(directions):
        found["activations"] = [a.name for a in activations]
        for place, name in enumerate(("activation_alpha", "activation_beta")):
            settings = [a.settings[place] for a in activations if len(a.settings) > place]
            if settings:
                found[name] = settings
    if len(directions) > 1:
        found["direction"] = "bidirectional"
    elif not directions[0].loop.forward:
        found["direction"] = "reverse"
    return found


def _sequence(export: Export, one: Recurrent) -> str:
    """What the cell reads at all its steps, [T, B, X]."""
    site = Site((one.axis,), {}, {}, {})
    parts: list[str] = []
    for given in one.cell.inputs:
        value = read(export, given.source, given.access, site)
        value = export.writer.cast(value, "real")
        parts.append(export.whole(value, site.axes, export.graph[given.source]))
    if len(parts) == 1:
        return parts[0]
    return export.writer.node("Concat", parts, f"{one.cell.states[0]}.X", axis=2)


def _lengths(export: Export, axis: Axis) -> str:
    """How many steps each row has; '' where all have as many."""
    if not export.places.is_ragged(axis.upper):
        return ""
    length = export.places.index(axis.upper - axis.lower, Site((), {}, {}, {}))
    zero = export.writer.number(0, "int")
    length = export.writer.pointwise("Max", [length, zero], "int", f"{axis.dim}.lengths")
    kind = export.writer.onnx.TensorProto.INT32
    return export.writer.node("Cast", [length.name], f"{axis.dim}.lengths", to=kind)


def _initial(export: Export, directions: Sequence[Recurrent], place: int) -> str:
    """The first states of all directions, [D, B, H]; '' where all are zero."""
    states = [(one, one.cell.states[place]) for one in directions]
    if not any(_begins(export.graph, one, state) for one, state in states):
        return ""
    parts = [
        export.writer.unsqueeze(before(export, one.loop, state, 1), [0]) for one, state in states
    ]
    if len(parts) == 1:
        return parts[0]
    return export.writer.node("Concat", parts, f"{states[0][1]}.first", axis=0)


def _begins(graph: Graph, one: Recurrent, state: str) -> bool:
    """Whether a state has an equation beyond the loop's."""
    node = graph[state]
    return node.op.name == "merge" and any(o.source not in one.members for o in node.operands)
