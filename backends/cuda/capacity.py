"""Where the weights of a loop of waves live while it runs: on the chip, as far as they fit.

A product is cut into *panels*: all weights that make one column of the kernel's sums at one point
of the loops on which weights depend. A warp owns panels for the whole sequence, its lanes along k,
so that a panel takes `depth` registers of every lane, or as much shared memory. What fits neither
is read in every wave: from the second-level cache, or where that is too small from memory.

    registers: 1024 units, 4 gates: a warp a unit, 32 * 4 registers of a thread

On tensor cores a panel is 8 columns, a block owns it and its warps share k (fragments.py):

    registers: 1024 units, 4 gates, bf16: a block 8 units, 8 * 4 * 2 registers of a thread

    shared:    what registers do not hold, up to 227 KiB a processor
    cache:     the rest: every warp streams weights past, for a few rows at a time

`residences(plan, chip)` says all this as data, a `Residence` for each loop that is one launch, for
whoever explains it; the backend emits what it says. At run time a device that cannot hold the
blocks of a residence runs the loop launch by launch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rnnc.placement import Home
from rnnc.plan.plan import Kernel, Levels, Phase, Plan, Waves, kernels_of
from rnnc.weights import MathType

from ..tensorir.packing import PackLoop, Products, products
from .divided import divided
from .tiles import BLOCK, COLUMNS, LANES, fragments

_FLOAT = 4  # bytes


@dataclass(frozen=True, slots=True)
class Chip:
    """What a launch that stays can count on: one block of `threads` on each of the `processors`,
    of whose registers `weights` may hold weights; bytes of `shared` memory of a block and of the
    second-level `cache`."""

    name: str
    processors: int
    shared: int
    cache: int
    threads: int = 256
    weights: int = 128

    @property
    def warps(self) -> int:
        """Of a block."""
        return self.threads // LANES


# The smallest parts of each architecture that are sold for servers (NVIDIA's A100 and H100 SXM
# whitepapers; CUDA C++ Programming Guide, "Technical Specifications per Compute Capability").
CHIPS = {
    "sm_80": Chip("A100", 108, 163 << 10, 40 << 20),
    "sm_90": Chip("H100", 132, 227 << 10, 50 << 20),
}


def smallest(architectures: Sequence[str]) -> Chip:
    """What all of them have."""
    chips = [CHIPS[name] for name in architectures]
    return Chip(
        " and ".join(chip.name for chip in chips),
        min(chip.processors for chip in chips),
        min(chip.shared for chip in chips),
        min(chip.cache for chip in chips),
    )


@dataclass(frozen=True, slots=True)
class Panels:
    """The panels of a kernel: one for each point of `loops` and each of `columns`; `floats` of a
    lane, of so many `warps`."""

    loops: tuple[PackLoop, ...]
    columns: int
    floats: int
    warps: int = 1

    @property
    def count(self) -> int:
        total = self.columns
        for loop in self.loops:
            total *= loop.upper - loop.lower
        return total

    @property
    def bytes(self) -> int:
        return self.count * self.floats * self.warps * LANES * _FLOAT


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the weights of one kernel are; on the chip, how many panels `each` owner has, and
    where they begin in the shared memory of a block, in floats. `why` not on the chip."""

    kernel: str
    home: Home
    bytes: int
    panels: Panels | None = None
    each: int = 0
    start: int = 0
    why: str = ""

    @property
    def is_resident(self) -> bool:
        return self.home in ("registers", "shared")


@dataclass(frozen=True, slots=True)
class Residence:
    """How one loop stays on a chip: `blocks` of `threads` hold every weight once, with so many
    bytes of `shared` memory each. Without blocks, no weights stay."""

    variable: str
    threads: int
    blocks: int
    shared: int
    kernels: tuple[Placed, ...]

    def of(self, kernel: Kernel) -> Placed | None:
        """None: it has no products."""
        return next((placed for placed in self.kernels if placed.kernel == kernel.name), None)


