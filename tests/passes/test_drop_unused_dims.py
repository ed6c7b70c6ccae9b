"""Dims on which a value does not depend."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.ir.interpreter import interpret
from rnnc.passes.drop_unused_dims import DropUnusedDims
from rnnc.sampling import random_inputs, random_parameters
from tests.passes.text import after, graph
from tests.tolerance import assert_close

HEADER = """graph made
extent T
extent S
output y[t in 0..T, s in 0..S] = y
"""
ATTENTION = (
    HEADER
    + """x[t in 0..T]: real[3] = input{name="x", default=none}
k[s in 0..S]: real[3] = input{name="k", default=none}
W: real[3, 3] = param{path="W", initial=""}
half[t in 0..T, s in 0..S]: real = constant{value=0.5}
p[t in 0..T, s in 0..S]: real[3] = matmul(W, x[t])
scaled[t in 0..T, s in 0..S]: real[3] = mul(p[t, s], half[t, s])
y[t in 0..T, s in 0..S]: real = matmul(scaled[t, s], k[s])
"""
)


def test_dims_go_one_node_after_another() -> None:
    assert after(DropUnusedDims(), ATTENTION)[2:] == [
        'W: real[3, 3] = param{path="W", initial=""}',
        "half: real = constant{value=0.5}",
        "p[t in 0..T]: real[3] = matmul(W, x[t])",
        "scaled[t in 0..T]: real[3] = mul(p[t], half)",
        "y[t in 0..T, s in 0..S]: real = matmul(scaled[t], k[s])",
    ]


@pytest.mark.parametrize("extents", [(3, 2), (1, 1), (2, 0), (0, 2), (0, 0)])
def test_values_stay(extents: tuple[int, int]) -> None:
    before = graph(ATTENTION)
    result = DropUnusedDims().run(before)
    sizes = dict(zip(("T", "S"), extents, strict=True))
    params, inputs = random_parameters(before, 0), random_inputs(before, sizes, 2, 1)
    [old] = interpret(before, sizes, inputs, params).values()
    [new] = interpret(result, sizes, inputs, params).values()
    assert_close(new, old, np.float64)


@pytest.mark.parametrize(
    ("points", "value"),
    [
        pytest.param("t in 0..T, s in 0..S", "real[3] = exp(k[0])", id="k[0] exists where s does"),
        pytest.param("t in 0..T, s in 0..S : t - s >= 0", "real[3] = exp(x[t])", id="constraint"),
        pytest.param("s in 0..S, t in s..T", "real[3] = exp(x[t])", id="bound"),
        pytest.param("t in 0..T, s in 0..S", "int = index{value=t + s}", id="attribute"),
        pytest.param("t in 0..T, s in 0..S", "real[3] = dropout{rate=0.5}(b)", id="drawn"),
    ],
)
def test_dims_stay(points: str, value: str) -> None:
    access = "s, t" if points.startswith("s") else "t, s"
    text = f"""graph made
extent T
extent S
output y[t in 0..T] = y
x[t in 0..T]: real[3] = input{{name="x", default=none}}
k[s in 0..S]: real[3] = input{{name="k", default=none}}
b: real[3] = param{{path="b", initial=""}}
p[{points}]: {value}
q[{points}]: real[3] = mul(p[{access}], b)
y[t in 0..T]: real[3] = reduce{{kind="sum"}}(q[{access}]) over s in 0..S
"""
    assert "s" in DropUnusedDims().run(graph(text))["p"].domain.names


def test_an_empty_dim_of_the_same_extent_makes_no_new_point() -> None:
    text = """graph made
extent T
output y[i in 0..T, j in 0..T] = y
x[t in 0..T]: real[3] = input{name="x", default=none}
p[i in 0..T, j in 0..T]: real[3] = exp(x[j])
y[i in 0..T, j in 0..T]: real[3] = mul(p[i, j], x[i])
"""
    assert after(DropUnusedDims(), text)[1] == "p[j in 0..T]: real[3] = exp(x[j])"


def test_a_case_that_only_fills_a_variable_stays() -> None:
    text = """graph made
extent T
output y[t in 0..T] = y
b: real[3] = param{path="b", initial=""}
p[t in 0..T]: real[3] = exp(b)
y[t in 0..T]: real[3] = merge(p[t] if {})
"""
    before = graph(text)
    assert DropUnusedDims().run(before) is before


def test_an_index_that_is_a_value_keeps_its_dim() -> None:
    text = """graph made
extent T
output y[t in 0..T] = y
n[t in 0..T]: int in 0..3 = input{name="n", default=none}
b: real[3] = param{path="b", initial=""}
p[static k in 0..3]: real[3] = exp(b)
y[t in 0..T]: real[3] = exp(p[@1 in 0..3], n[t])
"""
    before = graph(text)
    assert DropUnusedDims().run(before) is before
