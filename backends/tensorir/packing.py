"""How the products of a kernel are tiled, and the packed weights that this asks for.

The products of a kernel whose results are only added up share one accumulator (a *slot*). Slots
that are fed by the same vectors form a *pass*: one loop over k for all of them. A pass packs, for
each vector, its slots' weight rows side by side: [tile][k][slot][lane].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.ir.poly import Poly
from rnnc.plan import expression as ex
from rnnc.plan.plan import Buffer, Kernel
from rnnc.weights import PackType

from .tiling import Shape, Tiling, Tilings, tiling

VectorKey = tuple[object, ...]

_MOST_VECTORS = 6  # accumulator vectors of one pass and row: leaves room for at least three rows


@dataclass(frozen=True, slots=True)
class PackLoop:
    """A kernel loop on which the weights depend, with the range that is packed."""

    name: str
    lower: int
    upper: int


@dataclass(frozen=True, slots=True)
class Factor:
    """One vector of a pass and the packed weights that multiply it: a gate for each slot.

    For one row, weights are asked for `prefetch` rows of words ahead.
    """

    pack: str
    loops: tuple[PackLoop, ...]
    vector: ex.Load
    contraction: str
    gates: tuple[ex.Weight, ...]
    prefetch: int

    @property
    def depth(self) -> int:
        return self.gates[0].columns

    @property
    def key(self) -> VectorKey:
        """Equal for factors that multiply the same values."""
        return vector_key(self.vector, self.contraction, self.depth)


@dataclass(frozen=True, slots=True)
class Pass:
    slots: tuple[str, ...]
    factors: tuple[Factor, ...]


@dataclass(frozen=True, slots=True)
class Products:
    """All products of a kernel, of `shape`; `skipped` are the defines that the accumulators stand
    for."""

    passes: tuple[Pass, ...]
    shape: Shape
    tiling: Tiling
    skipped: frozenset[str]

    @property
    def width(self) -> int:
        """Vectors a slot of one tile."""
        return self.tiling.width

    @property
    def tiles(self) -> int:
        return self.shape.vectors // self.width

    @property
    def lanes(self) -> int:
        return self.shape.lanes

    @property
    def columns(self) -> int:
        """Columns of one tile."""
        return self.width * self.lanes


def products(
    kernel: Kernel,
    buffers: Mapping[str, Buffer],
    lanes: int,
    weights: PackType = "float32",
    exceptions: Tilings = (),
) -> Products | None:
    """The products of a kernel, or None if it has none; tiled by default but for `exceptions`."""
    sums = accumulated(kernel)
    if not sums.terms:
        return None
    groups: dict[tuple[VectorKey, ...], list[str]] = {}
    for slot, terms in sums.terms.items():
        key = tuple(vector_key(one.vector, one.contraction, one.weight.columns) for one in terms)
        groups.setdefault(key, []).append(slot)
    depths = tuple(
        tuple(contract.weight.columns for contract in sums.terms[slots[0]])
        for slots in groups.values()
    )
    counts = tuple(len(slots) for slots in groups.values())
    shape = Shape(counts, depths, kernel.shape[-1], weights, lanes)
    chosen = tiling(shape, exceptions)
    most = max(1, _MOST_VECTORS // chosen.width)
    ahead = iter(chosen.prefetch)
    passes: list[Pass] = []
    for slots in groups.values():
        prefetch = [next(ahead) for _ in sums.terms[slots[0]]]
        for start in range(0, len(slots), most):
            part = tuple(slots[start : start + most])
            name = f"{kernel.name}.{len(passes)}"
            passes.append(Pass(part, tuple(factors(part, sums.terms, buffers, name, prefetch))))
    return Products(tuple(passes), shape, chosen, frozenset(sums.skipped))


@dataclass(slots=True)
class Sums:
    """Sums of products by the define that holds them, and all defines that they stand for."""

    terms: dict[str, list[ex.Contract]]
    skipped: set[str]


def accumulated(kernel: Kernel) -> Sums:
    """Products, and sums of products that nobody else reads: accumulators of the kernel."""
    uses: dict[str, int] = {}
    for define in kernel.defines:
        for inner in ex.walk(define.value):
            if isinstance(inner, ex.Local):
                uses[inner.name] = uses.get(inner.name, 0) + 1
    for store in kernel.stores:
        uses[store.value] = uses.get(store.value, 0) + 1
    sums = Sums({}, set())
    for define in kernel.defines:
        match define.value:
            case ex.Contract():
                sums.terms[define.name] = [define.value]
                sums.skipped.add(define.name)
            case ex.Apply("add", (ex.Local(left, _), ex.Local(right, _))):
                if left in sums.terms and right in sums.terms and uses[left] == uses[right] == 1:
                    sums.terms[define.name] = sums.terms.pop(left) + sums.terms.pop(right)
                    sums.skipped.add(define.name)
    return sums


def vector_key(vector: ex.Load, contraction: str, depth: int) -> VectorKey:
    """Equal for products that multiply the same `depth` values."""
    last = vector.element[-1]
    assert isinstance(last, Poly)
    start = last - Poly.of(contraction)
    return (vector.buffer, vector.index, vector.element[:-1], start, depth)


def factors(
    slots: tuple[str, ...],
    sums: Mapping[str, list[ex.Contract]],
    buffers: Mapping[str, Buffer],
    name: str,
    prefetch: Sequence[int],
) -> Iterator[Factor]:
    for number, first in enumerate(sums[slots[0]]):
        gates = tuple(sums[slot][number].weight for slot in slots)
        loops = pack_loops(gates, buffers)
        pack = f"{name}.{number}"
        yield Factor(pack, loops, first.vector, first.contraction, gates, prefetch[number])


def pack_loops(gates: tuple[ex.Weight, ...], buffers: Mapping[str, Buffer]) -> tuple[PackLoop, ...]:
    """The loops on which any gate's weights depend."""
    found: dict[str, PackLoop] = {}
    for weight in gates:
        buffer = buffers[weight.param]
        ranges = [(dim.lower.constant, dim.upper.constant) for dim in buffer.dims]
        ranges += [(0, size) for size in buffer.shape[: len(weight.leading)]]
        entries = (*weight.index, *weight.leading)
        for entry, (lower, upper) in zip(entries, ranges, strict=True):
            if entry.constant is not None:
                continue
            [name] = entry.names if len(entry.names) == 1 else [""]
            offset = (entry - Poly.of(name)).constant if name else None
            if offset is None or lower is None or upper is None:
                message = f"weights of '{weight.param}' at an index that is no plain dim: '{entry}'"
                raise DiagnosticError([Diagnostic("RNN703", message)])
            known = found.get(name)
            low, high = lower - offset, upper - offset
            if known is not None:
                low, high = max(low, known.lower), min(high, known.upper)
            found[name] = PackLoop(name, low, high)
    return tuple(found.values())
