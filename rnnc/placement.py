"""Where a compiled plan runs on a device, and where its weights are while it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rnnc.weights import MathType

Level = Literal["launches", "persistent"]
Home = Literal["registers", "shared", "cache", "memory"]


@dataclass(frozen=True, slots=True)
class PlacedProduct:
    """The products of one kernel: `size` bytes of its `weights` in their `home`, and the reason for
    it; `math` is the type of both operands."""

    kernel: str
    weights: tuple[str, ...]
    home: Home
    size: int
    math: MathType
    why: str


@dataclass(frozen=True, slots=True)
class Placement:
    """One step of a plan on a device: what it computes (buffers), and how.

    launches: kernel after kernel. persistent: one launch for all steps of a loop, of `blocks` of
    `threads`; None where the number of blocks depends on how many rows there are.
    """

    computes: tuple[str, ...]
    level: Level
    blocks: int | None
    threads: int
    why: str
    products: tuple[PlacedProduct, ...]


@dataclass(frozen=True, slots=True)
class Placements:
    """All steps of a plan, made for the devices that are named."""

    device: str
    steps: tuple[Placement, ...]
