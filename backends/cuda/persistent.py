"""A loop of waves, or of levels, as one cooperative launch: the grid stays and meets.

All threads walk the same steps and take their share of each kernel, as tasks do on a CPU; behind
every phase the whole grid meets (`rnnc_meet`), which takes about a microsecond where a launch takes
several. All blocks have to be resident: the host asks how many are, and launches no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tvm import tirx

from rnnc.plan.plan import Kernel, Levels, Phase, Plan, Step, Until, Waves, ended, kernels_of

from ..tensorir.exits import have_stopped
from ..tensorir.layout import Environment, bound
from ..tensorir.levels import Listing, Sorter
from ..tensorir.packing import products
from ..tensorir.tir import address, int64, load
from ..tensorir.words import word
from .kernels import KernelEmitter, Threads
from .layout import LANES, Device, declare
from .source import DeviceBuilder
from .used import buffers_of


class Persistent:
    """The device function of one step; `first_end` is the first free place for ends of loops."""

    def __init__(self, plan: Plan, name: str, step: Waves | Levels, first_end: int) -> None:
        self.plan, self.step, self.ends = plan, step, first_end
        self.b = DeviceBuilder(name)
        kernels = tuple(kernels_of((step,)))
        buffers = {buffer.name: buffer for buffer in plan.buffers}
        used = {name for kernel in kernels for name in buffers_of(kernel)}
        used |= set(tested((step,)))
        packs = [
            factor.pack
            for kernel in kernels
            if (found := products(kernel, buffers, LANES)) is not None
            for part in found.passes
            for factor in part.factors
        ]
        wanted = [buffer for buffer in plan.buffers if buffer.name in used]
        self.device: Device = declare(
            self.b, wanted, packs, plan.extents, (), plan.buffers, word(plan.weights, plan.math)
        )
        self.flags = self.b.pointer("flags", "int32")
        self.number, count = self.b.grid()
        self.threads = Threads(self.number, count)
        env = {name: value for name, value in self.device.numbers.items() if name != "batch"}
        self.listing: Listing | None = None
        self.steps((step,), env)
        self.function = self.b.kernel()

    def steps(self, steps: Sequence[Step], env: Environment) -> None:
        for step in steps:
            if isinstance(step, Waves):
                self.waves(step, env)
            elif isinstance(step, Levels):
                self.levels(step, env)
            else:
                self.phase(step, env)

    def phase(self, phase: Phase, env: Environment) -> None:
        for kernel in phase.kernels:
            self.kernel(kernel, env)
        self.meet()

    def kernel(self, kernel: Kernel, env: Environment) -> None:
        with self.b.block():
            emitter = KernelEmitter(
                self.b, self.device.layout, kernel, self.threads, self.listing, self.plan.math
            )
            emitter.emit(env)

    def meet(self) -> None:
        """All threads of the grid; what was written before is seen by all behind it."""
        self.b.call("rnnc_meet", address(self.flags, 0), self.b.blocks)

    def waves(self, waves: Waves, env: Environment) -> None:
        b = self.b
        count = b.let(bound(waves.count, env), "count")
        if waves.until is None:
            with b.loop(0, count, name=waves.variable) as wave:
                self.steps(waves.body, {**env, waves.variable: wave})
            return
        slot, self.ends = self.ends, self.ends + 1
        ends = self.device.ends
        with b.when(tirx.EQ(self.number, int64(0))):
            b.store(ends, slot, count)
        self.meet()
        # Threads leave the loop's body, but not the loop: it has no other way out.
        with (
            b.loop(0, count, name=waves.variable) as wave,
            b.when(tirx.LT(wave, load(ends, slot))),
        ):
            here = {**env, waves.variable: wave}
            self.steps(waves.body, here)
            self.check(waves, waves.until, slot, here)
        first = b.let(load(ends, slot), "ended")
        self.phase(waves.until.rest, {**env, ended(waves.variable): first})

    def check(self, waves: Waves, until: Until, slot: int, env: Environment) -> None:
        """The first thread looks whether the loop ends behind this wave."""
        b = self.b
        with (
            b.when(tirx.EQ(self.number, int64(0))),
            b.when(have_stopped(b, self.device.layout, until, env, waves.variable)),
        ):
            b.store(self.device.ends, slot, env[waves.variable] + int64(1))
        self.meet()

    def levels(self, levels: Levels, env: Environment) -> None:
        b, outer = self.b, self.listing
        sorter = Sorter(b, self.device.layout, levels, env)
        with b.when(tirx.EQ(self.number, int64(0))):
            sorter.sort()
        self.meet()
        with b.loop(0, sorter.count_levels(), name="level") as level:
            self.listing = sorter.listing(level)
            self.steps(levels.body, {**env, levels.variable: level})
        self.listing = outer


def tested(steps: Sequence[Step]) -> Iterator[str]:
    """The buffers that steps touch outside kernels."""
    for step in steps:
        if isinstance(step, Waves):
            if step.until is not None:
                yield step.until.buffer
            yield from tested(step.body)
        elif isinstance(step, Levels):
            yield from (step.level, step.points, step.rows, step.ends)
            yield from tested(step.body)
