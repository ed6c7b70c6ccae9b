"""Recurrences of which one feeds the other, under one vector: then they overlap (a wavefront).

    h0[t] = f(h0[t-1]);  h1[t] = g(h0[t], h1[t-1])           T waves + T waves, or T + 1 together

What lies between them takes part. Dependences between two recurrences are on no cycle: they only
move offsets, so that the vectors of both together are those that satisfy the cuts of each, and do
not run against a ray in between (Darte and Vivien 1997, section 4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rnnc.analysis.cuts import Cut, Rational, cheapest, tightest
from rnnc.analysis.partition import Part, Partition
from rnnc.analysis.space import Solution, Space


@dataclass(slots=True)
class Union:
    """Parts that are scheduled as one, the first of them a recurrence."""

    parts: list[Part]
    cuts: tuple[Cut, ...]
    alpha: Rational


def merged(partition: Partition, space: Space) -> Partition:
    """Unites a recurrence with its only producer where both together cost no more than the dearer
    one: less than one after the other."""
    unions: dict[Part, Union] = {}  # by each of their parts
    for part in partition.recurrences():
        found = space.solution(part, partition.inside(part))
        if not isinstance(found, Solution):
            continue
        own = Union([part], found.cuts, found.alpha)
        unions[part] = own
        between: list[Part] = []
        producers = list(reached(partition, unions, part, between))
        first = unions.get(producers[0]) if producers else None
        if first is None or any(unions.get(other) is not first for other in producers):
            continue
        between = [other for other in between if descends(partition, unions, other, first)]
        rays = tuple(
            Cut(ray, 0, (edge.text,))
            for reader in (*between, part)
            for edge in partition.into(reader)
            for ray in edge.rays
        )
        cuts = tightest((*first.cuts, *own.cuts, *rays))
        alpha = cheapest(cuts, len(space.dims), space.cost)
        if alpha is None or space.cost(alpha) > max(space.cost(first.alpha), space.cost(own.alpha)):
            continue
        first.parts += [*between, part]
        first.cuts, first.alpha = cuts, alpha
        unions.update(dict.fromkeys(between, first))
        unions[part] = first
    made = {id(union): union for union in unions.values() if len(union.parts) > 1}
    for union in made.values():
        members = {name for part in union.parts for name in part}
        both = tuple(sorted(members, key=partition.place.__getitem__))
        # Cuts of each do not say all: both may need another vector, or have none.
        if isinstance(space.solution(both, partition.inside(both)), Solution):
            partition = partition.united(both)
    return partition


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
