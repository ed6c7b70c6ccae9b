"""Passes do not change what a model computes, on recurrences that nobody wrote (float64)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings

from rnnc.diagnostics import Source
from rnnc.ir.graph import Graph
from rnnc.ir.interpreter import interpret
from rnnc.ir.parser import parse_graph
from rnnc.ir.signature import extent_names
from rnnc.ir.statics import with_statics
from rnnc.ir.verifier import verify
from rnnc.passes.pipeline import completion, optimize, pipeline
from rnnc.passes.registry import PASSES
from rnnc.passes.rewrite import Pass
from rnnc.sampling import random_inputs, random_parameters
from tests.analysis.systems import System, systems
from tests.ir.recurrences import recurrences, sizes
from tests.tolerance import assert_close

STEPS = 30  # the longest chains here


def assert_kept(graph: Graph, passes: tuple[Pass, ...], extents: Mapping[str, int]) -> None:
    """The same numbers behind each of the passes as before all of them."""
    params, inputs = random_parameters(graph, 1), random_inputs(graph, extents, 2, 2)
    expected = interpret(graph, extents, inputs, params)
    before = graph

    def compare(name: str, after: Graph) -> None:
        nonlocal before
        if after is not before:
            verify(after)
            read = {path: params[path] for path in random_parameters(after, 1)}
            found = interpret(after, extents, inputs, read)
            assert found.keys() == expected.keys()
            for output, array in expected.items():
                assert_close(found[output], array, "float64", STEPS)
        before = after

    optimize(graph, passes, compare)


def grid(system: System) -> dict[str, int]:
    lengths = {1: (6,), 2: (3, 4), 3: (3, 2, 3)}[len(system.dims)]
    return dict(zip(system.extents, lengths, strict=False))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(systems())
def test_the_pipeline_on_systems(system: System) -> None:
    graph = parse_graph(Source("system.rir", str(system)))
    assert_kept(graph, (*pipeline(), *completion()), grid(system))


@pytest.mark.parametrize("name", PASSES)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(system=systems())
def test_each_pass_by_itself_on_systems(name: str, system: System) -> None:
    graph = parse_graph(Source("system.rir", str(system)))
    assert_kept(graph, (PASSES[name](),), grid(system))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(recurrences(), sizes())
def test_the_pipeline_on_stacks(graph: Graph, numbers: dict[str, int]) -> None:
    known = with_statics(graph, {name: numbers[name] for name in "HL"})
    assert_kept(known, (*pipeline(), *completion()), {"T": numbers["T"]})


@pytest.mark.parametrize("name", PASSES)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(graph=recurrences(), numbers=sizes())
def test_each_pass_by_itself_on_stacks(name: str, graph: Graph, numbers: dict[str, int]) -> None:
    known = with_statics(graph, {name: numbers[name] for name in "HL"})
    assert extent_names(known) == ("T",)
    assert_kept(known, (PASSES[name](),), {"T": numbers["T"]})
