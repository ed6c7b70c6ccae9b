"""Which buffers a kernel touches."""

from __future__ import annotations

from rnnc.plan import expression as ex
from rnnc.plan.plan import Kernel


def buffers_of(kernel: Kernel) -> list[str]:
    """What it loads and stores, packed weights aside; sorted."""
    found = {
        inner.buffer
        for expression in kernel.expressions
        for inner in ex.walk(expression)
        if isinstance(inner, ex.Load)
    }
    found |= {store.buffer for store in (*kernel.stores, *kernel.last)}
    return sorted(found)
