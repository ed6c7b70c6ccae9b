"""Steps against whole sequences: the interpreter runs both, for every model of the library."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from rnnc.driver import run_passes
from rnnc.ir.graph import Graph
from rnnc.ir.interpreter import interpret
from rnnc.ir.pointwise import Array
from rnnc.ir.verifier import verify
from rnnc.passes.pipeline import before_division
from rnnc.passes.stream_steps import AFTER, BEFORE, Refusal, Steps, stream_steps
from rnnc.sampling import random_inputs, random_parameters
from tests.cells.test_compiled import compilation
from tests.oracles.case import Case
from tests.oracles.cases import CASES
from tests.tolerance import assert_close

STEPS, BATCH = 5, 2
# They read a later step, all steps, a step that is a value; have values for pairs of steps.
REFUSED = {
    "bidirectional": "reads a later step of",
    "norm_stabilizer": "reads all steps",
    "recursive_nn": "at a step that is a value",
    "neural_stack": "has a value for each t and i",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    [case] = [case for case in CASES if case.name == name]
    found = stream_steps(run_passes(compilation(case).graph, before_division()))
    assert isinstance(found, Refusal) and REFUSED[name] in found.reason


@pytest.mark.parametrize("case", [case for case in CASES if len(case.extents) == 1], ids=str)
def test_steps(case: Case) -> None:
    graph = run_passes(compilation(case).graph, before_division())
    found = stream_steps(graph)
    if isinstance(found, Refusal):
        pytest.skip(found.reason)
    verify(found.step)
    [extent] = case.extents
    inputs = random_inputs(graph, {extent: STEPS}, BATCH, 1)
    params = random_parameters(graph, 0)
    timed = axes_of_time({str(n.op["name"]): n.domain.dims for n in graph.inputs()})
    given = axes_of_time({output.name: output.domain.dims for output in graph.outputs})
    states = begin(found, inputs, params)
    for step in range(STEPS):
        sizes = {size.name: step for size in found.step.sizes}
        now = at(inputs, timed, step)
        wanted = {str(node.op["name"]) for node in found.step.inputs()}
        arrays = {n: a for n, a in (now | states).items() if n in wanted}
        mine = interpret(found.step, sizes, arrays, used(found.step, params))
        states = {name + BEFORE: mine.pop(name + AFTER) for name in found.states}
        cut = {
            n: np.asarray(a.take(range(step + 1), timed[n]))
            for n, a in inputs.items()
            if n in timed
        }
        whole = interpret(graph, {extent: step + 1}, inputs | cut, params)
        assert mine.keys() == whole.keys()
        for name, value in at(whole, given, step).items():
            assert_close(mine[name], value, np.float64, step + 1)


def axes_of_time(dims: Mapping[str, tuple[object, ...]]) -> dict[str, int]:
    return {
        name: place
        for name, own in dims.items()
        for place, dim in enumerate(own)
        if not getattr(dim, "static", True)
    }


def at(arrays: Mapping[str, Array], axes: Mapping[str, int], step: int) -> dict[str, Array]:
    return {
        name: np.asarray(array.take(step, axes[name])) if name in axes else array
        for name, array in arrays.items()
    }


def used(graph: Graph, params: Mapping[str, Array]) -> Mapping[str, Array]:
    """The parameters that a graph has; one array may stand for all points of its name."""
    names = {str(node.op["path"]).partition("[")[0] for node in graph.params()}
    return {path: array for path, array in params.items() if path.partition("[")[0] in names}


def begin(
    found: Steps, inputs: Mapping[str, Array], params: Mapping[str, Array]
) -> dict[str, Array]:
    """The states before the first step."""
    states: dict[str, Array] = {}
    for node in found.step.inputs():
        name = str(node.op["name"])
        if name.endswith(BEFORE) and name.removesuffix(BEFORE) in found.states:
            grid = [dim.extent.constant or 0 for dim in node.domain.dims]
            inner = [size.constant or 0 for size in node.type.shape]
            kind = {"real": np.float64, "int": np.int64, "bool": np.bool_}[node.type.dtype]
            states[name] = np.zeros((*grid, BATCH, *inner), kind)
    if found.beginning is None:
        return states
    verify(found.beginning)
    wanted = {str(node.op["name"]) for node in found.beginning.inputs()}
    arrays = {name: array for name, array in inputs.items() if name in wanted}
    first = interpret(found.beginning, {}, arrays, used(found.beginning, params))
    for name, array in first.items():
        states[name.removesuffix(AFTER) + BEFORE] = np.broadcast_to(
            array, states[name.removesuffix(AFTER) + BEFORE].shape
        )
    return states
