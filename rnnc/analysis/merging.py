"""Recurrences of which one feeds the other, under one vector: then they overlap (a wavefront).

    h0[t] = f(h0[t-1]);  h1[t] = g(h0[t], h1[t-1])           T waves + T waves, or T + 1 together

What lies between them takes part. Dependences between two recurrences are on no cycle: they only
move offsets, so that the vectors of both together are those that satisfy the cuts of each, and do
not run against a ray in between (Darte and Vivien 1997, section 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rnnc.analysis.cuts import Cut, Rational, cheapest, tightest
from rnnc.analysis.partition import Part, Partition
from rnnc.analysis.space import Solution, Space


@dataclass(slots=True)
class Union:
    """Parts that are scheduled as one, the first of them a recurrence."""

    parts: list[Part]
    cuts: tuple[Cut, ...]
    alpha: Rational


def merged(partition: Partition, space: Space, least: bool) -> Partition:
    """Unites a recurrence with what feeds it, where together they cost no more than the dearer one.

    With its only producer; if nothing counts but how few waves there are (`least`), with all of
    them, and wherever together they cost less than one after the other.
    """
    unions: dict[Part, Union] = {}  # by each of their parts
    for part in partition.recurrences():
        found = space.solution(part, partition.inside(part))
        if not isinstance(found, Solution):
            continue
        own = Union([part], found.cuts, found.alpha)
        unions[part] = own
        between: list[Part] = []
        producers = list(reached(partition, unions, part, between))
        feeding = {id(unions.get(other)): unions.get(other) for other in producers}
        before = [union for union in feeding.values() if union is not None]
        if not before or len(before) < len(feeding) or (len(before) > 1 and not least):
            continue
        if len(before) == 1:
            between = [other for other in between if descends(partition, unions, other, before[0])]
        else:
            fed = [other for union in before for other in union.parts]
            between = partition.enclosed((*fed, part))
            if any(other in unions or partition.is_recurrence(other) for other in between):
                continue
        readers = (*between, part, *(o for union in before[1:] for o in union.parts))
        rays = tuple(
            Cut(ray, 0, (edge.text,))
            for reader in readers
            for edge in partition.into(reader)
            for ray in edge.rays
        )
        cuts = tightest((*(cut for union in (*before, own) for cut in union.cuts), *rays))
        alpha = cheapest(cuts, len(space.dims), space.cost)
        costs = [space.cost(union.alpha) for union in (*before, own)]
        if alpha is None or not _pays(space.cost(alpha), costs, least):
            continue
        union = Union([*(o for u in before for o in u.parts), *between, part], cuts, alpha)
        unions.update(dict.fromkeys(union.parts, union))
    made = {id(union): union for union in unions.values() if len(union.parts) > 1}
    for union in made.values():
        members = {name for part in union.parts for name in part}
        both = tuple(sorted(members, key=partition.place.__getitem__))
        # Cuts of each do not say all: both may need another vector, or have none.
        if isinstance(space.solution(both, partition.inside(both)), Solution):
            partition = partition.united(both)
    return partition


def _pays(
    together: tuple[Fraction, Fraction], apart: Sequence[tuple[Fraction, Fraction]], least: bool
) -> bool:
    """Whether recurrences are better run together; the last of them reads the others."""
    if together <= max(apart):
        return True
    first, last = max(apart[:-1]), apart[-1]
    return least and together < (first[0] + last[0], first[1] + last[1])


def reached(
    partition: Partition, unions: dict[Part, Union], part: Part, between: list[Part]
) -> Iterator[Part]:
    """The recurrences that feed a part with no other one between; what is, goes to `between`."""
    pending, seen = [part], {part}
    while pending:
        for before in partition.before(pending.pop()):
            if before in seen:
                continue
            seen.add(before)
            if before in unions or partition.is_recurrence(before):
                yield before
            else:
                between.append(before)
                pending.append(before)


def descends(partition: Partition, unions: dict[Part, Union], part: Part, first: Union) -> bool:
    """Whether something between is reached from a union."""
    pending, seen = [part], {part}
    while pending:
        for before in partition.before(pending.pop()):
            if unions.get(before) is first:
                return True
            if before not in seen and not partition.is_recurrence(before):
                seen.add(before)
                pending.append(before)
    return False
