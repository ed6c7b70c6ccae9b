"""What a call of a model that computes nothing costs from NumPy, torch and JAX: part of
streaming.py."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import rnnc
from rnnc.runtime.model import BoundModel

CALLS, ROUNDS = 2000, 20


def overheads(library: Path) -> None:
    """Prints microseconds of calls of `tiny`, and beside those of torch and JAX what `x + 1` costs
    there."""
    bound = rnnc.load(library).bind()
    x = np.zeros((1, 1, 1), np.float32)
    stream, now = bound.stream(), x[0]
    print_time("call from NumPy", lambda: bound(x=x, threads=1))
    print_time("step from NumPy", lambda: stream.step(x=now))
    for name, measure in (("torch", from_torch), ("jax", from_jax)):
        if importlib.util.find_spec(name) is None:
            print(f"{name} is not installed")
        else:
            measure(bound, x)


def from_torch(bound: BoundModel, x: np.typing.NDArray[np.float32]) -> None:
    import torch

    from rnnc.torch import Module

    torch.set_num_threads(1)
    module, tensor = Module(bound.model), torch.from_numpy(x)
    with torch.inference_mode():
        print_time("call from torch", lambda: module(tensor))
        print_time("x + 1 in torch", lambda: tensor + 1)


def from_jax(bound: BoundModel, x: np.typing.NDArray[np.float32]) -> None:
    import jax

    import rnnc.jax

    function = rnnc.jax.function(bound.model, threads=1).bind({})
    array = jax.numpy.asarray(x)
    call, plain = jax.jit(lambda x: function(x=x)["y"]), jax.jit(lambda x: x + 1)
    print_time("call from JAX, jitted", lambda: call(array).block_until_ready())
    print_time("x + 1 in JAX, jitted", lambda: plain(array).block_until_ready())


def print_time(what: str, call: Callable[[], object]) -> None:
    """The best of some rounds: others may use the processor."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        best = min(best, (time.perf_counter() - start) / CALLS * 1e6)
    print(f"{what:28} {best:8.3f} us", flush=True)
