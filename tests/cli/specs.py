"""Small specs for the command line's tests."""

from __future__ import annotations

ELMAN = """\
cell elman{X, H}(x: [X], h: [H]) -> (h'):
    "Elman 1990."
    param W: [H, X], U: [H, H], b: [H]
    h' = tanh(W @ x + U @ h + b)

model net{X, H}:
    dim t in 0..T
    input x[t]: [X], h0: [H] = 0
    h[t] = elman{H}(x[t], h[t-1])
    h[-1] = h0
    output y[t] = h[t]
"""

# Two errors of different kinds, far from each other, and one warning.
WRONG = """\
cell elman{X, H}(x: [X], h: [H]) -> (h'):
    param W, U: [H, X], b: [H]
    h' = tanh(W @ x + U @ h + b)

cell other{X}(x: [X]) -> (y: [X]):
    y = tanh(z)
"""

# Formatting that is not canonical, with comments in several places.
UGLY = """\
# a comment of its own
cell  silu( x )=x*sigmoid(x)   # at the end
"""
