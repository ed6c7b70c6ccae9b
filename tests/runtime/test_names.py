"""Names that the language allows and C does not."""

from __future__ import annotations

import numpy as np
import pytest

import rnnc

SPEC = """\
model {model}{{D}}:
    dim t in 0..{extent}
    input x[t]: [D]
    h[t] = x[t] + 0.5 * h[t-1]
    output y[t] = h[t]
"""


@pytest.mark.parametrize(
    ("model", "extent"), [("m", "_T'"), ("run", "end"), ("place", "offsets"), ("rnnc", "double")]
)
def test_names(model: str, extent: str) -> None:
    x = np.ones((3, 2, 2), np.float32)
    spec = SPEC.format(model=model, extent=extent)
    found = rnnc.compile(spec, sizes={"D": 2}).bind({})(x=x)
    assert found["y"][:, 0, 0].tolist() == [1.0, 1.5, 1.75]
