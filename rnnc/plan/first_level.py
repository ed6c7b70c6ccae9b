"""What is zero at the first level of a recurrence along index arrays.

    state h[n in -1..N];  h[-1] = 0;  for w in levels: a[n] = h[left[n]]; h[n] = ... W @ a[n] ...

Points of the first level read nothing that another level computed: all that they read along index
arrays stands outside of the points. Where that is zero its copies are, and products of them are
not worth computing (of finite weights they are zero).
"""

from __future__ import annotations

from collections.abc import Mapping

from rnnc.ir.poly import Poly
from rnnc.plan.expression import Apply, Constant, Expression, Load
from rnnc.plan.plan import Kernel, Levels, Plan, kernels_of


def zero_at_first_level(plan: Plan, levels: Levels) -> frozenset[str]:
    """The buffers that are zero at the points of level 0, each stored at its own point by one
    kernel of the body."""
    body = tuple(kernels_of(levels.body))
    names = {kernel.name for kernel in body}
    outside = tuple(kernel for kernel in plan.kernels if kernel.name not in names)
    own = {store.buffer for kernel in body for store in kernel.stores}
    zero = own - {name for kernel in outside for name in not_zero(kernel)}
    stored = [store.buffer for kernel in plan.kernels for store in kernel.stores]
    return frozenset(
        buffer
        for kernel in body
        if kernel.listed == levels.dim
        for buffer in copies(kernel, levels.dim, zero)
        if stored.count(buffer) == 1
    )


def not_zero(kernel: Kernel) -> set[str]:
    """The buffers in which a kernel stores something else than zero."""
    values = values_of(kernel)
    stores = [(store.buffer, values.get(store.value)) for store in (*kernel.stores, *kernel.last)]
    return {buffer for buffer, value in stores if not is_zero(value)}


def is_zero(value: Expression | None) -> bool:
    match value:
        case Constant(number, _):
            return number == 0
        case Apply("cast", (Constant(number, _),)):
            return number == 0
    return False


def copies(kernel: Kernel, dim: str, zero: set[str]) -> list[str]:
    """What a kernel stores at its point as it was read along an index array."""
    values = values_of(kernel)
    return [
        store.buffer
        for store in kernel.stores
        if Poly.of(dim) in store.index and is_read(values[store.value], zero)
    ]


def is_read(value: Expression, zero: set[str]) -> bool:
    match value:
        case Apply("cast", (Load(buffer=buffer, index=index),)):
            return buffer in zero and any(not isinstance(entry, Poly) for entry in index)
    return False


def values_of(kernel: Kernel) -> Mapping[str, Expression]:
    return {define.name: define.value for define in kernel.defines}
