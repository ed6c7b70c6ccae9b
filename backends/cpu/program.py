"""A plan as SPMD functions: one for a batch of one row, one for any batch, one that prepares.

Every task walks the same steps and takes its share of each kernel; a barrier ends every phase.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnnc.plan.plan import Kernel, Phase, Plan, Step, Waves

from .chains import emit_chains
from .kernels import KernelEmitter, Tasks, Used
from .layout import Environment, Layout, bound, declare
from .packing import Factor, products
from .target import CpuTarget
from .tir import Builder, Expr, Function

SINGLE, GENERAL, PREPARE = "rnnc_forward_single", "rnnc_forward_general", "rnnc_prepare_single"


def functions(plan: Plan, target: CpuTarget) -> tuple[Function, ...]:
    """`rnnc_forward_single`, `rnnc_forward_general`, and `rnnc_prepare_single` if there is one.

    Behind them the functions that they call.
    """
    used: Used = {}
    made = [
        function(plan, target, used, SINGLE, True),
        function(plan, target, used, GENERAL, False),
    ]
    if plan.preparation is not None:
        made.append(function(plan.preparation, target, used, PREPARE, True))
    return (*made, *(multiply.function() for multiply in used.values()))


def packed(plan: Plan, target: CpuTarget) -> list[tuple[Kernel, int, Factor]]:
    """Every packed factor of the plan with its kernel and number of column tiles."""
    buffers = {buffer.name: buffer for buffer in plan.buffers}
    found: list[tuple[Kernel, int, Factor]] = []
    for kernel in kernels(plan.steps):
        made = products(kernel, buffers, target.lanes("float32"))
        if made is not None:
            found += [(kernel, made.tiles, f) for step in made.passes for f in step.factors]
    return found


def kernels(steps: Sequence[Step]) -> list[Kernel]:
    """All kernels, in order."""
    found: list[Kernel] = []
    for step in steps:
        found += step.kernels if isinstance(step, Phase) else kernels(step.body)
    return found


def function(plan: Plan, target: CpuTarget, used: Used, name: str, single: bool) -> Function:
    b = Builder(name)
    packs = tuple(factor.pack for _, _, factor in packed(plan, target))
    layout = declare(b, plan, packs, target.lanes("float32"), single)
    task, count = b.scalar("task", "int32"), b.scalar("num_tasks", "int32")
    barrier = b.scalar("barrier", "handle")
    walker = Walker(b, layout, target, used, single, task, count, barrier)
    walker.steps(plan.steps, dict(layout.extents), None)
    return b.finish()


class Walker:
    """Emits the steps of a plan."""

    def __init__(
        self,
        b: Builder,
        layout: Layout,
        target: CpuTarget,
        used: Used,
        single: bool,
        task: Expr,
        count: Expr,
        barrier: Expr,
    ) -> None:
        self.b, self.layout, self.target, self.single = b, layout, target, single
        self.used, self.task, self.count, self.barrier = used, task, count, barrier

    def steps(self, steps: Sequence[Step], env: Environment, turn: Expr | None) -> None:
        for step in steps:
            if isinstance(step, Waves):
                self.waves(step, env)
            else:
                self.phase(step, env, turn)

    def waves(self, waves: Waves, env: Environment) -> None:
        with self.b.loop(0, bound(waves.count, env), name=waves.variable) as wave:
            self.steps(waves.body, {**env, waves.variable: wave}, wave)

    def phase(self, phase: Phase, env: Environment, turn: Expr | None) -> None:
        tasks = Tasks(self.task, self.count, turn)
        for kernel in phase.kernels:
            with self.b.block():
                emitter = KernelEmitter(
                    self.b, self.layout, self.target, self.used, kernel, self.single
                )
                if kernel.serial is None:
                    emitter.emit(env, tasks)
                else:
                    emit_chains(emitter, env, tasks)
        self.b.call("rnnc_barrier", self.barrier, self.task)
