"""What can be said of the steps of a loop without emitting them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnc.plan.plan import Buffer, Levels, Phase, Step, Waves, kernels_of


def loops_of(steps: Sequence[Step]) -> Iterator[Waves | Levels]:
    """All loops, outermost first."""
    for step in steps:
        if not isinstance(step, Phase):
            yield step
            yield from loops_of(step.body)


def phases_of(steps: Sequence[Step]) -> Iterator[Phase]:
    """All phases, in order."""
    for step in steps:
        if isinstance(step, Phase):
            yield step
        else:
            yield from phases_of(step.body)
        if isinstance(step, Waves) and step.until is not None:
            yield step.until.rest


def tested(steps: Sequence[Step]) -> Iterator[str]:
    """The buffers that steps touch outside kernels."""
    for step in loops_of(steps):
        if isinstance(step, Levels):
            yield from (step.level, step.points, step.rows, step.ends)
        elif step.until is not None:
            yield step.until.buffer


def are_rows_apart(step: Waves | Levels, buffers: Sequence[Buffer]) -> bool:
    """Whether no row of the batch has to wait for another."""
    if any(isinstance(inner, Levels) or inner.until is not None for inner in loops_of((step,))):
        return False
    batched = {buffer.name for buffer in buffers if buffer.batched}
    return all(
        kernel.batched and {store.buffer for store in (*kernel.stores, *kernel.last)} <= batched
        for kernel in kernels_of((step,))
    )
