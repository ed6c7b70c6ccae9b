"""A plan as SPMD functions: one for a batch of one row, one for any batch, one that prepares.

Every task walks the same steps and takes its share of each kernel; a barrier ends every phase. A
loop whose phases are all too small to share is left to the first task.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tvm import tirx

from rnnc.plan.first_level import zero_at_first_level
from rnnc.plan.plan import Kernel, Levels, Phase, Plan, Step, Until, Waves, ended
from rnnc.plan.rows import shared
from rnnc.plan.stream import Stream

from ..tensorir.exits import have_stopped
from ..tensorir.layout import Environment, Layout, bound
from ..tensorir.levels import Listing, Sorter
from ..tensorir.loops import enter
from ..tensorir.packing import Factor, Products, products
from ..tensorir.tiling import Shape
from ..tensorir.tir import Builder, Expr, Function, int64, load
from ..tensorir.words import word
from .chains import emit_chains
from .kernels import KernelEmitter, Tasks, Used, rows_at
from .microkernel import share
from .outlines import Group, Outline, groups, keeps_caches
from .parameters import declare
from .sparse import stored
from .target import CpuTarget
from .work import largest_phase, total

STEP, BEGIN = "step", "begin"
SINGLE, GENERAL, PREPARE = "rnnc_forward_single", "rnnc_forward_general", "rnnc_prepare_single"
NOBODY = -1  # in the place of a task at a barrier: there is nobody to wait for


def functions(plan: Plan, target: CpuTarget, stream: Stream | None = None) -> tuple[Function, ...]:
    """`rnnc_forward_single`, `_general` and `_work`; with a preparation also `rnnc_prepare_...`,
    with a stream `rnnc_step_...` and `rnnc_begin_...`.

    Behind them the functions that they call.
    """
    used: Used = {}
    made: list[Function] = []
    for name, part in (("forward", plan), *stream_plans(stream)):
        shared = groups(part)
        made += function(part, target, used, f"rnnc_{name}_single", True, shared)
        made += function(part, target, used, f"rnnc_{name}_general", False, shared)
        made.append(work_of_call(part, name))
    if plan.preparation is not None:
        shared = groups(plan.preparation)
        made += function(plan.preparation, target, used, PREPARE, True, shared)
        made.append(work_of_call(plan.preparation, "prepare"))
    return (*made, *(multiply.function() for multiply in used.values()))


def stream_plans(stream: Stream | None) -> list[tuple[str, Plan]]:
    """The plans of a stream by the names of their entry points."""
    if stream is None:
        return []
    plans = [(STEP, stream.step), (BEGIN, stream.beginning)]
    return [(name, plan) for name, plan in plans if plan is not None]


def work_of_call(plan: Plan, name: str) -> Function:
    """`rnnc_NAME_work(int64_t *result, extents..., batch)`: multiply-adds of a call."""
    b = Builder(f"rnnc_{name}_work")
    result = b.pointer("result", "int64")
    extents = {name: b.scalar(name) for name in plan.extents}
    b.store(result, 0, total(plan.steps, extents, b.scalar("batch")))
    return b.finish()


def packed(plan: Plan, target: CpuTarget) -> list[tuple[Factor, Products]]:
    """Every packed factor of the plan, with the products of its kernel."""
    buffers = {buffer.name: buffer for buffer in plan.buffers}
    lanes = target.lanes("float32")
    found: list[tuple[Factor, Products]] = []
    for kernel in plan.kernels:
        weights = stored(kernel, buffers, plan.weights)
        made = products(kernel, buffers, lanes, weights, target.tilings)
        if made is not None:
            found += [(factor, made) for step in made.passes for factor in step.factors]
    return found


def shapes(plan: Plan, target: CpuTarget) -> set[Shape]:
    """Of all products of the plan."""
    buffers, lanes = {buffer.name: buffer for buffer in plan.buffers}, target.lanes("float32")
    found = (
        products(kernel, buffers, lanes, stored(kernel, buffers, plan.weights))
        for kernel in plan.kernels
    )
    return {made.shape for made in found if made is not None}


def function(
    plan: Plan, target: CpuTarget, used: Used, name: str, single: bool, shared: tuple[Group, ...]
) -> list[Function]:
    """The steps of a plan, and behind it a function for each group of kernels."""
    b, lanes = Builder(name), target.lanes("float32")
    packs = {factor.pack: word(made.shape.weights) for factor, made in packed(plan, target)}
    layout = declare(b, plan, packs, lanes, single)
    task, count = b.scalar("task", "int32"), b.scalar("num_tasks", "int32")
    barrier, worth = b.scalar("barrier", "handle"), b.scalar("worth_sharing")
    outlines = [
        Outline(f"{name}_{number}", group, layout, target) for number, group in enumerate(shared)
    ]
    walker = Walker(b, plan, layout, target, used, outlines, single, task, count, barrier, worth)
    walker.steps(plan.steps, dict(layout.extents), None)
    return [b.finish(), *(outline.function(target, used, single) for outline in outlines)]


@dataclass(frozen=True, slots=True)
class Team:
    """How many tasks share the steps; `alone`: only the first one walks them."""

    count: Expr
    alone: Expr


def following(steps: Sequence[Step]) -> Iterator[Phase]:
    """The phases at the beginning that follow what is before."""
    for step in steps:
        if not isinstance(step, Phase) or not step.follows:
            return
        yield step


class Walker:
    """Emits the steps of a plan."""

    def __init__(
        self,
        b: Builder,
        plan: Plan,
        layout: Layout,
        target: CpuTarget,
        used: Used,
        outlines: Sequence[Outline],
        single: bool,
        task: Expr,
        count: Expr,
        barrier: Expr,
        worth: Expr,
    ) -> None:
        self.b, self.plan, self.layout = b, plan, layout
        self.target, self.single = target, single
        self.used, self.task, self.barrier, self.worth = used, task, barrier, worth
        self.team = Team(count, tirx.const(False, "bool"))
        self.listing: Listing | None = None
        self.outlines = {name: outline for outline in outlines for name in outline.members}

    def steps(self, steps: Sequence[Step], env: Environment, turn: Expr | None) -> None:
        for number, step in enumerate(steps):
            if isinstance(step, Waves):
                self.waves(step, env)
            elif isinstance(step, Levels):
                self.levels(step, env)
            elif not step.follows:
                self.run((step, *following(steps[number + 1 :])), env, turn)

    def waves(self, waves: Waves, env: Environment) -> None:
        b, count = self.b, bound(waves.count, env)
        if waves.until is not None:
            with self.shared(waves, env):
                self.ending(waves, waves.until, env, count)
            return
        with self.shared(waves, env), b.loop(0, count, name=waves.variable) as wave:
            self.steps(waves.body, {**env, waves.variable: wave}, turn_of(waves, wave))

    def ending(self, waves: Waves, until: Until, env: Environment, count: Expr) -> None:
        """A loop that may end early: all tasks see for themselves, and see the same."""
        b = self.b
        end = b.local("end", 1, "int64")  # the first wave that is left out; none before that
        b.store(end, 0, count)
        with b.loop(0, count, name=waves.variable) as wave, b.when(tirx.LT(wave, load(end, 0))):
            here = {**env, waves.variable: wave}
            self.steps(waves.body, here, turn_of(waves, wave))
            with b.when(have_stopped(b, self.layout, until, here, waves.variable)):
                b.store(end, 0, wave + int64(1))
        first = b.let(load(end, 0), "first")
        with b.when(tirx.LT(first, count)):
            self.phase(until.rest, {**env, ended(waves.variable): first}, None)

    def levels(self, levels: Levels, env: Environment) -> None:
        b, outer = self.b, self.listing
        sorter = Sorter(b, self.layout, levels, env, zero_at_first_level(self.plan, levels))
        with b.when(tirx.EQ(self.task, 0)):
            sorter.sort()
        self.meet()
        with self.shared(levels, env), b.loop(0, sorter.count_levels(), name="level") as level:
            self.listing = sorter.listing(level)
            self.steps(levels.body, {**env, levels.variable: level}, turn_of(levels, level))
        self.listing = outer

    @contextmanager
    def shared(self, step: Waves | Levels, env: Environment) -> Iterator[None]:
        """A loop: of all tasks, or of the first one alone if its phases are too small to share."""
        b, outer = self.b, self.team
        most = largest_phase((step,), env, self.layout.batch)
        small = b.let(tirx.LT(most, self.worth), "small")
        self.team = Team(
            b.let(tirx.Select(small, tirx.const(1, "int32"), outer.count), "tasks"),
            tirx.Or(outer.alone, small),
        )
        with b.when(tirx.Or(tirx.EQ(self.task, 0), tirx.Not(self.team.alone))):
            yield
        # The others come here at once if the loop is not theirs; its last phase has met if it is.
        with b.when(tirx.And(small, tirx.Not(outer.alone))):
            b.call("rnnc_barrier", self.barrier, self.task)
        self.team = outer

    def run(self, phases: Sequence[Phase], env: Environment, turn: Expr | None) -> None:
        """A phase, with those that follow it: row by row if every task has a row."""
        b = self.b
        loops = shared(phases, self.layout.buffers) if len(phases) > 1 else None
        names = {kernel.name for phase in phases for kernel in phase.kernels}
        if (
            loops is None
            or not names.isdisjoint(self.outlines)
            or (self.single and loops.flat is None)
        ):
            for phase in phases:
                self.phase(phase, env, turn)
            return
        with ExitStack() as stack:
            here = enter(stack, b, loops.single, env)
            rows = rows_at(b, self.layout, loops.flat, loops.exact, here, self.single)
            count = b.let(rows.count, "rows")
            enough = b.let(tirx.GE(count, int64(self.team.count)), "enough")
            with b.when(enough), share(b, count, self.task, self.team.count) as row:
                place, batch = rows.place(b, row, here)
                for kernel in (kernel for phase in phases for kernel in phase.kernels):
                    with b.block():
                        self.emitter(kernel).whole_row(place, batch, loops.count)
            with b.when(tirx.Not(enough)):
                for phase in phases[:-1]:
                    self.phase(phase, env, turn)
                self.kernels(phases[-1], env, turn)
        self.meet()

    def phase(self, phase: Phase, env: Environment, turn: Expr | None) -> None:
        self.kernels(phase, env, turn)
        self.meet()

    def kernels(self, phase: Phase, env: Environment, turn: Expr | None) -> None:
        tasks = Tasks(self.task, self.team.count, turn)
        for kernel in phase.kernels:
            outline = self.outlines.get(kernel.name)
            if outline is not None:
                outline.call(self.b, kernel.name, env, tasks)
                continue
            with self.b.block():
                emitter = self.emitter(kernel)
                if kernel.serial is None:
                    emitter.emit(env, tasks)
                else:
                    emit_chains(emitter, env, tasks)

    def emitter(self, kernel: Kernel) -> KernelEmitter:
        return KernelEmitter(
            self.b, self.layout, self.target, self.used, kernel, self.single, self.listing
        )

    def meet(self) -> None:
        """A barrier. Also who is alone calls: nothing may be moved from one phase into another."""
        seat = tirx.Select(self.team.alone, tirx.const(NOBODY, "int32"), self.task)
        self.b.call("rnnc_barrier", self.barrier, seat)


def turn_of(step: Waves | Levels, number: Expr) -> Expr | None:
    """What turn of a loop its phases see: none where another loop runs between two of them."""
    return number if keeps_caches(step) else None
