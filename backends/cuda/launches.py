"""A plan as kernels that the host launches one after another: right for any model of any size.

Every kernel of the plan is a device function; the host walks the steps. What the host cannot know
(when a loop ends early, how many levels there are) device functions see for themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tvm import tirx

from rnnc.plan.plan import Kernel, Levels, Phase, Plan, Step, Until, Waves, ended

from ..tensorir.arguments import c_polynomial
from ..tensorir.exits import have_stopped
from ..tensorir.layout import bound, volume
from ..tensorir.levels import Sorter
from ..tensorir.packing import Products, products
from ..tensorir.tir import Function, int64, load
from ..tensorir.words import word
from .capacity import Chip, Residence, residence
from .crowds import crowd, crowd_of_launch
from .divided import divided
from .host import Grid, Host, c_bound
from .kernels import KernelEmitter, Threads
from .layout import Device, Parameter, declare, identifier
from .meetings import table
from .onchip import FEW_ROWS
from .persistent import Persistent
from .source import DeviceBuilder
from .steps import are_rows_apart
from .tiles import BLOCK, LANES, PLAIN_ROWS, BlockTile, Tile
from .tiles import ROWS as ROWS_OF_TILE
from .used import buffers_of

MOST_BLOCKS = 4096  # of a cooperative launch
MANY = 1024  # blocks of a launch whose size only the device knows


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around a step: loops of waves, with where each says that it has ended, and the
    levels of a recurrence along index arrays."""

    waves: tuple[str, ...] = ()
    ends: tuple[tuple[str, int], ...] = ()
    levels: Levels | None = None
    rest: tuple[tuple[str, int], ...] = ()


