"""What the runtime must know of a compiled plan."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from rnnc.ir.poly import Poly
from rnnc.plan.plan import Argument, Buffer, Kernel, Parameter, Plan
from rnnc.runtime.manifest import (
    ABI,
    Affine,
    Block,
    Manifest,
    Pack,
    ParameterSpec,
    Port,
    PortDim,
    TargetInfo,
)
from rnnc.version import VERSION

from .layout import inner_shape
from .packing import Factor
from .target import CpuTarget


def manifest(
    plan: Plan,
    target: CpuTarget,
    packs: Sequence[tuple[Kernel, int, Factor]],
    library: bytes,
) -> Manifest:
    """The manifest of the library made from a plan."""
    lanes = target.lanes("float32")
    buffers = {buffer.name: buffer for buffer in plan.buffers}
    parameters = {parameter.buffer: parameter for parameter in plan.parameters}
    ports = {a.buffer: a for a in (*plan.inputs, *plan.outputs)}
    order = [buffer for buffer in plan.buffers if buffer.role == "param"]
    numbers = {buffer.name: number for number, buffer in enumerate(order)}
    return Manifest(
        ABI,
        VERSION,
        plan.name,
        TargetInfo(target.triple, target.cpu, target.features),
        hashlib.sha256(library).hexdigest(),
        plan.extents,
        tuple(port(ports[b.name], b, plan) for b in plan.buffers if b.role == "input"),
        tuple(port(ports[b.name], b, plan) for b in plan.buffers if b.role == "output"),
        tuple(parameter_spec(parameters[buffer.name], buffer, lanes) for buffer in order),
        tuple(
            pack(kernel, tiles, factor, numbers, lanes, buffers) for kernel, tiles, factor in packs
        ),
    )


def port(argument: Argument, buffer: Buffer, plan: Plan) -> Port:
    dims: list[PortDim] = []
    for dim in buffer.dims:
        extent = dim.upper - dim.lower
        if extent.constant is not None:
            dims.append(PortDim(dim.name, extent.constant, None))
        else:
            [name] = extent.names
            dims.append(PortDim(dim.name, None, name, extent.offset))
    span = None
    if argument.range is not None:
        span = affine_form(argument.range[0]), affine_form(argument.range[1])
    lowers = tuple(dim.lower.offset for dim in buffer.dims)
    return Port(
        argument.name, buffer.dtype, tuple(dims), buffer.shape, argument.default, span, lowers
    )


def parameter_spec(parameter: Parameter, buffer: Buffer, lanes: int) -> ParameterSpec:
    dims = tuple((dim.name, dim.lower.offset, dim.upper.offset) for dim in buffer.dims)
    points = tuple(
        tuple(point[name] for name, _, _ in dims) for point in parameter.domain.points({})
    )
    names = [name for name, _, _ in dims]
    shape = inner_shape(buffer, lanes)
    return ParameterSpec(
        parameter.path,
        buffer.dtype,
        dims,
        points,
        tuple(concrete(parameter.path, dict(zip(names, p, strict=True))) for p in points),
        buffer.shape,
        shape[-1] if shape else 1,
        parameter.initial,
    )


def concrete(template: str, point: dict[str, int]) -> str:
    """`lstm[l].W` at l = 2 is `lstm[2].W`."""

    def indices(match: re.Match[str]) -> str:
        parts = (part.strip() for part in match[1].split(","))
        return "[" + ",".join(str(point.get(part, part)) for part in parts) + "]"

    return re.sub(r"\[([^\]]*)\]", indices, template)


def pack(
    kernel: Kernel,
    tiles: int,
    factor: Factor,
    numbers: dict[str, int],
    lanes: int,
    buffers: dict[str, Buffer],
) -> Pack:
    vectors = -(-kernel.shape[-1] // lanes)
    return Pack(
        tuple((loop.name, loop.lower, loop.upper) for loop in factor.loops),
        tuple(
            Block(
                numbers[weight.param],
                tuple(affine_form(entry) for entry in weight.index),
                tuple(affine_form(entry) for entry in weight.leading),
                weight.row,
                weight.rows,
                weight.column,
                weight.columns,
                weight.transposed,
            )
            for weight in factor.gates
        ),
        tiles,
        factor.depth,
        vectors // tiles * lanes,
    )


def affine_form(poly: Poly) -> Affine:
    """An affine polynomial as coefficients by name."""
    form = {name: poly.coefficient(name) for name in poly.names}
    return {**form, "": poly.offset}


__all__ = ["manifest"]
