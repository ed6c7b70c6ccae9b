"""Which weights are taken to have a mask."""

from __future__ import annotations

import pytest

from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request

TEXT = """
model m{{X = 3, H = 3}}:
    dim t in 0..T
    input x[t]: [X], on[t]: bool
    param W, V: [H, X], keep: bool[H, X], share: [H, X], all: bool, limit: real
    output y[t] = {}
"""


def masked(product: str) -> tuple[str, ...]:
    return Compilation(Source("m.rnn", TEXT.format(product)), Request()).masked


@pytest.mark.parametrize(
    "product",
    [
        "(W if keep else 0) @ x[t]",
        "(0 if keep else W) @ x[t]",
        "(W * keep) @ x[t]",
        "(keep * (W + V)) @ x[t]",
        "(W if abs(W) > limit else 0) @ x[t]",
        "concat(W if keep else 0, V) @ x[t]",
        "(W if keep and not all else 0) @ x[t]",
    ],
)
def test_conditions_on_parameters_are_masks(product: str) -> None:
    assert len(masked(product)) == 1


@pytest.mark.parametrize(
    "product",
    [
        "W @ x[t]",
        "(W * share) @ x[t]",
        "(W if keep else V) @ x[t]",
        "(W if keep else 0.5) @ x[t]",
        "(W * V + share) @ x[t]",
        "(W if X > 2 else 0) @ x[t]",
        "(W @ x[t]) if on[t] else 0",
        "(W if all else 0) @ x[t]",
    ],
)
def test_all_else_is_none(product: str) -> None:
    assert masked(product) == ()
