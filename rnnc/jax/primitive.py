"""The primitive of JAX that calls an entry point of a compiled library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from rnnc.jax.handler import TARGET, registered
from rnnc.runtime.arguments import error
from rnnc.runtime.library import Handle, Library

Array = Any  # of JAX: concrete or traced; it publishes no types
Shape = tuple[tuple[int, ...], np.dtype[np.generic]]


@dataclass(frozen=True, eq=False)
class Invocation:
    """A call of a model with buffers of known shapes.

    A word is a number or ~n for the address of buffer n: operands, then results; so is an entry of
    `creation`, which is empty where there is a model. `batched` is the rule of vmap where no more
    than rows are added: operands and their new axes -> results and theirs, None where it does not
    apply.
    """

    library: Library
    model: Handle | None
    words: tuple[int, ...]
    creation: tuple[int, ...]
    results: tuple[Shape, ...]
    batched: Callable[[Sequence[Array], Sequence[int | None]], tuple[list[Array], list[int]] | None]


def run(operands: Sequence[Array], call: Invocation) -> list[Array]:
    """The results of a call."""
    found: list[Array] = _run.bind(*operands, call=call)
    return found


_run = Primitive("rnnc")
_run.multiple_results = True


def _impl(*operands: Array, call: Invocation) -> list[Array]:
    with jax.disable_jit(False):
        found: list[Array] = jax.jit(lambda *given: run(given, call))(*operands)
    return found


def _abstract(*_: object, call: Invocation) -> list[jax.core.ShapedArray]:
    return [jax.core.ShapedArray(shape, dtype) for shape, dtype in call.results]


def _lowering(ctx: mlir.LoweringRuleContext, *operands: Any, call: Invocation) -> Any:
    library = call.library
    model = 0 if call.model is None else call.model.address
    what = [registered(), model, library.place("forward"), library.place("error")]
    ctx.module_context.add_keepalive(call)
    numbers = {"call": what, "words": call.words, "creation": call.creation}
    attributes = {name: np.array(value, np.int64) for name, value in numbers.items()}
    return jax.ffi.ffi_lowering(TARGET)(ctx, *operands, **attributes)


def _batching(
    operands: Sequence[Array], axes: Sequence[int | None], *, call: Invocation
) -> tuple[list[Array], list[int]]:
    found = call.batched(operands, axes)
    if found is not None:
        return found
    # One after another: each has weights of its own.
    mapped = {n: axis for n, axis in enumerate(axes) if axis is not None}

    def one(given: Sequence[Array]) -> list[Array]:
        own = dict(zip(mapped, given, strict=True))
        return run([own.get(n, operand) for n, operand in enumerate(operands)], call)

    fronts = [jax.numpy.moveaxis(operands[n], axis, 0) for n, axis in mapped.items()]
    return jax.lax.map(one, fronts), [0] * len(call.results)


def _no_gradient(*_: object, **__: object) -> Any:
    raise error(
        "RNN741",
        "a compiled model cannot be differentiated yet",
        "jax.lax.stop_gradient around its arguments says that no gradient is wanted",
    )


_run.def_impl(_impl)
_run.def_abstract_eval(_abstract)
mlir.register_lowering(_run, _lowering, platform="cpu")
batching.primitive_batchers[_run] = _batching
ad.primitive_jvps[_run] = _no_gradient
