"""Batch rows as sequences: each row has its own extents, and a reset begins a new sequence.

Rows whose sequences have the same extents and starts are evaluated together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnc.ir.evaluate import EvaluationError
from rnnc.ir.pointwise import Array


@dataclass(frozen=True, slots=True)
class RowSequence:
    """One sequence of some rows: `sizes` as these rows have them; `starts` says at which index of
    the row each extent begins; `last`: no further sequence of these rows follows.
    """

    rows: tuple[int, ...]
    sizes: Mapping[str, int]
    starts: Mapping[str, int]
    last: bool


def row_sequences(
    batch: int,
    sizes: Mapping[str, int],
    extents: Sequence[str],
    lengths: Mapping[str, Array] | None,
    resets: Array | None,
) -> list[RowSequence]:
    """All sequences of all rows.

    `lengths` has one array [batch] for each extent that varies; `resets` [T, batch] is true where
    a step is the first of a new sequence, and wants a graph with one extent.
    """
    own = {
        name: checked_lengths(name, array, batch, sizes) for name, array in (lengths or {}).items()
    }
    if set(own) - set(extents):
        raise EvaluationError(f"lengths are given for {set(own) - set(extents)}, no extents")
    if resets is not None and len(extents) != 1:
        raise EvaluationError(f"resets want one run-time extent; here are {', '.join(extents)}")
    groups: dict[tuple[tuple[int, ...], int, bool], list[int]] = {}
    for row in range(batch):
        ends = tuple(int(own[name][row]) if name in own else sizes[name] for name in extents)
        if resets is None:
            groups.setdefault((ends, 0, True), []).append(row)
            continue
        for start, stop in segments(np.asarray(resets)[:, row], ends[0]):
            groups.setdefault(((stop - start,), start, stop == ends[0]), []).append(row)
    return [
        RowSequence(
            tuple(rows),
            {**sizes, **dict(zip(extents, ends, strict=True))},
            dict.fromkeys(extents, start),
            last,
        )
        for (ends, start, last), rows in groups.items()
    ]


def segments(resets: Array, length: int) -> Iterator[tuple[int, int]]:
    """The sequences start..stop of a row of `length` steps; the first step always begins one."""
    if resets.shape[0] < length:
        raise EvaluationError(f"{resets.shape[0]} resets for a row of {length} steps")
    starts = [0, *(step for step in range(1, length) if resets[step])]
    yield from zip(starts, [*starts[1:], length], strict=True)


def checked_lengths(
    name: str, array: Array, batch: int, sizes: Mapping[str, int]
) -> NDArray[np.int64]:
    found = np.asarray(array, np.int64)
    if found.shape != (batch,):
        raise EvaluationError(f"lengths of {name} have shape {found.shape}, not {(batch,)}")
    if found.size and not 0 <= int(found.min()) <= int(found.max()) <= sizes[name]:
        raise EvaluationError(f"lengths of {name} are not all in 0..{sizes[name]}")
    return found
