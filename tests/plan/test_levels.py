"""Recurrences along index arrays: all points of a level at once, levels found at run time."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request, standard_source
from rnnc.ir.interpreter import interpret
from rnnc.ir.pointwise import Array
from rnnc.plan.plan import Levels, Phase
from rnnc.runtime.model import BoundModel
from tests.threads import share_everything
from tests.tolerance import assert_close

SIZES = {"X": 3, "H": 4}

# Two index arrays, one of which only some steps use, and a parent that reads a parent's state.
GRAPH = """model graph{X, H}:
    dim n in 0..N
    input x[n]: [X], a[n], b[n]: int in -1..n
    param W: [H, X], U, V: [H, H]
    h[n] =
        tanh(W @ x[n] + U @ h[a[n]])                  if b[n] < 0
        tanh(W @ x[n] + U @ h[a[n]] * h[b[n]])        otherwise
    output y[n] = h[n]
    output last = V @ h[N-1]
"""


def compilation(name: str) -> Compilation:
    source = Source("graph.rnn", GRAPH) if name == "graph" else standard_source("tree")
    return Compilation(source, Request(name, SIZES))


@cache
def bound(name: str) -> tuple[Compilation, BoundModel, dict[str, Array]]:
    found = compilation(name)
    model = share_everything(found.load())
    params = model.random_parameters(0)
    return found, model.bind(params), params


NAMES = ["treelstm_nary", "recursive_nn", "treelstm_childsum", "graph"]


@pytest.mark.parametrize("name", NAMES)
def test_levels_are_found(name: str) -> None:
    plan = compilation(name).plan
    [levels] = [step for step in plan.steps if isinstance(step, Levels)]
    phases = [step for step in levels.body if isinstance(step, Phase)]
    kernels = [kernel for phase in phases for kernel in phase.kernels]
    assert len(phases) == len(levels.body)
    assert all(kernel.listed == "n" for kernel in kernels)


def test_a_step_back_along_the_dim_leaves_no_levels() -> None:
    text = GRAPH.replace("U @ h[a[n]])  ", "U @ h[n-1])")
    plan = Compilation(Source("graph.rnn", text), Request("graph", SIZES)).plan
    assert not any(isinstance(step, Levels) for step in plan.steps)


def indices(kind: str, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """For every point one that comes before it, or -1."""
    points = np.arange(shape[0]).reshape(-1, *(1,) * (len(shape) - 1))
    match kind:
        case "leaves":
            return np.full(shape, -1, np.int32)
        case "chain":
            return np.broadcast_to(points - 1, shape).astype(np.int32)
    return random.integers(-1, np.broadcast_to(np.maximum(points, 0), shape)).astype(np.int32)


@pytest.mark.parametrize("kind", ["leaves", "chain", "random"])
@pytest.mark.parametrize(("batch", "points"), [(1, 9), (4, 13), (3, 1), (2, 0), (0, 5)])
@pytest.mark.parametrize("name", NAMES)
def test_rows_with_different_trees(name: str, batch: int, points: int, kind: str) -> None:
    if not points and name != "graph":
        pytest.skip("the last of no points has no value")
    found, model, params = bound(name)
    random = np.random.default_rng(batch)
    extents = {"N": points}
    inputs: dict[str, Array] = {
        "x": random.normal(size=(points, batch, SIZES["X"])).astype(np.float32)
    }
    lengths = {"N": random.integers(min(1, points), points + 1, batch)}
    for port in found.graph.inputs():
        port_name = str(port.op["name"])
        if port.type.dtype != "int":
            continue
        shape = (points, batch)
        if "K" in [size.name for size in found.graph.sizes]:
            extents["K"] = 2
            shape = (points, 2, batch)  # type: ignore[assignment]
        inputs[port_name] = indices(kind, shape, random)
    for own in (None, lengths):
        expected = interpret(found.graph, extents, inputs, params, lengths=own)
        for threads in (1, 3):
            for output, value in model.run(inputs, lengths=own, threads=threads).items():
                assert_close(value, expected[output], np.float32, points)
