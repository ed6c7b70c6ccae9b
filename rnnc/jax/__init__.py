"""Compiled models as functions of JAX.

    network = rnnc.jax.function("lstm.rnn", sizes={"X": 64, "H": 256, "L": 2})
    y = jax.jit(lambda params, x: network(params, x=x)["y"])(params, x)

See docs/jax.md. Only this package imports JAX.
"""

from __future__ import annotations

from rnnc.jax.function import BoundFunction, Function, function

__all__ = ["BoundFunction", "Function", "function"]