def residences(plan: Plan, chip: Chip) -> tuple[Residence, ...]:
    """Of each loop of a plan that is one launch, in order."""
    return tuple(residence(step, plan, chip) for step in plan.steps if not isinstance(step, Phase))


def residence(step: Waves | Levels, plan: Plan, chip: Chip) -> Residence:
    """Registers first, then shared memory, kernel after kernel."""
    named = {buffer.name: buffer for buffer in plan.buffers}
    registers, shared = chip.weights, chip.shared // _FLOAT
    start = 0
    placed: list[Placed] = []
    blocks = 0
    streamed = 0
    for kernel in kernels_of((step,)):
        found = products(kernel, named, LANES)
        if found is None:
            continue
        tensor = plan.math != "float32"
        floats = _fragments(found, plan.math, chip.warps) if tensor else _floats(found)
        owner = chip.warps if tensor else 1  # warps that share a panel
        panels = panels_of(kernel, found, floats, owner)
        if isinstance(panels, str):
            weights = floats * owner * LANES * columns(kernel, owner) * _FLOAT
            placed.append(Placed(kernel.name, "cache", weights, why=panels))
            streamed += weights
            continue
        owners = chip.warps // owner  # of a block
        each = -(-panels.count // (chip.processors * owners))
        own = each * panels.floats
        block = own * LANES * chip.warps
        if own <= registers:
            registers -= own
            placed.append(Placed(kernel.name, "registers", panels.bytes, panels, each))
        elif start + block <= shared:
            placed.append(Placed(kernel.name, "shared", panels.bytes, panels, each, start))
            start += block
        else:
            why = f"{own} registers of a thread, or {block * _FLOAT} bytes of shared memory"
            placed.append(Placed(kernel.name, "cache", panels.bytes, why=f"it would take {why}"))
            streamed += panels.bytes
            continue
        blocks = max(blocks, -(-panels.count // (each * owners)))
    if streamed > chip.cache:
        placed = [
            Placed(one.kernel, "memory", one.bytes, why=one.why) if one.home == "cache" else one
            for one in placed
        ]
    threads = chip.threads if blocks else BLOCK
    return Residence(step.variable, threads, blocks, start * _FLOAT, tuple(placed))


def panels_of(kernel: Kernel, found: Products, floats: int, warps: int) -> Panels | str:
    """The panels of a kernel with products, or why nobody can own any."""
    loops: dict[str, PackLoop] = {}
    for step in found.passes:
        for factor in step.factors:
            for loop in factor.loops:
                known = loops.get(loop.name, loop)
                lower, upper = max(known.lower, loop.lower), min(known.upper, loop.upper)
                loops[loop.name] = PackLoop(loop.name, lower, upper)
    shared = divided(kernel)
    exact = {loop.name for loop in shared.exact}
    if kernel.listed is not None:
        return "its points are known at run time only"
    if exact & set(loops):
        return "which weights a point needs depends on other loops"
    free = {loop.name for loop in shared.flat if loop.name not in loops}
    for own in shared.exact:
        if own.names & free:
            free.add(own.name)
    if any(free.intersection(constraint.poly.names) for constraint in kernel.constraints):
        return "some of its points are left out"
    return Panels(tuple(loops.values()), columns(kernel, warps), floats, warps)


def columns(kernel: Kernel, warps: int) -> int:
    """How many panels the columns of a kernel make: a warp owns one column, several share 8."""
    return kernel.shape[-1] if warps == 1 else -(-kernel.shape[-1] // COLUMNS)


def _floats(found: Products) -> int:
    """Weights that a lane has of one column."""
    return sum(
        len(step.slots) * -(-factor.depth // LANES)
        for step in found.passes
        for factor in step.factors
    )


def _fragments(found: Products, math: MathType, warps: int) -> int:
    """Words that a lane has of 8 columns."""
    group = 2 if math in ("bf16", "fp16") else 1
    return sum(
        2 * len(step.slots) * fragments(factor.depth, group, warps)
        for step in found.passes
        for factor in step.factors
    )
