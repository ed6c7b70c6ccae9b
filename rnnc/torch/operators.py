"""`torch.ops.rnnc.forward`, as torch's compilers see it, and the short way around its dispatcher.

    forward(str key, str names, Tensor[] inputs, Tensor[] parameters, Tensor?[] lengths,
            SymInt[] extents, bool batch_first) -> Tensor[]

`names` says which inputs are given, with commas between them. Lengths and extents are in the
manifest's order; None or -1 is what was not given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.autograd import forward_ad
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from rnnc.diagnostics import DiagnosticError
from rnnc.runtime.arguments import error
from rnnc.torch.network import DTYPES, Network, Tensors, find
from rnnc.torch.shapes import output_shapes

_DERIVATIVES = (torch._C._functorch.TransformType.Grad, torch._C._functorch.TransformType.Jvp)
_PLAIN = (torch.Tensor, torch.nn.Parameter)


def call(
    network: Network,
    inputs: Mapping[str, torch.Tensor],
    parameters: Sequence[torch.Tensor],
    lengths: Tensors,
    extents: Sequence[int],
    batch_first: bool,
) -> list[torch.Tensor]:
    """The outputs in the manifest's order.

    torch's dispatcher costs more than a small model: where nothing listens it is left out.
    """
    given = [*inputs.values(), *parameters]
    is_compiling = torch.compiler.is_compiling()
    if not is_compiling and _wants_tangents(given):
        raise _no_gradients(network.manifest.model)
    if is_compiling or _is_listened_to(given):
        found: list[torch.Tensor] = torch.ops.rnnc.forward(
            network.key,
            ",".join(inputs),
            list(inputs.values()),
            parameters,
            lengths,
            extents,
            batch_first,
        )
        return found
    return network.run(inputs, parameters, lengths, extents, batch_first)


def _is_listened_to(given: Sequence[torch.Tensor]) -> bool:
    """Whether autograd, a tracer, a transform or a subclass of Tensor wants to see the call."""
    if is_in_torch_dispatch_mode() or torch._C._functorch.peek_interpreter_stack() is not None:
        return True
    if any(type(tensor) not in _PLAIN for tensor in given):
        return True
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given)


def _wants_tangents(given: Sequence[torch.Tensor]) -> bool:
    """Whether torch wants derivatives that it would silently take for zero, or fail at without
    saying of what: those in forward mode, and of `torch.func`."""
    stack = torch._C._functorch.peek_interpreter_stack()
    if stack is not None and stack.key() in _DERIVATIVES:
        return True
    return forward_ad._current_level >= 0 and any(
        forward_ad.unpack_dual(tensor).tangent is not None  # type: ignore[no-untyped-call]
        for tensor in given
    )


def _no_gradients(name: str) -> DiagnosticError:
    message = f"'{name}' has no gradients: rnnc computes only outputs so far"
    return error("RNN741", message, "call it under torch.no_grad()")


def _named(names: str, inputs: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    return dict(zip(names.split(","), inputs, strict=True)) if names else {}


@torch.library.custom_op(
    "rnnc::forward",
    mutates_args=(),
    schema="(str key, str names, Tensor[] inputs, Tensor[] parameters, Tensor?[] lengths,"
    " SymInt[] extents, bool batch_first) -> Tensor[]",
)
def _forward(
    key: str,
    names: str,
    inputs: Sequence[torch.Tensor],
    parameters: Sequence[torch.Tensor],
    lengths: Tensors,
    extents: Sequence[int],
    batch_first: bool,
) -> list[torch.Tensor]:
    return find(key).run(_named(names, inputs), parameters, lengths, extents, batch_first)


@_forward.register_fake
def _(
    key: str,
    names: str,
    inputs: Sequence[torch.Tensor],
    parameters: Sequence[torch.Tensor],
    lengths: Tensors,
    extents: Sequence[int],
    batch_first: bool,
) -> list[torch.Tensor]:
    known = find(key)
    shapes = output_shapes(known.manifest, _named(names, inputs), extents, batch_first)
    given = [*inputs, *parameters]
    device = given[0].device if given else torch.device(known.place)
    return [
        torch.empty(shape, dtype=DTYPES[port.dtype], device=device)
        for port, shape in zip(known.manifest.outputs, shapes, strict=True)
    ]


@torch.library.custom_op(
    "rnnc::gradients", mutates_args=(), schema="(str key, Tensor[] wanted) -> Tensor[]"
)
def _gradients(key: str, wanted: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Gradients of `wanted`. An operator, so that a compiled training step fails when it asks for
    them and not before."""
    raise _no_gradients(key.split(":")[0])


@_gradients.register_fake
def _(key: str, wanted: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [torch.empty_like(tensor) for tensor in wanted]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.key, _, given, parameters, *_ = inputs
    ctx.count = len(given)
    ctx.save_for_backward(*given, *parameters)


def _backward(ctx: Any, grads: Any) -> tuple[Any, ...]:
    saved = ctx.saved_tensors
    found = iter(torch.ops.rnnc.gradients(ctx.key, [t for t in saved if t.requires_grad]))
    made = [next(found) if tensor.requires_grad else None for tensor in saved]
    return None, None, made[: ctx.count], made[ctx.count :], None, None, None


_forward.register_autograd(_backward, setup_context=_remember)
