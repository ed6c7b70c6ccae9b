"""Small compiled models for the tests of the runtime, each compiled once, with their oracle."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnnc.driver import Compilation, Request, StaticValue, standard_source
from rnnc.ir.graph import Graph
from rnnc.ir.interpreter import interpret
from rnnc.ir.pointwise import Array
from rnnc.runtime.model import BoundModel, Model
from rnnc.sampling import random_inputs, random_parameters
from tests.tolerance import assert_close

SIZES: dict[str, tuple[str, dict[str, StaticValue]]] = {
    "elman_network": ("elman", {"X": 3, "H": 5, "Y": 2}),
    "stacked_lstm": ("stacked", {"X": 3, "H": 5, "L": 2}),
    "bidirectional": ("bidirectional", {"X": 3, "H": 5}),
}


@dataclass(frozen=True, slots=True)
class Network:
    graph: Graph
    model: Model
    params: dict[str, Array]
    bound: BoundModel

    def inputs(self, steps: int, batch: int, seed: int = 1) -> dict[str, Array]:
        return random_inputs(self.graph, {"T": steps}, batch, seed)

    def expected(
        self,
        inputs: Mapping[str, Array],
        steps: int,
        lengths: Mapping[str, Array] | None = None,
        resets: Array | None = None,
    ) -> dict[str, Array]:
        sizes = {"T": steps}
        return interpret(self.graph, sizes, inputs, self.params, lengths=lengths, resets=resets)


@functools.cache
def network(name: str) -> Network:
    file, sizes = SIZES[name]
    compilation = Compilation(standard_source(file), Request(name, sizes))
    model = compilation.load()
    params = random_parameters(compilation.graph, 0)
    return Network(compilation.graph, model, params, model.bind(params))


def assert_outputs(actual: Mapping[str, Array], expected: Mapping[str, Array], steps: int) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert_close(actual[name], value, np.float32, steps)
