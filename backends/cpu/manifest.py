"""What the runtime must know of a compiled plan."""

from __future__ import annotations

import hashlib
import re

from rnnc.ir.poly import Poly
from rnnc.plan.plan import Argument, Buffer, Parameter, Plan
from rnnc.runtime.artifact import Origin
from rnnc.runtime.manifest import (
    ABI,
    Affine,
    Block,
    DType,
    Manifest,
    Pack,
    ParameterSpec,
    Port,
    PortDim,
    Preparation,
    Prepared,
    Static,
    TargetInfo,
)
from rnnc.runtime.processor import code_features
from rnnc.version import VERSION

from ..tensorir.layout import inner_shape, passed
from ..tensorir.packing import Factor, Products
from ..tensorir.words import Word, word
from .names import c_name
from .program import packed, shapes
from .sparse import window, worth_listing
from .target import CpuTarget, llvm_features


def manifest(plan: Plan, target: CpuTarget, origin: Origin) -> Manifest:
    """The manifest of the library made from a plan."""
    lanes = target.lanes("float32")
    inputs, outputs = ports(plan)
    first = plan.preparation
    results = () if first is None else prepared_names(first)
    numbers = stored_numbers(plan)
    params = {b.name: b for p in (first, plan) if p is not None for b in p.buffers}
    preparation = None
    if first is not None:
        made = tuple(prepared(params[name], lanes) for name in results)
        preparation = Preparation(made, *weights(first, target, numbers))
    specs = tuple(parameter_spec(found, params[found.buffer], lanes) for found in plan.parameters)
    return Manifest(
        ABI,
        VERSION,
        plan.name,
        c_name(plan.name),
        interface_number(plan.name, plan.extents, (*inputs, *outputs), specs),
        {name: _static(value) for name, value in origin.sizes.items()},
        hashlib.sha256(origin.source.encode()).hexdigest(),
        TargetInfo(target.triple, target.cpu, code_features(target.triple, llvm_features(target))),
        plan.weights,
        plan.extents,
        dict(plan.shared_ends),
        inputs,
        outputs,
        specs,
        preparation,
        *weights(plan, target, numbers),
        tuned(plan, target),
        None,
        "it was compiled for whole sequences",
        False,
    )


def interface_number(
    model: str, extents: tuple[str, ...], ports: tuple[Port, ...], specs: tuple[ParameterSpec, ...]
) -> int:
    """64 bits that differ where a caller and a library do not fit each other."""
    parameters = [(spec.paths, spec.shape, spec.dtype) for spec in specs]
    parts = repr([ABI, model, extents, ports, parameters])
    return int.from_bytes(hashlib.sha256(parts.encode()).digest()[:8], "big")


def ports(plan: Plan) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Inputs and outputs in the order of an entry point."""
    known = {a.buffer: a for a in (*plan.inputs, *plan.outputs)}
    return (
        tuple(port(known[b.name], b, plan) for b in plan.buffers if b.role == "input"),
        tuple(port(known[b.name], b, plan) for b in plan.buffers if b.role == "output"),
    )


def stored_numbers(plan: Plan) -> dict[str, int]:
    """The number of each stored array: parameters, then results of the preparation."""
    results = () if plan.preparation is None else prepared_names(plan.preparation)
    stored = (*(parameter.buffer for parameter in plan.parameters), *results)
    return {name: number for number, name in enumerate(stored)}


def weights(
    plan: Plan, target: CpuTarget, numbers: dict[str, int]
) -> tuple[tuple[int, ...], tuple[Pack, ...]]:
    """What an entry point takes: the numbers of stored arrays, and packs."""
    taken = tuple(numbers[buffer.name] for buffer in passed(plan) if buffer.role == "param")
    packs = (
        pack(factor, made, numbers, target, word(made.shape.weights, plan.math))
        for factor, made in packed(plan, target)
    )
    return taken, tuple(packs)


def tuned(plan: Plan, target: CpuTarget) -> tuple[str, ...]:
    """The shapes of products, with the tilings, that are not tiled by default."""
    present = shapes(plan, target)
    return tuple(f"{shape}: {tiling}" for shape, tiling in target.tilings if shape in present)


def prepared_names(preparation: Plan) -> tuple[str, ...]:
    """The parameters of the call that a preparation computes, in the order of its entry point."""
    names = {output.buffer: output.name for output in preparation.outputs}
    return tuple(names[b.name] for b in preparation.buffers if b.role == "output")


def prepared(buffer: Buffer, lanes: int) -> Prepared:
    dims = tuple((dim.name, dim.lower.offset, dim.upper.offset) for dim in buffer.dims)
    return Prepared(real_int_or_bool(buffer), dims, buffer.shape, last_axis(buffer, lanes))


def last_axis(buffer: Buffer, lanes: int) -> int:
    """How long the last axis is as stored."""
    shape = inner_shape(buffer, lanes)
    return shape[-1] if shape else 1


def port(argument: Argument, buffer: Buffer, plan: Plan) -> Port:
    dims: list[PortDim] = []
    for dim in buffer.dims:
        extent = dim.upper - dim.lower
        if extent.constant is not None:
            dims.append(PortDim(dim.name, extent.constant, None))
        else:
            [name] = extent.names
            dims.append(PortDim(dim.name, None, name, extent.offset))
    lowers = tuple(dim.lower.offset for dim in buffer.dims)
    return Port(
        argument.name,
        real_int_or_bool(buffer),
        tuple(dims),
        buffer.shape,
        argument.default,
        range_form(argument.range),
        lowers,
    )


def parameter_spec(parameter: Parameter, buffer: Buffer, lanes: int) -> ParameterSpec:
    dims = tuple((dim.name, dim.lower.offset, dim.upper.offset) for dim in buffer.dims)
    points = tuple(
        tuple(point[name] for name, _, _ in dims) for point in parameter.domain.points({})
    )
    names = [name for name, _, _ in dims]
    return ParameterSpec(
        parameter.path,
        real_int_or_bool(buffer),
        dims,
        points,
        tuple(concrete(parameter.path, dict(zip(names, p, strict=True))) for p in points),
        buffer.shape,
        last_axis(buffer, lanes),
        range_form(parameter.range),
        parameter.initial,
    )


def concrete(template: str, point: dict[str, int]) -> str:
    """`lstm[l].W` at l = 2 is `lstm[2].W`."""

    def indices(match: re.Match[str]) -> str:
        parts = (part.strip() for part in match[1].split(","))
        return "[" + ",".join(str(point.get(part, part)) for part in parts) + "]"

    return re.sub(r"\[([^\]]*)\]", indices, template)


def pack(
    factor: Factor, made: Products, numbers: dict[str, int], target: CpuTarget, form: Word
) -> Pack:
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
        made.tiles,
        factor.depth,
        made.columns,
        form.weights,
        form.group,
        made.lanes,
        window(target),
        worth_listing(target),
    )


def range_form(limits: tuple[Poly, Poly] | None) -> tuple[Affine, Affine] | None:
    return None if limits is None else (affine_form(limits[0]), affine_form(limits[1]))


def affine_form(poly: Poly) -> Affine:
    """An affine polynomial as coefficients by name."""
    form = {name: poly.coefficient(name) for name in poly.names}
    return {**form, "": poly.offset}


def real_int_or_bool(buffer: Buffer) -> DType:
    assert buffer.dtype != "complex", "no plan has complex numbers"
    return buffer.dtype


def _static(value: object) -> Static:
    """A number as it is; of a list, a cell or a function the text."""
    return value if isinstance(value, Static) else str(value)


__all__ = ["manifest"]
