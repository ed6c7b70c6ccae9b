"""Recurrences without a matrix product inside: chains, and those that an associative scan may run.

    h[t] = a[t] * h[t-1] + b[t]                     affine in the state
    h[t] = relu(u * h[t-1] + b[t])                  clipped: min(high, max(low, a * h + b))
    c[t] = sigmoid(v * c[t-1] + f[t]) * c[t-1]      neither: one step after another

Functions of either form are closed under composition, so any bracketing of the steps gives the
same value up to rounding. What an element is only depends on itself, at every other point as well:
elements, rows and the points along all other dims are chains of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rnnc.analysis.dependence import limited_sources
from rnnc.ir.graph import Graph, Node, Operand
from rnnc.ir.ops import is_pointwise
from rnnc.ir.poly import Poly
from rnnc.ir.reads import index_positions

Form = Literal["affine", "clipped"]

# As many values of an element may be coupled for chunks to be combined: it takes their square.
STATES = 4


@dataclass(frozen=True, slots=True)
class Carried:
    """A statement of the component that is read at another point: at `place` along the dim."""

    statement: str
    place: Poly


@dataclass(frozen=True, slots=True)
class Chains:
    """A recurrence along `dim` in which every element is on its own.

    `form` is what the step is as a function of `carried`: None if it is not known to compose.
    Several carried values compose as well if the step is affine in all of them.
    """

    dim: str
    carried: tuple[Carried, ...]
    form: Form | None

    @property
    def states(self) -> int | None:
        """How many values of an element a step hands on: every statement that is read at other
        points, at all places on the way. None if a place is not a fixed number of steps away."""
        reach: dict[str, int] = {}
        for one in self.carried:
            steps = (one.place - Poly.of(self.dim)).constant
            if steps is None:
                return None
            reach[one.statement] = max(abs(steps), reach.get(one.statement, 0))
        return sum(reach.values())


def chains(graph: Graph, nodes: Sequence[str], outer: Sequence[str] = ()) -> Chains | None:
    """How the statements of a component recur; None where elements or other points mix.

    `outer` are dims along which loops around the component step: what lies at other places along
    them is finished.
    """
    finder = _Finder(graph, dict.fromkeys(nodes), frozenset(outer))
    reads: dict[str, tuple[_Read, ...]] = {}
    for name in nodes:
        found = finder.reads(graph[name])
        if found is None:
            return None
        reads[name] = found
    moving = {read.dim: None for found in reads.values() for read in found if read.dim}
    if len(moving) != 1:
        return None
    [dim] = moving
    carried = dict.fromkeys(
        Carried(read.source, read.place)
        for found in reads.values()
        for read in found
        if read.dim and read.place is not None
    )
    return Chains(dim, tuple(carried), _form(graph, reads, len(carried)))


@dataclass(frozen=True, slots=True)
class _Read:
    """Operand `position` reads a statement of the component: here, or at `place` along `dim`."""

    position: int
    source: str
    dim: str | None
    place: Poly | None


@dataclass(frozen=True, slots=True)
class _Finder:
    graph: Graph
    inside: Mapping[str, None]
    outer: frozenset[str]

    def reads(self, node: Node) -> tuple[_Read, ...] | None:
        """What a statement reads of the component; None unless all is the same element."""
        if not is_pointwise(node.op):
            return None
        found: list[_Read] = []
        indices = index_positions(node)
        for position, operand in enumerate(node.operands):
            for read in self.of_operand(node, position, operand):
                if read is None or position in indices:
                    return None
                found.append(read)
        return tuple(found)

    def of_operand(self, node: Node, position: int, operand: Operand) -> Iterator[_Read | None]:
        for source, access, direct, _ in limited_sources(self.graph, operand, True):
            if source.id not in self.inside or any(
                name in self.outer and isinstance(at, Poly) and (Poly.of(name) - at).constant
                for name, at in access.items()
            ):
                continue
            alike = source.type.shape == node.type.shape
            if not direct or not alike or set(source.domain.names) != set(node.domain.names):
                yield None
                continue
            moved = [(name, at) for name, at in access.items() if at != Poly.of(name)]
            if not moved:
                yield _Read(position, source.id, None, None)
                continue
            [(dim, place), *more] = moved
            if more or not isinstance(place, Poly):
                yield None
            else:
                yield _Read(position, source.id, dim, place)


# ---- forms ------------------------------------------------------------------------------------

_CLIPS = ("relu", "max", "min")


def _form(graph: Graph, reads: Mapping[str, tuple[_Read, ...]], carried: int) -> Form | None:
    """The form of a step whose statements read the component as `reads` says."""
    known: dict[str, Form | None] = {}

    def form(name: str) -> Form | None:
        if name not in known:
            forms = {
                read.position: "affine" if read.dim else form(read.source) for read in reads[name]
            }
            known[name] = _applied(graph, graph[name], forms)
        return known[name]

    found = {form(name) for name in reads}
    if None in found:
        return None
    if found == {"affine"}:
        return "affine"
    return "clipped" if carried == 1 else None


def _applied(graph: Graph, node: Node, state: Mapping[int, Form | None]) -> Form | None:
    """The form of an op whose operands at the positions in `state` depend on the state."""
    forms = set(state.values())
    if None in forms or not _composes(graph, node, state):
        return None
    if node.op.name in _CLIPS:
        return "clipped" if len(state) == 1 else None
    if forms == {"affine"}:
        return "affine"
    return "clipped" if len(state) == 1 else None


def _composes(graph: Graph, node: Node, state: Mapping[int, object]) -> bool:
    """Whether the op is affine, or clips, in the operands at these positions together."""
    match node.op.name:
        case "add" | "sub" | "neg" | "stop_gradient" | "dropout" | "relu" | "max" | "min":
            return True
        case "mul":
            return len(state) == 1
        case "div":
            return 1 not in state
        case "select":
            return 0 not in state
        case "cast":
            kept = graph[node.operands[0].source].type.dtype
            return node.type.dtype in (kept, "real", "complex")
        case _:
            return False
