"""Which buffers share memory. That none needs what another overwrote, the simulator checks."""

from __future__ import annotations

from rnnc.plan.arena import rooms
from rnnc.plan.plan import Plan
from tests.plan.test_lifetimes import made
from tests.plan.test_simulation import compilation, models

TWO_LOOPS = """p[t] = tanh(U @ x[t])
    a[t] = tanh(U @ a[t-1] + p[t])
    q[t] = tanh(U @ a[t])
    b[t] = tanh(U @ b[t+1] + q[t])
    output y[t] = b[t]"""


def names(plan: Plan) -> list[list[str]]:
    return [[buffer.name for buffer in room] for room in rooms(plan)]


def test_what_is_done_makes_room() -> None:
    """`p` is read by the first loop alone, `q` is made behind it for the second."""
    found = names(made(TWO_LOOPS, "t in 0..T").plan)
    [shared] = [room for room in found if len(room) > 1]
    assert [name.partition(".")[0] for name in shared] == ["p", "q"]


def test_every_buffer_has_one_room() -> None:
    for file, model in sorted(models())[::12]:
        plan = compilation(file, model).plan
        states = sorted(buffer.name for buffer in plan.buffers if buffer.role == "state")
        assert sorted(name for room in names(plan) for name in room) == states
