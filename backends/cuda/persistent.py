"""A loop of waves, or of levels, as one cooperative launch: the grid stays and meets.

All threads walk the same steps and take their share of each kernel, as tasks do on a CPU; behind
every phase the whole grid meets (`rnnc_meet`), which takes about a microsecond where a launch takes
several. All blocks have to be resident: the host asks how many are, and launches no more.

Weights that stay on the chip (`Residence`) are loaded before the first step. So many blocks hold
them once and are a *group*; where batch rows have nothing to do with each other, several groups
share the rows among themselves, and only the blocks of a group meet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tvm import tirx

from rnnc.plan.plan import (
    Buffer,
    Kernel,
    Levels,
    Phase,
    Plan,
    Step,
    Until,
    Waves,
    ended,
    kernels_of,
)

from ..tensorir.exits import have_stopped
from ..tensorir.layout import Environment, bound
from ..tensorir.levels import Listing, Sorter
from ..tensorir.packing import products
from ..tensorir.tir import address, int64, load, quotient, remainder
from ..tensorir.words import word
from .capacity import Residence
from .fragments import Fragments
from .kernels import KernelEmitter, Threads
from .layout import Device, declare
from .meetings import neighbours
from .onchip import Resident
from .source import DeviceBuilder
from .steps import are_rows_apart, tested
from .tiles import LANES, BlockTile
from .used import buffers_of


class Persistent:
    """The device function of one step; `first_end` is the first free place for ends of loops.

    Kernels of many rows have `tiles`."""

    def __init__(
        self,
        plan: Plan,
        name: str,
        step: Waves | Levels,
        first_end: int,
        residence: Residence,
        tiles: Mapping[str, BlockTile],
    ) -> None:
        self.plan, self.step, self.ends, self.residence = plan, step, first_end, residence
        self.tiles = tiles
        self.b = DeviceBuilder(name, residence.threads)
        self.neighbours = neighbours(step, residence, plan) if residence.blocks else None
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
        flags, epoch = self.b.pointer("flags", "uint32"), self.b.local("epoch", 1, "uint32")
        self.flags, self.epoch = address(flags, 0), address(epoch, 0)
        self.b.call("rnnc_enter", self.flags, self.epoch)
        self.threads = self.group()
        self.number = self.threads.number
        self.residents = self.load(kernels, buffers)
        env = {name: value for name, value in self.device.numbers.items() if name != "batch"}
        self.listing: Listing | None = None
        self.steps((step,), env)
        self.b.call("rnnc_leave", self.flags, load(epoch, 0), self.b.blocks)
        self.function = self.b.kernel()

    def group(self) -> Threads:
        """The threads that meet, and the rows that they compute."""
        b = self.b
        number, count = b.grid()
        blocks = self.residence.blocks
        if not blocks:
            self.first_block, self.blocks = int64(0), b.blocks
            return Threads(number, count)
        threads = blocks * self.residence.threads
        group = b.let(quotient(number, threads), "group")
        self.first_block, self.blocks = b.let(group * int64(blocks), "first_block"), int64(blocks)
        number = b.let(remainder(number, threads), "own_number")
        if not are_rows_apart(self.step, self.plan.buffers):
            return Threads(number, int64(threads))
        batch = self.device.layout.batch
        groups = b.let(quotient(b.blocks, blocks), "groups")
        first = b.let(quotient(batch * group, groups), "first_row")
        rows = b.let(quotient(batch * (group + int64(1)), groups) - first, "rows")
        return Threads(number, int64(threads), first, rows)

    def load(
        self, kernels: Sequence[Kernel], buffers: Mapping[str, Buffer]
    ) -> dict[str, Resident | Fragments]:
        """The weights that stay."""
        b = self.b
        found: dict[str, Resident | Fragments] = {}
        held: Resident | Fragments
        placed = [one for one in self.residence.kernels if one.is_resident]
        if not placed:
            return found
        registers, dtype = max(self.residence.registers, 1), self.device.layout.word.dtype
        homes = {"registers": b.local("weights", registers, dtype), "shared": b.shared()}
        warp = b.let(quotient(self.number, LANES), "warp")
        math = self.plan.math
        lane = b.let(remainder(self.number, LANES), "lane")
        for kernel in kernels:
            own = self.residence.of(kernel)
            if own is None or not own.is_resident:
                continue
            made = products(kernel, buffers, LANES)
            assert made is not None
            layout = self.device.layout
            kind = Resident if math == "float32" else Fragments
            held = kind(b, layout, kernel, made, own, warp, lane, homes[own.home], math)
            held.load()
            found[kernel.name] = held
        return found

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
                self.b,
                self.device.layout,
                kernel,
                self.threads,
                self.listing,
                self.plan.math,
                self.tiles.get(kernel.name),
                resident=self.residents.get(kernel.name),
            )
            emitter.emit(env)

    def meet(self) -> None:
        """All threads of blocks that touch the same memory; what was written before is seen by all
        behind it."""
        own = self.flags, self.epoch, self.first_block
        if self.neighbours is None:
            self.b.call("rnnc_meet", *own, self.blocks)
        else:
            self.b.call(f"{self.b.name}_meet", *own)

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
