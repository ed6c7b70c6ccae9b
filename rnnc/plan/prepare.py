"""Joins the plan of a call with the plan of what is computed before it, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnc.plan.plan import Plan


def with_masks(plan: Plan, masked: Sequence[str]) -> Plan:
    """The plan of a call in which these parameters are masked weights."""
    buffers = (replace(b, masked=b.role == "param" and b.name in masked) for b in plan.buffers)
    return replace(plan, buffers=tuple(buffers))


def with_preparation(main: Plan, preparation: Plan, order: Sequence[str]) -> Plan:
    """The plan of the call, with the preparation that computes some of its parameters.

    The user's parameters are those of both, in `order`; what is prepared is none of them.
    """
    prepared = {output.name for output in preparation.outputs}
    both = (*preparation.parameters, *main.parameters)
    given = {found.buffer: found for found in both if found.buffer not in prepared}
    parameters = tuple(given[buffer] for buffer in order if buffer in given)
    return replace(main, parameters=parameters, preparation=preparation)
