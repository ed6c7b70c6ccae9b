"""Kernels of chains: each task runs its chains from end to end, with no barrier in between.

A step waits for the one before it, so chains run side by side: the processor works at one while
another waits. Few chains keep what they carry in registers, and are code each. Many run in strips:
at every point one loop over neighbours in memory, so that pages are read from end to end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tvm import tirx

from rnnc.analysis.wave import WaveLoop
from rnnc.plan import expression as ex
from rnnc.plan.plan import Kernel

from ..tensorir.bodies import emit_body, emit_store
from ..tensorir.elements import Emitter, Lanes, Variable
from ..tensorir.layout import Environment, bound, volume
from ..tensorir.loops import enter
from ..tensorir.tir import Builder, Expr, int64, quotient, remainder
from .kernels import KernelEmitter, Tasks
from .microkernel import share

_TOGETHER = 4  # chains side by side in registers
_MOST_DEFINES = 64  # of all of them
_FEW = 8  # vectors of one row that still run in registers
_STRIP = 512  # vectors: many pages of each buffer from end to end, and what they carry in the cache


def emit_chains(emitter: KernelEmitter, env: Environment, tasks: Tasks) -> None:
    """All chains of a serial kernel, shared among the tasks."""
    kernel, b = emitter.kernel, emitter.b
    nested, flat = split_loops(kernel)
    with ExitStack() as stack:
        here = enter(stack, b, nested, env)
        chains = Chains(emitter, here, flat)
        if emitter.single and chains.vectors <= _FEW:
            chains.in_registers(tasks)
        else:
            chains.in_strips(tasks)


def split_loops(kernel: Kernel) -> tuple[list[WaveLoop], list[WaveLoop]]:
    """The independent loops that no other loop depends on can be one; the others stay around."""
    nested: list[WaveLoop] = []
    flat: list[WaveLoop] = []
    own = {loop.name for loop in kernel.independent}
    for loop in kernel.independent:
        needed = any(loop.name in other.names for other in kernel.loops if not other.exact)
        (nested if loop.exact or needed or loop.names & own else flat).append(loop)
    return nested, flat


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain: its point, row and lanes, and what it carries."""

    env: Environment
    row: Expr
    lanes: Lanes | None
    carried: Mapping[str, Variable]


@dataclass(frozen=True, slots=True)
class Strip:
    """Neighbouring chains of a point: `count` vectors from `first` on, so many of them a row."""

    b: Builder
    first: Expr
    count: Expr
    vectors: int

    @contextmanager
    def chains(self) -> Iterator[tuple[Expr, Expr, Expr]]:
        """Inside a loop over them: row, vector of the row, and number in the strip."""
        b, last = self.b, self.first + self.count
        begin = b.let(quotient(self.first, self.vectors), "begin")
        end = b.let(quotient(last + int64(self.vectors - 1), self.vectors), "end")
        with b.loop(begin, end, name="row") as row:
            origin = b.let(row * int64(self.vectors), "origin")
            start = b.let(tirx.Max(self.first - origin, int64(0)), "start")
            stop = b.let(tirx.Min(last - origin, int64(self.vectors)), "stop")
            with b.loop(start, stop, name="vector") as vector:
                yield row, vector, b.let(origin + vector - self.first, "slot")


