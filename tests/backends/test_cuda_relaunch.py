"""Flags of launches that stay: they count on from launch to launch, whatever its size."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from rnnc.backends.cuda.capacity import Chip

from rnnc.diagnostics import DiagnosticError, Source
from rnnc.driver import Compilation, Request
from rnnc.runtime.cuda.memory import Flags
from rnnc.runtime.cuda.model import CudaBoundModel, CudaModel
from tests.backends.emulation import ONLY_CACHE, SMALL, compiler, emulated
from tests.oracles.arrays import Array
from tests.tolerance import assert_close

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C++ compiler to emulate with")

# What is prepared is a loop of waves, too.
SPEC = """
model network{X, H, N}:
    dim t in 0..T, n in 0..N
    input x[t]: [X]
    param W: [H, X], U: [H, H], V: [H, H], b: [H]
    p[n] = tanh(V @ p[n-1] + b)
    p[-1] = b
    h[t] = tanh(W @ x[t] + U @ h[t-1] + p[N-1])
    h[-1] = 0
    output y[t] = h[t]
"""
X, H, N = 3, 20, 4
# Steps and rows. One group of three blocks and two of them take part; where no weights stay, one to
# three blocks that meet all others. No step is no meeting.
CALLS = [(3, 1), (2, 17), (5, 2), (0, 2), (2, 9), (1, 17)]
WRAPS = 2**32 - 6  # after few meetings of the first call
TURNS_NEGATIVE = 2**31 - 6
LEAVE = "rnnc_leave((&(flags[(int64_t)0])), epoch_ptr, blocks);"
WAIT = "(int)(rnnc_acquire(flag) - epoch) < 0"


@pytest.fixture(scope="module")
def compilation() -> Compilation:
    return Compilation(Source("network.rnn", SPEC), Request("network", {"X": X, "H": H, "N": N}))


@pytest.fixture(scope="module", params=[SMALL, ONLY_CACHE], ids=["registers", "cache"])
def compiled(compilation: Compilation, request: pytest.FixtureRequest) -> CudaModel:
    return emulated(compilation, chip=request.param)


@pytest.fixture(scope="module")
def weights(compiled: CudaModel) -> dict[str, Array]:
    return compiled.random_parameters(1)


def expected(weights: Mapping[str, Array], x: Array) -> Array:
    W, U, V, b = (np.asarray(weights[name], np.float64) for name in "WUVb")
    p = b
    for _ in range(N):
        p = np.tanh(V @ p + b)
    steps, batch, _ = x.shape
    y, h = np.zeros((steps, batch, H)), np.zeros((batch, H))
    for t in range(steps):
        h = np.tanh(x[t] @ W.T + h @ U.T + p)
        y[t] = h
    return y


def call_all(bound: CudaBoundModel, weights: Mapping[str, Array]) -> None:
    random = np.random.default_rng(0)
    for steps, batch in CALLS:
        x = random.normal(size=(steps, batch, X)).astype(np.float32)
        assert_close(bound.run({"x": x})["y"], expected(weights, x), np.float32, steps)


def flags(bound: CudaBoundModel) -> ctypes.Array[ctypes.c_uint32]:
    """Those of the default stream."""
    found = ctypes.c_uint32 * (bound._code.flags // 4)
    return found.from_address(bound._flags.of(0, None))


@pytest.mark.parametrize("seed", [0, 11])
@pytest.mark.parametrize("start", [None, WRAPS, TURNS_NEGATIVE])
def test_launches_of_different_sizes(
    compiled: CudaModel,
    weights: Mapping[str, Array],
    seed: int,
    start: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RNNC_EMULATOR_SEED", str(seed))
    bound = compiled.bind(weights)
    found = flags(bound)
    assert set(found) == {found[0]} and found[0] > 0  # parameters have been prepared
    if start is not None:
        found[:] = [start] * len(found)
    first = found[0]
    call_all(bound, weights)
    assert set(found) == {found[0]}
    assert (found[0] - first) % 2**32 == sum(steps for steps, _ in CALLS)


def test_between_calls_that_were_launched_apart(
    compiled: CudaModel, weights: Mapping[str, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = compiled.bind(weights)
    call_all(bound, weights)
    before = list(flags(bound))
    with monkeypatch.context() as patch:
        patch.setenv("RNNC_EMULATOR_ALONE", "1")
        call_all(bound, weights)
    assert list(flags(bound)) == before
    call_all(bound, weights)


@pytest.mark.parametrize(
    "chip, change",
    [
        pytest.param(ONLY_CACHE, (LEAVE, ";"), id="flags that lag behind"),
        pytest.param(SMALL, (WAIT, "rnnc_acquire(flag) < epoch"), id="no wrapping around"),
        pytest.param(SMALL, (WAIT, "0"), id="no flags"),
    ],
)
def test_what_is_left_out_is_noticed(
    compilation: Compilation,
    chip: Chip,
    change: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The emulator sees a race, or that nobody gets on."""
    monkeypatch.setenv("RNNC_EMULATOR_SEED", "11")
    part, instead = change
    changed = emulated(compilation, [(re.escape(part), instead)], chip)
    weights = changed.random_parameters(1)
    bound = changed.bind(weights)
    with pytest.raises((AssertionError, DiagnosticError)):
        for ahead in range(1, 20):  # each meeting is that which wraps around, sooner or later
            call_all(bound, weights)
            flags(bound)[:] = [2**32 - ahead] * len(flags(bound))


def test_launches_that_may_overlap_have_flags_of_their_own(
    compiled: CudaModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams, graphs that are captured of them, and what each thread calls its stream."""
    found = Flags(compiled.code.cuda, 64)
    per_thread = 2
    made = [found.of(stream, None) for stream in (0, 7, per_thread)]
    for capture in (1, 2):
        monkeypatch.setenv("RNNC_EMULATOR_CAPTURING", str(capture))
        made += [found.of(7, capture), found.of(8, capture)]
        assert found.of(7, capture) == made[-2]
    monkeypatch.delenv("RNNC_EMULATOR_CAPTURING")
    with ThreadPoolExecutor(1) as other:
        made.append(other.submit(found.of, per_thread, None).result())
        assert other.submit(found.of, 7, None).result() == made[1]
    assert len(set(made)) == len(made)
    for address in made:
        assert not any((ctypes.c_uint8 * 64).from_address(address))
    assert not Flags(compiled.code.cuda, 0).of(0, None)
