"""What no plan can be made of is refused where it stands."""

from __future__ import annotations

import pytest

from rnnc.diagnostics import DiagnosticError, Source
from rnnc.driver import Compilation, Request

SPEC = """model far{H}:
    dim t in 0..T
    input x[t]: [H]
    h[t] = tanh(x[t] + h[t - 2^DISTANCE])
    output y[t] = h[t]
"""


@pytest.mark.parametrize("distance", [31, 64])
def test_reads_from_beyond_any_array(distance: int) -> None:
    source = Source("far.rnn", SPEC.replace("DISTANCE", str(distance)))
    with pytest.raises(DiagnosticError) as caught:
        assert Compilation(source, Request("far", {"H": 2})).plan
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == "RNN703"
    assert diagnostic.span is not None
