"""A module of torch and the model of the standard library that computes the same.

This holds the oracles against torch, too: both get the imported parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import pytest

from rnnc.diagnostics import DiagnosticError, Source
from rnnc.driver import standard_source
from rnnc.frontend.elaborate import elaborate
from rnnc.importers.torch_state import torch_parameters
from rnnc.ir.interpreter import interpret
from tests.oracles import cells, layers
from tests.oracles.arrays import Array, Arrays, Floats
from tests.oracles.case import Oracle
from tests.oracles.layers import GRU, LSTM, Unit
from tests.oracles.mathematics import relu
from tests.tolerance import assert_close

X, H, P, T, B = 3, 5, 2, 7, 3
ELMAN = Unit("elman", lambda p, x, s: (cells.elman(p, x, s[0]),), 1)
RELU = Unit("elman", lambda p, x, s: (cells.elman(p, x, s[0], relu),), 1)

PROJECTED = """
from lstm import projected_lstm

model stacked_projected{X, H, P, L}:
    dim l in 0..L, t in 0..T
    input x[t]: [X]
    h[l, t], c[l, t] = projected_lstm{H, P}[l](h[l-1, t], h[l, t-1], c[l, t-1])
    h[-1, t] = x[t]
    output y[t] = h[L-1, t]
"""


class Tensor(Protocol):
    def numpy(self) -> Array: ...


class Module(Protocol):
    def state_dict(self) -> Mapping[str, Tensor]: ...


def module(kind: str, **options: int | str | bool) -> tuple[Module, Array, dict[str, Array]]:
    """A torch module with random weights in double precision, an input, and its outputs."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(4)
    made: Module = getattr(torch.nn, kind)(X, H, **options).double()
    x = np.random.default_rng(5).normal(size=(T, B, X))
    with torch.no_grad():
        y, last = made(torch.from_numpy(x))  # type: ignore[operator]
    h, c = last if isinstance(last, tuple) else (last, last)
    return made, x, {"y": y.numpy(), "h_n": h.numpy(), "c_n": c.numpy()}


def arrays(made: Module) -> dict[str, Array]:
    return {name: tensor.numpy() for name, tensor in made.state_dict().items()}


def check(
    oracle: Oracle,
    model: tuple[str, str],
    statics: Mapping[str, int | str],
    params: Mapping[str, Array],
    inputs: dict[str, Array],
    expected: dict[str, Array],
    text: str = "",
) -> None:
    """Oracle and interpreter compute `expected` from `params`, and take no others."""
    source = Source("model.rnn", text) if text else standard_source(model[0])
    graph = elaborate(source, model[1], {"X": X, "H": H, **statics})
    found = interpret(graph, {"T": T}, inputs, params)
    sizes = {"X": X, "H": H, "P": P, "T": T, "L": int(statics.get("L", 1))}
    for name, value in expected.items():
        assert_close(found[name], value, np.float64, T)
    for row in range(B):
        own = {name: array[:, row] for name, array in inputs.items()}
        computed = oracle(Arrays(params), Arrays(own), sizes)
        for name, value in expected.items():
            assert_close(computed[name], value[..., row, :], np.float64, T)


def zeros(count: int) -> Floats:
    return np.zeros((count, B, H))


@pytest.mark.parametrize("bias", [True, False])
def test_stacked_lstm(bias: bool) -> None:
    made, x, expected = module("LSTM", num_layers=3, bias=bias)
    params, inputs = torch_parameters(arrays(made)), {"x": x, "h0": zeros(3), "c0": zeros(3)}
    check(layers.stacked_lstm, ("stacked", "stacked_lstm"), {"L": 3}, params, inputs, expected)


def test_stacked_gru() -> None:
    made, x, expected = module("GRU", num_layers=2)
    params, inputs = torch_parameters(arrays(made)), {"x": x, "s0": zeros(2)}
    oracle = layers.stacked(GRU, ("s0",))
    statics: dict[str, int | str] = {"L": 2, "unit": "gru"}
    check(oracle, ("stacked", "stacked"), statics, params, inputs, {"y": expected["y"]})


def test_stacked_rnn() -> None:
    made, x, expected = module("RNN", num_layers=2)
    params, inputs = torch_parameters(arrays(made)), {"x": x, "s0": zeros(2)}
    oracle = layers.stacked(ELMAN, ("s0",))
    statics: dict[str, int | str] = {"L": 2, "unit": "elman"}
    check(oracle, ("stacked", "stacked"), statics, params, inputs, {"y": expected["y"]})


def test_relu_rnn() -> None:
    made, x, expected = module("RNN", nonlinearity="relu")
    params = torch_parameters(arrays(made), forward="elman")
    text = """
from elman import elman

model relu_rnn{X, H}:
    dim t in 0..T
    input x[t]: [X]
    h[t] = elman{H, act=relu}(x[t], h[t-1])
    output y[t] = h[t]
"""

    def oracle(p: Arrays, x: Arrays, n: layers.Sizes) -> layers.Outputs:
        states = RELU.layer(p.under("elman"), list(x["x"]), RELU.zero(n["H"]))
        return {"y": np.array([state[0] for state in states])}

    check(oracle, ("", "relu_rnn"), {}, params, {"x": x}, {"y": expected["y"]}, text)


