"""What is computed in a chain's loop, and what is not."""

from __future__ import annotations

import pytest

from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request

MODEL = """
model pooled{{H}}:
    dim t in 0..T
    input x[t], o[t]: [H]
    param u: [H], W: [H, H]
    c[t] = u * c[t-1] + x[t]
    {equations}
"""
# Equations, width, and the nodes of the chain that are not the state's own step.
CASES = {
    "output gate": ("output h[t] = sigmoid(o[t]) * c[t]", 32, ["mul"]),
    "many elements": ("output h[t] = o[t] * tanh(c[t])", 1024, ["tanh", "mul"]),
    "few elements: functions at all points at once": ("output h[t] = o[t] * tanh(c[t])", 16, []),
    "another point": ("output h[t] = o[t] * c[t-1]", 32, []),
    "other elements": ("output h[t] = o[t] * flip(c[t])", 32, []),
    "a product of it": ("output h[t] = o[t] * (W @ c[t])", 32, []),
    "a later recurrence": (
        """d[t] = tanh(W @ d[t-1] + c[t])
    output h[t] = d[t] * c[t]""",
        32,
        [],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_epilogues(name: str) -> None:
    equations, width, joined = CASES[name]
    text = MODEL.format(equations=equations)
    found = Compilation(Source("m.rnn", text), Request(sizes={"H": width}))
    [chain] = [part for part in found.schedule.components if part.kind == "chain"]
    own = {"c.mul", "c.add"}
    ops = [found.completed[node].op.name for node in chain.nodes if node not in own]
    assert ops == joined
    [kernel] = [kernel for kernel in found.plan.kernels if kernel.serial is not None]
    assert len(kernel.defines) == 2 + len(joined)
