"""Sparse weights, as kernels read them: lists of the weights that are not zero.

A pack is an array of 32-bit words. It begins with a table: for each vector of `lanes` rows, in the
order [*loops, tile, gate, vector], how many words behind its own entry the vector begins:

    number of groups; words from here to the first group; the start of each group in k; padding;
    groups: a vector of places, then STEPS vectors of weights (float32)

Byte s of a place is where in the window, which begins at the group's start, the value stands that
weight s multiplies; where a row has no further weight in the window, that is 0 and so is the place.
A number of -1 says that all weights follow, for each k a vector.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from rnnc.runtime.memory import Array, aligned_zeros

STEPS = 4  # weights of a row in a group; their places make a word
HEADER = 2  # words before the starts
_LINE = 16  # words of a cache line: where groups begin

Words = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


def sparse(vectors: Floats, window: int, listed: float) -> Array:
    """The pack of [number, lanes, depth] weights: vectors in the order of the table.

    A vector is a list if that takes at most `listed` steps for each k. A window is read whole, so
    rows must be as long.
    """
    depth = vectors.shape[2]
    most = listed * depth if depth >= window else -1
    parts = [
        _listed(starts, groups) if STEPS * len(starts) <= most else _whole(every)
        for (starts, groups), every in zip(grouped(vectors, window), vectors, strict=True)
    ]
    table = _padded(len(parts))
    pack = aligned_zeros((table + sum(map(len, parts)),), np.dtype(np.int32))
    words = pack.view(np.int32)
    at = table
    for number, part in enumerate(parts):
        words[number] = at - number
        words[at : at + len(part)] = part
        at += len(part)
    return pack


def grouped(vectors: Floats, window: int) -> Iterator[tuple[Words, Words]]:
    """For each vector the starts of its groups, and [groups, 1 + STEPS, lanes] of their words.

    All vectors advance together, a group at a time: a row takes its next weights that lie in the
    window, which begins at the first weight that any row of the vector lacks.
    """
    number, lanes, depth = vectors.shape
    counts = np.count_nonzero(vectors, axis=2)
    columns = np.full((number, lanes, counts.max(initial=0) + 1), depth, np.int64)
    owners, rows, found = np.nonzero(vectors)
    ranks = np.arange(len(found)) - np.repeat(np.cumsum(counts) - counts.ravel(), counts.ravel())
    columns[owners, rows, ranks] = found
    taken = np.zeros((number, lanes, 1), np.int64)
    starts: list[npt.NDArray[np.int64]] = []
    groups: list[Words] = []
    vector, lane = np.ogrid[:number, :lanes]
    while True:
        first = np.take_along_axis(columns, taken, 2).min(axis=(1, 2), initial=depth)
        if (first == depth).all():
            break
        start = np.minimum(first, max(depth - window, 0))
        words = np.zeros((number, 1 + STEPS, lanes), np.int32)
        for step in range(STEPS):
            column = np.take_along_axis(columns, taken, 2)[..., 0]
            fits = column < np.minimum(start + window, depth)[:, None]
            place = np.where(fits, column - start[:, None], 0)
            words[:, 0] |= (place << (8 * step)).astype(np.int32)
            weights = np.where(fits, vectors[vector, lane, np.where(fits, column, 0)], 0)
            words[:, 1 + step] = weights.astype(np.float32).view(np.int32)
            taken[..., 0] += fits
        starts.append(np.where(first < depth, start, -1))
        groups.append(words)
    for one in range(number):
        own = [n for n, start in enumerate(starts) if start[one] >= 0]
        blocks = [groups[n][one] for n in own]
        yield (
            np.array([starts[n][one] for n in own], np.int32),
            np.array(blocks, np.int32).reshape(len(own), 1 + STEPS, lanes),
        )


def _listed(starts: Words, groups: Words) -> Words:
    length = _padded(HEADER + len(starts))
    made = np.zeros(length + groups.size, np.int32)
    made[:HEADER] = len(starts), length
    made[HEADER : HEADER + len(starts)] = starts
    made[length:] = groups.ravel()
    return _grown(made)


def _whole(weights: Floats) -> Words:
    made = np.zeros(_LINE + weights.size, np.int32)
    made[:HEADER] = -1, _LINE
    made[_LINE:] = np.ascontiguousarray(weights.T).view(np.int32).ravel()
    return _grown(made)


def _grown(words: Words) -> Words:
    return np.concatenate([words, np.zeros(-len(words) % _LINE, np.int32)])


def _padded(count: int) -> int:
    return -(-count // _LINE) * _LINE
