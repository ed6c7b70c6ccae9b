"""What a compiled library says of itself: the contract between backends and the runtime.

C interface of the library, for a manifest of ABI 1:

    int32_t rnnc_forward(const rnnc_runtime *runtime, int32_t threads, void *const *pointers,
                         const int64_t *sizes);
    int64_t rnnc_workspace_bytes(const int64_t *sizes);

`pointers`: inputs, outputs, parameters, packs, lengths (int32 [batch] for each extent), workspace,
each in the order of the manifest. `sizes`: extents, batch, then for each input and output the
strides of its grid dims and its batch, in elements; value axes are contiguous. Parameters, packs
and workspace are aligned to 64 bytes. real is float32, int is int32, bool is one byte.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass

ABI = 1
ALIGNMENT = 64

Affine = Mapping[str, int]  # coefficient by name; the constant under ""


@dataclass(frozen=True, slots=True)
class PortDim:
    """A grid axis of an array: a fixed `size`, or `extent + offset` of a run-time extent."""

    name: str
    size: int | None
    extent: str | None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output: grid axes, then the batch, then `shape`.

    `range` is the half-open interval of int values: affine in the grid indices and extents.
    """

    name: str
    dtype: str
    dims: tuple[PortDim, ...]
    shape: tuple[int, ...]
    default: float | None = None
    range: tuple[Affine, Affine] | None = None
    lowers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """A parameter for all its points: `paths` and the box of static dims that they fill.

    Stored as [*upper-lower of dims, *shape], the last axis padded to `padded` elements.
    """

    template: str
    dtype: str
    dims: tuple[tuple[str, int, int], ...]
    points: tuple[tuple[int, ...], ...]
    paths: tuple[str, ...]
    shape: tuple[int, ...]
    padded: int
    initial: str


@dataclass(frozen=True, slots=True)
class Block:
    """rows x columns of a parameter's last two axes (transposed: of their transpose).

    `index` selects the point of the parameter, `leading` its leading axes.
    """

    parameter: int
    index: tuple[Affine, ...]
    leading: tuple[Affine, ...]
    row: int
    rows: int
    column: int
    columns: int
    transposed: bool


@dataclass(frozen=True, slots=True)
class Pack:
    """Weights laid out for a kernel: float32 [*loops, tiles, depth, gates, lanes].

    Row `tile*lanes + lane`, column k of gate g stands at [tile, k, g, lane]; rows beyond the
    block's are zero.
    """

    loops: tuple[tuple[str, int, int], ...]
    gates: tuple[Block, ...]
    tiles: int
    depth: int
    lanes: int


@dataclass(frozen=True, slots=True)
class TargetInfo:
    """What the library was made for; `features` must be in the loading processor."""

    triple: str
    cpu: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    abi: int
    rnnc: str
    model: str
    target: TargetInfo
    library_sha256: str
    extents: tuple[str, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    parameters: tuple[ParameterSpec, ...]
    packs: tuple[Pack, ...]

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @staticmethod
    def from_json(text: str) -> Manifest:
        """Raises ValueError, KeyError or TypeError where the text is no manifest."""
        data = json.loads(text)
        return Manifest(
            data["abi"],
            _text(data["rnnc"]),
            _text(data["model"]),
            TargetInfo(**{**data["target"], "features": tuple(data["target"]["features"])}),
            _text(data["library_sha256"]),
            tuple(_text(name) for name in _list(data["extents"])),
            tuple(_port(port) for port in data["inputs"]),
            tuple(_port(port) for port in data["outputs"]),
            tuple(_parameter(spec) for spec in data["parameters"]),
            tuple(_pack(pack) for pack in data["packs"]),
        )


def affine(form: Affine, values: Mapping[str, int]) -> int:
    """The value of an affine form."""
    return sum(value * (values[name] if name else 1) for name, value in form.items())


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _port(data: dict) -> Port:  # type: ignore[type-arg]
    span = data["range"]
    return Port(
        data["name"],
        data["dtype"],
        tuple(PortDim(**dim) for dim in data["dims"]),
        tuple(data["shape"]),
        data["default"],
        None if span is None else (span[0], span[1]),
        tuple(data["lowers"]),
    )


def _parameter(data: dict) -> ParameterSpec:  # type: ignore[type-arg]
    return ParameterSpec(
        data["template"],
        data["dtype"],
        tuple((name, lower, upper) for name, lower, upper in data["dims"]),
        tuple(tuple(point) for point in data["points"]),
        tuple(data["paths"]),
        tuple(data["shape"]),
        data["padded"],
        data["initial"],
    )


def _pack(data: dict) -> Pack:  # type: ignore[type-arg]
    gates = tuple(
        Block(**{**gate, "index": tuple(gate["index"]), "leading": tuple(gate["leading"])})
        for gate in data["gates"]
    )
    loops = tuple((name, lower, upper) for name, lower, upper in data["loops"])
    return Pack(loops, gates, data["tiles"], data["depth"], data["lanes"])
