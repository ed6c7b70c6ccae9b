"""How much a step of a plan has to do: what decides whether it is worth a meeting of threads."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from rnnc.plan import expression as ex
from rnnc.plan.plan import Kernel, Phase, Step

from .layout import Environment, bound, volume
from .tir import Expr, int64, quotient

# Multiply-adds of a phase below which a second thread costs more than it brings: a barrier takes as
# long as some ten thousand of them, and far longer where the processors have other work.
WORTH_SHARING = 64_000
# Multiply-adds of a call below which it is made by one thread: to call another one takes longer.
WORTH_A_THREAD = 8_000_000
# Multiply-adds that take about as long as one elementwise operation.
_POINTWISE = 4


def total(steps: Sequence[Step], env: Environment, batch: Expr) -> Expr:
    """Multiply-adds of steps, each loop's turns taken to be like the one halfway through."""
    result: Expr = int64(0)
    for step in steps:
        if isinstance(step, Phase):
            for kernel in step.kernels:
                result = result + work(kernel, env, batch)
        else:
            count = bound(step.count, env)
            inner = {**env, step.variable: quotient(count, 2)}
            result = result + count * total(step.body, inner, batch)
    return result


def largest_phase(steps: Sequence[Step], env: Environment, batch: Expr) -> Expr:
    """Multiply-adds of the largest phase in steps; loops around it are halfway through."""
    most: Expr = int64(0)
    for step in steps:
        if isinstance(step, Phase):
            here: Expr = int64(0)
            for kernel in step.kernels:
                here = here + work(kernel, env, batch)
        else:
            halfway = quotient(bound(step.count, env), 2)
            here = largest_phase(step.body, {**env, step.variable: halfway}, batch)
        most = tirx.Max(most, here)
    return most


def work(kernel: Kernel, env: Environment, batch: Expr) -> Expr:
    """Multiply-adds of a kernel: those of one point and row, times points and rows."""
    rows = batch if kernel.batched else int64(1)
    here = dict(env)
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
                total += size * volume(tuple(_extent(loop) for loop in inner.loops))
    return total


def _extent(loop: ex.Loop) -> int:
    """Terms of a reduction; one that is only known at run time is taken to be long."""
    return (loop.upper - loop.lower).constant or 64
