"""How much a step of a plan has to do: what decides whether it is worth a meeting of threads."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from rnnc.plan import expression as ex
from rnnc.plan.plan import Kernel, Levels, Phase, Step, Waves

from ..tensorir.layout import Environment, bound, polynomial, volume
from ..tensorir.tir import Expr, ceiling_quotient, int64, quotient

# Multiply-adds of a phase below which a second thread costs more than it brings: a barrier takes as
# long as some ten thousand of them, and far longer where the processors have other work.
WORTH_SHARING = 64_000
# Multiply-adds of a call below which it is made by one thread: to call another one takes longer.
WORTH_A_THREAD = 8_000_000
# Nobody knows before the call; a tree with a hundred leaves has seven levels.
_POINTS_OF_A_LEVEL = 16
# Multiply-adds that take about as long as one elementwise operation.
_POINTWISE = 4


def total(steps: Sequence[Step], env: Environment, batch: Expr) -> Expr:
    """Multiply-adds of steps, each loop's turns taken to be like the one halfway through."""
    result: Expr = int64(0)
    for step in steps:
        if isinstance(step, Phase):
            result = result + phase_work(step, env, batch)
        else:
            result = result + turns(step, env) * total(step.body, halfway(step, env), batch)
    return result


def largest_phase(steps: Sequence[Step], env: Environment, batch: Expr) -> Expr:
    """Multiply-adds of the largest phase in steps; loops around it are halfway through."""
    most: Expr = int64(0)
    for step in steps:
        if isinstance(step, Phase):
            here = phase_work(step, env, batch)
        else:
            here = largest_phase(step.body, halfway(step, env), batch)
        most = tirx.Max(most, here)
    return most


def turns(step: Waves | Levels, env: Environment) -> Expr:
    if isinstance(step, Waves):
        return bound(step.count, env)
    return ceiling_quotient(polynomial(step.upper, env), _POINTS_OF_A_LEVEL)


def halfway(step: Waves | Levels, env: Environment) -> Environment:
    return {**env, step.variable: quotient(turns(step, env), 2)}


def phase_work(phase: Phase, env: Environment, batch: Expr) -> Expr:
    result: Expr = int64(0)
    for kernel in phase.kernels:
        result = result + work(kernel, env, batch)
    return result


def work(kernel: Kernel, env: Environment, batch: Expr) -> Expr:
    """Multiply-adds of a kernel: those of one point and row, times points and rows."""
    rows = batch if kernel.batched else int64(1)
    here = dict(env)
    if kernel.listed:
        rows = rows * int64(_POINTS_OF_A_LEVEL)
        here[kernel.listed] = int64(0)
    for loop in kernel.loops:
        lower = bound(loop.lower, here)
        if loop.exact:
            here[loop.name] = lower
            continue
        points = tirx.Max(bound(loop.upper, here) - lower, int64(0))
        rows = rows * points
        here[loop.name] = lower + quotient(points, 2)
    return rows * int64(point_work(kernel))


def point_work(kernel: Kernel) -> int:
    """Multiply-adds of one point and row."""
    size = volume(kernel.shape)
    total = _POINTWISE * size * len(kernel.defines)
    for define in kernel.defines:
        for inner in ex.walk(define.value):
            if isinstance(inner, ex.Contract):
                total += size * inner.weight.columns
            elif isinstance(inner, ex.Reduce):
                total += size * volume(tuple(_extent(loop) for loop in inner.loops)) * _term(inner)
    return total


def _term(node: ex.Reduce) -> int:
    """Multiply-adds of a term: a product and a sum are one."""
    ops = sum(isinstance(part, ex.Apply) for part in ex.walk(node.body))
    return max(1, _POINTWISE * (ops - 1))


def _extent(loop: ex.Loop) -> int:
    """Terms of a reduction; one that is only known at run time is taken to be long."""
    return (loop.upper - loop.lower).constant or 64
