"""Compiled models as modules of torch: the interpreter is the oracle of values, torch's own checks
are those of its conventions."""

from __future__ import annotations

import copy
import io
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from rnnc.diagnostics import DiagnosticError
from rnnc.ir.pointwise import Array
from rnnc.runtime.library import Handle
from rnnc.runtime.model import BoundModel
from tests.runtime.networks import SIZES, SPECS, assert_outputs, network
from tests.tolerance import assert_close

pytest.importorskip("torch")
import torch
from torch.autograd import forward_ad

from rnnc.torch import Module

NAMES = sorted([*SIZES, *SPECS])
FREE = torch.export.Dim.DYNAMIC


def made(name: str, batch_first: bool = False) -> Module:
    """A module with the weights of the network of the tests."""
    net = network(name)
    module = Module(net.model, batch_first=batch_first)
    module.load_state_dict({path: torch.tensor(array) for path, array in net.params.items()})
    return module.requires_grad_(False)


def tensors(inputs: dict[str, Array]) -> dict[str, torch.Tensor]:
    found = {name: torch.tensor(array) for name, array in inputs.items()}
    return {n: t.float() if t.is_floating_point() else t for n, t in found.items()}


def arrays(outputs: dict[str, torch.Tensor]) -> dict[str, Array]:
    return {name: tensor.numpy() for name, tensor in outputs.items()}


@pytest.mark.parametrize("name", NAMES)
def test_values(name: str) -> None:
    net = network(name)
    inputs = net.inputs(6, 3)
    extents = {"T": 6} if name == "generate" else None
    found = made(name)(**tensors(inputs), extents=extents)
    assert_outputs(arrays(found), net.expected(inputs, 6), 6)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_have_the_names_of_the_spec(name: str) -> None:
    module = Module(network(name).model)
    assert sorted(module.state_dict()) == sorted(network(name).model.parameters)


def test_initial_values_follow_the_generator_of_torch() -> None:
    torch.manual_seed(3)
    first = Module(network("stacked_lstm").model)
    torch.manual_seed(3)
    second = Module(network("stacked_lstm").model)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    before = [parameter.clone() for parameter in first.parameters()]
    first.reset_parameters()
    changed = [torch.equal(a, b) for a, b in zip(before, first.parameters(), strict=True)]
    assert not all(changed)


def test_inputs_by_position_lengths_and_batch_first() -> None:
    module, rows = made("stacked_lstm"), made("stacked_lstm", batch_first=True)
    x = torch.randn(6, 3, 3)
    lengths = torch.tensor([6, 2, 4])
    found, turned = module(x, lengths=lengths), rows(x.transpose(0, 1), lengths=lengths)
    assert torch.equal(found["y"].transpose(0, 1), turned["y"])
    assert torch.equal(found["h_n"], turned["h_n"])
    alone = module(x[:2, 1:2])
    assert_close(found["h_n"][:, 1], alone["h_n"][:, 0], np.float32, 2)
    assert not found["y"][2:, 1].any()


