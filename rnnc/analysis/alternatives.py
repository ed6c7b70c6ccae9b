"""Schedules that a reader may expect for a recurrence, and the read that forbids each.

l + t: edge h[l + 1, t - 1] has distance (-1, 1)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rnnc.analysis.critical_path import Paths, length_of
from rnnc.analysis.cuts import Rational, dot, offsets
from rnnc.analysis.dependence import Dependence
from rnnc.analysis.distances import contracted
from rnnc.analysis.longest import Longest
from rnnc.analysis.recurrences import Recurrence
from rnnc.analysis.space import arcs_of


@dataclass(frozen=True, slots=True)
class Alternative:
    """A vector over the dims: what forbids it, or how many evaluations one after another it takes.

    `edge` is the read and its distance, None where the vector is legal.
    """

    alpha: Rational
    edge: tuple[Dependence, tuple[int, ...]] | None
    waves: Longest | None


def alternatives(
    paths: Paths, recurrence: Recurrence, dims: Sequence[str], taken: Rational | None
) -> Iterator[Alternative]:
    """The sum of the dims, and each dim alone; not the direction that was taken."""
    all_dims = paths.space.dims
    units = [tuple(Fraction(name == dim) for name in all_dims) for dim in dims]
    total = tuple(Fraction(name in dims) for name in all_dims)
    for alpha in dict.fromkeys((total, *units)):
        if any(alpha) and (taken is None or not _same_direction(alpha, taken)):
            yield _judged(paths, recurrence, alpha)


def _same_direction(one: Rational, other: Rational) -> bool:
    scale = sum(map(abs, other)) / sum(map(abs, one))
    return tuple(value * scale for value in one) == other


def _judged(paths: Paths, recurrence: Recurrence, alpha: Rational) -> Alternative:
    reads = recurrence.reads
    for edge in reads:
        for ray in edge.rays:
            if dot(alpha, ray) < 0:
                return Alternative(alpha, (edge, ray), None)
    between = contracted(reads)
    names = tuple(dict.fromkeys(name for e in between for name in (e.source, e.reader)))
    _, cycle = offsets(names, arcs_of(between), alpha)
    if cycle:
        for edge in reads:
            for vertex in edge.vertices if edge.delay else ():
                if dot(alpha, vertex) <= 0:
                    return Alternative(alpha, (edge, vertex), None)
        worst = min(cycle, key=lambda arc: dot(alpha, arc.distance) - arc.delay)
        edge = next(e for e in between if worst in arcs_of([e]))
        return Alternative(alpha, (edge, worst.distance), None)
    gamma, _ = offsets(recurrence.statements, arcs_of(reads), alpha)
    whole = paths.space.along(recurrence.statements, alpha, gamma)
    assert whole.waves is not None
    return Alternative(alpha, None, length_of(whole.waves))


def read(
    paths: Paths, dims: Sequence[str], edge: Dependence, distance: tuple[int, ...] | None = None
) -> str:
    """`h[l + 1, t - 1]`: the variable and where it is read from point (l, t)."""
    variable = paths.recurrences.variables.get(edge.source, edge.source).removesuffix(".out")
    own = paths.graph[edge.source].domain.names
    steps = dict(zip(paths.space.dims, distance or edge.vertices[0], strict=True))
    uniform = distance is not None or (len(edge.vertices) == 1 and not edge.rays)
    places: list[str] = []
    for name, low, high in edge.access:
        if name not in own:
            continue
        if uniform and name in dims:
            step = steps[name]
            places.append(name if not step else f"{name} {'-' if step > 0 else '+'} {abs(step)}")
        else:
            places.append(str(low) if low == high else f"{low}..{high}")
    return f"{variable}[{', '.join(places)}]" if places else variable


def vector_text(alpha: Rational, dims: Sequence[str]) -> str:
    """`l + 2*t` for (1, 2)."""
    text = ""
    for value, dim in zip(alpha, dims, strict=True):
        if value:
            size = "" if abs(value) == 1 else f"{abs(value)}*"
            text += f"{' - ' if value < 0 else ' + '}{size}{dim}"
    return "-" + text[3:] if text.startswith(" - ") else text[3:]
