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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rnnc.placement import Home
from rnnc.plan.plan import Buffer, Kernel, Levels, Phase, Plan, Waves, kernels_of
from rnnc.weights import MathType

from ..tensorir.packing import PackLoop, Products, products
from .divided import constant_bounds, divided
from .steps import phases_of
from .tiles import BLOCK, COLUMNS, LANES, Tile, fragments

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

    def owners(self, room: int) -> int:
        """How many hold them all, with room for so many floats of each lane."""
        return -(-self.count // (room // self.floats))

    @property
    def bytes(self) -> int:
        return self.count * self.floats * self.warps * LANES * _FLOAT


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the weights of one kernel are.

    On the chip, the owners from `first` on have `each` panels, beginning at `start` in the
    registers of a lane, or in the shared memory of a block, where each warp has `room` for so many
    floats of each lane. `why` not on the chip.
    """

    kernel: str
    home: Home
    bytes: int
    panels: Panels | None = None
    first: int = 0
    each: int = 0
    start: int = 0
    room: int = 0
    why: str = ""

    @property
    def is_resident(self) -> bool:
        return self.home in ("registers", "shared")


@dataclass(frozen=True, slots=True)
class Residence:
    """How one loop stays on a chip: `blocks` of `threads` hold every weight that stays once, in so
    many `registers` of a thread and bytes of `shared` memory of a block. Without blocks, no weights
    stay."""

    variable: str
    threads: int
    blocks: int
    registers: int
    shared: int
    kernels: tuple[Placed, ...]

    def of(self, kernel: Kernel) -> Placed | None:
        """None: it has no products."""
        return next((placed for placed in self.kernels if placed.kernel == kernel.name), None)


def residences(plan: Plan, chip: Chip) -> tuple[Residence, ...]:
    """Of each loop of a plan that is one launch, in order."""
    return tuple(residence(step, plan, chip) for step in plan.steps if not isinstance(step, Phase))


def residence(step: Waves | Levels, plan: Plan, chip: Chip) -> Residence:
    """Phase after phase, each in registers if there is room, else in shared memory.

    The kernels of a phase run at once, so each has owners of its own; those of different phases
    share them all.
    """
    named = {buffer.name: buffer for buffer in plan.buffers}
    tensor = plan.math != "float32"
    owner = chip.warps if tensor else 1  # warps that share a panel
    owners = chip.warps // owner  # of a block
    most = chip.processors * owners
    most_shared = chip.shared - (scratch(step, named, chip) if tensor else 0)
    registers = shared = blocks = 0
    placed: list[Placed] = []
    for phase in phases_of((step,)):
        candidates: list[tuple[Kernel, Panels]] = []
        for kernel in phase.kernels:
            found = products(kernel, named, LANES)
            if found is None:
                continue
            floats = _fragments(found, plan.math, owner) if tensor else _floats(found)
            panels = panels_of(kernel, found, floats, owner)
            if isinstance(panels, str):
                weights = floats * owner * LANES * columns(kernel, owner) * _FLOAT
                placed.append(Placed(kernel.name, "cache", weights, why=panels))
            else:
                candidates.append((kernel, panels))
        while candidates:
            largest = max(candidates, key=lambda one: one[1].bytes)
            if len(candidates) > most:
                candidates.remove(largest)
                why = f"{most} owners of weights are too few for the products of its phase"
                placed.append(Placed(largest[0].name, "cache", largest[1].bytes, why=why))
                continue
            room = least_room([panels for _, panels in candidates], most)
            block = room * LANES * chip.warps
            if registers + room <= chip.weights:
                made = share("registers", candidates, room, registers)
                registers += room
            elif (shared + block) * _FLOAT <= most_shared:
                made = share("shared", candidates, room, shared)
                shared += block
            else:
                candidates.remove(largest)
                why = (
                    f"it takes {room} registers of a thread, which has {chip.weights - registers}"
                    f" left, or {block * _FLOAT:,} bytes of shared memory, where"
                    f" {most_shared - shared * _FLOAT:,} are left"
                )
                kernel, panels = largest
                placed.append(Placed(kernel.name, "cache", panels.bytes, why=why))
                continue
            placed += made
            used = sum(panels.owners(room) for _, panels in candidates)
            blocks = max(blocks, -(-used // owners))
            break
    if sum(one.bytes for one in placed if one.home == "cache") > chip.cache:
        placed = [replace(one, home="memory") if one.home == "cache" else one for one in placed]
    if blocks and not all(one.is_resident for one in placed):
        blocks = chip.processors  # those that own nothing read their part of the rest
    threads = chip.threads if blocks else BLOCK
    return Residence(step.variable, threads, blocks, registers, shared * _FLOAT, tuple(placed))


def least_room(panels: Sequence[Panels], owners: int) -> int:
    """Floats of a lane with which so many owners, one for each kernel or more, hold all panels."""
    room = max(own.floats for own in panels)
    while sum(own.owners(room) for own in panels) > owners:
        room += 1
    return room


def share(
    home: Home, kernels: Sequence[tuple[Kernel, Panels]], room: int, start: int
) -> list[Placed]:
    """Owners for each kernel of a phase, one behind the other."""
    first = 0
    found: list[Placed] = []
    for kernel, panels in kernels:
        each = room // panels.floats
        found.append(Placed(kernel.name, home, panels.bytes, panels, first, each, start, room))
        first += panels.owners(room)
    return found


def scratch(step: Waves | Levels, buffers: Mapping[str, Buffer], chip: Chip) -> int:
    """Bytes of shared memory that tensor cores need for their sums, kernel after kernel."""
    made = (products(kernel, buffers, LANES) for kernel in kernels_of((step,)))
    own = Tile(chip.warps)
    return max((own.memory(found) for found in made if found is not None), default=0)


def panels_of(kernel: Kernel, found: Products, floats: int, warps: int) -> Panels | str:
    """The panels of a kernel with products, or why nobody can own any."""
    loops: dict[str, PackLoop] = {}
    for step in found.passes:
        for factor in step.factors:
            for loop in factor.loops:
                known = loops.get(loop.name, loop)
                lower, upper = max(known.lower, loop.lower), min(known.upper, loop.upper)
                loops[loop.name] = PackLoop(loop.name, lower, upper)
    for own in kernel.loops:
        if own.name in loops:
            known = loops[own.name]
            begins, ends = constant_bounds(own)
            lower = known.lower if begins is None else max(known.lower, begins)
            upper = known.upper if ends is None else min(known.upper, ends)
            loops[own.name] = PackLoop(own.name, lower, max(lower, upper))
    shared = divided(kernel)
    exact = {loop.name for loop in shared.exact}
    if not all(loop.lower < loop.upper for loop in loops.values()):
        return "it has no points"
    if not floats or not kernel.shape[-1]:
        return "it multiplies nothing"
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
