"""Shapes of outputs from shapes of inputs, as torch's tracers ask for them: sizes may be symbols,
and nothing may be decided about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from rnnc.runtime.arguments import error
from rnnc.runtime.manifest import Manifest, Port
from rnnc.runtime.ports import axes_of_extents, shape_text

Size = int | torch.SymInt


def output_shapes(
    manifest: Manifest,
    inputs: Mapping[str, torch.Tensor],
    extents: Sequence[Size],
    batch_first: bool,
) -> list[tuple[Size, ...]]:
    """Raises RNN732 for an input with another number of axes and for an extent that none tells."""
    given = [
        (port, _in_order(port, inputs[port.name], batch_first))
        for port in manifest.inputs
        if port.name in inputs
    ]
    batch: Size = given[0][1][len(given[0][0].dims)] if given else 1
    known = {name: size for name, size in zip(manifest.extents, extents, strict=True) if size >= 0}
    dims = [
        (dim.extent, dim.offset, shape[axis])
        for port, shape in given
        for axis, dim in enumerate(port.dims)
        if dim.extent is not None
    ]
    for name, offset, size in sorted(dims, key=lambda dim: dim[1] != 0):
        known.setdefault(name, _shifted(size, -offset))
    for name in manifest.extents:
        if name not in known:
            raise error("RNN732", f"no input tells the extent {name}", "give it in extents=")
    return [_shape(port, known, batch, batch_first) for port in manifest.outputs]


def _in_order(port: Port, tensor: torch.Tensor, batch_first: bool) -> list[Size]:
    """The shape with the batch behind all grid axes."""
    shape: list[Size] = list(tensor.shape)
    wanted = len(port.dims) + 1 + len(port.shape) - tensor.is_complex()
    if len(shape) != wanted:
        text = shape_text(port, batch_first)
        raise error("RNN732", f"input '{port.name}' has {len(shape)} axes but must be {text}")
    if batch_first:
        behind = len(port.dims)
        shape.insert(behind, shape.pop(behind - len(axes_of_extents(port))))
    return shape


def _shape(
    port: Port, extents: Mapping[str, Size], batch: Size, batch_first: bool
) -> tuple[Size, ...]:
    shape: list[Size] = []
    for dim in port.dims:
        if dim.extent is None:
            assert dim.size is not None
            shape.append(dim.size)
        else:
            shape.append(_shifted(extents[dim.extent], dim.offset))
    shape.insert(len(port.dims) - (len(axes_of_extents(port)) if batch_first else 0), batch)
    return (*shape, *port.shape)


def _shifted(size: Size, offset: int) -> Size:
    if not offset:
        return size
    found: Size = torch.sym_max(0, size + offset)  # type: ignore[no-untyped-call]
    return found