def test_projection() -> None:
    made, x, expected = module("LSTM", num_layers=2, proj_size=P)
    params = torch_parameters(arrays(made))

    def oracle(p: Arrays, x: Arrays, n: layers.Sizes) -> layers.Outputs:
        below = list(x["x"])
        for layer in range(2):
            h, c, above = np.zeros(P), np.zeros(H), []
            for step in below:
                h, c = cells.projected_lstm(p.under(f"projected_lstm[{layer}]"), step, h, c)
                above.append(h)
            below = above
        return {"y": np.array(below)}

    names = {"P": P, "L": 2}
    wanted = {"y": expected["y"]}
    check(oracle, ("", "stacked_projected"), names, params, {"x": x}, wanted, PROJECTED)


@pytest.mark.parametrize(("kind", "unit"), [("LSTM", LSTM), ("GRU", GRU), ("RNN", ELMAN)])
def test_bidirectional(kind: str, unit: Unit) -> None:
    made, x, expected = module(kind, bidirectional=True)
    params = torch_parameters(arrays(made), forward="fwd", backward="bwd")
    last = np.concatenate([expected["h_n"][0], expected["h_n"][1]], axis=-1)
    wanted, statics = {"y": expected["y"], "last": last}, {"unit": unit.name}
    model = ("bidirectional", "bidirectional")
    check(layers.bidirectional(unit), model, statics, params, {"x": x}, wanted)


@pytest.mark.parametrize(("kind", "unit"), [("LSTM", LSTM), ("GRU", GRU)])
def test_deep_bidirectional(kind: str, unit: Unit) -> None:
    made, x, expected = module(kind, bidirectional=True, num_layers=2)
    params = torch_parameters(arrays(made))
    statics: dict[str, int | str] = {"unit": unit.name, "L": 2}
    model, wanted = ("bidirectional", "deep_bidirectional"), {"y": expected["y"]}
    check(layers.deep_bidirectional(unit), model, statics, params, {"x": x}, wanted)


# ---- names and shapes, without torch ----------------------------------------------------------


def state(gates: int = 4, suffix: str = "_l0") -> dict[str, Array]:
    """A layer as torch names it; every number tells where it comes from."""
    rows = gates * H
    return {
        f"weight_ih{suffix}": np.arange(rows * X, dtype=np.float32).reshape(rows, X),
        f"weight_hh{suffix}": np.arange(rows * H, dtype=np.float32).reshape(rows, H),
        f"bias_ih{suffix}": np.arange(rows, dtype=np.float32),
        f"bias_hh{suffix}": 100 * np.arange(rows, dtype=np.float32),
    }


def test_lstm_rows() -> None:
    given = state()
    found = torch_parameters(given)
    for place, gate in enumerate("ifgo"):
        own = slice(place * H, (place + 1) * H)
        assert np.array_equal(found[f"lstm[0].W_{gate}"], given["weight_ih_l0"][own])
        assert np.array_equal(found[f"lstm[0].U_{gate}"], given["weight_hh_l0"][own])
        assert np.array_equal(found[f"lstm[0].b_{gate}"], 101 * np.arange(20)[own])


def test_only_the_candidate_of_a_gru_keeps_two_biases() -> None:
    found = torch_parameters(state(3))
    assert np.array_equal(found["gru[0].b_r"], 101 * np.arange(15)[:H])
    assert np.array_equal(found["gru[0].b_z"], 101 * np.arange(15)[H : 2 * H])
    assert np.array_equal(found["gru[0].b_n"], np.arange(15)[2 * H :])
    assert np.array_equal(found["gru[0].c_n"], 100 * np.arange(15)[2 * H :])


def test_a_part_of_a_larger_model() -> None:
    given = {f"encoder.{name}": array for name, array in state(1).items()}
    found = torch_parameters({**given, "head.weight": np.zeros(3)}, prefix="encoder.")
    assert sorted(found) == ["elman[0].U", "elman[0].W", "elman[0].b"]


def test_weights_keep_their_memory() -> None:
    given = state()
    found = torch_parameters(given)
    assert np.shares_memory(found["lstm[0].W_g"], given["weight_ih_l0"])
    assert found["lstm[0].b_i"].dtype == np.float32


def without(given: dict[str, Array], name: str) -> dict[str, Array]:
    return {key: array for key, array in given.items() if key != name}


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ({}, {}, "there are no arrays"),
        (state(), {"prefix": "decoder."}, "no name starts with 'decoder.'"),
        ({"head.weight": np.zeros(3)}, {}, "'head.weight' is no name of torch.nn.LSTM"),
        (without(state(), "weight_ih_l0"), {}, "weight_ih_l0 is missing"),
        (without(state(), "weight_hh_l0"), {}, "weight_hh_l0 is missing"),
        (state(5), {}, "weight_hh_l0 is 25 x 5: no LSTM, GRU or RNN"),
        (state(suffix="_l1"), {}, "layers or directions are missing"),
        (state(suffix="_l0_reverse"), {}, "layers or directions are missing"),
        ({**state(), "bias_hh_l0": np.zeros(4)}, {}, r"bias_hh_l0 has shape \(4,\)"),
        ({**state(), "weight_hr_l0": np.zeros((3, 5))}, {}, "weight_hr_l0 does not project"),
        ({**state(), "weight_ih_l0": np.zeros(20)}, {}, "weight_ih_l0 has 1 axes"),
        (state() | state(suffix="_l1"), {"forward": "lstm"}, "'lstm' names one layer"),
    ],
)
def test_what_does_not_fit(given: dict[str, Array], options: dict[str, str], message: str) -> None:
    with pytest.raises(DiagnosticError) as caught:
        torch_parameters(given, **options)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "RNN601"
    assert re.match(message, diagnostic.message), diagnostic.message
