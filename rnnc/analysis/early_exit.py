"""Loops that may end before their last wave: when nothing that is left would change a result.

    runs[n] = total[n-1] < 0.99                    false from some n on (analysis.monotone)
    total[n] = total[n-1] + sigmoid(w @ s[n])
    y = sum(n: p[n] * s[n] if runs[n] else 0)      s is not looked at where runs is false

Where the statement has stopped, everything else is evaluated as far as that alone decides: what
turns out to be a constant is filled in for the waves that are left, what keeps its last value
(`h[t] = h[t-1] if done[t-1] else ...`) is copied, and all the rest must be dead: whatever reads it,
from inside or outside of the loop, takes another branch where the statement has stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rnnc.analysis.boxes import extreme, never_negative, tightened
from rnnc.analysis.components import Component, Exit, Obstacle
from rnnc.analysis.monotone import Monotone
from rnnc.ir.graph import Graph, Node, Operand
from rnnc.ir.ops import is_statement, op
from rnnc.ir.pointwise import pointwise
from rnnc.ir.poly import Poly
from rnnc.ir.reads import index_positions

Number = bool | int | float

# Evaluated with numbers for operands; arithmetic is left out, as it rounds.
_EXACT = frozenset(("and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge"))
_ABSORBING: Mapping[str, bool] = {"and": False, "or": True}
# How far behind a point the statement may be looked at: `h[t-1] if done[t-1] else ...`.
_LAGS = (0, 1)


def exits(components: Sequence[Component]) -> Iterator[tuple[Component, Exit]]:
    """All loops that may end early, with those inside others."""
    for component in components:
        if component.until is not None:
            yield component, component.until
        yield from exits(component.inner)


def in_step(component: Component) -> bool:
    """Whether in each turn of a loop all statements have the same index of its dims."""
    assert component.timing is not None
    return component.timing.scale == 1 and len({*component.timing.positions.values()}) == 1


def exit_of(
    graph: Graph, component: Component, around: Sequence[str] = ()
) -> tuple[Exit | None, tuple[Obstacle, ...]]:
    """When the loop of a component, inside loops along the dims `around`, may end early; and what
    has to be computed though a statement has stopped."""
    obstacles: dict[str, Obstacle] = {}
    if component.kind not in ("affine", "split") or component.levels is not None:
        return None, ()
    moving = [dim for dim in stopping_dims(graph, component) if dim not in around]
    for dim in moving:
        sign = 1 if pace(component, dim) > 0 else -1
        monotone = Monotone(graph, dim, sign)
        for name in component.nodes:
            value = monotone.sticks_at(graph[name])
            if value is None:
                continue
            for lag in _LAGS:
                stopped = Stopped(
                    graph, component, tuple(around), graph[name], value, dim, sign, lag
                )
                match stopped.exit():
                    case Exit() as found:
                        return found, ()
                    case Obstacle() as found:
                        obstacles[name] = found
    return None, tuple(obstacles.values())


def stopping_dims(graph: Graph, component: Component) -> tuple[str, ...]:
    """The dims along which all statements of a component move at the same pace."""
    first = graph[component.nodes[0]].domain.names
    return tuple(dim for dim in first if pace(component, dim))


def pace(component: Component, dim: str) -> int:
    """How many waves a step along the dim takes, below 0 where it is gone through from its end; 0
    if not the same for all statements."""
    timing = component.timing
    if timing is None or timing.scale != 1:
        return 0
    found = {timing.positions[name].coefficient(dim) for name in component.nodes}
    return found.pop() if len(found) == 1 else 0


@dataclass(frozen=True, slots=True)
class Stopped:
    """The graph where `node` has had its last value, `value`, for `lag` points along `dim`, which
    is gone through from its first index (`sign` 1) or its last (-1).

    The *rest*: the points from some place along the dim on, the other indices of loops around being
    the same. All that the loop leaves out lies there.
    """

    graph: Graph
    component: Component
    around: tuple[str, ...]
    node: Node
    value: bool
    dim: str
    sign: int
    lag: int
    known: dict[str, Number | None] = field(default_factory=dict)

    def exit(self) -> Exit | Obstacle | None:
        """What is to be tested and filled in, if that is all there is to do; else who needs more,
        where that is why."""
        delay = self.delay()
        if delay is None:
            return None
        filled: list[Node] = []
        for name in self.component.nodes:
            node = self.graph[name]
            number = self.constant(node)
            held = None if number is not None else self.held(node)
            if number is not None:
                filled.append(replace(node, op=op("constant", value=number), operands=()))
            elif held is not None:
                # In the place of the select that would choose it.
                copy = op("cast", dtype=node.type.dtype)
                filled.append(replace(node, op=copy, operands=(held,)))
        exact = {node.id for node in filled}
        if not self.is_alone(exact):
            return None
        needed = self.needed([name for name in self.component.nodes if name not in exact])
        if needed is not None:
            return Obstacle(self.node.id, self.value, *needed)
        return Exit(self.node.id, self.value, self.dim, self.lag, delay, tuple(filled))

    def is_alone(self, filled: set[str]) -> bool:
        """Whether each variable is filled by one statement: two would have to take turns."""
        return all(
            sum(case.source in filled for case in node.operands) <= 1
            for node in self.graph.nodes
            if node.op.name == "merge"
        )

    # ---- when ---------------------------------------------------------------------------------

    def delay(self) -> int | None:
        """How many waves behind a point of the node all points before the rest are computed."""
        timing = self.component.timing
        assert timing is not None
        speed = pace(self.component, self.dim)
        own = timing.positions[self.node.id] - Poly.of(self.dim) * speed
        if set(own.names) & set(self.node.domain.names) or not self.has_own_row(self.node):
            return None
        latest = 0
        for name in self.component.nodes:
            node = self.graph[name]
            if self.dim not in node.domain.names or not self.has_own_row(node):
                return None
            rest = timing.positions[name] - Poly.of(self.dim) * speed - own
            last = extreme(rest, tightened(node.domain), 1)
            if last is None or last.constant is None:
                return None
            latest = max(latest, last.constant + abs(speed) * (self.lag - 1))
        return latest

    def has_own_row(self, node: Node) -> bool:
        """Whether the dims of the loops around are its own."""
        return all(dim in node.domain.names for dim in self.around)

    # ---- what is known ------------------------------------------------------------------------

    def constant(self, node: Node) -> Number | None:
        """The one value of a node in the rest, in all elements."""
        if node.id == self.node.id:
            return self.value
        if node.id not in self.known:
            self.known[node.id] = None  # what needs itself for its value has none
            self.known[node.id] = self.evaluated(node)
        return self.known[node.id]

    def evaluated(self, node: Node) -> Number | None:
        name = node.op.name
        if name == "constant":
            value = node.op["value"]
            return value if isinstance(value, (bool, int, float)) else None
        if name == "select":
            chosen = self.chosen(node)
            value = None if chosen is None else self.read(node, chosen)
            return None if value is None else converted(value, node)
        if name in ("cast", "broadcast") and len(node.operands) == 1:
            value = self.read(node, node.operands[0])
            return None if value is None else converted(value, node)
        if name not in _EXACT:
            return None
        values = [self.read(node, operand) for operand in node.operands]
        if name in _ABSORBING and _ABSORBING[name] in values:
            return _ABSORBING[name]
        given = [value for value in values if value is not None]
        if len(given) < len(values):
            return None
        return bool(pointwise(node.op, [np.asarray(value) for value in given]))

    def chosen(self, node: Node) -> Operand | None:
        """The branch that a select takes in the rest, if it is always the same."""
        condition = self.read(node, node.operands[0])
        return None if condition is None else node.operands[1 if condition else 2]

    def read(self, reader: Node, operand: Operand) -> Number | None:
        """What an operand is at every point of the rest."""
        source = self.graph[operand.source]
        if source.op.name == "constant":
            return self.constant(source)
        shift = self.shift(reader, operand)
        if shift is None:
            return None
        sources = [source]
        if source.op.name == "merge":
            cases = [case for case in source.operands if not self.is_before(case, shift)]
            if any(self.shift(source, case) != 0 for case in cases):
                return None
            sources = [self.graph[case.source] for case in cases]
        values = {self.shifted(node, shift) for node in sources}
        return values.pop() if len(values) == 1 else None

    def shifted(self, node: Node, shift: int) -> Number | None:
        """A node's value that far from the points of the rest."""
        if node.id == self.node.id:
            return self.value if shift >= -self.lag else None
        return self.constant(node) if shift >= 0 else None

    def is_before(self, case: Operand, shift: int) -> bool:
        """Whether a case of a variable lies before all that is read at this distance."""
        assert case.guard is not None
        box = tightened(case.guard)
        along = Monotone(self.graph, self.dim, self.sign)
        first = along.first(self.node)
        if self.dim not in box.names or first is None or shift < -self.lag:
            return False
        end = along.end(box)
        # The node has a value at every point that is at most `lag` behind the rest.
        return end is not None and never_negative(first - end)

    def shift(self, reader: Node, operand: Operand) -> int | None:
        """How many places on a read goes that stays in the row of the loops around."""
        source = self.graph[operand.source]
        if self.dim not in source.domain.names or self.dim not in reader.domain.names:
            return None
        found: int | None = None
        for name, index in zip(source.domain.names, operand.access, strict=True):
            if name == self.dim:
                found = (index - Poly.of(name)).constant if isinstance(index, Poly) else None
            elif name in self.around and index != Poly.of(name):
                return None
        if found is None or not (self.has_own_row(source) and self.has_own_row(reader)):
            return None
        return found * self.sign

    def held(self, node: Node) -> Operand | None:
        """What a select reads in the rest, if that is its own value at the point before."""
        monotone = Monotone(self.graph, self.dim, self.sign)
        here = node
        while here.op.name == "select" and here.domain == node.domain:
            chosen = self.chosen(here)
            if chosen is None or here.type != node.type:
                return None
            if monotone.is_last(here, chosen, node):
                return chosen if self.graph[chosen.source].op.name == "merge" else None
            if monotone.shift(here, chosen) != 0:
                return None
            here = self.graph[chosen.source]
        return None

    # ---- what nobody looks at -----------------------------------------------------------------

    def needed(self, names: Sequence[str]) -> tuple[str, str] | None:
        """What leads from these to a result that depends on what they have in the rest, with who
        reads it there; None if no result does."""
        inside = set(self.component.nodes)
        outputs = {output.node for output in self.graph.outputs}
        found = dict.fromkeys(names)
        pending = list(names)
        while pending:
            source = self.graph[pending.pop()]
            if source.id in outputs:
                return source.id, source.id
            for reader, position in self.graph.readers(source.id):
                if reader.id in inside:
                    # What is computed in another round of the loops around would read it.
                    if self.around and not self.stays(reader, position):
                        return source.id, reader.id
                    continue
                if self.is_decided(reader, position):
                    continue
                if not self.passes(reader, position):
                    return source.id, reader.id
                if reader.id not in found:
                    found[reader.id] = None
                    pending.append(reader.id)
        return None

    def stays(self, reader: Node, position: int) -> bool:
        """Whether a read stays in the row of the loops around."""
        operand = reader.operands[position]
        source = self.graph[operand.source]
        rows = zip(source.domain.names, operand.access, strict=True)
        return all(index == Poly.of(name) for name, index in rows if name in self.around)

    def is_decided(self, reader: Node, position: int) -> bool:
        """Whether a reader is what it is, in the rest, without this operand."""
        if position in index_positions(reader) or not self.is_behind(reader, position):
            return False
        if is_statement(reader.op) and self.constant(reader) is not None:
            return True
        chosen = self.chosen(reader) if reader.op.name == "select" else None
        return chosen is not None and chosen != reader.operands[position]

    def passes(self, reader: Node, position: int) -> bool:
        """Whether what a reader makes of an operand in the rest lies in the rest itself."""
        if position in index_positions(reader) or (reader.op.name == "gather" and position == 1):
            return False
        return reader.bound is None and self.is_behind(reader, position)

    def is_behind(self, reader: Node, position: int) -> bool:
        """Whether a reader that reads in the rest lies there itself."""
        shift = self.shift(reader, reader.operands[position])
        return shift is not None and shift <= 0


def converted(value: Number, node: Node) -> Number:
    """A number in the dtype of a node."""
    kinds: Mapping[str, type[bool] | type[int] | type[float]] = {"bool": bool, "int": int}
    return kinds.get(node.type.dtype, float)(value)
