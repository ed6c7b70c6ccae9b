"""Complex numbers by their parts: every op, extreme values, transforms, what a model shows."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnc.diagnostics import DiagnosticError, Source
from rnnc.driver import Compilation, Request
from rnnc.ir.graph import Graph
from rnnc.ir.interpreter import interpret
from rnnc.ir.ops import is_statement
from rnnc.ir.parser import parse_graph
from rnnc.ir.verifier import verify
from rnnc.passes.split_complex import SplitComplex
from tests.tolerance import assert_close

Array = NDArray[np.generic]

POINTWISE = """
graph pointwise
extent T
output y = y
p: complex[5] = param{path="p", initial=""}
q: complex[5] = param{path="q", initial=""}
r: real[5] = param{path="r", initial=""}
two: int = constant{value=2}
less: int = constant{value=-3}
i: complex = constant{value=complex(0.0, 1.0)}
flag: bool[5] = lt(r, two)
"""

TRANSFORM = """
graph transform
extent T
output y = y
p: complex[2, {size}] = param{{path="p", initial=""}}
y: complex[2, {size}] = {name}(p)
"""


def graph(text: str) -> Graph:
    found = parse_graph(Source("complex.rir", text.lstrip()))
    verify(found)
    return found


def parts(value: Array, axis: int = 0) -> Array:
    return np.stack([value.real, value.imag], axis) if np.iscomplexobj(value) else value


def split(before: Graph, params: Mapping[str, Array]) -> Array:
    """The output, as it is computed by parts."""
    after = SplitComplex().run(before)
    verify(after)
    assert all(node.type.dtype != "complex" for node in after.nodes)
    known = {path: parts(value) for path, value in params.items()}
    return interpret(after, {"T": 1}, {}, known)["y"]


@pytest.mark.parametrize(
    "call",
    [
        "complex[5] = add(p, q)",
        "complex[5] = add(i, r)",
        "complex[5] = sub(r, q)",
        "complex[5] = neg(p)",
        "complex[5] = conj(p)",
        "complex[5] = mul(p, q)",
        "complex[5] = mul(r, q)",
        "complex[5] = mul(i, q)",
        "complex[5] = div(p, q)",
        "complex[5] = div(r, q)",
        "complex[5] = div(p, r)",
        "complex[5] = div(p, i)",
        "complex[5] = pow(p, two)",
        "complex[5] = pow(p, less)",
        "complex[5] = exp(p)",
        "complex[5] = sqrt(p)",
        "complex[5] = select(flag, p, r)",
        "complex[5] = complex(r, two)",
        'complex[5] = cast{dtype="complex"}(r)',
        "real[5] = re(p)",
        "real[5] = im(p)",
        "real[5] = abs(p)",
        "bool[5] = eq(p, q)",
        "bool[5] = ne(p, r)",
        "complex = matmul(p, q)",
        "complex = matmul(r, q)",
        'complex = reduce_axis{kind="sum", axis=0}(p)',
        "complex[10] = concat{axis=0}(p, r)",
        "complex[2, 5] = stack(r, q)",
        "complex[2] = slice{axis=0, start=1, stop=3}(p)",
        "complex[5] = flip{axis=0}(p)",
        "complex[5] = cumsum{axis=0}(p)",
    ],
)
def test_an_op_by_parts_is_the_op(call: str) -> None:
    before = graph(POINTWISE + f"y: {call}\n")
    random = np.random.default_rng(0)
    params: dict[str, Array] = {
        name: random.normal(size=5) + 1j * random.normal(size=5) for name in "pq"
    }
    params["r"] = random.normal(size=5) + 1
    read = {name: params[name] for name in params if name in before}
    [expected] = interpret(before, {"T": 1}, {}, read).values()
    after = SplitComplex().run(before)
    kept = {name: read[name] for name in read if name in after}
    rank = 1 if expected.shape[:1] == (1,) else 0
    assert_close(split(before, kept), parts(expected, rank), np.float64)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_squares_neither_overflow_nor_vanish(size: float) -> None:
    p = size * np.array([3 + 4j, 5j, -12 - 5j, 1e-5 + 1j, 8])
    params: dict[str, Array] = {"p": p, "q": p * 2j}
    modulus = split(graph(POINTWISE + "y: real[5] = abs(p)\n"), {"p": p}).reshape(5)
    assert_close(np.divide(modulus, size), np.abs(p / size), np.float64)
    quotient = split(graph(POINTWISE + "y: complex[5] = div(p, q)\n"), params)
    assert_close(quotient.reshape(2, 5), parts(np.full(5, -0.5j)), np.float64)


# ---- transforms -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8, 12, 13, 30, 49, 64])
@pytest.mark.parametrize("name", ["fft", "ifft"])
def test_transforms_are_those_of_numpy(name: str, size: int) -> None:
    random = np.random.default_rng(size)
    p = random.normal(size=(2, size)) + 1j * random.normal(size=(2, size))
    found = split(graph(TRANSFORM.format(size=size, name=name)), {"p": p})
    expected = (np.fft.fft if name == "fft" else np.fft.ifft)(p, norm="ortho")
    assert_close(found.reshape(2, 2, size), parts(expected), np.float64)


@pytest.mark.parametrize("size", [64, 1024])
def test_a_transform_takes_n_log_n_operations(size: int) -> None:
    after = SplitComplex().run(graph(TRANSFORM.format(size=size, name="fft")))
    operations = 0
    for node in after.nodes:
        if is_statement(node.op):
            shape = [entry.evaluate({}) for entry in node.type.shape]
            operations += math.prod(shape) // 2  # two rows
    assert operations < 12 * size * math.log2(size)


# ---- what has no parts ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ("complex[5] = log(p)", "'log' of complex numbers"),
        ("complex[5] = pow(p, r)", "a whole number only"),
        ('complex = reduce_axis{kind="prod", axis=0}(p)', "no prod"),
    ],
)
def test_what_is_not_known_is_refused(call: str, why: str) -> None:
    with pytest.raises(DiagnosticError, match="RNN703") as caught:
        SplitComplex().run(graph(POINTWISE + f"y: {call}\n"))
    assert why in str(caught.value)


def test_a_size_with_a_large_prime_factor_is_refused() -> None:
    with pytest.raises(DiagnosticError, match="RNN703") as caught:
        SplitComplex().run(graph(TRANSFORM.format(size=34, name="fft")))
    assert "34 elements" in str(caught.value)


# ---- the interface of a model -----------------------------------------------------------------

SPEC = """
model turn{N, L}:
    dim t in 0..T, l in 0..L
    input x[t]: [N]
    param p[l]: complex[N] = 0.5
    z[t] = z[t-1] / 2 + sum(l: p[l] * x[t])
    output y[t] = z[t]
