"""Compiling takes seconds, however deep a model is: work is counted, CPU time guarded loosely."""

from __future__ import annotations

import pytest

from benchmarks.compile_time import Target, measure, targets
from rnnc import driver

# Layers that differ in their weights alone: one statement for all of them.
_UNIFORM = """
stacked.stacked_lstm stacked.stacked stacked.residual_stacked deep.last_first
bidirectional.deep_bidirectional grid_lstm.grid_lstm_2d gnmt.gnmt_encoder gnmt.gnmt_decoder
seq2seq.seq2seq
"""
UNIFORM = _UNIFORM.split()
# CPU seconds of 8 layers: a few times what they take, for slow and busy machines.
MOST_SECONDS = 8.0
# Every layer reads every layer, which is written out term by term.
SLOW = {"gfrnn.gfrnn", "clockwork.clockwork"}


def target(name: str, layers: int) -> Target:
    return next(found for found in targets(layers, 16) if found.name == name)


@pytest.mark.parametrize("name", UNIFORM)
def test_depth_adds_no_work(name: str) -> None:
    """64 layers have the nodes and kernels of 8, in the same order."""
    counts = []
    for layers in (8, 64):
        found = target(name, layers)
        request = driver.Request(found.model, found.statics, order="layered")
        compilation = driver.Compilation(found.source, request)
        counts.append((len(compilation.completed), len(compilation.plan.kernels)))
    assert counts[0] == counts[1]


@pytest.mark.slow
@pytest.mark.parametrize("found", list(targets(8, 64)), ids=lambda found: found.name)
def test_cpu_seconds(found: Target) -> None:
    if found.name not in SLOW:
        assert measure(found)["total"] < MOST_SECONDS  # type: ignore[operator]
