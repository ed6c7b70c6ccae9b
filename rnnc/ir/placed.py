"""Things that stand at fixed static indices, found by them.

Of 64 layers that differ, each has equations of its own: what is asked of one of them should meet
those that can be about it, and not all.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from rnnc.ir.poly import Poly

Item = TypeVar("Item")
Name = TypeVar("Name", bound=Hashable)  # of a dim, or its number


def may_meet(one: Mapping[Name, int], other: Mapping[Name, int]) -> bool:
    """Whether two things with these indices may stand at one point."""
    return all(other.get(name, index) == index for name, index in one.items())


class Placed(Generic[Name, Item]):
    """Items with the indices that each has of some dims; of others it may have any."""

    def __init__(self, rows: Iterable[tuple[Mapping[Name, int], Item]]) -> None:
        self.rows = tuple(rows)
        # By dim and index, and by dim alone where a row has any: numbers of rows, ascending.
        self._at: dict[Name, dict[int, list[int]]] = {}
        self._any: dict[Name, list[int]] = {}
        names = dict.fromkeys(name for fixed, _ in self.rows for name in fixed)
        for name in names:
            at, free = self._at.setdefault(name, {}), self._any.setdefault(name, [])
            for number, (fixed, _) in enumerate(self.rows):
                (at.setdefault(fixed[name], []) if name in fixed else free).append(number)

    def at(self, access: Mapping[Name, object]) -> list[Item]:
        """What may be met at an access, in order: an index that is no number meets any."""
        known: dict[Name, int] = {}
        for name in self._at:
            index = access.get(name)
            number = index.constant if isinstance(index, Poly) else index
            if isinstance(number, int):
                known[name] = number
        if not known:
            return [item for _, item in self.rows]
        best = min(known, key=lambda name: len(self._at[name].get(known[name], ())))
        numbers = sorted((*self._at[best].get(known[best], ()), *self._any[best]))
        return [
            item
            for fixed, item in (self.rows[number] for number in numbers)
            if may_meet(known, fixed)
        ]
