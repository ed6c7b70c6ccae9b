"""When statements run: the wave of each point, and the loops over the points of a wave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rnnc.analysis.boxes import extreme, tightened
from rnnc.analysis.wave import (
    Bound,
    Box,
    Increment,
    Maximum,
    Polynomial,
    WaveLoop,
    floor_of,
    wave_loops,
)
from rnnc.ir.domain import Constraint
from rnnc.ir.graph import Node
from rnnc.ir.poly import Poly


@dataclass(frozen=True, slots=True)
class Timing:
    """A statement runs at point i in wave `floor(position(i) / scale)`; the first wave is 0.

    Positions are affine in the statement's own dims and the extents.
    """

    scale: int
    positions: Mapping[str, Poly]

    def wave(self, statement: str) -> Poly:
        """The wave as a polynomial in the statement's dims."""
        return self.positions[statement] // self.scale


def counted(
    nodes: Mapping[str, Node], positions: Mapping[str, Poly], scale: int
) -> tuple[Timing, Bound]:
    """The timing with positions moved so that the first wave is 0, and the number of waves."""
    ends: dict[int, list[Poly]] = {-1: [], 1: []}
    for name, position in positions.items():
        domain = tightened(nodes[name].domain)
        for sign, found in ends.items():
            end = extreme(position, domain, sign)
            assert end is not None, f"{name} is unbounded"
            found.append(end)
    first = least(ends[-1])
    timing = Timing(scale, {name: position - first for name, position in positions.items()})
    last = dominant(tuple(dict.fromkeys(end - first for end in ends[1])))
    waves = tuple(Increment(floor_of(end, scale), 1) for end in last)
    return timing, waves[0] if len(waves) == 1 else Maximum(waves)


def boxes(node: Node, position: Poly) -> tuple[Box, ...]:
    """The node's dims for `wave_loops`: static ones outside, as their weights differ."""
    found: list[Box] = []
    for dim in sorted(tightened(node.domain).dims, key=lambda dim: not dim.static):
        assert dim.lower is not None and dim.upper is not None
        found.append(Box(dim.name, dim.lower, dim.upper, position.coefficient(dim.name)))
    return tuple(found)


def least(values: Sequence[Poly]) -> Poly:
    """A lower bound of all, for sizes >= 0 (coefficient-wise: one of them, as a rule)."""
    terms = {key: 0 for value in values for key, _ in value.terms}
    result = Poly()
    for key in terms:
        smallest = min(dict(value.terms).get(key, 0) for value in values)
        result = result + Poly(((key, 1),)) * smallest
    return result


def dominant(values: Sequence[Poly]) -> tuple[Poly, ...]:
    """Those values that no other one is always at least equal to."""
    kept = [
        value
        for number, value in enumerate(values)
        if not any(
            other != value and all(c >= 0 for _, c in (other - value).terms)
            for other in (*values[:number], *values[number + 1 :])
        )
    ]
    return tuple(kept)


def statement_loops(
    node: Node, timings: Sequence[tuple[Timing, str]]
) -> tuple[tuple[WaveLoop, ...], tuple[Constraint, ...]]:
    """The loops over the points of a statement, given the nest of wave variables around it.

    Each timing comes with its wave variable, outermost first. Dims that no timing places run over
    their whole box: static ones outside, the others inside.
    """
    domain = tightened(node.domain)
    limits = list(domain.constraints)
    placed: list[str] = []
    loops: list[WaveLoop] = []
    for timing, wave in timings:
        position = timing.positions[node.id]
        found = boxes(node, position)
        fresh = tuple(box for box in found if box.weight and box.name not in placed)
        if fresh:
            rest = position
            for box in fresh:
                rest = rest - Poly.of(box.name) * box.weight
            loops += wave_loops(fresh, rest, timing.scale, wave)
            placed += [box.name for box in fresh]
        else:
            beyond = position - Poly.of(wave) * timing.scale
            limits.append(Constraint(beyond, ">="))
            limits.append(Constraint(timing.scale - 1 - beyond, ">="))
    whole: dict[bool, list[WaveLoop]] = {True: [], False: []}
    for dim in domain.dims:
        if dim.name not in placed:
            assert dim.lower is not None and dim.upper is not None
            loop = WaveLoop(dim.name, Polynomial(dim.lower), Polynomial(dim.upper))
            whole[dim.static].append(loop)
    return (*whole[True], *loops, *whole[False]), tuple(limits)
