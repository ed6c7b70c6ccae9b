"""Compiled chains against the interpreter: in registers and in strips, on one thread and on two."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.analysis.schedule import Options, schedule
from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request
from rnnc.ir.interpreter import interpret
from rnnc.passes.bind_sizes import BindSizes
from rnnc.sampling import random_inputs, random_parameters
from tests.plan.test_chains import CASES, MODEL
from tests.plan.test_scan import AFFINE
from tests.tolerance import assert_close


# Some lanes of a vector; several vectors with a rest; more vectors than stay in registers.
@pytest.mark.parametrize("width", [3, 21, 150])
@pytest.mark.parametrize("name", ["forward", "backward", "several", "layers", "numbers"])
def test_compiled_chains(name: str, width: int) -> None:
    equations, dims, _ = CASES[name]
    check(equations, dims, width, chunks=1)


@pytest.mark.parametrize("width", [1, 150])
@pytest.mark.parametrize("name", ["plain", "masked", "points", "layers"])
def test_compiled_scans(name: str, width: int) -> None:
    check(*AFFINE[name], width, chunks=4)


def check(equations: str, dims: str, width: int, chunks: int) -> None:
    source = Source("model.rnn", MODEL.format(equations=equations, dims=dims))
    found = Compilation(source, Request(sizes={"H": width, "L": 3}))
    found.schedule = schedule(found.completed, Options(chunks=chunks))
    graph = BindSizes().run(found.graph)
    params = {name: value.astype(np.float32) for name, value in random_parameters(graph, 0).items()}
    bound = found.load().bind(params)
    for batch, steps, threads in ((1, 9, 1), (1, 1, 2), (2, 0, 1), (7, 9, 2), (90, 3, 1)):
        extents = {"T": steps}
        lengths = {"T": np.random.default_rng(batch).integers(0, steps + 1, batch)}
        inputs = {
            name: value.astype(np.float32)
            for name, value in random_inputs(graph, extents, batch, 1).items()
        }
        for given in (None, lengths):
            expected = interpret(graph, extents, inputs, params, lengths=given)
            got = bound.run(inputs, lengths=given, extents=extents, threads=threads)
            for output, array in expected.items():
                assert_close(got[output], array, np.float32, 10 * steps + width)
