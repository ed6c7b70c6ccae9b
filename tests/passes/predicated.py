"""Recurrences of which some steps are not computed, and how many waves are enough for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Periods = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Predicated:
    """A model, and the waves of each of its recurrences for T steps (in no order)."""

    name: str
    text: str
    waves: Callable[[int], list[int]]


def due(steps: int, period: int, offset: int = 0) -> int:
    """How many of the steps 0 .. steps-1 are `offset` modulo `period`."""
    return len(range(offset, steps, period))


def clockwork(periods: Periods) -> Predicated:
    """Groups that keep their state between their steps and read slower ones."""
    text = f"""\
model groups{{X = 3, H = 2, G = {len(periods)}, period = {list(periods)}}}:
    dim g in 0..G, j in 0..G, t in 0..T
    input x[t]: [X], h0[g]: [H] = 0
    param W[g]: [H, X], U[g, j >= g]: [H, H], b[g]: [H]
    h[g, t] =
        tanh(sum(j >= g: U[g, j] @ h[j, t-1]) + W[g] @ x[t] + b[g])    if t % period[g] == 0
        h[g, t-1]                                                      otherwise
    h[g, -1] = h0[g]
    output y[t] = concat(g: h[g, t])
    output last[g] = h[g, T-1]
    output all[g, t] = h[g, t]
"""
    name = "groups " + " ".join(str(period) for period in periods)
    return Predicated(name, text, lambda steps: [due(steps, period) for period in periods])


# The value from before is held until the first step that computes, which is not step 0.
LATE = Predicated(
    "late",
    """\
model late{X = 3, H = 2}:
    dim t in 0..T
    input x[t]: [X], h0: [H]
    param W: [H, X], U: [H, H]
    h[t] =
        tanh(U @ h[t-1] + W @ x[t])    if t % 3 == 1
        h[t-1]                         otherwise
    h[-1] = h0
    h[-2] = h0
    output y[t] = h[t]
    output early[t] = h[t-2]
""",
    lambda steps: [due(steps, 3, 1)],
)

# Every layer holds the same steps; layer 0 reads the input.
LAYERS = Predicated(
    "layers",
    """\
model layers{X = 3, L = 3}:
    dim l in 0..L, t in 0..T
    input x[t]: [X]
    param W[l]: [X, X], U[l]: [X, X]
    h[l, t] =
        tanh(U[l] @ h[l, t-1] + W[l] @ h[l-1, t])    if t % 2 == 0
        h[l, t-1]                                    otherwise
    h[-1, t] = x[t]
    output y[t] = h[L-1, t]
""",
    lambda steps: [due(steps, 2) + 2],
)

# Two kinds of computed steps with the same held value.
TWO_RULES = Predicated(
    "two rules",
    """\
model rules{X = 3, H = 2}:
    dim t in 0..T
    input x[t]: [X]
    param W: [H, X], U: [H, H], V: [H, H]
    h[t] =
        W @ x[t]                       if t == 0
        tanh(U @ h[t-1] + W @ x[t])    if t % 4 == 0 and t >= 1
        h[t-1]                         otherwise
    output y[t] = V @ h[t]
""",
    lambda steps: [due(steps, 4) - 1],
)

# No held value: odd steps have an equation of their own, outside the recurrence.
HALVES = Predicated(
    "halves",
    """\
model halves{X = 3, H = 2}:
    dim t in 0..T
    input x[t]: [X]
    param W: [H, X], U: [H, H], V: [H, H]
    h[t] =
        tanh(U @ h[t-2] + W @ x[t])    if t % 2 == 0
        V @ h[t-1]                     if t % 2 == 1
    output y[t] = h[t]
""",
    lambda steps: [due(steps, 2)],
)

# Even and odd steps feed each other.
TURNS = Predicated(
    "turns",
    """\
model turns{X = 3, H = 2}:
    dim t in 0..T
    input x[t]: [X]
    param W: [H, X], U: [H, H], V: [H, H]
    h[t] =
        tanh(U @ h[t-1] + W @ x[t])    if t % 4 == 0
        tanh(V @ h[t-2] + W @ x[t])    if t % 4 == 2
        V @ h[t-1]                     if t % 2 == 1
    output y[t] = h[t]
""",
    lambda steps: [due(steps, 4) + due(steps, 4, 2) + due(steps, 4, 3)],
)

# Fast groups write into slow ones as well: one recurrence of several strides.
MUTUAL = Predicated(
    "mutual",
    """\
model mutual{X = 3, H = 2, G = 3, period = [2, 4, 6]}:
    dim g in 0..G, j in 0..G, t in 0..T
    input x[t]: [X]
    param W[g]: [H, X], U[g, j]: [H, H]
    h[g, t] =
        tanh(sum(j: U[g, j] @ h[j, t-1]) + W[g] @ x[t])    if t % period[g] == 0
        h[g, t-1]                                          otherwise
    output y[t] = concat(g: h[g, t])
""",
    lambda steps: [due(steps, 2)],
)

# From the last step to the first.
BACKWARDS = Predicated(
    "backwards",
    """\
model backwards{X = 3, H = 2}:
    dim t in 0..T
    input x[t]: [X]
    param W: [H, X], U: [H, H]
    h[t] =
        tanh(U @ h[t+2] + W @ x[t])    if t % 2 == 0
        h[t+1]                         otherwise
    output y[t] = h[t] + h[T-1]
""",
    lambda steps: [due(steps, 2)],
)

CASES = [
    *(clockwork(periods) for periods in ((1, 2, 4, 8), (2, 4, 8), (2, 3), (3, 5))),
    *(LATE, LAYERS, TWO_RULES, HALVES, TURNS, MUTUAL, BACKWARDS),
]
