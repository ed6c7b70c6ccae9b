"""Blocks of a launch that stays meet where they must: shuffled by the emulator, a network is right,
and wrong as soon as its flags, its meetings or the barriers of its blocks are left out."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from rnnc.backends.cuda.capacity import residence
from rnnc.backends.cuda.meetings import neighbours

from rnnc.diagnostics import DiagnosticError
from rnnc.driver import Compilation
from rnnc.ir.signature import param_signature
from rnnc.plan.plan import Waves
from rnnc.runtime.cuda.model import CudaBoundModel
from tests.backends.emulation import NARROW, compiler, emulated
from tests.cells.test_compiled import compare, compilation, single
from tests.oracles.arrays import Array, Arrays
from tests.oracles.case import Case, Input, normal
from tests.oracles.cases import CASES
from tests.oracles.layers import Outputs, Sizes

# Two products that follow each other in a step, so that blocks meet twice in a wave, and a state
# that no product reads.
_TEXT = """\
cell echo{H}(x, h, e: [H]) -> (h', e'):
    param W, V, U, R: [H, H], b: [H]
    m = (V @ x) * (R @ h) + 0.5 * e
    h' = tanh(W @ x + U @ m + b)
    e' = 0.9 * max(e, abs(h' - h))

model echoes{H, L}:
    dim l in 0..L, t in 0..T
    input x[t]: [H]
    h[l, t], e[l, t] = echo{H}[l](h[l-1, t], h[l, t-1], e[l, t-1])
    h[-1, t] = x[t]
    output y[t] = h[L-1, t]
"""


def echoes(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    below = x["x"]
    for layer in range(n["L"]):
        own = p.under(f"echo[{layer}]")
        h, e = np.zeros(n["H"]), np.zeros(n["H"])
        above = np.zeros_like(below)
        for t, now in enumerate(below):
            m = (own["V"] @ now) * (own["R"] @ h) + 0.5 * e
            new = np.tanh(own["W"] @ now + own["U"] @ m + own["b"])
            h, e = new, 0.9 * np.maximum(e, np.abs(new - h))
            above[t] = h
        below = above
    return {"y": below}


CUSTOM = Case(
    "custom", echoes, {"H": 9, "L": 3, "T": 5}, {"x": Input("T B H", normal)}, {"y": "T B H"},
    file="echo", model="echoes", text=_TEXT,
)  # fmt: skip
NAMED = {case.name: case for case in (*CASES, CUSTOM)}
NAMES = "custom stacked_lstm stacked-gru dilated-gru grid_lstm_2d bidirectional"
# What can be left out of the emitted text, while the process runs.
PARTS = {
    "flags": (r"while \((\(int\)\(rnnc_acquire)", r'while (!emulator::without("flags") && \1'),
    "meetings": (r"^    (\w+_meet\(.*\);)", r'    if (!emulator::without("meetings")) \1'),
    "barriers": (r"__syncthreads\(\);", 'if (!emulator::without("barriers")) __syncthreads();'),
}
pytestmark = pytest.mark.skipif(compiler() is None, reason="no C++ compiler to emulate with")


@cache
def planned(name: str) -> Compilation:
    return compilation(NAMED[name], target="cuda")


@cache
def built(name: str) -> tuple[CudaBoundModel, dict[str, Array]]:
    case, compiled = NAMED[name], planned(name)
    params = single(case.draw_params(param_signature(compiled.graph, case.sizes)))
    return emulated(compiled, tuple(PARTS.values()), NARROW).bind(params), params


def check(name: str) -> None:
    bound, params = built(name)
    compare(NAMED[name], bound, params, NAMED[name].sizes)


@pytest.mark.parametrize("name", NAMES.split())
def test_what_is_left_out_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A race makes wrong numbers, or blocks that wait for each other."""
    check(name)
    monkeypatch.setenv("RNNC_EMULATOR_SEED", "11")
    check(name)
    for part in PARTS:
        with monkeypatch.context() as patch:
            patch.setenv("RNNC_EMULATOR_WITHOUT", part)
            with pytest.raises((AssertionError, DiagnosticError), match=r"Not equal|CUDA failed"):
                check(name)


def met(name: str, processors: int) -> tuple[tuple[int, ...], ...]:
    """Whom each block meets."""
    plan = planned(name).plan
    [loop] = [step for step in plan.steps if isinstance(step, Waves)]
    owners = residence(loop, plan, replace(NARROW, processors=processors))
    found: tuple[tuple[int, ...], ...] | None = neighbours(loop, owners, plan)
    assert found is not None
    return found


def test_layers_meet_those_beside_them() -> None:
    """Blocks 0 to 4 own layers 1 to 3 of the wavefront, block 5 layer 0."""
    found = met("stacked_lstm", 6)
    assert (found[0], found[4], found[5]) == ((0, 1, 2, 3, 5), (1, 2, 3, 4), (0, 1, 5))


def test_phases_meet_those_that_read_them() -> None:
    """Three blocks a layer compute m and then h, which those of the layer above read for m."""
    found = met("custom", 12)
    assert [set(own) for own in found] == [
        *3 * [{*range(6)}],
        *3 * [{*range(9)}],
        *3 * [{*range(3, 9)}],
    ]


def test_directions_do_not_meet() -> None:
    assert met("bidirectional", 6) == (*3 * [(0, 1, 2)], *3 * [(3, 4, 5)])


def test_neighbours_that_are_left_out_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that meet those of their own layer alone run ahead of the layers beside them."""
    monkeypatch.setenv("RNNC_EMULATOR_SEED", "11")
    alone = tuple((block,) for block in range(6))
    monkeypatch.setattr("rnnc.backends.cuda.persistent.neighbours", lambda *_: alone)
    _, params = built("stacked_lstm")
    bound = emulated(planned("stacked_lstm"), chip=NARROW).bind(params)
    with pytest.raises(AssertionError):
        compare(NAMED["stacked_lstm"], bound, params, NAMED["stacked_lstm"].sizes)