class Launches:
    """Device functions of a plan, and the host's text that launches them."""

    def __init__(self, plan: Plan, prefix: str, chip: Chip) -> None:
        self.plan, self.prefix, self.chip = plan, prefix, chip
        self.functions: list[Function] = []
        self.tables: list[str] = []
        self.host = Host()
        self.ends, self.meets = 0, False
        self.steps(plan.steps, Around())

    # ---- steps --------------------------------------------------------------------------------

    def steps(self, steps: Sequence[Step], around: Around) -> None:
        for step in steps:
            if isinstance(step, Phase):
                self.phase(step, around)
            elif around.waves:
                self.loop(step, around)
            else:
                with self.host.block():
                    self.together(step)
                with self.host.otherwise():
                    self.loop(step, around)

    def loop(self, step: Waves | Levels, around: Around) -> None:
        if isinstance(step, Waves):
            self.waves(step, around)
        else:
            self.levels(step, around)

    def phase(self, phase: Phase, around: Around) -> None:
        for kernel in phase.kernels:
            self.kernel(kernel, around)

    def together(self, step: Waves | Levels) -> None:
        """One launch of a grid that stays, where all its blocks can be resident at once."""
        own = residence(step, self.plan, self.chip)
        many = crowd(step, self.plan, own, self.chip)
        if many is None:
            self.stay(step, own, {})
            return
        self.host.line("int64_t rows = 1;")
        self.halfway(step, lambda kernel: f"rows = larger(rows, {self.rows(kernel)});")
        self.host.line(f"const bool are_many = rows >= {many.rows};")
        with self.host.when("are_many"):
            self.stay(step, Residence(step.variable, BLOCK, 0, 0, 0, ()), many.tiles)
        with self.host.when("!are_many"):
            self.stay(step, own, {})

    def stay(self, step: Waves | Levels, own: Residence, tiles: Mapping[str, BlockTile]) -> None:
        """A launch with weights that stay, or in tiles of many rows."""
        name = f"{self.prefix}_{len(self.functions)}_{identifier(step.variable)}_persistent"
        made = Persistent(self.plan, name, step, self.ends, own, tiles)
        self.functions.append(made.function)
        if made.neighbours is not None:
            self.tables.append(table(name, made.neighbours))
        if own.blocks:
            apart = are_rows_apart(step, self.plan.buffers)
            rows = FEW_ROWS if self.plan.math == "float32" else ROWS_OF_TILE
            groups = f"(batch + {rows - 1}) / {rows}" if apart else "1"
            self.host.line(f"const int64_t most = {groups};")
        else:
            self.host.line("int64_t most = 1;")

            def line(kernel: Kernel) -> str:
                return f"most = larger(most, {self.items(kernel, tiles.get(kernel.name))});"

            self.halfway(step, line)
            self.host.line(f"most = (most + {own.threads - 1}) / {own.threads};")
        self.meets = True
        given = (*made.device.parameters, Parameter("flags", "flags"))
        grid = Grid(own.threads, own.shared, max(own.blocks, 1), "most")
        self.host.launch_together(name, grid, given)

    def halfway(self, step: Step, line: Callable[[Kernel], str]) -> None:
        """A line of the host for each kernel of a step, where each loop is halfway through."""
        if isinstance(step, Phase):
            for kernel in step.kernels:
                self.host.line(line(kernel))
            return
        count = c_bound(step.count) if isinstance(step, Waves) else c_polynomial(step.upper)
        with self.host.block():
            self.host.line(f"const int64_t {identifier(step.variable)} = ({count}) / 2;")
            for inner in step.body:
                self.halfway(inner, line)

    def waves(self, waves: Waves, around: Around) -> None:
        inside = Around((*around.waves, waves.variable), around.ends, around.levels, around.rest)
        count = c_bound(waves.count)
        if waves.until is None:
            with self.host.loop(waves.variable, count):
                self.steps(waves.body, inside)
            return
        slot, self.ends = self.ends, self.ends + 1
        self.reset(waves, slot, around)
        ending = Around(
            inside.waves, (*around.ends, (waves.variable, slot)), around.levels, around.rest
        )
        with self.host.loop(waves.variable, count):
            self.steps(waves.body, ending)
            self.check(waves, waves.until, slot, ending)
        rest = Around(
            around.waves,
            around.ends,
            around.levels,
            (*around.rest, (ended(waves.variable), slot)),
        )
        self.phase(waves.until.rest, rest)

    def levels(self, levels: Levels, around: Around) -> None:
        self.sort(levels, around)
        inside = Around((*around.waves, levels.variable), around.ends, levels, around.rest)
        with self.host.loop(levels.variable, c_polynomial(levels.upper)):
            self.steps(levels.body, inside)

    # ---- device functions ---------------------------------------------------------------------

    def start(
        self, name: str, buffers: Sequence[str], packs: Sequence[str], around: Around
    ) -> tuple[DeviceBuilder, Device, dict[str, object]]:
        """A function that touches these buffers and packs, and the environment inside."""
        b = DeviceBuilder(f"{self.prefix}_{len(self.functions)}_{identifier(name)}")
        wanted = [buffer for buffer in self.plan.buffers if buffer.name in set(buffers)]
        stored = word(self.plan.weights, self.plan.math)
        device = declare(
            b, wanted, packs, self.plan.extents, around.waves, self.plan.buffers, stored
        )
        env = {name: value for name, value in device.numbers.items() if name != "batch"}
        for name, slot in around.rest:
            env[name] = b.let(load(device.ends, slot), "ended")
        return b, device, env

    def kernel(self, kernel: Kernel, around: Around) -> None:
        found, many = self.products(kernel), None
        if found is not None and not around.waves:
            many = crowd_of_launch(kernel, found, self.plan.math, self.chip)
        if many is None:
            self.device_function(kernel, found, around, None)
            return
        with self.host.block():
            self.host.line(f"const bool are_many = {self.rows(kernel)} >= {many.rows};")
            with self.host.when("!are_many"):
                self.device_function(kernel, found, around, None)
            with self.host.when("are_many"):
                self.device_function(kernel, found, around, many.tiles[kernel.name])

    def device_function(
        self, kernel: Kernel, found: Products | None, around: Around, tile: BlockTile | None
    ) -> None:
        factors = [] if found is None else [f for step in found.passes for f in step.factors]
        used = buffers_of(kernel)
        if around.levels is not None and kernel.listed:
            used = [*used, around.levels.points, around.levels.rows, around.levels.ends]
        b, device, env = self.start(kernel.name, used, [f.pack for f in factors], around)
        threads, math = Threads(*b.grid()), self.plan.math
        with b.when(goes_on(device, around)):
            listing = None
            if around.levels is not None and kernel.listed:
                sorter = Sorter(b, device.layout, around.levels, env)
                level = env[around.levels.variable]
                with b.when(tirx.LT(level, sorter.count_levels())):
                    listing = sorter.listing(level)
                    KernelEmitter(b, device.layout, kernel, threads, listing, math).emit(env)
            else:
                KernelEmitter(b, device.layout, kernel, threads, None, math, tile).emit(env)
        self.finish(b, device, self.items(kernel, tile))

    def reset(self, waves: Waves, slot: int, around: Around) -> None:
        """No wave is left out, so far."""
        b, device, env = self.start(f"reset_{waves.variable}", (), (), around)
        number, _ = b.grid()
        with b.when(tirx.EQ(number, int64(0))):
            b.store(device.ends, slot, bound(waves.count, env))
        self.finish(b, device, "1")

    def check(self, waves: Waves, until: Until, slot: int, around: Around) -> None:
        """Whether the loop ends behind this wave."""
        b, device, env = self.start(f"ends_{waves.variable}", [until.buffer], (), around)
        number, _ = b.grid()
        first = tirx.And(tirx.EQ(number, int64(0)), goes_on(device, around))
        with (
            b.when(first),
            b.when(have_stopped(b, device.layout, until, env, waves.variable)),
        ):
            b.store(device.ends, slot, env[waves.variable] + int64(1))
        self.finish(b, device, "1")

    def sort(self, levels: Levels, around: Around) -> None:
        """Points and rows by level."""
        used = [levels.level, levels.points, levels.rows, levels.ends]
        b, device, env = self.start(f"sort_{levels.dim}", used, (), around)
        number, _ = b.grid()
        with b.when(tirx.And(tirx.EQ(number, int64(0)), goes_on(device, around))):
            Sorter(b, device.layout, levels, env).sort()
        self.finish(b, device, "1")

    def finish(self, b: DeviceBuilder, device: Device, items: str) -> None:
        self.functions.append(b.kernel())
        self.host.launch(b.name, items, device.parameters)

    def items(self, kernel: Kernel, tile: BlockTile | None = None) -> str:
        """How many threads there is work for, as far as the host knows."""
        points = self.points(kernel)
        if points is None:
            return f"{MANY * BLOCK}"
        factors = [*(["batch"] if kernel.batched else []), *points.values()]
        rows = " * ".join(factors) or "1"
        found = self.products(kernel)
        if found is None:
            return f"{rows} * {volume(kernel.shape)}"
        each = volume(kernel.shape[:-1]) * found.tiles
        if tile is None and self.plan.math == "float32":
            return f"({rows} + {PLAIN_ROWS - 1}) / {PLAIN_ROWS} * {each * LANES}"
        own = tile or Tile(BLOCK // LANES)
        each *= found.columns // own.columns * BLOCK
        alone = " * ".join(points.values()) or "1"
        batch = "batch" if kernel.batched else "1"
        apart = f"({alone}) * (({batch} + {own.rows - 1}) / {own.rows})"
        return f"larger({apart}, ({rows} + {own.rows - 1}) / {own.rows}) * {each}"

    def points(self, kernel: Kernel) -> dict[str, str] | None:
        """How many there are of each loop that is shared out; None where the host does not know."""
        if kernel.listed:
            return None
        loops = divided(kernel)
        found: dict[str, str] = {}
        for loop in loops.flat:
            inner = {other.name for other in kernel.loops} & loop.names
            if inner or any(name.endswith(ended("")) for name in loop.names):
                return None
            found[loop.name] = f"count({c_bound(loop.upper)} - ({c_bound(loop.lower)}))"
        return found

    def rows(self, kernel: Kernel) -> str:
        """How many rows have the same weights, as far as the host knows."""
        points, found = self.points(kernel) or {}, self.products(kernel)
        if found is None:
            return "1"
        weights = {loop.name for step in found.passes for f in step.factors for loop in f.loops}
        batch = "batch" if kernel.batched else "1"
        return " * ".join([batch, *(own for name, own in points.items() if name not in weights)])

    def products(self, kernel: Kernel) -> Products | None:
        return products(kernel, {buffer.name: buffer for buffer in self.plan.buffers}, LANES)


def goes_on(device: Device, around: Around) -> tirx.Expr:
    """Whether no loop around has ended."""
    verdict = tirx.const(True, "bool")
    for wave, slot in around.ends:
        verdict = tirx.And(verdict, tirx.LT(device.numbers[wave], load(device.ends, slot)))
    return verdict
