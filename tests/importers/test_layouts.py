"""Weights from one framework's form to another's, held against torch, ONNX's reference and the
published formulas of Keras and cuDNN."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.diagnostics import DiagnosticError
from rnnc.exporters.torch_state import torch_state
from rnnc.importers.gates import Framework
from rnnc.importers.layouts import from_torch, to_torch
from rnnc.importers.torch_state import torch_parameters
from tests.oracles.arrays import Array, Floats
from tests.tolerance import assert_close

torch = pytest.importorskip("torch")

X, H, T = 3, 5, 4
FRAMEWORKS: tuple[Framework, ...] = ("torch", "onnx", "keras", "cudnn")
KINDS = ("LSTM", "GRU", "RNN")
MODULES = [
    *((kind, {"num_layers": 2, "bidirectional": two}) for kind in KINDS for two in (False, True)),
    ("LSTM", {"num_layers": 11, "bias": False}),
    ("LSTM", {"proj_size": 2, "num_layers": 2}),
]
Options = dict[str, int | bool]


def state_of(kind: str, options: Options) -> dict[str, Array]:
    torch.manual_seed(3)
    module = getattr(torch.nn, kind)(X, H, **options).double()
    return {name: value.detach().numpy() for name, value in module.state_dict().items()}


def outputs(kind: str, options: Options, state: dict[str, Array], x: Floats) -> Floats:
    """What torch computes with these weights, [T, 1, ...]."""
    module = getattr(torch.nn, kind)(X, H, **{**options, "bias": True}).double()
    known = {name: torch.zeros_like(value) for name, value in module.state_dict().items()}
    assert set(state) <= set(known)
    given = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in state.items()}
    module.load_state_dict({**known, **given})
    with torch.no_grad():
        found: Floats = module(torch.from_numpy(x))[0].numpy()
    return found


@pytest.fixture(scope="module")
def x() -> Floats:
    return np.random.default_rng(1).normal(size=(T, 1, X))


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(("kind", "options"), MODULES, ids=str)
def test_there_and_back(kind: str, options: Options, framework: Framework, x: Floats) -> None:
    """Of other forms than the spec's only sums of biases differ, of the spec's nothing."""
    state = state_of(kind, options)
    if "proj_size" in options and framework != "torch":
        with pytest.raises(DiagnosticError, match="no projections"):
            from_torch(state, framework)
        return
    stored = from_torch(state, framework)
    back = to_torch(stored, framework)
    assert_close(outputs(kind, options, back, x), outputs(kind, options, state, x), np.float64, T)
    params = torch_parameters(back)
    again = torch_parameters(to_torch(from_torch(torch_state(params), framework), framework))
    assert list(again) == list(params)
    for path, array in params.items():
        np.testing.assert_array_equal(again[path], array)


# ---- the other frameworks' own arithmetic -----------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_onnx(kind: str, x: Floats) -> None:
    onnx = pytest.importorskip("onnx")
    reference = pytest.importorskip("onnx.reference")
    state = state_of(kind, {})
    given = {"X": x, **from_torch(state, "onnx")}
    after = {"linear_before_reset": 1} if kind == "GRU" else {}
    node = onnx.helper.make_node(kind, list(given), ["Y"], hidden_size=H, **after)
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, array.shape)
        for name, array in given.items()
    ]
    last = [onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.DOUBLE, None)]
    graph = onnx.helper.make_graph([node], "cell", values, last)
    found = reference.ReferenceEvaluator(onnx.helper.make_model(graph)).run(None, given)[0]
    assert_close(found[:, 0], outputs(kind, {}, state, x), np.float64, T)


def sigmoid(a: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-a)))


def keras_step(
    kind: str, w: dict[str, Floats], prefix: str, x: Floats, h: Floats, c: Floats
) -> tuple[Floats, Floats]:
    """keras.layers: LSTMCell.call, GRUCell.call with reset_after=True, SimpleRNNCell.call."""
    kernel, recurrent = w[f"{prefix}/kernel"], w[f"{prefix}/recurrent_kernel"]
    bias = w[f"{prefix}/bias"]
    if kind == "RNN":
        return np.tanh(x @ kernel + bias + h @ recurrent), c
    if kind == "LSTM":
        z0, z1, z2, z3 = np.split(x @ kernel + h @ recurrent + bias, 4, axis=1)
        c = sigmoid(z1) * c + sigmoid(z0) * np.tanh(z2)
        return sigmoid(z3) * np.tanh(c), c
    x_z, x_r, x_h = np.split(x @ kernel + bias[0], 3, axis=-1)
    recurrent_z, recurrent_r, recurrent_h = np.split(h @ recurrent + bias[1], 3, axis=-1)
    z, r = sigmoid(x_z + recurrent_z), sigmoid(x_r + recurrent_r)
    return z * h + (1 - z) * np.tanh(x_h + r * recurrent_h), c


def cudnn_step(
    kind: str, w: dict[str, Floats], x: Floats, h: Floats, c: Floats
) -> tuple[Floats, Floats]:
    """cudnnRNNMode_t and cudnnGetRNNWeightParams: matrices by their linLayerID."""
    count = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind]
    matrices = [*np.split(w["W_l0"], count), *np.split(w["R_l0"], count)]
    biases = [*np.split(w["bW_l0"], count), *np.split(w["bR_l0"], count)]
    a = [x @ m.T + b for m, b in zip(matrices[:count], biases[:count], strict=True)]
    b = [h @ m.T + b for m, b in zip(matrices[count:], biases[count:], strict=True)]
    if kind == "RNN":
        return np.tanh(a[0] + b[0]), c
    if kind == "LSTM":  # 0 and 4: input gate, 1 and 5: forget, 2 and 6: new memory, 3 and 7: output
        i, f, o = (sigmoid(a[n] + b[n]) for n in (0, 1, 3))
        c = f * c + i * np.tanh(a[2] + b[2])
        return o * np.tanh(c), c
    r, i = (sigmoid(a[n] + b[n]) for n in (0, 1))  # 0 and 3: reset, 1 and 4: update, 2 and 5: new
    return (1 - i) * np.tanh(a[2] + r * b[2]) + i * h, c


@pytest.mark.parametrize("framework", ["keras", "cudnn"])
@pytest.mark.parametrize("kind", KINDS)
def test_published_formulas(kind: str, framework: Framework, x: Floats) -> None:
    state = state_of(kind, {})
    w = {name: np.asarray(a, np.float64) for name, a in from_torch(state, framework).items()}
    h, c = np.zeros((1, H)), np.zeros((1, H))
    for now, expected in zip(x, outputs(kind, {}, state, x), strict=True):
        if framework == "keras":
            h, c = keras_step(kind, w, "layer0", now, h, c)
        else:
            h, c = cudnn_step(kind, w, now, h, c)
        assert_close(h, expected, np.float64, T)


def test_names_of_keras() -> None:
    """As its files have them; a GRU that resets before the product has one bias."""
    ways = ("forward_gru", "backward_gru")
    given = {
        f"bidirectional_{n}/{way}/gru_cell/{name}:0": np.full(shape, n + 10.0 * (way == ways[1]))
        for n in (10, 9)
        for way in ways
        for name, shape in (
            *(("kernel", (X, 3 * H)), ("recurrent_kernel", (H, 3 * H))),
            ("bias", (3 * H,)),
        )
    }
    found = to_torch(given, "keras")
    assert found["weight_ih_l0"][0, 0] == 9 and found["weight_ih_l1_reverse"][0, 0] == 20
    assert "bias_hh_l0" not in found
    assert not torch_parameters(found)["bwd[1].c_n"].any()


# ---- mistakes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("framework", "arrays", "text"),
    [
        ("onnx", {"W": np.zeros((1, 20, 3))}, "R_l0 is missing"),
        ("onnx", {"W": np.zeros((20, 3)), "R": np.zeros((1, 20, 5))}, "W_l0 has 2 axes, not 3"),
        (
            "onnx",
            {"W": np.zeros((3, 4, 3)), "R": np.zeros((3, 4, 1))},
            "not both one or two",
        ),
        (
            "onnx",
            {"W": np.zeros((1, 20, 3)), "R": np.zeros((1, 20, 5)), "B": np.zeros((1, 20))},
            "B_l0 is [1, 20] but must be [1, 40]",
        ),
        ("onnx", {"W": np.zeros((1, 21, 3)), "R": np.zeros((1, 21, 5))}, "no gates of 5 units"),
        ("keras", {"kernel": np.zeros((3, 20))}, "recurrent_kernel_l0 is missing"),
        ("keras", {"gamma": np.zeros(3)}, "'gamma' is no kernel"),
        ("cudnn", {"Q_l0": np.zeros(3)}, "'Q_l0' is none of W_l0, R_l0, bW_l0, bR_l0"),
        ("cudnn", {"W": np.zeros(3)}, "'W' has no layer"),
    ],
)
def test_what_does_not_fit(framework: Framework, arrays: dict[str, Array], text: str) -> None:
    with pytest.raises(DiagnosticError) as caught:
        to_torch(arrays, framework)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == "RNN601" and text in diagnostic.message, diagnostic.message


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({}, "there are no arrays"),
        ({"lstm[0].W_i": np.zeros((5, 3))}, "'lstm[0].b_i' is missing"),
        ({"a[0].W": np.zeros((5, 3)), "b[0].W": np.zeros((5, 3))}, "'b[0]' is no layer of 'a'"),
        (
            {f"e.{n}": np.zeros((5, 5)) for n in ("W", "U", "b", "V")},
            "'e.V' is no parameter of an LSTM, GRU or RNN",
        ),
    ],
)
def test_cells_that_do_not_fit(params: dict[str, Array], text: str) -> None:
    with pytest.raises(DiagnosticError) as caught:
        torch_state(params)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == "RNN601" and text in diagnostic.message, diagnostic.message
