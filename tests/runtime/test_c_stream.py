"""Step by step, a model computes what it computes of the whole sequence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from rnnc.driver import Compilation
from rnnc.ir.graph import Graph
from rnnc.ir.interpreter import interpret
from rnnc.ir.pointwise import Array
from rnnc.sampling import random_inputs, random_parameters
from tests.cells.test_compiled import compilation
from tests.oracles.cases import CASES
from tests.runtime.clibrary import CLibrary, Stream, compiled_library
from tests.tolerance import assert_close

STEPS, BATCH = 6, 3
# With states of every kind: of inputs, of ints and bools, that begin with an input or a constant,
# of several steps, of several layers, with rates, with a memory.
QUICK = "elman_network stacked_lstm free_running caption_greedy clockwork-uneven qrnn dilated ntm"
KNOWN = {case.name: case for case in CASES}


def at(arrays: Mapping[str, Array], axes: Mapping[str, int], step: int) -> dict[str, Array]:
    """The arrays at one step; those without an axis of steps as they are."""
    return {
        name: np.asarray(array.take(step, axes[name])) if name in axes else array
        for name, array in arrays.items()
    }


class Streamed:
    """A model's library, with inputs and what the interpreter makes of them."""

    def __init__(self, made: Compilation) -> None:
        self.graph: Graph = made.graph
        self.library: CLibrary = compiled_library(made)
        self.params = random_parameters(self.graph, 0)
        self.model = self.library.create(self.params)
        [self.extent] = [size.name for size in self.graph.sizes if size.kind == "extent"]
        self.timed = {
            str(node.op["name"]): position
            for node in self.graph.inputs()
            for position, dim in enumerate(node.domain.dims)
            if not dim.static
        }
        self.outputs = {
            output.name: position
            for output in self.graph.outputs
            for position, dim in enumerate(output.domain.dims)
            if not dim.static
        }

    def inputs(self, seed: int) -> dict[str, Array]:
        return random_inputs(self.graph, {self.extent: STEPS}, BATCH, seed)

    def expected(self, inputs: Mapping[str, Array], steps: int) -> dict[str, Array]:
        cut = {
            name: array.take(range(steps), self.timed[name]) if name in self.timed else array
            for name, array in inputs.items()
        }
        return interpret(self.graph, {self.extent: steps}, cut, self.params)

    def check(
        self, stream: Stream, inputs: Mapping[str, Array], first: int, last: int, rows: slice
    ) -> None:
        """Steps first .. last of a stream against whole sequences."""
        for step in range(first, last):
            whole = self.expected(inputs, step + 1)
            expected = at(whole, self.outputs, step)
            found = stream.step(at(inputs, self.timed, step), expected)
            for name, value in expected.items():
                axis = self.batch_axis(name)
                mine, own = (np.moveaxis(a, axis, 0)[rows] for a in (found[name], value))
                assert_close(mine, own, np.float32, step + 1)

    def batch_axis(self, name: str) -> int:
        [output] = [output for output in self.graph.outputs if output.name == name]
        return len(output.domain.dims) - (name in self.outputs)


@pytest.fixture(scope="module", params=QUICK.split())
def streamed(request: pytest.FixtureRequest) -> Streamed:
    return Streamed(compilation(KNOWN[request.param]))


def test_steps(streamed: Streamed) -> None:
    inputs = streamed.inputs(1)
    stream = Stream(streamed.library, streamed.model, BATCH, inputs)
    streamed.check(stream, inputs, 0, 4, slice(None))
    copy = stream.copy()
    for one in (stream, copy):
        streamed.check(one, inputs, 4, STEPS, slice(None))


def test_a_row_begins_again(streamed: Streamed) -> None:
    first, second = streamed.inputs(1), streamed.inputs(2)
    stream = Stream(streamed.library, streamed.model, BATCH, first)
    streamed.check(stream, first, 0, 2, slice(None))
    start = {
        name: array.take([1], array.ndim - 1 - len(node.type.shape))
        for node in streamed.graph.inputs()
        for name, array in second.items()
        if node.op["name"] == name and name not in streamed.timed
    }
    code = stream.reset(1, start)
    if "counts its steps" in streamed.library.header:
        assert code == 9 and "its rows begin together" in streamed.library.error
        return
    assert code == 0
    streamed.check(stream, second, 0, 3, slice(1, 2))


def test_what_cannot_be_streamed() -> None:
    made = compiled_library(compilation(KNOWN["bidirectional-gru"]))
    assert "This model cannot be run step by step" in made.header
    assert "reads a later step" in " ".join(made.header.split())
