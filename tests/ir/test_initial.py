"""Initializers: what their text means."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnc.ir.evaluate import EvaluationError
from rnnc.ir.initial import initial_array, random_params
from rnnc.ir.signature import param_signature
from rnnc.ir.types import DType
from tests.ir.graphs import graph
from tests.tolerance import assert_close

SIZES = {"H": 4}


def make(text: str, dtype: DType = "real", shape: tuple[int, ...] = (4, 4)) -> NDArray[np.float64]:
    found = initial_array(text, dtype, shape, SIZES, np.random.default_rng(3))
    return cast(NDArray[np.float64], found)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("-0.5", -0.5),
        ("1 / sqrt(H)", 0.5),
        ("2 ^ H - 1", 15.0),
        ("-inf", -math.inf),
        ("zeros([H, H])", 0.0),
        ("ones([H, H])", 1.0),
    ],
)
def test_constants(text: str, value: float) -> None:
    assert (make(text) == value).all()


def test_matrices() -> None:
    assert make("eye(H)").tolist() == np.eye(4).tolist()
    for shape in ((4, 4), (3, 5), (5, 3)):
        matrix = make("orthogonal", shape=shape)
        gram = matrix @ matrix.T if shape[0] <= shape[1] else matrix.T @ matrix
        assert_close(gram, np.eye(min(shape)), np.float64)
    assert sorted(make("permutation(H)", "int", (4,)).tolist()) == [0, 1, 2, 3]
    assert make("[1, 2, 3, 4]", shape=(4,)).tolist() == [1, 2, 3, 4]
    assert make("true", "bool").all()


def test_distributions() -> None:
    many = (200, 200)
    uniform = make("uniform(-pi, 2)", shape=many)
    assert -math.pi <= uniform.min() < -3 and 1.9 < uniform.max() < 2
    normal = make("normal(0.01)", shape=many)
    assert abs(normal.std() / 0.01 - 1) < 0.05 and abs(normal.mean()) < 0.001
    spread = make("uniform(-0.1, 0.1)", "complex", many)
    assert 0.09 < spread.imag.max() < 0.1 and 0.09 < spread.real.max() < 0.1


def test_all_parameters_of_a_graph() -> None:
    program, numbers = graph("stacked_rnn"), {"H": 4, "L": 2, "T": 1}
    found = random_params(program, numbers, np.random.default_rng(0))
    signature = param_signature(program, numbers)
    assert {path: array.shape for path, array in found.items()} == {
        path: shape for path, (_, shape) in signature.items()
    }
    assert_close(np.matmul(found["rnn[1].U"], found["rnn[1].U"].T), np.eye(4), np.float64)
    assert 0 < np.abs(found["b"]).max() < 0.1


@pytest.mark.parametrize("text", ["normal(", "K", "f(1)", "1 2", "eye(H).T", "__import__('os')"])
def test_no_initializer(text: str) -> None:
    with pytest.raises(EvaluationError, match="cannot evaluate the initializer"):
        make(text)
