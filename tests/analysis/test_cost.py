"""Which of several legal orders is taken."""

from __future__ import annotations

import pytest

from rnnc.analysis.components import Component
from rnnc.analysis.cost import CostModel
from rnnc.analysis.machine import Machine
from rnnc.analysis.orders import Order
from rnnc.diagnostics import DiagnosticError
from rnnc.driver import Compilation, Request, standard_source
from rnnc.weights import MathType, WeightType


def stack(
    hidden: int, layers: int, order: Order = "auto", target: str = "cpu", math: MathType = "float32"
) -> Compilation:
    sizes = {"X": hidden, "H": hidden, "L": layers}
    request = Request("stacked_lstm", sizes, order=order, target=target, math=math)
    return Compilation(standard_source("stacked"), request)


def kinds(found: Compilation) -> list[str]:
    return [part.kind for part in found.schedule.components if part.waves is not None]


@pytest.mark.parametrize(("hidden", "expected"), [(4, ["affine"]), (256, ["affine", "split"])])
def test_layers_at_once_only_where_a_step_is_hardly_any_work(
    hidden: int, expected: list[str]
) -> None:
    assert kinds(stack(hidden, 8)) == expected


@pytest.mark.parametrize(
    ("hidden", "math", "expected"),
    [
        (256, "float32", ["affine"]),
        (384, "float32", ["affine", "split"]),
        (384, "bf16", ["affine"]),
    ],
)
def test_a_gpu_takes_all_layers_at_once_while_their_weights_stay_on_it(
    hidden: int, math: MathType, expected: list[str]
) -> None:
    assert kinds(stack(hidden, 16, target="cuda", math=math)) == expected


def test_the_order_can_be_told() -> None:
    assert kinds(stack(4, 8, "layered")) == ["affine", "split"]
    assert kinds(stack(256, 8, "wavefront")) == ["affine"]
    assert kinds(stack(4, 8, "sequential")) == ["split", "split"]
    with pytest.raises(DiagnosticError, match="known: auto, layered") as caught:
        kinds(stack(4, 8, "diagonal"))  # type: ignore[arg-type]
    assert caught.value.diagnostics[0].code == "RNN706"


def test_directions_share_their_waves() -> None:
    request = Request("deep_bidirectional", {"X": 8, "H": 8, "L": 3})
    found = Compilation(standard_source("bidirectional"), request).schedule.components
    first, layers = (part for part in found if part.waves is not None)
    assert first.kind == "joint"
    assert layers.kind == "split"
    inner = [part for part in layers.inner if part.waves is not None]
    assert [part.kind for part in inner] == ["joint"]


def seconds(found: Compilation, machine: Machine, batch: int = 1) -> float:
    model = CostModel(found.completed, {**found.completed.values, "T": 100}, machine)
    return model.seconds(found.schedule.components, batch)


def test_estimates_grow_with_the_work() -> None:
    machine = Machine()
    base = seconds(stack(64, 4), machine)
    assert seconds(stack(64, 8), machine) > base
    assert seconds(stack(128, 4), machine) > base
    assert seconds(stack(64, 4), machine, batch=32) > base


def test_narrow_weights_are_read_faster() -> None:
    def step(weights: WeightType, batch: int) -> float:
        found = stack(1024, 1)
        cost = CostModel.of(found.completed, {"T": 100}, weights)
        return cost.seconds(found.schedule.components, batch)

    assert 1.5 < step("float32", 1) / step("bf16", 1) <= 3
    assert step("int8", 1) < step("bf16", 1)
    assert step("float32", 256) / step("bf16", 256) < 1.1, "there arithmetic takes longer"


def test_a_dear_barrier_speaks_for_a_wavefront() -> None:
    def ratio(barrier: float) -> float:
        machine = Machine(barrier=barrier, worth_sharing=0)
        layered, wavefront = stack(128, 8, "layered"), stack(128, 8, "wavefront")
        return seconds(layered, machine) / seconds(wavefront, machine)

    assert ratio(1e-3) > 5 > 1 > ratio(0)


def test_chunks_only_where_chains_are_few() -> None:
    def chunks(width: int, cores: int) -> int:
        request = Request("linear_recurrence", {"H": width})
        found = Compilation(standard_source("linear_recurrence"), request)
        [chain] = [part for part in found.schedule.components if part.kind == "chain"]
        assert isinstance(chain, Component)
        return CostModel(found.completed, {"T": 10_000}, Machine(cores=cores)).chunks(chain)

    assert chunks(1, 16) > 1
    assert chunks(4096, 2) == 1
