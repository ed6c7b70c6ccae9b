"""The cheapest schedule vector under linear cuts, and the offsets that go with it; exact.

A component's schedule is `floor(alpha . i + gamma_S)`. It is legal iff every dependence cycle C has
`alpha . distance(C) >= delay(C)` and every ray r of a distance set has `alpha . r >= 0` (Karp,
Miller, Winograd 1967; Darte, Vivien 1997). Cycles are found one at a time, by Bellman-Ford.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from operator import mul

Rational = tuple[Fraction, ...]
Cost = Callable[[Rational], tuple[Fraction, Fraction]]


@dataclass(frozen=True, slots=True)
class Cut:
    """`alpha . vector >= delay`, because of the reads named in `reason`."""

    vector: tuple[int, ...]
    delay: int
    reason: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Arc:
    """One vertex of a dependence's distance set: `reader` at least `delay` after `source`."""

    source: str
    reader: str
    distance: tuple[int, ...]
    delay: int
    text: str


def dot(left: Sequence[Fraction | int], right: Sequence[int]) -> Fraction:
    return sum((Fraction(a) * b for a, b in zip(left, right, strict=True)), Fraction(0))


def cheapest(cuts: Sequence[Cut], dims: int, cost: Cost) -> Rational | None:
    """The cheapest alpha that satisfies all cuts, or None.

    The minimum of a cost that is linear in each orthant is at a vertex: all are enumerated (there
    are few dims and few cuts).
    """
    kept = tightest(cuts)
    if any(cut.delay > 0 and not any(cut.vector) for cut in kept):
        return None
    kept = tuple(cut for cut in kept if any(cut.vector))
    best: tuple[object, Rational] | None = None
    for signs in itertools.product(*(allowed_signs(kept, number) for number in range(dims))):
        rows = [
            (tuple(sign * value for sign, value in zip(signs, cut.vector, strict=True)), cut.delay)
            for cut in kept
        ]
        rows += [(tuple(int(j == k) for j in range(dims)), 0) for k in range(dims)]
        for chosen in itertools.combinations(rows, dims):
            solution = solve(chosen)
            if solution is None:
                continue
            parts, whole = solution
            if any(sum(map(mul, parts, row)) < bound * whole for row, bound in rows):
                continue
            pairs = zip(signs, parts, strict=True)
            alpha = tuple(Fraction(sign * part, whole) for sign, part in pairs)
            key = (cost(alpha), sum(value < 0 for value in alpha), tuple(-v for v in alpha))
            if best is None or key < best[0]:  # type: ignore[operator]
                best = (key, alpha)
    return None if best is None else best[1]


def tightest(cuts: Sequence[Cut]) -> tuple[Cut, ...]:
    """Of cuts in one direction the one that demands most."""
    found: dict[tuple[int, ...], tuple[Fraction, Cut]] = {}
    for cut in cuts:
        size = gcd(*cut.vector) or 1
        direction = tuple(value // size for value in cut.vector)
        demand = Fraction(cut.delay, size)
        if direction not in found or found[direction][0] < demand:
            found[direction] = demand, cut
    return tuple(cut for _, cut in found.values())


def allowed_signs(cuts: Sequence[Cut], number: int) -> tuple[int, ...]:
    """The signs that component `number` of alpha may have."""
    signs = [1, -1]
    for cut in cuts:
        if cut.delay > 0 and all(
            value == 0 for other, value in enumerate(cut.vector) if other != number
        ):
            signs = [sign for sign in signs if sign * cut.vector[number] > 0]
    return tuple(signs)


def solve(rows: Sequence[tuple[tuple[int, ...], int]]) -> tuple[tuple[int, ...], int] | None:
    """The solution of a square linear system, numerators over one positive denominator, or None
    where it is singular. Elimination without fractions (Bareiss 1968): its divisions are exact."""
    size = len(rows)
    matrix = [[*row, bound] for row, bound in rows]
    before = 1
    for column in range(size):
        pivot = next((r for r in range(column, size) if matrix[r][column]), None)
        if pivot is None:
            return None
        matrix[column], matrix[pivot] = matrix[pivot], matrix[column]
        chosen = matrix[column]
        head = chosen[column]
        for number, row in enumerate(matrix):
            if number != column:
                factor = row[column]
                matrix[number] = [
                    (head * value - factor * above) // before
                    for value, above in zip(row, chosen, strict=True)
                ]
        before = head
    sign = 1 if before > 0 else -1
    return tuple(sign * row[size] for row in matrix), abs(before)


def offsets(
    nodes: Sequence[str], arcs: Sequence[Arc], alpha: Rational
) -> tuple[dict[str, Fraction], tuple[Arc, ...]]:
    """Longest paths with weights `delay - alpha . distance`, or a cycle of positive weight.

    In integers, as multiples of 1 / scale. Arcs go by their source: nodes stand sources first but
    for what a recurrence carries, so that a round takes a path as far as it runs forwards.
    """
    scale = lcm(*(value.denominator for value in alpha))
    whole = [int(value * scale) for value in alpha]
    place = {name: number for number, name in enumerate(nodes)}
    weighted = [
        (arc, scale * arc.delay - sum(map(mul, whole, arc.distance)))
        for arc in sorted(arcs, key=lambda arc: place[arc.source])
    ]
    gamma = dict.fromkeys(nodes, 0)
    before: dict[str, Arc] = {}
    moved = True
    while moved:
        moved = False
        for arc, weight in weighted:
            value = gamma[arc.source] + weight
            if value > gamma[arc.reader]:
                gamma[arc.reader], before[arc.reader] = value, arc
                moved = True
        cycle = round_trip(before) if moved else ()
        if cycle:
            return {}, cycle
    return {name: Fraction(value, scale) for name, value in gamma.items()}, ()


def round_trip(before: Mapping[str, Arc]) -> tuple[Arc, ...]:
    """A cycle in arcs that go back from each node, or nothing; in the direction of the arcs."""
    seen: dict[str, str] = {}
    for start in before:
        node = start
        while node in before and node not in seen:
            seen[node] = start
            node = before[node].source
        if seen.get(node) == start and node in before:
            cycle = [before[node]]
            while cycle[-1].source != node:
                cycle.append(before[cycle[-1].source])
            return tuple(reversed(cycle))
    return ()
