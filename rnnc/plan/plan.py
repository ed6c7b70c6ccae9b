"""The scheduled program that every backend reads; target-independent.

A plan is a list of steps over named buffers. `Phase`: kernels that may run at once, then a barrier.
`Waves`: the steps of the body once for every value of the wave variable. All threads walk the same
steps; a kernel's points, rows and columns are shared out by the backend.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rnnc.analysis.wave import Bound, WaveLoop
from rnnc.diagnostics import Span
from rnnc.ir.domain import Constraint, Domain
from rnnc.ir.poly import Poly
from rnnc.ir.types import DType
from rnnc.plan.expression import Expression
from rnnc.weights import MathType, WeightType

Role = Literal["input", "output", "param", "state"]


@dataclass(frozen=True, slots=True)
class BufferDim:
    """A grid dim of a buffer: indices lower..upper-1 are stored (margins outside the box included).

    `extent` names the run-time extent that ends the dim's box, if any. With `slots`, index i lives
    at position `(i - lower) % slots`, else at `i - lower`. If the dim is `held`, nothing is written
    for a row from its own length on: what it wrote last stays.
    """

    name: str
    lower: Poly
    upper: Poly
    extent: str | None
    slots: int | None = None
    held: bool = False

    @property
    def stored(self) -> Poly:
        """How many positions there are."""
        return self.upper - self.lower if self.slots is None else Poly.of(self.slots)


@dataclass(frozen=True, slots=True)
class Buffer:
    """Storage, row-major over: dims in order, then the batch (if `batched`), then `shape`.

    Inputs and outputs have the caller's strides; params and states are the plan's own, and a
    backend may pad their last axis. Of `masked` weights many are expected to be zero: a backend may
    leave these out.
    """

    name: str
    role: Role
    dtype: DType
    dims: tuple[BufferDim, ...]
    batched: bool
    shape: tuple[int, ...]
    masked: bool = False


@dataclass(frozen=True, slots=True)
class Define:
    """Computes one element of each point, row and element index of the kernel."""

    name: str
    value: Expression
    dtype: DType


@dataclass(frozen=True, slots=True)
class Store:
    """Writes a defined value: `index` for each dim of the buffer, `element` for each axis."""

    value: str
    buffer: str
    index: tuple[Poly, ...]
    element: tuple[Poly, ...]


@dataclass(frozen=True, slots=True)
class Carry:
    """A value that a chain hands from point to point, read as `Local(name)`.

    At a chain's first point it is `first`, later what the define `value` was at the point before.
    """

    name: str
    first: Expression
    value: str
    dtype: DType


@dataclass(frozen=True, slots=True)
class Kernel:
    """All `defines`, in order, at every point of the loops, for every row, for every element.

    Different points, rows and elements are independent, and `constraints` are tested at each point.
    But the loops from the one named `serial` on, if any, run in order: all their points, for one
    row and element at the same outer point, are a *chain*. Chains are independent; inside one, what
    is stored at a point may be loaded at later ones. After its last point a chain stores what it
    carries, as `last` says. Inside `Levels`, the dim `listed` has no loop: the kernel runs at the
    points and rows of the level.
    """

    name: str
    loops: tuple[WaveLoop, ...]
    constraints: tuple[Constraint, ...]
    batched: bool
    shape: tuple[int, ...]
    defines: tuple[Define, ...]
    stores: tuple[Store, ...]
    spans: tuple[Span, ...] = ()
    serial: str | None = None
    carries: tuple[Carry, ...] = ()
    last: tuple[Store, ...] = ()
    listed: str | None = None

    @property
    def independent(self) -> tuple[WaveLoop, ...]:
        """The loops whose points are independent: those outside `serial`."""
        names = [loop.name for loop in self.loops]
        return self.loops if self.serial is None else self.loops[: names.index(self.serial)]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """All that it evaluates."""
        return (*(d.value for d in self.defines), *(carry.first for carry in self.carries))


@dataclass(frozen=True, slots=True)
class Phase:
    """`follows`: no row of a kernel needs more of the phases before than its own row of them
    (plan.rows); a backend may do with it without a barrier."""

    kernels: tuple[Kernel, ...]
    follows: bool = False


def ended(variable: str) -> str:
    """The name of the first wave that is left out when a loop of waves ends early."""
    return f"{variable}.end"


@dataclass(frozen=True, slots=True)
class Until:
    """Ends a loop of waves early: behind wave w, if there are points of the loops for w - `delay`
    and buffer[index] is `value` at all of them in all rows.

    A row does not count at points beyond its own length of an extent (`limits`: dim, extent), but
    has not stopped there where these come first (`begins`). Then
    `rest` runs once instead of the waves from `ended(variable)` on, which its loops may name. The
    buffer keeps what is tested until all tasks have met again.
    """

    buffer: str
    index: tuple[Poly, ...]
    value: bool
    delay: int
    loops: tuple[WaveLoop, ...]
    limits: tuple[tuple[str, str], ...]
    begins: tuple[tuple[str, str], ...]
    rest: Phase = Phase(())


@dataclass(frozen=True, slots=True)
class Waves:
    """`body` for variable = 0 .. count-1, in order; fewer times if `until` says so."""

    variable: str
    count: Bound
    body: tuple[Step, ...]
    until: Until | None = None


@dataclass(frozen=True, slots=True)
class Levels:
    """`body` for variable = 0, 1, ... as long as there are points of that level.

    The points are 0 <= dim < upper of every row, up to the row's own length of `extent`. Buffer
    `level` holds their levels. The int buffers `points`, `rows` and `ends` are filled before the
    body runs: points and rows sorted by level, and where each level ends among them; at last the
    number of levels.
    """

    variable: str
    dim: str
    upper: Poly
    extent: str | None
    level: str
    points: str
    rows: str
    ends: str
    body: tuple[Step, ...]


Step = Phase | Waves | Levels


@dataclass(frozen=True, slots=True)
class Argument:
    """An input or output of the compiled model, as the user sees it."""

    name: str
    buffer: str
    default: float | None  # of an input that may be left out
    range: tuple[Poly, Poly] | None  # of an int input: checked when called


@dataclass(frozen=True, slots=True)
class Parameter:
    """One param node: its path template (`lstm[l].W_i`) over the points of `domain`.

    The domain's dims are those of the buffer; it may lack points of the buffer's box.
    """

    path: str
    buffer: str
    initial: str
    domain: Domain
    range: tuple[Poly, Poly] | None  # of an int parameter: checked when bound


@dataclass(frozen=True, slots=True)
class Plan:
    """`extents` are the run-time extents in the order in which the entry point takes them.

    `preparation` runs once, when parameters are bound: a plan without inputs and extents. Each of
    its outputs, computed for one row, is the `param` buffer of that name here. `parameters` are
    what the user gives: buffers of this plan, of its preparation, or of both. `weights` is the type
    in which packed weights are stored, `math` that of a product's operands. Rows of a call may not
    differ in the extents of `shared_ends`, each of which has the variable beside it that is cut
    before its end.
    """

    name: str
    extents: tuple[str, ...]
    buffers: tuple[Buffer, ...]
    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    parameters: tuple[Parameter, ...]
    steps: tuple[Step, ...]
    preparation: Plan | None = None
    weights: WeightType = "float32"
    math: MathType = "float32"
    shared_ends: tuple[tuple[str, str], ...] = ()

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """All kernels, in order."""
        return tuple(kernels_of(self.steps))

    def buffer(self, name: str) -> Buffer:
        return next(buffer for buffer in self.buffers if buffer.name == name)


def kernels_of(steps: tuple[Step, ...]) -> Iterator[Kernel]:
    for step in steps:
        if isinstance(step, Phase):
            yield from step.kernels
        else:
            yield from kernels_of(step.body)
        if isinstance(step, Waves) and step.until is not None:
            yield from step.until.rest.kernels
