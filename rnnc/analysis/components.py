"""What a schedule is: components of statements in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from rnnc.analysis.cuts import Cut, Rational
from rnnc.analysis.timing import Timing
from rnnc.analysis.wave import Bound

# parallel: all points at once. affine: one loop of waves, all statements along the same vector.
# joint: one loop of waves for several affine components (`inner`), each along its own vector.
# split: an outer loop; inside, components of their own.
Kind = Literal["parallel", "affine", "joint", "split"]


@dataclass(frozen=True, slots=True)
class Component:
    """Statements that are scheduled together, in the order of the graph.

    `gamma` are the offsets that go with `alpha`: statement S at i runs in wave
    `floor(alpha . i + gamma[S])`, up to the first wave's number. `conflict` says why no one vector
    serves a split.
    """

    kind: Kind
    nodes: tuple[str, ...]
    alpha: Rational = ()
    gamma: tuple[tuple[str, Fraction], ...] = ()
    timing: Timing | None = None
    waves: Bound | None = None
    inner: tuple[Component, ...] = ()
    conflict: tuple[Cut, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """Components one after another; vectors are over `dims`."""

    dims: tuple[str, ...]
    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """`layered`: step through static dims (layers) one after another where that is legal.

    Then each layer's input products are computed for all steps at once; without it, layers run as
    a wavefront. `hints` are likely extents: they decide between orders that are both legal.
    """

    layered: bool = True
    hints: tuple[tuple[str, int], ...] = ()