def test_memory_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs are the arrays that the library wrote, inputs are read where they are."""
    module = made("stacked_lstm")
    library = module.network.model.library
    seen: list[int] = []
    forward = library.forward

    def spy(model: Handle, words: bytes) -> None:
        seen.extend(struct.unpack(f"{len(words) // 8}q", words))
        forward(model, words)

    x = torch.randn(6, 3, 9)[..., 3:6]
    module(x)
    monkeypatch.setattr(library, "forward", spy)
    found = module(x)
    assert x.data_ptr() in seen
    assert all(tensor.data_ptr() in seen for tensor in found.values())


def test_what_is_not_contiguous_is_copied() -> None:
    module = made("stacked_lstm")
    x = torch.randn(3, 3, 6).permute(2, 0, 1)
    assert torch.equal(module(x)["y"], module(x.contiguous())["y"])


def test_weights_are_packed_again_when_they_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = made("stacked_lstm")
    x = torch.randn(6, 3, 3)
    module(x)
    count = 0
    bind = module.network.model.bind

    def counted(params: Mapping[str, Array]) -> BoundModel:
        nonlocal count
        count += 1
        return bind(params)

    monkeypatch.setattr(module.network.model, "bind", counted)
    before = module(x)["y"]
    assert count == 0
    weight = module.get_parameter("lstm[0].W_i")
    weight.mul_(2)
    after = module(x)["y"]
    assert count == 1
    assert not torch.equal(before, after)
    weight.data = weight.data / 2
    assert torch.equal(module(x)["y"], before)
    assert count == 2
    torch.compile(module, fullgraph=True, backend="eager")(x)
    assert count == 2


def test_copies_and_pickles_have_weights_of_their_own() -> None:
    module = made("stacked_lstm")
    x = torch.randn(6, 3, 3)
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    for other in (copy.deepcopy(module), torch.load(buffer, weights_only=False)):
        assert torch.equal(other(x)["y"], module(x)["y"])
        other.get_parameter("lstm[0].W_i").mul_(2)
        assert not torch.equal(other(x)["y"], module(x)["y"])


# ---- torch's compilers ------------------------------------------------------------------------


def parameters(module: Module) -> list[torch.Tensor]:
    return [module.get_parameter(path).detach() for path in module.network.parameters]


@pytest.mark.parametrize("name", ["bidirectional", "stacked_lstm", "two", "pick"])
def test_the_operator_passes_the_checks_of_torch(name: str) -> None:
    module = made(name)
    given = tensors(network(name).inputs(6, 3))
    if "k" in given:
        given["k"] %= 2  # in the range of the shortest row
    extents = module.network.manifest.extents
    for lengths in ([None] * len(extents), [torch.tensor([6, 2, 4])] * len(extents)):
        arguments = (
            module.network.key,
            ",".join(given),
            list(given.values()),
            parameters(module),
            lengths,
            [-1] * len(extents),
            False,
        )
        torch.library.opcheck(torch.ops.rnnc.forward, arguments)


@pytest.mark.slow
def test_it_is_compiled_into_one_graph() -> None:
    module = made("stacked_lstm")
    compiled = torch.compile(lambda x: module(x * 2)["y"].tanh(), fullgraph=True, dynamic=True)
    for steps in (6, 9, 2):
        x = torch.randn(steps, 3, 3)
        assert_close(compiled(x), module(x * 2)["y"].tanh(), np.float32, steps)


@pytest.mark.slow
def test_it_is_exported_with_free_extents() -> None:
    module = made("stacked_lstm", batch_first=True)
    exported = torch.export.export(
        module,
        (torch.randn(3, 6, 3),),
        {"lengths": torch.tensor([6, 2, 4])},
        dynamic_shapes={"positional": ({0: FREE, 1: FREE},), "lengths": {0: FREE}},
    )
    buffer = io.BytesIO()
    torch.export.save(exported, buffer)
    buffer.seek(0)
    loaded = torch.export.load(buffer).module()
    x, lengths = torch.randn(2, 11, 3), torch.tensor([11, 5])
    found, expected = loaded(x, lengths=lengths), module(x, lengths=lengths)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_shapes_are_known_without_values() -> None:
    for batch_first in (False, True):
        module = made("two", batch_first=batch_first)
        shape = (3, 6, 3) if batch_first else (6, 3, 3)
        a, b = torch.randn(shape), torch.randn(shape)
        expected = module(a=a, b=b)
        with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
            found = module(a=mode.from_tensor(a), b=mode.from_tensor(b))
        for name, tensor in expected.items():
            assert found[name].shape == tensor.shape
            assert found[name].stride() == tensor.stride()
            assert found[name].dtype == tensor.dtype


# ---- mistakes ---------------------------------------------------------------------------------


def code(error: pytest.ExceptionInfo[DiagnosticError]) -> str:
    [diagnostic] = error.value.diagnostics
    return diagnostic.code


def test_gradients_are_refused_when_they_are_asked_for() -> None:
    module = made("stacked_lstm").requires_grad_()
    x = torch.randn(6, 3, 3, requires_grad=True)
    for forward in (module, torch.compile(module, fullgraph=True, backend="aot_eager")):
        y = forward(x)["y"]
        assert y.requires_grad
        with pytest.raises(DiagnosticError) as error:
            y.sum().backward()
        assert code(error) == "RNN741"
        with torch.no_grad():
            assert torch.equal(forward(x)["y"], y)


def test_other_derivatives_are_refused_at_once() -> None:
    """None of them is silently zero."""
    module, x = made("stacked_lstm"), torch.randn(6, 3, 3)

    def total(x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = module(x)["y"]
        return y.sum()

    def forward_mode() -> None:
        with forward_ad.dual_level():
            total(forward_ad.make_dual(x, torch.ones_like(x)))  # type: ignore[no-untyped-call]

    for call in (
        forward_mode,
        lambda: torch.func.grad(total)(x),
        lambda: torch.func.jvp(total, (x,), (x,)),
    ):
        with pytest.raises(DiagnosticError) as error:
            call()
        assert code(error) == "RNN741"
    with forward_ad.dual_level():
        total(x)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (np.zeros((6, 3, 3), np.float32), "RNN733"),
        (torch.zeros(6, 3, 3, dtype=torch.float64), "RNN733"),
        (torch.zeros(6, 3, 3, dtype=torch.bfloat16), "RNN733"),
        (torch.zeros(6, 3, 3, device="meta"), "RNN743"),
        (torch.zeros(6, 3, 3).to_sparse(), "RNN743"),
        (torch.zeros(6, 3), "RNN732"),
        (torch.zeros(6, 3, 4), "RNN732"),
    ],
    ids=str,
)
def test_tensors_that_do_not_fit(x: torch.Tensor, expected: str) -> None:
    with pytest.raises(DiagnosticError) as error:
        made("stacked_lstm")(x)
    assert code(error) == expected


def test_inputs_that_do_not_fit() -> None:
    module, x = made("stacked_lstm"), torch.zeros(6, 3, 3)
    for positional, named in (([x] * 4, {}), ([x], {"x": x}), ([x], {"z": x}), ([], {})):
        with pytest.raises(DiagnosticError) as error:
            module(*positional, **named)
        assert code(error) == "RNN731"
    with pytest.raises(DiagnosticError) as error:
        module(x, lengths=torch.tensor([7, 1, 1]))
    assert code(error) == "RNN734"
    for lengths in ([6, 1, 1], {"S": torch.tensor([6, 1, 1])}, {"T": [6, 1, 1]}):
        with pytest.raises(DiagnosticError) as error:
            module(x, lengths=lengths)
        assert code(error) == "RNN734"
    for extents in ({"S": 6}, {"T": -1}, {"T": 5}):
        with pytest.raises(DiagnosticError) as error:
            module(x, extents=extents)
        assert code(error) == "RNN732"
    with pytest.raises(DiagnosticError) as error:
        made("two")(x, x, lengths=torch.tensor([6, 1, 1]))
    assert code(error) == "RNN734"
    with pytest.raises(DiagnosticError) as error:
        made("stacked_lstm").double()(x)
    assert code(error) == "RNN724"


def test_a_graph_whose_model_was_not_loaded() -> None:
    with pytest.raises(DiagnosticError) as error:
        torch.ops.rnnc.forward("lstm:0", "", [], [], [], [], False)
    assert code(error) == "RNN742"


# ---- packages ---------------------------------------------------------------------------------


def test_a_finished_library_needs_no_compiler(tmp_path: Path) -> None:
    """And rnnc alone loads no torch."""
    path = tmp_path / "model.rnnlib"
    network("stacked_lstm").model.save(path)
    program = f"""
import sys
import rnnc
assert "torch" not in sys.modules
sys.modules["tvm"] = sys.modules["islpy"] = sys.modules["lark"] = None
import torch, rnnc.torch
with torch.no_grad():
    module = rnnc.torch.Module({str(path)!r})
    assert module(torch.zeros(6, 3, 3))["y"].shape == (6, 3, 5)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
