"""What the capacity model decides of a plan, for `rnnc explain`."""

from __future__ import annotations

from collections.abc import Iterator

from rnnc.placement import PlacedProduct, Placement, Placements
from rnnc.plan.plan import Kernel, Levels, Phase, Plan, Waves, kernels_of

from ..tensorir.packing import PackLoop, Products, products
from .capacity import Chip, residence
from .crowds import crowd, crowd_of_launch
from .tiles import BLOCK, LANES, PLAIN_ROWS, Tile


def placements(plan: Plan, chip: Chip) -> Placements:
    """Steps that have products, in order."""
    return Placements(chip.name, tuple(_steps(plan, chip)))


def _steps(plan: Plan, chip: Chip) -> Iterator[Placement]:
    named = {buffer.name: buffer for buffer in plan.buffers}
    for step in plan.steps:
        if not isinstance(step, Phase):
            yield _loop(plan, step, chip)
            continue
        for kernel in step.kernels:
            found = products(kernel, named, LANES)
            if found is not None:
                yield _launch(plan, kernel, found, chip)


def _launch(plan: Plan, kernel: Kernel, found: Products, chip: Chip) -> Placement:
    width = 2 if plan.math in ("bf16", "fp16") else 4
    size = width * sum(
        gate.rows * gate.columns * _points(factor.loops)
        for step in found.passes
        for factor in step.factors
        for gate in factor.gates
    )
    why = f"read once for every {PLAIN_ROWS} rows"
    if plan.math != "float32":
        why = str(Tile(BLOCK // LANES))
    many = crowd_of_launch(kernel, found, plan.math, chip)
    if many is not None:
        why = f"{many.tiles[kernel.name]}; below {many.rows} rows, {why}"
    product = PlacedProduct(kernel.name, _weights(found), "cache", size, plan.math, why)
    reason = "all points at once"
    return Placement(_computed((kernel,)), "launches", None, BLOCK, reason, (product,))


def _loop(plan: Plan, step: Waves | Levels, chip: Chip) -> Placement:
    own = residence(step, plan, chip)
    named = {buffer.name: buffer for buffer in plan.buffers}
    held: list[PlacedProduct] = []
    for kernel in kernels_of((step,)):
        found, one = products(kernel, named, LANES), own.of(kernel)
        if found is not None and one is not None:
            weights = _weights(found)
            held.append(
                PlacedProduct(kernel.name, weights, one.home, one.bytes, plan.math, one.why)
            )
    many = crowd(step, plan, own, chip)
    if not held:
        reason = "it has no products"
    elif own.blocks:
        reason = "so many hold the weights; several such groups share the batch"
    else:
        reason = "no weights stay on the chip"
    if many is not None:
        tiles = ", ".join(dict.fromkeys(f"{t.rows} x {t.columns}" for t in many.tiles.values()))
        reason += f"; from {many.rows} rows on, tiles of {tiles}"
    computed = _computed(tuple(kernels_of((step,))))
    return Placement(computed, "persistent", own.blocks or None, own.threads, reason, tuple(held))


def _weights(found: Products) -> tuple[str, ...]:
    """The parameters, each once."""
    gates = (gate for step in found.passes for f in step.factors for gate in f.gates)
    return tuple(dict.fromkeys(gate.param for gate in gates))


def _points(loops: tuple[PackLoop, ...]) -> int:
    count = 1
    for loop in loops:
        count *= loop.upper - loop.lower
    return count


def _computed(kernels: tuple[Kernel, ...]) -> tuple[str, ...]:
    """The buffers that are stored, each once, in order."""
    stores = (store.buffer for kernel in kernels for store in (*kernel.stores, *kernel.last))
    return tuple(dict.fromkeys(stores))
