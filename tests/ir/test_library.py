"""Every model of the standard library as IR: sound, complete as text, and runnable row by row."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest

from rnnc.diagnostics import DiagnosticSink, Source
from rnnc.frontend import ast
from rnnc.frontend.elaborate import elaborate
from rnnc.frontend.parser import parse as parse_spec
from rnnc.ir.graph import Graph
from rnnc.ir.interpreter import interpret
from rnnc.ir.parser import parse_graph
from rnnc.ir.printer import print_graph
from rnnc.ir.verifier import violations
from rnnc.sampling import random_inputs, random_parameters
from tests.tolerance import assert_close

# Sizes that some models want in a relation; all others are 3.
SIZES = {"L": 2, "K": 2, "G": 4, "D": 4, "H": 4, "V": 5}
STEPS = 4


def sources() -> dict[str, Source]:
    entries = [e for e in files("rnnc.cells").iterdir() if e.name.endswith(".rnn")]
    entries.sort(key=lambda entry: entry.name)
    return {entry.name: Source(str(entry), entry.read_text("utf-8")) for entry in entries}


def models() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for file, source in sources().items():
        tree = parse_spec(source, DiagnosticSink())
        assert tree is not None
        found += [(file, d.name) for d in tree.definitions if isinstance(d, ast.Model)]
    return found


def built(file: str, model: str) -> Graph:
    source = sources()[file]
    tree = parse_spec(source, DiagnosticSink())
    assert tree is not None
    [definition] = [d for d in tree.definitions if d.name == model]
    given = {s.name: SIZES.get(s.name, 3) for s in definition.statics if s.default is None}
    return elaborate(source, model, given)


@pytest.mark.parametrize(("file", "model"), models())
def test_a_model(file: str, model: str) -> None:
    graph = built(file, model)
    assert violations(graph) == []
    assert parse_graph(Source("g.rir", print_graph(graph))) == graph

    extents = {size.name: STEPS for size in graph.sizes if size.kind == "extent"}
    params, inputs = random_parameters(graph, 1), random_inputs(graph, extents, 3, 2)
    outputs = interpret(graph, extents, inputs, params)
    assert outputs
    for name, array in outputs.items():
        assert np.isfinite(array).all(), name
    # A row does not know the others.
    grid = {str(node.op["name"]): len(node.domain.dims) for node in graph.inputs()}
    row = {name: np.take(array, [-1], grid[name]) for name, array in inputs.items()}
    alone = interpret(graph, extents, row, params)
    for output in graph.outputs:
        axis, name = len(output.domain.dims), output.name
        expected = np.take(outputs[name], [-1], axis)
        assert_close(alone[name], expected, np.float64, STEPS)
