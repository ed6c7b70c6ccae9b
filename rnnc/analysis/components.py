"""What a schedule is: components of statements in the order in which they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Literal

from rnnc.analysis.cuts import Cut, Rational
from rnnc.analysis.machine import CPU, Machine
from rnnc.analysis.orders import Order
from rnnc.analysis.semirings import Semiring
from rnnc.analysis.timing import Timing
from rnnc.analysis.wave import Bound, Maximum
from rnnc.ir.graph import Node
from rnnc.weights import PackType

# parallel: all points at once. affine: one loop of waves, all statements along the same vector.
# joint: one loop of waves for several affine components (`inner`), each along its own vector.
# chain: as affine, but every element only waits for itself, so no wave has to end before the next.
# split: an outer loop; inside, components of their own.
Kind = Literal["parallel", "affine", "chain", "joint", "split"]


@dataclass(frozen=True, slots=True)
class Exit:
    """A loop may end when statement `node`, at its points of `delay` waves ago, is `value` in all
    rows: at every later index of `dim` it is so as well.

    Nothing is to be computed from `lag` behind that index on. What is left of the loop are the
    `filled` statements: a constant, or what is one step behind.
    """

    node: str
    value: bool
    dim: str
    lag: int
    delay: int
    filled: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Statement `node` stays at `value` from some point on, but `reader` needs `source` even then:
    no loop ends. The two are the same where it is an output.
    """

    node: str
    value: bool
    source: str
    reader: str


@dataclass(frozen=True, slots=True)
class Component:
    """Statements that are scheduled together, in the order of the graph.

    `gamma` are the offsets that go with `alpha`: statement S at i runs in wave
    `floor(alpha . i + gamma[S])`, up to the first wave's number. `conflict` says why no one vector
    serves a split. The steps of a chain that are linear in a `semiring` compose; with more than one
    of `chunks` it is an associative scan: they run at once. A split with `levels` may compute all
    points of a level of that dim at once (analysis.levels) instead of one after another. `until`
    says when the loop may end early (analysis.early_exit).
    """

    kind: Kind
    nodes: tuple[str, ...]
    alpha: Rational = ()
    gamma: tuple[tuple[str, Fraction], ...] = ()
    timing: Timing | None = None
    waves: Bound | None = None
    inner: tuple[Component, ...] = ()
    conflict: tuple[Cut, ...] = ()
    semiring: Semiring | None = None
    chunks: int = 1
    levels: str | None = None
    until: Exit | None = None


def joint(components: Sequence[Component]) -> Component:
    """One loop of waves for affine components, all of which begin in its first one."""
    timings = [found.timing for found in components if found.timing is not None]
    scale = lcm(*(timing.scale for timing in timings))
    positions = {
        name: position * (scale // timing.scale)
        for timing in timings
        for name, position in timing.positions.items()
    }
    counts = tuple(dict.fromkeys(found.waves for found in components if found.waves is not None))
    waves = counts[0] if len(counts) == 1 else Maximum(counts)
    nodes = tuple(name for found in components for name in found.nodes)
    timing = Timing(scale, positions)
    return Component("joint", nodes, timing=timing, waves=waves, inner=tuple(components))


@dataclass(frozen=True, slots=True)
class Schedule:
    """Components one after another; vectors are over `dims`.

    `obstacles` are why stops that stay end no loop.
    """

    dims: tuple[str, ...]
    components: tuple[Component, ...]
    obstacles: tuple[Obstacle, ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """`hints` are likely extents: they decide between orders that are all legal.

    `chunks` is how many parts of a linear chain run at once; None leaves it to the cost model.
    `weights` is the type in which weights are stored: what reading them costs, on `machine`.
    `least`: as few waves as there can be, whatever each of them costs.
    """

    order: Order = "auto"
    hints: tuple[tuple[str, int], ...] = ()
    chunks: int | None = None
    weights: PackType = "float32"
    machine: Machine = CPU
    least: bool = False
