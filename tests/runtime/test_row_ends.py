"""Equations that look at the end of a sequence, with rows of different lengths.

The reference is the interpreter, which runs every row by itself.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import rnnc
from rnnc import driver
from rnnc.analysis.row_ends import shared_ends
from rnnc.diagnostics import DiagnosticError, Source
from rnnc.ir.interpreter import interpret
from tests.runtime.clibrary import called, compiled_library
from tests.tolerance import assert_close

HEAD = """\
model ends{D}:
    dim t in 0..T
    input x[t]: [D]
"""
CUT = {
    "a case at the last step": """\
    y[t] =
        x[t]        if t == T-1
        2 * x[t]    otherwise
    output y
""",
    "a pattern": """\
    y[T-1] = x[T-1]
    y[t < T-1] = 2 * x[t+1]
    output y
""",
    "a condition": """\
    output y[t] = x[t] + (x[t+1] if t < T-1 else 3 * x[t])
""",
    "the second half": """\
    y[t] = 0.5 * y[t-1] + (x[t] if 2 * t >= T else 0 * x[t])
    output y
""",
}
WHOLE = {
    "a sum short of the end": "    output y = sum(s in 0..T-1: x[s])\n",
    "a sum behind the beginning": "    output y = sum(s in 0..T-2: x[s+1])\n",
    "a sum to the end": "    output y[t] = sum(s in t..T: x[s])\n",
    "the last of a sum": "    output y = max(s in T-2..T: x[s])\n",
    "a mean": "    output y = mean(t: x[t])\n",
    "backwards": "    y[t] = x[t] + 0.5 * y[t+1]\n    y[T] = x[0]\n    output y\n",
    "turned": "    output y[t] = x[T-1-t]\n",
}
X = np.random.default_rng(0).normal(size=(6, 4, 3)).astype(np.float32)
LENGTHS = np.array([6, 3, 2, 6])


def compilation(body: str) -> driver.Compilation:
    body = body.replace("    output y\n", "    output z[t] = y[t]\n")
    return driver.Compilation(Source("ends.rnn", HEAD + body), driver.Request(None, {"D": 3}))


@pytest.mark.parametrize("name", [*CUT, *WHOLE])
def test_rows_of_different_lengths(name: str) -> None:
    compiled = compilation({**CUT, **WHOLE}[name])
    assert bool(shared_ends(compiled.graph)) == (name in CUT)
    bound = compiled.load().bind({})
    found = bound(x=X, lengths=LENGTHS)
    given = {"x": X.astype(np.float64)}
    wanted = interpret(compiled.graph, {"T": 6}, given, {}, np.float64, {"T": LENGTHS})
    for output, value in wanted.items():
        assert_close(found[output], value, np.float32, 6)
    turned = bound(x=X.swapaxes(0, 1), lengths=LENGTHS, batch_first=True)
    for output, value in found.items():
        timed = value.ndim == 3
        assert np.array_equal(turned[output].swapaxes(0, 1) if timed else turned[output], value)


@pytest.mark.parametrize("name", CUT)
def test_sequences_in_one_row(name: str) -> None:
    """A reset ends a sequence, and the equations see that."""
    bound = compilation(CUT[name]).load().bind({})
    resets = np.zeros((6, 4), np.bool_)
    resets[2, 1] = resets[4, 2] = True
    [found] = bound(x=X, resets=resets).values()
    for row, starts in ((0, [0, 6]), (1, [0, 2, 6]), (2, [0, 4, 6])):
        for start, stop in pairwise(starts):
            [part] = bound(x=np.ascontiguousarray(X[start:stop, row : row + 1])).values()
            assert np.array_equal(found[start:stop, row : row + 1], part)


def test_two_extents_are_refused() -> None:
    text = """\
model two{D}:
    dim t in 0..T, s in 0..S
    input x[t]: [D], u[s]: [D]
    last[t] =
        x[t]        if t == T-1
        2 * x[t]    otherwise
    output y[t] = last[t] + u[0]
    output z[s] = u[s]
"""
    bound = rnnc.compile(text, sizes={"D": 2}).bind({})
    x = np.ones((3, 2, 2), np.float32)
    bound(x=x, u=x, lengths={"S": [3, 1]})
    with pytest.raises(DiagnosticError, match="'last' is cut before its end"):
        bound(x=x, u=x, lengths={"T": [3, 1]})


def test_the_c_library_refuses() -> None:
    """It runs all rows at once: a code and a text, and nothing is computed."""
    compiled = compilation(CUT["a pattern"])
    library = compiled_library(compiled)
    model = library.create({})
    whole = {"T": np.full(4, 6)}
    shapes = {"z": np.zeros((6, 4, 3))}
    found = called(library, model, {"x": X}, {"T": 6}, shapes, 4, whole)
    assert np.array_equal(found["z"], compiled.load().bind({})(x=X)["z"])
    with pytest.raises(AssertionError, match=r"length 3 of row 1 is not 6 \(T\)"):
        called(library, model, {"x": X}, {"T": 6}, shapes, 4, {"T": LENGTHS})
