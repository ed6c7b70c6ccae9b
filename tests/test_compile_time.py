"""Compiling takes seconds, however deep a model is: work is counted, CPU time guarded loosely."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from benchmarks.compile_time import Target, measure, targets
from rnnc import driver
from rnnc.diagnostics import DiagnosticError
from rnnc.ir.poly import Poly, PolyLike

# Layers that differ in their weights alone: one statement for all of them.
_UNIFORM = """
stacked.stacked_lstm stacked.stacked stacked.residual_stacked deep.last_first
bidirectional.deep_bidirectional grid_lstm.grid_lstm_2d gnmt.gnmt_encoder gnmt.gnmt_decoder
seq2seq.seq2seq
"""
UNIFORM = _UNIFORM.split()
# The promise: 2 s for 8 layers and 10 s for 64, of wall time on two cores with nothing else to do.
# CPU time of both cores is less than twice that; busy and slow machines take twice as much again.
MARGIN = 4.0
MOST_SECONDS = {8: 2.0 * MARGIN, 64: 10.0 * MARGIN}


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


@pytest.mark.parametrize("name", ["dilated.dilated", "clockwork.clockwork"])
def test_layers_that_differ_add_what_they_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the layers are about twice the arithmetic on indices, not four times."""
    count = 0
    substitute = Poly.substitute

    def counted(poly: Poly, values: Mapping[str, PolyLike]) -> Poly:
        nonlocal count
        count += 1
        return substitute(poly, values)

    monkeypatch.setattr(Poly, "substitute", counted)
    counts = []
    for layers in (16, 8):
        count = 0
        found = target(name, layers)
        _ = driver.Compilation(found.source, driver.Request(found.model, found.statics)).plan
        counts.append(count)
    assert counts[0] < 2.8 * counts[1]


@pytest.mark.slow
def test_sixty_four_layers_that_differ() -> None:
    found = target("dilated.dilated", 64)
    start = time.process_time()
    _ = driver.Compilation(found.source, driver.Request(found.model, found.statics)).plan
    assert time.process_time() - start < MOST_SECONDS[64] / MARGIN  # all of it is Python


@pytest.mark.slow
@pytest.mark.parametrize("found", list(targets(8, 64)), ids=lambda found: found.name)
def test_eight_layers(found: Target) -> None:
    measured = measure(found)
    assert "refused" not in measured
    assert measured["total"] < MOST_SECONDS[8]  # type: ignore[operator]


@pytest.mark.slow
@pytest.mark.parametrize("name", UNIFORM)
def test_sixty_four_layers(name: str) -> None:
    measured = measure(target(name, 64))
    assert "refused" not in measured
    assert measured["total"] < MOST_SECONDS[64]  # type: ignore[operator]


def test_distances_beyond_arrays_are_refused_at_once() -> None:
    request = driver.Request("dilated", {"X": 4, "H": 4, "L": 33})
    compilation = driver.Compilation(driver.standard_source("dilated"), request)
    with pytest.raises(DiagnosticError, match="RNN703"):
        _ = compilation.plan
    assert "optimized" not in compilation.__dict__
