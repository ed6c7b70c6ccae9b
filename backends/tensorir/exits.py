"""Loops that may end early: the test behind each wave."""

from __future__ import annotations

from contextlib import ExitStack

from tvm import tirx

from rnnc.plan import expression as ex
from rnnc.plan.plan import Until

from .elements import Emitter
from .layout import Environment, Layout, bound
from .tir import Builder, Expr, int64, load


def have_stopped(b: Builder, layout: Layout, until: Until, env: Environment, variable: str) -> Expr:
    """Whether nothing is left to do behind the wave `env[variable]`."""
    place = layout.places[until.buffer]
    stopped = b.local("stopped", 1, "int32")  # -1: no point; 0: not all rows; 1: all of them
    b.store(stopped, 0, tirx.const(-1, "int32"))
    here = {**env, variable: b.let(env[variable] - int64(until.delay), "tested")}
    with ExitStack() as stack:
        for loop in until.loops:
            lower = bound(loop.lower, here)
            upper = bound(loop.upper, here)
            here[loop.name] = stack.enter_context(b.loop(lower, upper, name=loop.name))
        rows = layout.batch if place.plan.batched else int64(1)
        with b.loop(0, rows, name="row") as row:
            at = Emitter(b, layout, here, row, None, {})
            found = at.value(ex.Load(until.buffer, until.index, (), "bool"))
            done = found if until.value else tirx.Not(found)
            for dim, extent in until.limits:
                own = int64(load(layout.lengths[extent], row))
                done = tirx.Or(done, tirx.GE(here[dim], own))
            for dim, extent in until.begins:
                own = int64(load(layout.lengths[extent], row))
                done = tirx.And(done, tirx.LT(here[dim], own))
            least = tirx.Cast("int32", b.let(done, "done"))
            before = load(stopped, 0)
            none = tirx.LT(before, tirx.const(0, "int32"))
            b.store(stopped, 0, tirx.Select(none, least, tirx.Min(before, least)))
    return tirx.EQ(load(stopped, 0), tirx.const(1, "int32"))
