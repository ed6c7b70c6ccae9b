"""Every architecture, compiled: what the library computes is what its equations say.

Single precision against the oracles' double, rows of different lengths, one and two threads,
few steps and none.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from rnnc import driver
from rnnc.diagnostics import Source
from rnnc.ir.signature import param_signature
from rnnc.runtime.model import BoundModel
from rnnc.verification import compare as judged
from rnnc.verification import rounded
from rnnc.weights import WeightType
from tests.oracles.arrays import Array, Arrays
from tests.oracles.case import Case
from tests.oracles.cases import CASES
from tests.threads import share_everything
from tests.tolerance import assert_close

BATCH = 3
# One of each kind of recurrence; compiling all takes minutes.
_QUICK = """
elman_network jordan_teacher_forced stacked_lstm bidirectional-gru dilated-gru clockwork-uneven
gflstm mdlstm_2d recursive_nn bahdanau_decoder act_rnn-hasty stack_rnn neural_queue qrnn
sparse_rnn lnlstm s4d lru
"""
QUICK = _QUICK.split()
COMPILED = [
    pytest.param(case, marks=() if case.name in QUICK else pytest.mark.slow, id=case.name)
    for case in CASES
]


def compilation(
    case: Case, weights: WeightType = "float32", target: str = "cpu"
) -> driver.Compilation:
    text = case.text or driver.standard_source(case.file).text
    source = Source(f"{case.file}.rnn", text)
    request = driver.Request(case.model, case.statics, {}, target, weights=weights)
    return driver.Compilation(source, request)


def single(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Values rounded to what the library takes: both sides then have the same numbers."""
    kinds = {"f": np.float32, "c": np.complex64}
    return {
        name: array.astype(kinds.get(array.dtype.kind, array.dtype))
        for name, array in arrays.items()
    }


def compare(
    case: Case,
    bound: BoundModel,
    params: Mapping[str, Array],
    sizes: Mapping[str, int],
    lengths: Mapping[str, Array] | None = None,
    threads: int = 1,
) -> None:
    inputs = single(case.draw_inputs(sizes, BATCH, seed=1))
    extents = {name: sizes[name] for name in case.extents}
    found = bound.run(inputs, lengths=lengths, extents=extents, threads=threads)
    expected = case.expected(Arrays(params), inputs, sizes, lengths)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        dtype = np.float32 if value.dtype == np.float64 else value.dtype
        assert_close(found[name], value, dtype, sum(extents.values()))


@pytest.mark.parametrize("case", COMPILED)
def test_equations(case: Case) -> None:
    compiled = compilation(case)
    params = single(case.draw_params(param_signature(compiled.graph, case.sizes)))
    bound = share_everything(compiled.load()).bind(params)
    compare(case, bound, params, case.sizes)
    random = np.random.default_rng(3)
    lengths: dict[str, Array] = {}
    for name in case.extents:
        most = case.sizes[name]
        lengths[name] = random.permutation([most, case.least, int(random.integers(1, most + 1))])
    for threads in (1, 2):
        compare(case, bound, params, case.sizes, lengths, threads)
    for extent in (case.least, 1):
        compare(case, bound, params, case.with_extents(extent))


@pytest.mark.parametrize("case", COMPILED)
def test_narrow_weights(case: Case) -> None:
    """With weights in bf16, what differs from the equations is what rounding explains."""
    compiled = compilation(case, "bf16")
    params = single(case.draw_params(param_signature(compiled.graph, case.sizes)))
    inputs = single(case.draw_inputs(case.sizes, BATCH, seed=1))
    extents = {name: case.sizes[name] for name in case.extents}
    found = compiled.load().bind(params).run(inputs, extents=extents)
    narrow = rounded(compiled, extents, inputs, params)
    for comparison in judged(compiled.graph, extents, inputs, params, found, narrow=narrow):
        assert comparison.agrees, comparison


def test_names() -> None:
    assert {*QUICK} <= {case.name for case in CASES}
