"""Constants and identities, to the last bit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rnnc.ir.interpreter import interpret
from rnnc.passes.fold_constants import FoldConstants
from tests.passes.text import after, graph

# What distinguishes reals that compare equal, and what is equal to nothing.
DELICATE = (0.0, -0.0, 1.0, -1.5, np.inf, -np.inf, np.nan, 1e308)
NUMBERS = ("0.0", "-0.0", "1.0", "-1.0", "2.0", "0", "1", "-1", "true", "false")


def made(value: str, number: str = "1.0", dtype: str = "real", result: str = "real") -> str:
    kind = {"t": "bool", "f": "bool"}.get(number[0], "real" if "." in number else "int")
    return f"""graph made
extent T
output y[t in 0..T] = y
x[t in 0..T]: {dtype} = input{{name="x", default=none}}
c: {kind} = constant{{value={number}}}
d: {kind} = constant{{value={number}}}
y[t in 0..T]: {result} = {value}
"""


@pytest.mark.parametrize(
    ("value", "number", "result"),
    [
        ("mul(x[t], c)", "1.0", 'cast{dtype="real"}(x[t])'),
        ("mul(c, x[t])", "1", 'cast{dtype="real"}(x[t])'),
        ("div(x[t], c)", "1.0", 'cast{dtype="real"}(x[t])'),
        ("pow(x[t], c)", "1", 'cast{dtype="real"}(x[t])'),
        ("sub(x[t], c)", "0.0", 'cast{dtype="real"}(x[t])'),
        ("add(x[t], c)", "-0.0", 'cast{dtype="real"}(x[t])'),
        ("add(c, d)", "0.25", "constant{value=0.5}()"),
        ("exp(c)", "0.0", "constant{value=1.0}()"),
        ("select(c, x[t], d)", "true", 'cast{dtype="real"}(x[t])'),
    ],
)
def test_folds(value: str, number: str, result: str) -> None:
    text = made(value, number)
    if "select" in value:
        text = text.replace("d: bool = constant{value=true}", "d: real = constant{value=1.0}")
    assert after(FoldConstants(), text)[-1] == f"y[t in 0..T]: real = {result.removesuffix('()')}"


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("mul(x[t], c)", "0.0"),
        ("add(x[t], c)", "0.0"),
        ("sub(x[t], c)", "-0.0"),
        ("sub(c, x[t])", "0.0"),
        ("div(c, x[t])", "1.0"),
        ("div(x[t], x[t])", "1.0"),
        ("sub(x[t], x[t])", "1.0"),
        ("log(c)", "0.0"),
    ],
)
def test_leaves_alone(value: str, number: str) -> None:
    before = graph(made(value, number))
    assert FoldConstants().run(before) is before


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "min", "max", "mod"])
def test_results_have_the_same_bits(name: str) -> None:
    x = np.array(DELICATE)[:, None]
    for number, order in itertools.product(NUMBERS, ("x[t], c", "c, x[t]")):
        before = graph(made(f"{name}({order})", number))
        folded = FoldConstants().run(before)
        [old], [new] = (
            interpret(g, {"T": len(DELICATE)}, {"x": x}, {}).values() for g in (before, folded)
        )
        assert np.array_equal(old, new, equal_nan=True), (name, order, number)
        kept = ~np.isnan(old)  # the sign of NaN means nothing
        assert np.array_equal(np.signbit(old)[kept], np.signbit(new)[kept]), (name, order, number)


def test_ints_and_truth_values() -> None:
    for value, dtype, number, result in (
        ("mul(x[t], c)", "int", "0", "constant{value=0}"),
        ("add(x[t], c)", "int", "0", 'cast{dtype="int"}(x[t])'),
        ("and(x[t], c)", "bool", "false", "constant{value=false}"),
        ("or(c, x[t])", "bool", "true", "constant{value=true}"),
        ("and(x[t], c)", "bool", "true", 'cast{dtype="bool"}(x[t])'),
    ):
        lines = after(FoldConstants(), made(value, number, dtype, dtype))
        assert lines[-1] == f"y[t in 0..T]: {dtype} = {result}"


def test_a_number_that_does_not_fit_is_not_made() -> None:
    before = graph(made("mul(c, d)", "65536", "int", "int"))
    assert FoldConstants().run(before) is before


@pytest.mark.parametrize(
    ("points", "test", "expected"),
    [
        ("static l in 1..3", "eq", "v"),
        ("static l in 0..1", "eq", "u"),
        ("static l in 0..3", "eq", None),
        ("static l in 0..3", "ge", "u"),
        ("static l in 0..3", "lt", "v"),
        ("static l in -3..0", "lt", "u"),
        ("static l in 1..3", "ne", "u"),
        ("static l in 0..2", "gt", None),
        ("static l in 1..3", "gt", "u"),
        ("static l in 0..1", "le", "u"),
    ],
)
def test_comparisons_of_indices(points: str, test: str, expected: str | None) -> None:
    text = f"""graph made
output y[{points}] = y
u: real[3] = param{{path="u", initial=""}}
v: real[3] = param{{path="v", initial=""}}
l0[{points}]: int = index{{value=l}}
zero: int = constant{{value=0}}
first[{points}]: bool = {test}(l0[l], zero)
y[{points}]: real[3] = select(first[l], u, v)
"""
    before = graph(text)
    if expected is None:
        assert FoldConstants().run(before) is before
    else:
        lines = after(FoldConstants(), text)
        assert lines[-1] == f'y[{points}]: real[3] = cast{{dtype="real"}}({expected})'
        assert len(lines) == 2  # the other side is gone


def test_an_extent_may_be_the_length_of_a_row() -> None:
    text = """graph made
extent T
output y[t in 0..T] = y
x[t in 0..T]: real = input{name="x", default=none}
at[t in 0..T]: int = index{value=t}
end: int = index{value=T}
inside[t in 0..T]: bool = lt(at[t], end)
zero: real = constant{value=0.0}
y[t in 0..T]: real = select(inside[t], x[t], zero)
"""
    before = graph(text)
    assert FoldConstants().run(before) is before
