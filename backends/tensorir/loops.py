"""Loops of a plan as loops of a function."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from rnnc.analysis.wave import WaveLoop

from .layout import Environment, bound
from .tir import Builder, Expr


def enter(
    stack: ExitStack, b: Builder, loops: Sequence[WaveLoop], env: Environment
) -> dict[str, Expr]:
    """Opens loops, outermost first; the environment inside."""
    here = dict(env)
    for loop in loops:
        lower = bound(loop.lower, here)
        if loop.exact:
            here[loop.name] = b.let(lower, loop.name)
        else:
            upper = bound(loop.upper, here)
            here[loop.name] = stack.enter_context(b.loop(lower, upper, name=loop.name))
    return here