class Chains:
    """The chains of a kernel in the order of memory: points x rows x leading axes x vectors."""

    def __init__(self, emitter: KernelEmitter, env: Environment, flat: Sequence[WaveLoop]) -> None:
        self.emitter, self.kernel, self.b = emitter, emitter.kernel, emitter.b
        self.env, self.flat = env, flat
        inside = self.kernel.loops[len(self.kernel.independent) :]
        self.serial = [loop for loop in inside if not loop.exact]
        self.exact = [loop for loop in inside if loop.exact]
        shape = self.kernel.shape
        self.lanes = 1 if not shape or shape[-1] == 1 else emitter.lanes
        self.vectors = volume(shape[:-1]) * -(-shape[-1] // self.lanes) if shape else 1
        self.firsts = [self.b.let(bound(loop.lower, env), "first") for loop in flat]
        self.extents = [
            self.b.let(tirx.Max(bound(loop.upper, env) - first, int64(0)), "points")
            for loop, first in zip(flat, self.firsts, strict=True)
        ]
        self.points: Expr = int64(1)
        for extent in self.extents:
            self.points = self.points * extent

    # ---- where chains are ---------------------------------------------------------------------

    def point(self, number: Expr) -> dict[str, Expr]:
        """The variables of the flat loops at one of their points."""
        here: dict[str, Expr] = {}
        for position in range(len(self.flat) - 1, -1, -1):
            digit = number
            if position:
                digit = self.b.let(remainder(number, self.extents[position]), "digit")
                number = self.b.let(quotient(number, self.extents[position]), "rest")
            name = self.flat[position].name
            here[name] = self.b.let(self.firsts[position] + digit, name)
        return here

    def place(self, number: Expr) -> tuple[dict[str, Expr], Lanes | None]:
        """Element axes and lanes of one of the vectors of a row."""
        here: dict[str, Expr] = {}
        shape, lanes = self.kernel.shape, None
        if not shape:
            return here, None
        sizes = [*shape[:-1], -(-shape[-1] // self.lanes)]
        for axis in range(len(sizes) - 1, 0, -1):
            name = ex.element(axis)
            here[name] = self.b.let(remainder(number, sizes[axis]), name)
            number = self.b.let(quotient(number, sizes[axis]), "rest")
        here[ex.element(0)] = number
        if self.lanes > 1:
            axis_name = ex.element(len(shape) - 1)
            base = self.b.let(here.pop(axis_name) * int64(self.lanes), "base")
            lanes = Lanes(axis_name, base, self.lanes, shape[-1])
        return here, lanes

    # ---- how they run -------------------------------------------------------------------------

    def in_registers(self, tasks: Tasks) -> None:
        """Few chains of one row at a time; beyond the last one, the last one again."""
        b = self.b
        known: int | None = self.vectors
        for loop in self.flat:
            known = None if known is None or loop.extent is None else known * loop.extent
        together = max(1, min(_TOGETHER, _MOST_DEFINES // len(self.kernel.defines)))
        if known is not None:
            together = -(-known // -(-known // together))
        count = b.let(self.points * int64(self.vectors), "chains")
        items = quotient(count + int64(together - 1), together)
        with share(b, items, tasks.task, tasks.count) as item:
            chains: list[Chain] = []
            for ahead in range(together):
                number = tirx.Min(item * int64(together) + int64(ahead), count - int64(1))
                number = b.let(number, "chain")
                inside, lanes = self.place(remainder(number, self.vectors))
                env = {**self.env, **self.point(quotient(number, self.vectors)), **inside}
                chain = Chain(env, int64(0), lanes, self.carried(1))
                self.start(chain)
                chains.append(chain)
            with ExitStack() as stack:
                serial = enter(stack, b, self.serial, self.env)
                for chain in chains:
                    self.step(chain, serial)
            for chain in chains:
                self.finish(chain)

    def in_strips(self, tasks: Tasks) -> None:
        """Work items: point x strip of neighbouring rows and vectors."""
        b = self.b
        rows = int64(1) if self.emitter.single else self.emitter.layout.batch
        each = b.let(rows * int64(self.vectors), "chains")
        share_of_each = quotient(each + int64(tasks.count) - int64(1), int64(tasks.count))
        strip = b.let(tirx.Min(int64(_STRIP), tirx.Max(share_of_each, int64(1))), "strip")
        strips = b.let(quotient(each + strip - int64(1), strip), "strips")
        with share(b, self.points * strips, tasks.task, tasks.count) as item:
            env = {**self.env, **self.point(b.let(quotient(item, strips), "point"))}
            first = b.let(remainder(item, strips) * strip, "first")
            count = b.let(tirx.Min(strip, each - first), "count")
            carried = self.carried(_STRIP)
            strip_of = Strip(b, first, count, self.vectors)
            with strip_of.chains() as (row, vector, slot):
                self.start(self.neighbour(env, row, vector, slot, carried))
            with ExitStack() as stack:
                serial = enter(stack, b, self.serial, env)
                with strip_of.chains() as (row, vector, slot):
                    self.step(self.neighbour(env, row, vector, slot, carried), serial)
            if self.kernel.last:
                with strip_of.chains() as (row, vector, slot):
                    self.finish(self.neighbour(env, row, vector, slot, carried))

    def carried(self, slots: int) -> dict[str, Variable]:
        """Room for what chains carry."""
        return {
            carry.name: Variable(self.b, carry.dtype, self.lanes, slots)
            for carry in self.kernel.carries
        }

    def neighbour(
        self,
        env: Environment,
        row: Expr,
        vector: Expr,
        slot: Expr,
        carried: Mapping[str, Variable],
    ) -> Chain:
        inside, lanes = self.place(vector)
        own = {name: variable.slot(slot) for name, variable in carried.items()}
        return Chain({**env, **inside}, row, lanes, own)

    def start(self, chain: Chain) -> None:
        """What the chain carries before its first point."""
        at = Emitter(self.b, self.emitter.layout, chain.env, chain.row, chain.lanes, {})
        for carry in self.kernel.carries:
            chain.carried[carry.name].set(at.cast(at.value(carry.first), carry.dtype))

    def finish(self, chain: Chain) -> None:
        """Stores what the chain carries behind its last point."""
        at = Emitter(self.b, self.emitter.layout, chain.env, chain.row, chain.lanes, {})
        for store in self.kernel.last:
            emit_store(at, store, chain.carried[store.value].get())

    def step(self, chain: Chain, serial: Environment) -> None:
        """One point of a chain, if the kernel has it."""
        with ExitStack() as stack:
            env = enter(stack, self.b, self.exact, {**serial, **chain.env})
            if self.kernel.constraints:
                probe = Emitter(self.b, self.emitter.layout, env, chain.row, None, {})
                stack.enter_context(self.b.when(probe.holds(self.kernel.constraints)))
            known = {name: self.b.let(variable.get()) for name, variable in chain.carried.items()}
            at = self.emitter.emitter(env, chain.row, chain.lanes, known)
            values = emit_body(self.kernel, at)
            for carry in self.kernel.carries:
                chain.carried[carry.name].set(values[carry.value])
