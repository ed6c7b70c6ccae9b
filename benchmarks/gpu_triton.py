"""A linear scan as one writes it in Triton: chunks of steps by `associative_scan`, one by one. The
fastest of a few sizes of chunks is taken."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _combine(a, x, b, y):  # type: ignore[no-untyped-def]
    return a * b, b * x + y


@triton.autotune(  # type: ignore[untyped-decorator, unused-ignore]
    [
        triton.Config({"CHUNK": chunk, "LANES": lanes}, num_warps=warps)
        for chunk, lanes, warps in ((64, 32, 4), (32, 64, 4), (128, 32, 8), (128, 16, 4))
    ],
    key=["steps", "width"],
)
@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _scan(  # type: ignore[no-untyped-def]
    a, b, y, steps, width, CHUNK: tl.constexpr, LANES: tl.constexpr
):
    lane = tl.program_id(0) * LANES + tl.arange(0, LANES)
    last = (tl.arange(0, CHUNK) == CHUNK - 1)[:, None]
    h = tl.zeros([LANES], tl.float32)
    for start in range(0, steps, CHUNK):
        t = start + tl.arange(0, CHUNK)
        place = t[:, None] * width + lane[None, :]
        inside = (t[:, None] < steps) & (lane[None, :] < width)
        decay = tl.load(a + place, inside, other=1.0)
        value = tl.load(b + place, inside, other=0.0)
        decay, value = tl.associative_scan((decay, value), 0, _combine)
        value += decay * h[None, :]
        tl.store(y + place, value, inside)
        h = tl.sum(tl.where(last, value, 0.0), 0)


def scan(a: Any, b: Any) -> Any:
    """h[t] = a[t] * h[t-1] + b[t], for contiguous tensors [T, ...]."""
    y = torch.empty_like(b)
    width = b[0].numel()
    _scan[lambda chosen: (triton.cdiv(width, chosen["LANES"]),)](a, b, y, b.shape[0], width)
    return y
