"""How the loops of a kernel are divided among threads."""

from __future__ import annotations

from dataclasses import dataclass

from rnnc.analysis.wave import WaveLoop
from rnnc.plan.plan import Kernel


@dataclass(frozen=True, slots=True)
class Loops:
    """The loops of a kernel: `nested` run one after another in every thread, as bounds of others
    depend on them; the points of `flat` are shared out; `exact` are single points inside those;
    `serial` are those of chains."""

    nested: tuple[WaveLoop, ...]
    flat: tuple[WaveLoop, ...]
    exact: tuple[WaveLoop, ...]
    serial: tuple[WaveLoop, ...]


def divided(kernel: Kernel) -> Loops:
    """Which loops of a kernel are shared out."""
    independent = kernel.independent
    by_name = {loop.name: loop for loop in kernel.loops}
    needed: set[str] = set()

    def need(names: frozenset[str] | set[str]) -> None:
        for name in names:
            if name in by_name and name not in needed:
                needed.add(name)
                if by_name[name].exact:
                    need(by_name[name].names)

    for loop in independent:
        if not loop.exact:
            need(loop.names)
    flat = tuple(loop for loop in independent if not loop.exact and loop.name not in needed)
    shared = {loop.name for loop in flat}
    nested: list[WaveLoop] = []
    exact: list[WaveLoop] = []
    for loop in independent:
        if loop.exact and loop.names & shared:
            exact.append(loop)
            shared.add(loop.name)
        elif loop not in flat:
            nested.append(loop)
    return Loops(tuple(nested), flat, tuple(exact), kernel.loops[len(independent) :])


def row_digits(kernel: Kernel) -> tuple[str | None, ...]:
    """What a row of a kernel is, where its rows are numbered: values of these loops, and None for
    the row of the batch."""
    loops = divided(kernel)
    long = [loop.name for loop in loops.flat if not loop.single]
    exact = [loop.name for loop in loops.exact]
    return (*long, *exact, *([None] if kernel.batched else []))


def constant_bounds(loop: WaveLoop) -> tuple[int | None, int | None]:
    """Where a loop begins at the earliest and ends at the latest, as far as numbers say."""
    lowers = [poly.constant for poly in loop.lowers]
    uppers = [poly.constant for poly in loop.uppers]
    return (
        max((value for value in lowers if value is not None), default=None),
        min((value for value in uppers if value is not None), default=None),
    )
