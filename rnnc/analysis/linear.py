"""Recurrences without a matrix product inside: chains, and those that an associative scan may run.

    h[t] = a[t] * h[t-1] + b[t]                     linear in the state, in some semiring
    h[t] = relu(u * h[t-1] + b[t])                  clipped: min(high, max(low, a * h + b))
    c[t] = sigmoid(v * c[t-1] + f[t]) * c[t-1]      neither: one step after another

Functions of either form are closed under composition, so any bracketing of the steps gives the
same value up to rounding; `rnnc.analysis.semirings` says what linear can mean. What an element is
only depends on itself, at every other point as well: elements, rows and the points along all other
dims are chains of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from rnnc.analysis.dependence import limited_sources
from rnnc.analysis.semirings import SEMIRINGS, Semiring
from rnnc.ir.graph import Graph, Node, Operand
from rnnc.ir.ops import is_pointwise
from rnnc.ir.poly import Poly
from rnnc.ir.reads import index_positions

Form = Literal["affine", "logarithmic", "largest", "smallest", "clipped"]

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
    Several carried values compose as well if the step is linear in all of them.
    """

    dim: str
    carried: tuple[Carried, ...]
    form: Form | None

    @property
    def semiring(self) -> Semiring | None:
        """That in which the step is linear."""
        return None if self.form is None else SEMIRINGS.get(self.form)

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

_LINEAR: tuple[Form, ...] = ("affine", "logarithmic", "largest", "smallest")
_CLIPS = ("relu", "max", "min")


def _form(graph: Graph, reads: Mapping[str, tuple[_Read, ...]], carried: int) -> Form | None:
    """The form of a step whose statements read the component as `reads` says."""
    for form in _LINEAR:
        if all(
            _linear(graph, graph[name], {read.position for read in found}, SEMIRINGS[form])
            for name, found in reads.items()
        ):
            return form
    return "clipped" if carried == 1 and _all_clip(graph, reads) else None


def _linear(graph: Graph, node: Node, state: Set[int], ring: Semiring) -> bool:
    """Whether the op is linear in the operands at these positions together."""
    name = node.op.name
    if name == ring.plus:
        return True
    match name:
        case "stop_gradient":
            return True
        case "select":
            return 0 not in state
        case "cast":
            kept = graph[node.operands[0].source].type.dtype
            return node.type.dtype in (kept, "real", "complex")
        case "relu":
            return ring.plus == "max"
    if name == ring.times:
        return len(state) == 1
    if ring.times == "add":
        return name == "sub" and 1 not in state
    return name in ("sub", "neg", "dropout") or (name == "div" and 1 not in state)


def _all_clip(graph: Graph, reads: Mapping[str, tuple[_Read, ...]]) -> bool:
    """Whether the step is min(high, max(low, a * h + b)), with each of the four free of h."""
    known: dict[str, Literal["affine", "clipped"] | None] = {}

    def form(name: str) -> Literal["affine", "clipped"] | None:
        if name not in known:
            node, found = graph[name], reads[name]
            state = {read.position: "affine" if read.dim else form(read.source) for read in found}
            known[name] = None
            if None not in state.values():
                is_affine = _linear(graph, node, state.keys(), SEMIRINGS["affine"])
                if is_affine and "clipped" not in state.values():
                    known[name] = "affine"
                elif len(state) == 1 and (is_affine or node.op.name in _CLIPS):
                    known[name] = "clipped"
        return known[name]

    return all(form(name) for name in reads)
