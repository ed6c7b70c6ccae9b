"""What a compiled library says of itself: the contract between backends and the runtime.

The library has the functions of its C header, which `rnnc compile --emit c-library` writes
(docs/c.md). A phase with fewer multiply-adds than `int64_t rnnc_worth_sharing` is left to one
thread if it is in a loop, and a call with fewer than `int64_t rnnc_worth_a_thread` altogether; both
are variables of the library, with their names in a `.rnnlib`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rnnc.runtime.records import decode
from rnnc.weights import PackType, WeightType

ABI = 7
ALIGNMENT = 64

Affine = Mapping[str, int]  # coefficient by name; the constant under ""
DType = Literal["real", "int", "bool"]
Static = int | float | bool | str


@dataclass(frozen=True, slots=True)
class PortDim:
    """A grid axis of an array: a fixed `size`, or `extent + offset` of a run-time extent."""

    name: str
    size: int | None
    extent: str | None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output: grid axes (those of run-time extents last), the batch, then `shape`.

    `lowers` is the grid index at which each grid axis begins. `range` is the half-open interval of
    int values: affine in the grid indices and extents.
    """

    name: str
    dtype: DType
    dims: tuple[PortDim, ...]
    shape: tuple[int, ...]
    default: float | None
    range: tuple[Affine, Affine] | None
    lowers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """A parameter for all its points: `paths` and the box of static dims that they fill.

    Stored as [*upper-lower of dims, *shape], the last axis padded to `padded` elements. `range` is
    the half-open interval of int values: affine in the dims. `initial` is how the source says that
    it begins, "" if it does not.
    """

    template: str
    dtype: DType
    dims: tuple[tuple[str, int, int], ...]
    points: tuple[tuple[int, ...], ...]
    paths: tuple[str, ...]
    shape: tuple[int, ...]
    padded: int
    range: tuple[Affine, Affine] | None
    initial: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A result of the preparation: stored as a parameter is, and used like one."""

    dtype: DType
    dims: tuple[tuple[str, int, int], ...]
    shape: tuple[int, ...]
    padded: int


@dataclass(frozen=True, slots=True)
class Block:
    """rows x columns of a stored array's last two axes (transposed: of their transpose).

    `index` selects the point, `leading` the leading axes.
    """

    stored: int
    index: tuple[Affine, ...]
    leading: tuple[Affine, ...]
    row: int
    rows: int
    column: int
    columns: int
    transposed: bool


@dataclass(frozen=True, slots=True)
class Pack:
    """Weights laid out for a kernel: [*loops, tiles, ceil(depth / group), gates, lanes, group].

    Row `tile*lanes + lane`, column k of gate g stands at [tile, k // group, g, lane, k % group];
    rows beyond the block's and columns beyond `depth` are zero. Stored as `type`: bf16 is the upper
    half of a float32, fp16 IEEE's binary16; of int8 one more step holds the scale of each row, a
    float32 in place of the four weights of a group. sparse packs have a layout of their own
    (sparse.h in the runtime of the CPU), with vectors of `vector` rows and windows of `window`
    values; vectors with more than `listed` steps for each k are stored whole.
    """

    loops: tuple[tuple[str, int, int], ...]
    gates: tuple[Block, ...]
    tiles: int
    depth: int
    lanes: int
    type: PackType
    group: int
    vector: int
    window: int
    listed: float


@dataclass(frozen=True, slots=True)
class Preparation:
    """What runs once, when parameters are bound: it takes `weights` and `packs`."""

    results: tuple[Prepared, ...]
    weights: tuple[int, ...]
    packs: tuple[Pack, ...]


@dataclass(frozen=True, slots=True)
class StepPorts:
    """What a stream takes and gives at each step, and the inputs that decide how it begins."""

    start: tuple[Port, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class TargetInfo:
    """What the library was made for: LLVM's names; `features` must be in the loading processor."""

    triple: str
    cpu: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """`rnnc` is the version that made it; names of the C interface begin with `prefix`, and callers
    give the number `interface`; `sizes` are the statics of `model`, numbers or text;
    `weight_type` is the type of the packs of a call but for weights with a mask. Kernels take rows
    of one length only in the extents of `shared_ends`, each with the variable that is cut before
    its end.

    Stored arrays are numbered: the parameters, then the results of the preparation. A call takes
    those of `weights`, and `packs`. `tuned` says which products are tiled as `rnnc tune` found.
    Without `steps` the library has no streams, and `no_steps` says why. `embedded`: weights are in
    it.
    """

    abi: int
    rnnc: str
    model: str
    prefix: str
    interface: int
    sizes: Mapping[str, Static]
    source_sha256: str
    target: TargetInfo
    weight_type: WeightType
    extents: tuple[str, ...]
    shared_ends: Mapping[str, str]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    parameters: tuple[ParameterSpec, ...]
    preparation: Preparation | None
    weights: tuple[int, ...]
    packs: tuple[Pack, ...]
    tuned: tuple[str, ...]
    steps: StepPorts | None
    no_steps: str
    embedded: bool

    @property
    def stored(self) -> tuple[ParameterSpec | Prepared, ...]:
        """All stored arrays, by number."""
        results = () if self.preparation is None else self.preparation.results
        return (*self.parameters, *results)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @staticmethod
    def from_json(text: str) -> Manifest:
        """Raises ValueError where the text is no manifest, with the place."""
        return decode(Manifest, json.loads(text))


def affine(form: Affine, values: Mapping[str, int]) -> int:
    """The value of an affine form."""
    return sum(value * (values[name] if name else 1) for name, value in form.items())
