"""Every architecture: its text, elaborated and interpreted, is what its equations say."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import pytest

from rnnc.diagnostics import Source
from rnnc.driver import standard_source
from rnnc.frontend.elaborate import elaborate
from rnnc.ir.graph import Graph
from rnnc.ir.interpreter import interpret
from rnnc.ir.signature import param_signature
from tests.oracles.arrays import Array, Arrays
from tests.oracles.case import Case
from tests.oracles.cases import CASES
from tests.oracles.grids import hmlstm_states
from tests.oracles.memory import act_thoughts
from tests.tolerance import assert_close

BATCH = 3


@functools.cache
def graph(case: Case) -> Graph:
    source = Source(f"{case.name}.rnn", case.text) if case.text else standard_source(case.file)
    return elaborate(source, case.model, case.statics)


def compare(
    case: Case,
    sizes: Mapping[str, int],
    lengths: Mapping[str, Array] | None = None,
    resets: Array | None = None,
) -> Arrays:
    """Fails unless the interpreter computes what the oracle does. The parameters, as they are
    read by the oracle."""
    inputs = case.draw_inputs(sizes, BATCH, seed=1)
    params = Arrays(case.draw_params(param_signature(graph(case), sizes)))
    expected = case.expected(params, inputs, sizes, lengths, resets)
    found = interpret(
        graph(case), sizes, inputs, dict(params.values), lengths=lengths, resets=resets
    )
    assert found.keys() == expected.keys()
    steps = sum(sizes[name] for name in case.extents)
    for name, value in expected.items():
        assert found[name].dtype.kind == value.dtype.kind
        assert_close(found[name], value, value.dtype, steps)
    return params


@pytest.mark.parametrize("case", CASES, ids=str)
def test_equations(case: Case) -> None:
    params = compare(case, case.sizes)
    assert params.read == params.values.keys(), "the equations have other parameters"


@pytest.mark.parametrize("extent", [0, 1])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_few_steps(case: Case, extent: int) -> None:
    compare(case, case.with_extents(max(extent, case.least)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_lengths(case: Case) -> None:
    """Every row has its own extents: one all of it, one nothing, or as little as there can be."""
    random = np.random.default_rng(3)
    lengths: dict[str, Array] = {}
    for name in case.extents:
        most = case.sizes[name]
        own = [most, case.least, int(random.integers(1, most + 1))]
        lengths[name] = random.permutation(own)
    compare(case, case.sizes, lengths)


ONE_EXTENT = [case for case in CASES if list(case.extents) == ["T"]]


@pytest.mark.parametrize("case", ONE_EXTENT, ids=str)
def test_resets(case: Case) -> None:
    """Sequences that follow each other in a row do not see each other."""
    resets = np.zeros((case.sizes["T"], BATCH), np.bool_)
    resets[2, 1] = resets[3, 1] = True
    resets[0, 2] = resets[5 % case.sizes["T"], 2] = True
    compare(case, case.sizes, resets=resets)


# ---- the made-up values reach every branch ----------------------------------------------------


def named(name: str) -> tuple[Case, Arrays, dict[str, Array]]:
    """A case with the parameters and inputs of `test_equations`."""
    case = next(case for case in CASES if case.name == name)
    params = Arrays(case.draw_params(param_signature(graph(case), case.sizes)))
    return case, params, case.draw_inputs(case.sizes, BATCH, seed=1)


def test_hmlstm_copies_updates_and_flushes() -> None:
    case, params, inputs = named("hmlstm_network")
    operations: set[str] = set()
    for row in range(BATCH):
        x = Arrays({"x": inputs["x"][:, row]})
        operations |= set(hmlstm_states(params, x, case.sizes)[2])
    assert operations == {"copy", "flush", "update"}


SPEAKERS = [
    "seq2seq_greedy",
    "rnn_encoder_decoder_greedy",
    "attention_translator",
    "caption_greedy",
]


@pytest.mark.parametrize("name", SPEAKERS)
def test_some_sentences_end_and_some_do_not(name: str) -> None:
    case, params, inputs = named(name)
    [output] = {"token", "word"} & case.outputs.keys()
    tokens = case.expected(params, inputs, case.sizes)[output]
    ended = np.any(tokens == case.sizes["eos"], axis=0)
    assert np.any(ended)
    assert not np.all(ended)
    assert np.any(tokens[0] != case.sizes["eos"])


@pytest.mark.parametrize("name", ["act_rnn", "act_rnn-hasty"])
def test_some_steps_are_thought_about_for_longer(name: str) -> None:
    case, params, inputs = named(name)
    most, eps = (2, 0.25) if case.settings else (10, 0.01)
    counts: set[int] = set()
    for row in range(BATCH):
        state = np.zeros(case.sizes["H"])
        for step in inputs["x"][:, row].astype(np.float64):
            thoughts = act_thoughts(most, eps, params, step, state)
            state = sum((weight * s for weight, s in thoughts), start=np.zeros_like(state))
            counts.add(len(thoughts))
    assert len(counts) > 1
