"""Which recurrences compose: what is called affine has no second difference in its start."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rnnc.analysis.linear import Chains, Form, chains
from rnnc.analysis.schedule import schedule
from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request
from rnnc.ir.graph import Graph
from rnnc.ir.interpreter import interpret
from rnnc.passes.bind_sizes import BindSizes
from rnnc.sampling import random_parameters
from tests.analysis.models import graph_of, library_graph
from tests.tolerance import assert_close

STEPS, ELEMENTS = 6, 4
HEAD = """
model recurrence{H = 4}:
    dim t in 0..T
    input a[t], b[t], z[t], s: [H]
    param u: [H], W: [H, H]
    h[-1] = s
    output y[t] = h[t]
"""
AFFINE = [
    "h[t] = a[t] * h[t-1] + b[t]",
    "h[t] = (1 - a[t]) * h[t-1] + a[t] * tanh(z[t])",
    "h[t] = h[t-1] + a[t] * (z[t] - h[t-1])",
    "h[t] = b[t] - h[t-1] / u",
    "h[t] = -h[t-1] if a[t] > 0 else z[t]",
    "h[t] = h[t-1] * u * a[t] + h[t-1]",
    "h[t] = a[t] * h[t-1] + 0.5 * h[t-2]\n    h[-2] = z[0]",
    "g[t] = a[t] * h[t-1] + b[t]\n    h[t] = g[t] + u * g[t-1]\n    g[-1] = z[0]",
]
LOGARITHMIC = [
    "h[t] = logaddexp(a[t] + h[t-1], b[t])",
    "h[t] = logaddexp(b[t], h[t-1] - softplus(a[t])) + u",
    "h[t] = logaddexp(h[t-1], h[t-1] + a[t])",
    "h[t] = logaddexp(h[t-1], b[t]) if a[t] > 0 else h[t-1] + z[t]",
]
LARGEST = [
    "h[t] = max(h[t-1] + a[t], b[t])",
    "h[t] = relu(h[t-1] - u) + a[t]",
    "h[t] = max(max(h[t-1], z[t]), h[t-1] + a[t])",
]
SMALLEST = ["h[t] = min(a[t], h[t-1] + u) - b[t]"]
CLIPPED = [
    "h[t] = relu(u * h[t-1] + b[t])",
    "h[t] = max(-h[t-1], b[t])",
    "h[t] = min(max(h[t-1], a[t]), 1.0) * u",
    "h[t] = relu(h[t-1] + a[t] * (z[t] - h[t-1]))",
]
NEITHER = [
    "h[t] = tanh(u * h[t-1] + b[t])",
    "h[t] = sigmoid(u * h[t-1] + a[t]) * h[t-1] + b[t]",
    "h[t] = a[t] / h[t-1]",
    "h[t] = a[t] if h[t-1] > 0 else b[t]",
    "h[t] = relu(h[t-1]) + h[t-1] * a[t]",
    "h[t] = max(h[t-1], -h[t-1])",
    "h[t] = logaddexp(u * h[t-1], b[t])",
    "h[t] = logaddexp(b[t] - h[t-1], a[t])",
    "h[t] = logaddexp(a[t] + h[t-1], max(h[t-1], b[t]))",
    "h[t] = relu(min(h[t-1] + a[t], b[t]) + h[t-1])",
]
MIXED = [
    "h[t] = W @ h[t-1] + b[t]",
    "h[t] = sum(h[t-1]) * a[t] + b[t]",
    "h[t] = flip(h[t-1]) + b[t]",
]


def model(equations: str) -> str:
    return f"{HEAD}    {equations}\n"


def found(graph: Graph) -> list[Chains | None]:
    """For every component with a recurrence."""
    components = schedule(graph).components
    return [chains(graph, part.nodes) for part in components if part.kind != "parallel"]


def run(text: str, start: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> object:
    graph = BindSizes().run(Compilation(Source("m.rnn", text), Request()).graph)
    random = np.random.default_rng(0)
    given = {node.op["name"] for node in graph.inputs()}
    inputs = {name: random.normal(size=(STEPS, 1, ELEMENTS)) for name in "abz" if name in given}
    return interpret(graph, {"T": STEPS}, inputs | {"s": start}, random_parameters(graph, 3))["y"]


@pytest.mark.parametrize(
    ("equations", "form"),
    [
        *zip(AFFINE, itertools.repeat("affine")),
        *zip(LOGARITHMIC, itertools.repeat("logarithmic")),
        *zip(LARGEST, itertools.repeat("largest")),
        *zip(SMALLEST, itertools.repeat("smallest")),
        *zip(CLIPPED, itertools.repeat("clipped")),
        *zip(NEITHER, itertools.repeat(None)),
    ],
)
def test_form(equations: str, form: Form | None) -> None:
    [component] = found(graph_of(model(equations)))
    assert component is not None
    assert (component.dim, component.form) == ("t", form)


@pytest.mark.parametrize("equations", MIXED)
def test_elements_that_mix_are_no_chains(equations: str) -> None:
    assert found(graph_of(model(equations))) == [None]


@pytest.mark.parametrize("equations", AFFINE)
def test_affine_recurrences_have_no_second_difference(equations: str) -> None:
    random = np.random.default_rng(1)
    start, step = random.normal(size=(2, 1, ELEMENTS))
    low, middle, high = (
        np.asarray(run(model(equations), start + amount * step)) for amount in (0, 1, 2)
    )
    assert np.abs(middle - low).max() > 0
    assert_close(high - middle, middle - low, np.float64, STEPS * 10)


@pytest.mark.parametrize(
    ("equations", "plus", "far"),
    [
        *zip(LOGARITHMIC, itertools.repeat(np.logaddexp), itertools.repeat(-1024)),
        *zip(LARGEST, itertools.repeat(np.maximum), itertools.repeat(-1024)),
        *zip(SMALLEST, itertools.repeat(np.minimum), itertools.repeat(1024)),
    ],
)
def test_steps_without_numbers_add_to_what_they_begin_with(
    equations: str, plus: np.ufunc, far: float
) -> None:
    """From a start that is nothing, from one that is all, and from one between."""
    start = np.random.default_rng(1).normal(size=(1, ELEMENTS))
    offset, slope, between = (
        np.asarray(run(model(equations), np.zeros_like(start) + at)) for at in (far, -far, start)
    )
    assert_close(between, plus(slope + far + start, offset), np.float64, STEPS * 1000)


@pytest.mark.parametrize("equations", AFFINE + LOGARITHMIC + LARGEST + CLIPPED + NEITHER)
def test_elements_of_chains_never_meet(equations: str) -> None:
    start = np.random.default_rng(2).normal(size=(1, ELEMENTS))
    other = start.copy()
    other[0, 1] += 1
    before, after = (np.asarray(run(model(equations), at)) for at in (start, other))
    changed = np.any(before != after, axis=(0, 1))
    assert not changed[[0, 2, 3]].any()


def test_two_moving_dims_are_no_chain() -> None:
    text = """
model image:
    dim i in 0..R, j in 0..C
    input x[i, j]: real
    h[i, j] = 0.5 * h[i-1, j] + 0.5 * h[i, j-1] + x[i, j]
    output y[i, j] = h[i, j]
"""
    assert found(graph_of(text)) == [None]


@pytest.mark.parametrize(
    ("file", "name", "form"),
    [
        ("linear_recurrence", "linear_recurrence", "affine"),
        ("qrnn", "qrnn", "affine"),
        ("mamba", "selective_scan", "affine"),
        ("ssm", "s4d", "affine"),
        ("minimal", "mingru_log", "logarithmic"),
    ],
)
def test_library(file: str, name: str, form: Form) -> None:
    forms = [part.form for part in found(library_graph(file, name)) if part is not None]
    assert forms and set(forms) == {form}


def test_matrix_recurrences_of_the_library_are_no_chains() -> None:
    assert found(library_graph("stacked", "stacked_lstm")).count(None) > 0