"""


THROUGH = """
model through{N}:
    dim t in 0..T
    input x[t]: complex[N], z0: complex[N] = 0
    z[t] = 0.5j * z[t-1] + x[t]
    z[-1] = z0
    output y[t] = z[t]
"""


def test_complex_inputs_and_outputs_have_their_parts_behind_the_batch() -> None:
    model = Compilation(Source("through.rnn", THROUGH), Request(None, {"N": 3})).load()
    assert model.inputs["x"] == model.outputs["y"] == "real[T, batch, 2, 3]"
    random = np.random.default_rng(0)
    x = (random.normal(size=(4, 2, 3)) + 1j * random.normal(size=(4, 2, 3))).astype(np.complex64)
    z, expected = np.zeros((2, 3), np.complex128), []
    for step in x:
        z = 0.5j * z + step
        expected.append(z)
    network = model.bind({})
    given: tuple[Array, ...] = (x, parts(x, axis=2))
    for array in given:
        assert_close(network(x=array)["y"], parts(np.array(expected), 2), np.float32, steps=4)
    with pytest.raises(DiagnosticError, match="RNN733"):
        network(x=np.multiply(parts(x, axis=2), 1j))


def test_a_complex_parameter_is_given_as_it_is_or_by_its_parts() -> None:
    model = Compilation(Source("turn.rnn", SPEC), Request(None, {"N": 3, "L": 2})).load()
    assert model.parameters == {"p[0]": ("real", (2, 3)), "p[1]": ("real", (2, 3))}
    assert np.array_equal(model.random_parameters(0)["p[0]"], np.outer([0.5, 0], np.ones(3)))
    random = np.random.default_rng(0)
    p = (random.normal(size=(2, 3)) + 1j * random.normal(size=(2, 3))).astype(np.complex64)
    x = random.normal(size=(4, 1, 3)).astype(np.float32)
    z, expected = np.zeros(3, np.complex128), []
    for step in x[:, 0]:
        z = z / 2 + p.sum(axis=0) * step
        expected.append(z)
    given: tuple[dict[str, Array], ...] = (
        {"p[0]": p[0], "p[1]": p[1]},
        {"p[0]": parts(p[0]), "p[1]": parts(p[1])},
        {"p": p},
        {"p": parts(p, axis=1)},
    )
    for params in given:
        found = model.bind(params)(x=x)["y"]
        assert_close(found[:, 0], parts(np.array(expected), axis=1), np.float32, steps=4)
    with pytest.raises(DiagnosticError, match="RNN723"):
        model.bind({"p": p[:, :2]})
