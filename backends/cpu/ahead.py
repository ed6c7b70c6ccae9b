"""What follows the products of a row reads vectors that nobody read before: the products of a whole
sequence, the states of other steps. They are asked for before the products, which take longer than
memory does to answer:

    for row in tile: place it; ask for what its epilogue reads
    multiply the tile
    for row in tile: epilogue
"""

from __future__ import annotations

from dataclasses import replace

from rnnc.ir.poly import Poly
from rnnc.plan import expression as ex
from rnnc.plan.plan import Kernel

from ..tensorir.elements import Emitter
from ..tensorir.packing import Products
from ..tensorir.tir import Expr, int64

# Values of the vectors that a tile multiplies, from which on it is worth asking: rows of models of
# fewer units are mostly in the cache, and asking costs 1 % where it gains nothing.
_LONG = 192


def ask_for_reads(emitter: Emitter, kernel: Kernel, found: Products, column: Expr) -> None:
    """Prefetches of the vectors that the epilogue of a column tile reads, from `column` on.

    Parameters are left out: all rows read the same ones.
    """
    if sum(depth for group in found.shape.depths for depth in group) < _LONG:
        return
    b, axis = emitter.b, ex.element(len(kernel.shape) - 1)
    for access in vectors_read(kernel, found.skipped):
        place = emitter.layout.places[access.buffer]
        if place.plan.role == "param" or not is_known(access, {*emitter.env, axis}):
            continue
        with b.loop(0, found.width, name="u") as u:
            here = {**emitter.env, axis: column + u * int64(found.lanes)}
            b.prefetch(place.memory, replace(emitter, env=here).offset(place, access))


def vectors_read(kernel: Kernel, skipped: frozenset[str]) -> tuple[ex.Load, ...]:
    """The distinct loads whose neighbouring lanes are neighbours in memory."""
    last = Poly.of(ex.element(len(kernel.shape) - 1))
    found: dict[ex.Load, None] = {}
    for define in kernel.defines:
        if define.name in skipped:
            continue
        for inner in ex.walk(define.value):
            if isinstance(inner, ex.Load) and inner.element and inner.element[-1] == last:
                found[inner] = None
    return tuple(found)


def is_known(access: ex.Load, names: set[str]) -> bool:
    """Whether the place is an affine one of these variables, so that asking costs little."""
    return all(
        isinstance(entry, Poly) and names.issuperset(entry.names)
        for entry in (*access.index, *access.element)
    )
