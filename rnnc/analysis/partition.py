"""Statements divided into parts that are scheduled as one, and how these depend on each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import networkx as nx

from rnnc.analysis.dependence import Dependence

Part = tuple[str, ...]  # statements in the order of the graph


@dataclass(frozen=True)
class Partition:
    """`parts` in topological order, ties in the order of the graph; `place` is that order."""

    parts: tuple[Part, ...]
    edges: tuple[Dependence, ...]
    place: Mapping[str, int]

    @staticmethod
    def of(nodes: Sequence[str], edges: Sequence[Dependence]) -> Partition:
        """The strongly connected components."""
        inside = set(nodes)
        own = tuple(e for e in edges if e.source in inside and e.reader in inside)
        structure: nx.DiGraph[str] = nx.DiGraph()
        structure.add_nodes_from(nodes)
        structure.add_edges_from((edge.source, edge.reader) for edge in own)
        place = {name: number for number, name in enumerate(nodes)}
        return _sorted(tuple(nx.strongly_connected_components(structure)), own, place)

    def inside(self, part: Part) -> tuple[Dependence, ...]:
        """The dependences among the statements of a part (not necessarily one of `parts`)."""
        known = self._inside.get(part)
        if known is not None:
            return known
        members = set(part)
        return tuple(e for e in self.edges if e.source in members and e.reader in members)

    @cached_property
    def _inside(self) -> dict[Part, tuple[Dependence, ...]]:
        found: dict[Part, list[Dependence]] = {part: [] for part in self.parts}
        for edge in self.edges:
            part = self._part[edge.source]
            if part is self._part[edge.reader]:
                found[part].append(edge)
        return {part: tuple(edges) for part, edges in found.items()}

    @cached_property
    def _part(self) -> dict[str, Part]:
        return {name: part for part in self.parts for name in part}

    @cached_property
    def _structure(self) -> nx.DiGraph[Part]:
        return _condensed(self.parts, self.edges)

    def is_recurrence(self, part: Part) -> bool:
        return bool(self._inside[part])

    def recurrences(self) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if self.is_recurrence(part))

    def level(self, part: Part) -> int:
        """How many recurrences have to come one after another until a part is computed."""
        return self._levels[part]

    @cached_property
    def _levels(self) -> dict[Part, int]:
        found: dict[Part, int] = {}
        for part in self.parts:
            before = max((found[other] for other in self._structure.predecessors(part)), default=0)
            found[part] = before + self.is_recurrence(part)
        return found

    def before(self, part: Part) -> Iterator[Part]:
        """The parts that it reads directly."""
        yield from self._structure.predecessors(part)

    def into(self, part: Part) -> tuple[Dependence, ...]:
        """The dependences by which it reads other parts."""
        return self._into.get(part, ())

    @cached_property
    def _into(self) -> dict[Part, tuple[Dependence, ...]]:
        found: dict[Part, list[Dependence]] = {}
        for edge in self.edges:
            part = self._part[edge.reader]
            if part is not self._part[edge.source]:
                found.setdefault(part, []).append(edge)
        return {part: tuple(edges) for part, edges in found.items()}

    def recurrences_near(self, part: Part) -> tuple[Part, ...]:
        """The other recurrences: those that a part needs, the nearest first, then the rest."""
        needed = nx.ancestors(self._structure, part)
        others = [other for other in self.recurrences() if other is not part]
        before = [other for other in reversed(others) if other in needed]
        return (*before, *(other for other in others if other not in needed))

    def producer(self, part: Part) -> Part | None:
        """The recurrence that feeds a part, with no other between; None if not just one does."""
        found: dict[Part, None] = {}
        seen: set[Part] = set()
        pending = [part]
        while pending:
            for before in self._structure.predecessors(pending.pop()):
                if self.is_recurrence(before):
                    found[before] = None
                elif before not in seen:
                    seen.add(before)
                    pending.append(before)
        return next(iter(found)) if len(found) == 1 else None

    def between(self, one: Part, other: Part) -> Part:
        """The statements of two parts and of all that lies between them."""
        first, last = (other, one) if nx.has_path(self._structure, other, one) else (one, other)
        after, before = nx.descendants(self._structure, first), nx.ancestors(self._structure, last)
        members = {name for part in (first, last, *(after & before)) for name in part}
        return tuple(sorted(members, key=self.place.__getitem__))

    def enclosed(self, parts: Sequence[Part]) -> list[Part]:
        """What lies between some parts: behind one of them and before another."""
        after = {other for part in parts for other in nx.descendants(self._structure, part)}
        before = {other for part in parts for other in nx.ancestors(self._structure, part)}
        between = (after & before).difference(parts)
        return [part for part in self.parts if part in between]

    def united(self, part: Part) -> Partition:
        """The parts that lie in `part` as one."""
        members = set(part)
        rest = tuple(other for other in self.parts if other[0] not in members)
        return _sorted((*rest, part), self.edges, self.place)


def _condensed(parts: Sequence[Part], edges: Sequence[Dependence]) -> nx.DiGraph[Part]:
    owner = {name: part for part in parts for name in part}
    found: nx.DiGraph[Part] = nx.DiGraph()
    found.add_nodes_from(parts)
    pairs = ((owner[edge.source], owner[edge.reader]) for edge in edges)
    found.add_edges_from((source, reader) for source, reader in pairs if source is not reader)
    return found


def _sorted(
    parts: Sequence[Part] | Sequence[set[str]],
    edges: tuple[Dependence, ...],
    place: Mapping[str, int],
) -> Partition:
    ordered = [tuple(sorted(part, key=place.__getitem__)) for part in parts]
    structure = _condensed(ordered, edges)
    order = nx.lexicographical_topological_sort(structure, key=lambda part: place[part[0]])
    return Partition(tuple(order), edges, place)
