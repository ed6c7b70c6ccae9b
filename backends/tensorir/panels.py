"""Where the packed weights of a column tile are."""

from __future__ import annotations

from .layout import Environment
from .packing import Factor, Products
from .tir import Expr, int64


def panel_number(found: Products, factor: Factor, env: Environment, tile: Expr) -> Expr:
    """The number of a column tile in a pack, which is [points of the factor's loops][tiles]."""
    index: Expr = int64(0)
    for loop in factor.loops:
        index = index * int64(loop.upper - loop.lower) + (env[loop.name] - int64(loop.lower))
    return index * int64(found.tiles) + tile
