"""LSTM, GRU and RNN in place of those of torch.nn, which are the oracle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rnnc.diagnostics import DiagnosticError
from tests.tolerance import assert_close

pytest.importorskip("torch")
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import rnnc.torch

X, H, T, B = 3, 5, 6, 3
Options = dict[str, int | bool | str | float]
CONFIGURATIONS: list[tuple[str, Options]] = [
    ("LSTM", {}),
    ("LSTM", {"num_layers": 2, "bias": False}),
    ("LSTM", {"num_layers": 3, "dropout": 0.5}),
    ("LSTM", {"bidirectional": True}),
    ("LSTM", {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    ("LSTM", {"proj_size": 2}),
    ("LSTM", {"num_layers": 2, "proj_size": 2, "bidirectional": True}),
    ("LSTM", {"num_layers": 2, "proj_size": 2, "bias": False}),
    ("GRU", {}),
    ("GRU", {"num_layers": 2, "batch_first": True}),
    ("GRU", {"num_layers": 2, "bidirectional": True}),
    ("GRU", {"bidirectional": True, "bias": False}),
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "num_layers": 2}),
    ("RNN", {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    ("RNN", {"nonlinearity": "relu", "bias": False}),
]
Pair = tuple[torch.nn.Module, torch.nn.Module]


def both(kind: str, options: Options) -> Pair:
    """Ours and torch's, with the same weights."""
    torch.manual_seed(1)
    theirs = getattr(torch.nn, kind)(X, H, **options).eval()
    ours = getattr(rnnc.torch, kind)(X, H, **options).eval()
    ours.load_state_dict(theirs.state_dict())
    return ours.requires_grad_(False), theirs.requires_grad_(False)


def states(kind: str, options: Options, *batch: int) -> object:
    count = int(options.get("num_layers", 1)) * (1 + bool(options.get("bidirectional")))
    h = torch.randn(count, *batch, int(options.get("proj_size", H)))
    return (h, torch.randn(count, *batch, H)) if kind == "LSTM" else h


def flat(result: object) -> list[torch.Tensor]:
    """All tensors of a result, in order."""
    if isinstance(result, torch.Tensor):
        return [result]
    assert isinstance(result, tuple)
    return [tensor for part in result if part is not None for tensor in flat(part)]


def assert_same(ours: object, theirs: object) -> None:
    assert type(ours) is type(theirs)
    for found, expected in zip(flat(ours), flat(theirs), strict=True):
        assert_close(found.numpy(), expected.numpy(), np.float32, T)


@pytest.mark.parametrize(("kind", "options"), CONFIGURATIONS, ids=str)
def test_results_are_those_of_torch(kind: str, options: Options) -> None:
    ours, theirs = both(kind, options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = torch.randn(B, T, X) if options.get("batch_first") else torch.randn(T, B, X)
    given = states(kind, options, B)
    assert_same(ours(x), theirs(x))
    assert_same(ours(x, given), theirs(x, given))
    # A row without a batch.
    x, given = torch.randn(T, X), states(kind, options)
    assert_same(ours(x), theirs(x))
    assert_same(ours(x, given), theirs(x, given))
    # Rows of different lengths.
    given = states(kind, options, B)
    padded = torch.randn(T, B, X)
    for lengths, falling in (([6, 4, 1], True), ([2, 5, 3], False)):
        packed = pack_padded_sequence(padded, torch.tensor(lengths), enforce_sorted=falling)
        assert_same(ours(packed), theirs(packed))
        assert_same(ours(packed, given), theirs(packed, given))
        assert isinstance(ours(packed)[0], PackedSequence)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_the_same_seed_gives_the_same_weights(kind: str) -> None:
    torch.manual_seed(2)
    theirs = getattr(torch.nn, kind)(X, H)
    torch.manual_seed(2)
    ours = getattr(rnnc.torch, kind)(X, H)
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


def test_weights_are_those_of_the_call() -> None:
    """In inference mode and in functional calls as well."""
    ours, _ = both("GRU", {})
    x = torch.randn(T, B, X)
    before = ours(x)[0]
    zero = {"weight_ih_l0": torch.zeros(3 * H, X)}
    assert not torch.equal(torch.func.functional_call(ours, zero, (x,))[0], before)
    assert torch.equal(ours(x)[0], before)
    with torch.inference_mode():
        assert torch.equal(ours(x)[0], before)
        ours.get_parameter("weight_ih_l0").mul_(2)
        assert not torch.equal(ours(x)[0], before)
        other, _ = both("GRU", {})
        assert torch.equal(other(x)[0], before)
        other.get_parameter("weight_ih_l0").mul_(2)
        assert torch.equal(other(x)[0], ours(x)[0])


def test_it_is_compiled_and_exported_with_free_extents() -> None:
    ours, _ = both("LSTM", {"num_layers": 2, "bidirectional": True, "batch_first": True})
    compiled = torch.compile(ours, fullgraph=True, dynamic=True, backend="aot_eager")
    free = torch.export.Dim.DYNAMIC
    shapes = {"input": {0: free, 1: free}}
    exported = torch.export.export(ours, (torch.randn(B, T, X),), dynamic_shapes=shapes).module()
    for batch, steps in ((B, T), (2, 11)):
        x = torch.randn(batch, steps, X)
        assert_same(compiled(x), ours(x))
        assert_same(exported(x), ours(x))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LSTM", {"proj_size": 5}),
        ("LSTM", {"num_layers": 0}),
        ("GRU", {"dropout": 2.0}),
        ("RNN", {"nonlinearity": "gelu"}),
    ],
)
def test_options_are_refused_as_by_torch(kind: str, options: Options) -> None:
    said: list[str] = []
    for module in (torch.nn, rnnc.torch):
        with pytest.raises(ValueError) as error:
            getattr(module, kind)(X, H, **options)
        said.append(str(error.value))
    assert said[0] == said[1]


def test_what_does_not_fit() -> None:
    ours, _ = both("LSTM", {"num_layers": 3, "dropout": 0.5})
    x, h = torch.zeros(T, B, X), torch.zeros(3, B, H)
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: ours.train()(x), "RNN744"),
        (lambda: ours.eval()(x, (h,)), "RNN731"),
        (lambda: ours.eval()(x, (h[:2], h)), "RNN732"),
        (lambda: both("GRU", {"bidirectional": True})[0](x, h), "RNN732"),
    ]
    for call, expected in calls:
        with pytest.raises(DiagnosticError) as error:
            call()
        assert [found.code for found in error.value.diagnostics] == [expected]
