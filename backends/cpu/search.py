"""Looks for better tilings of a plan's kernels, one decision after another.

Each candidate is compiled and compared with the best so far; the winner must be clearly faster for
one batch and slower for none, twice, and is remembered at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from rnnc.plan.plan import Plan
from rnnc.registry import Compare, Trial
from rnnc.runtime.artifact import Artifact

from ..tensorir.packing import products
from ..tensorir.tiling import MOST_ROWS, Shape, Tiling, default_tiling, default_together, tiling
from ..tensorir.words import INT8, word
from .integers import Dot
from .microkernel import rows_that_fit
from .outlines import placed_kernels
from .remembered import remember
from .sparse import stored
from .target import CpuTarget

_CLEARLY, _NO_LOSS = 1.03, 0.99
_MOST_VECTORS = 8  # accumulator vectors of a row: more leave no room for a second one
_BLOCKS = (24, 96, 192)
_AHEAD = (0, 2, 4, 8, 16)

Build = Callable[[CpuTarget], Artifact]


def search(
    plan: Plan, target: CpuTarget, build: Build, compare: Compare, seconds: float
) -> Iterator[Trial]:
    """What is known of each shape of the plan after each comparison, for about `seconds`.

    The search begins with the tilings of the target.
    """
    start = time.monotonic()
    end = start + seconds
    shapes = shapes_of(plan, target)
    chosen = {shape: tiling(shape, target.tilings) for shape in shapes}

    def built() -> Artifact:
        return build(replace(target, tilings=tuple(chosen.items())))

    current = built() if shapes else None
    for number, shape in enumerate(shapes):
        assert current is not None
        default = default_tiling(shape)
        began = chosen[shape]
        share = (end - time.monotonic()) / (len(shapes) - number)
        limit = time.monotonic() + share
        gain = 1.0
        for decision in DECISIONS:
            best = chosen[shape]
            for candidate in decision(shape, best, target):
                if time.monotonic() >= limit:
                    break
                if not candidate.suits(shape) or candidate == chosen[shape]:
                    continue
                before, chosen[shape] = chosen[shape], candidate
                made = built()
                ratios = improvement(compare, current, made)
                if ratios is None:
                    chosen[shape] = before
                else:
                    current = made
                    gain *= max(ratios)
                    remember(shape, candidate)
                yield Trial(
                    str(shape), str(default), str(chosen[shape]), gain, time.monotonic() - start
                )
        if chosen[shape] == began:
            spent = time.monotonic() - start
            yield Trial(str(shape), str(default), str(began), gain, spent)


def improvement(compare: Compare, old: Artifact, new: Artifact) -> Sequence[float] | None:
    """How many times faster the new one is for each batch; None unless that is clear, twice."""
    if new.library == old.library:
        return None
    found: Sequence[float] | None = None
    for _ in range(2):
        found = compare(old, new)
        if found is None or max(found) < _CLEARLY or min(found) < _NO_LOSS:
            return None
    return found


def shapes_of(plan: Plan, target: CpuTarget) -> list[Shape]:
    """The shapes of all products, those first that take longest: inside of waves, large ones."""
    buffers = {buffer.name: buffer for buffer in plan.buffers}
    lanes = target.lanes("float32")
    found: dict[Shape, tuple[bool, int]] = {}
    for kernel, turning in placed_kernels(plan.steps, False):
        made = products(kernel, buffers, lanes, stored(kernel, buffers, plan.weights))
        if made is not None:
            groups = zip(made.shape.slots, made.shape.depths, strict=True)
            size = sum(slots * sum(depths) for slots, depths in groups) * made.shape.columns
            found[made.shape] = max(found.get(made.shape, (False, 0)), (turning, size))
    return sorted(found, key=lambda shape: found[shape], reverse=True)


# ---- decisions: candidates beside the best so far ---------------------------------------------


def widths(shape: Shape, best: Tiling, target: CpuTarget) -> Iterator[Tiling]:
    for width in range(1, _MOST_VECTORS + 1):
        if shape.vectors % width == 0 and max(shape.slots) * width <= _MOST_VECTORS:
            together = default_together(shape, width)
            made = replace(best, width=width, together=together)
            yield made
            yield replace(made, rows=most_rows(shape, made, target))


def heights(shape: Shape, best: Tiling, target: CpuTarget) -> Iterator[Tiling]:
    most = most_rows(shape, best, target)
    for rows in sorted({most, most * 3 // 4, most // 2} - {best.rows, 0}, reverse=True):
        yield replace(best, rows=rows)


def blocks(shape: Shape, best: Tiling, target: CpuTarget) -> Iterator[Tiling]:
    for block in _BLOCKS:
        yield replace(best, block=block)


def tiles(shape: Shape, best: Tiling, target: CpuTarget) -> Iterator[Tiling]:
    for together in (1, 2, 3, 4):
        yield replace(best, together=together)


def distances(shape: Shape, best: Tiling, target: CpuTarget) -> Iterator[Tiling]:
    for ahead in _AHEAD:
        yield replace(best, prefetch=(ahead,) * len(best.prefetch))


DECISIONS = (widths, heights, tiles, distances, blocks)


def most_rows(shape: Shape, given: Tiling, target: CpuTarget) -> int:
    """How many rows of a tile the registers hold."""
    form = word(shape.weights)
    parts = Dot.of(target).parts if form == INT8 else form.group
    return min(MOST_ROWS, rows_that_fit(max(shape.slots) * given.width, target, parts))
