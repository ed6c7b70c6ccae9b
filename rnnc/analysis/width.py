"""How many points of a recurrence share a wave, at most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from rnnc.analysis.boxes import tightened
from rnnc.analysis.timing import Timing
from rnnc.ir.domain import Dim, Domain
from rnnc.ir.graph import Node
from rnnc.ir.poly import Poly

# More points than these are not looked at one by one.
_MOST_POINTS = 1 << 18

Moment = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Width:
    """The fewest of `factors`' products; `exact` unless it may be a little less."""

    choices: tuple[tuple[str, ...], ...]
    exact: bool

    def __str__(self) -> str:
        products = [" * ".join(found) or "1" for found in self.choices]
        products = ["1"] if "1" in products else list(dict.fromkeys(products))
        text = products[0] if len(products) == 1 else f"min({', '.join(products)})"
        return text if self.exact else f"at most {text}"


def formula(dims: Sequence[Dim], vectors: Sequence[Mapping[str, Fraction]]) -> Width:
    """For a box whose points run along the vectors of the loops around them, outermost first."""
    shared: list[str] = []
    choices: list[tuple[str, ...]] = [()]
    exact = True
    placed: set[str] = set()
    for vector in vectors:
        moving = [d for d in dims if vector.get(d.name) and d.name not in placed]
        placed |= {dim.name for dim in moving}
        found, is_exact = _along(moving, vector)
        choices = [(*before, *after) for before in choices for after in found]
        exact = exact and is_exact
    shared += [_extent(dim) for dim in dims if dim.name not in placed]
    shared = [extent for extent in shared if extent != "1"]
    return Width(tuple((*choice, *shared) for choice in choices), exact)


def _along(
    moving: Sequence[Dim], vector: Mapping[str, Fraction]
) -> tuple[Sequence[tuple[str, ...]], bool]:
    """How many points of the moving dims alone have one wave: the fewest of some products."""
    steps = [abs(vector[dim.name]) for dim in moving]
    match list(zip(moving, steps, strict=True)):
        case [] | [_] if all(step >= 1 for step in steps):
            return [()], True
        case [(dim, step)]:
            return [(str(ceil(1 / step)),), (_extent(dim),)], True
        case [(one, a), (other, b)] if a.denominator == b.denominator == 1:
            common = _gcd(a.numerator, b.numerator)
            return [
                (_part(one, b.numerator // common),),
                (_part(other, a.numerator // common),),
            ], True
    rest = [tuple(_extent(d) for d in moving if d is not dim) for dim in moving]
    return rest, False


def _gcd(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return a


def _extent(dim: Dim) -> str:
    text = str(dim.extent)
    return f"({text})" if " " in text else text


def _part(dim: Dim, step: int) -> str:
    if step == 1:
        return str(dim.extent)
    length = dim.extent.constant
    return f"ceil(({dim.extent})/{step})" if length is None else str(-(-length // step))


def widest(
    statements: Iterable[tuple[Node, Sequence[Timing]]], values: Mapping[str, int]
) -> int | None:
    """The most points that the statements have at one moment; None if there are too many.

    Each comes with the timings of the loops around it. KeyError names an extent that is missing.
    """
    found: Counter[Moment] = Counter()
    for node, timings in statements:
        domain = tightened(node.domain)
        scales = [timing.scale for timing in timings]
        positions = [timing.positions[node.id] for timing in timings]
        counts = _positions(domain, positions, values)
        if counts is None:
            return None
        for moment, count in counts.items():
            found[tuple(p // s for p, s in zip(moment, scales, strict=True))] += count
    return max(found.values(), default=0)


def _positions(
    domain: Domain, positions: Sequence[Poly], values: Mapping[str, int]
) -> Counter[Moment] | None:
    """How many points have each tuple of positions."""
    names = set(domain.names)
    bounds = [end for dim in domain.dims for end in (dim.lower, dim.upper) if end is not None]
    if domain.constraints or any(names & set(end.names) for end in bounds):
        total = 1
        for dim in domain.dims:
            assert dim.upper is not None
            total *= max(1, dim.upper.evaluate({**values, **dict.fromkeys(domain.names, 0)}))
        if total > _MOST_POINTS:
            return None
        return Counter(
            tuple(position.evaluate({**values, **point}) for position in positions)
            for point in domain.points(values)
        )
    start = tuple(p.evaluate({**values, **dict.fromkeys(domain.names, 0)}) for p in positions)
    found: Counter[Moment] = Counter({start: 1})
    for dim in domain.dims:
        assert dim.lower is not None and dim.upper is not None
        first, last = dim.lower.evaluate(values), dim.upper.evaluate(values)
        steps = tuple(position.coefficient(dim.name) for position in positions)
        if not any(steps):
            found = Counter({moment: n * max(0, last - first) for moment, n in found.items()})
            continue
        if len(found) * (last - first) > _MOST_POINTS:
            return None
        longer: Counter[Moment] = Counter()
        for index in range(first, last):
            for moment, count in found.items():
                moved = (m + index * step for m, step in zip(moment, steps, strict=True))
                longer[tuple(moved)] += count
        found = longer
    return found
