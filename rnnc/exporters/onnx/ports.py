"""Inputs and outputs of the model, with the axes of the spec, and how long they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from rnnc.ir.graph import Node
from rnnc.ir.poly import Poly
from rnnc.ir.signature import Layout, extent_names

from .places import Site
from .reads import read
from .unroll import refused
from .writer import NUMPY, Axis, Value

if TYPE_CHECKING:
    from .exporter import Export


def info(export: Export, name: str, node: Node, layout: Layout) -> Any:
    dims: list[int | str] = []
    for dim, extent in zip(layout.dims, layout.extents, strict=True):
        length = dim.extent.constant
        dims.append(length if length is not None else extent or str(dim.extent))
        if length is None and str(dim.extent) != extent:
            dims[-1] = str(dim.extent)
    shape = [size.constant for size in node.type.shape]
    onnx = export.writer.onnx
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(NUMPY[node.type.dtype]))
    return onnx.helper.make_tensor_value_info(name, kind, [*dims, "batch", *shape])


def declare_inputs(export: Export) -> dict[str, Value]:
    """The extents as values: read off the inputs' shapes, or inputs themselves.

    Inputs with a default are initializers as well, of one point along every free axis.
    """
    extents: dict[str, Value] = {}
    inputs = export.source.inputs()
    required = [node for node in inputs if node.op["default"] is None]
    for node in inputs:
        name = export.writer.name(cast(str, node.op["name"]))
        layout = Layout.of(node.domain, export.source)
        export.inputs.append(info(export, name, node, layout))
        if node not in required:
            lengths = (dim.extent.constant or 1 for dim in layout.dims)
            shape = [*lengths, 1, *(cast(int, size.constant) for size in node.type.shape)]
            default = cast(float, node.op["default"])
            export.writer.array(np.full(shape, default, NUMPY[node.type.dtype]), name)
    for node in required or inputs[:1]:
        name = cast(str, node.op["name"])
        layout = Layout.of(node.domain, export.source)
        place = len(layout.dims)
        if export.batch is None:
            export.batch = export.writer.node("Shape", [name], "batch", start=place, end=place + 1)
        for at, (dim, extent) in enumerate(zip(layout.dims, layout.extents, strict=True)):
            known = extent is None or extent in extents or not required
            if extent is not None and not known and dim.extent == Poly.of(extent):
                shape_at = export.writer.node("Shape", [name], "shape", start=at, end=at + 1)
                size = export.writer.node("Squeeze", [shape_at], extent)
                extents[extent] = Value(size, "int")
    helper, kinds = export.writer.onnx.helper, export.writer.onnx.TensorProto
    for extent in extent_names(export.source):
        if extent not in extents:
            name = export.writer.name(extent)
            export.inputs.append(helper.make_tensor_value_info(name, kinds.INT64, []))
            extents[extent] = Value(name, "int")
    return extents


def declare_lengths(export: Export) -> dict[str, Value]:
    """The extents of each row. Raises RNN604 where rows would begin at different points."""
    names = frozenset(extent_names(export.source))
    for node in export.graph.nodes:
        bound = () if node.bound is None else node.bound.dims
        for dim in (*node.domain.dims, *bound):
            lower, upper = dim.lower or Poly(), dim.upper or Poly()
            grows = all(upper.coefficient(n) > 0 for n in names.intersection(upper.names))
            if names.intersection(lower.names) or not grows or not upper.is_affine:
                span = node.spans[0] if node.spans else None
                message = "rows of different lengths have different points here"
                raise refused(f"{message}: {dim} cannot be exported with lengths", span)
    found: dict[str, Value] = {}
    helper, kinds = export.writer.onnx.helper, export.writer.onnx.TensorProto
    for extent in extent_names(export.source):
        name = export.writer.name(f"lengths_{extent}")
        export.inputs.append(helper.make_tensor_value_info(name, kinds.INT32, ["batch"]))
        if export.batch is None:
            export.batch = export.writer.node("Shape", [name], "batch")
        wide = export.writer.node("Cast", [name], f"{extent}.own", to=kinds.INT64)
        found[extent] = Value(wide, "int", 0, (), True)
    return found


def write_outputs(export: Export) -> list[Any]:
    infos: list[Any] = []
    for output in export.source.outputs:
        names = export.unrolled.outputs[output.name]
        layout = Layout.of(output.domain, export.source)
        parts: list[str] = []
        for name in names:
            node = export.graph[name]
            export.span = node.spans[0] if node.spans else None
            dynamic = [dim for dim in layout.dims if not dim.static]
            own = {dim.name: dim for dim in node.domain.dims}
            axes: list[Axis] = []
            for dim, mine in zip(dynamic, own, strict=True):
                assert dim.lower is not None and dim.upper is not None
                axes.append(Axis(mine, dim.lower, dim.upper))
            site = Site(tuple(axes), {}, {}, {})
            access = tuple(Poly.of(axis.dim) for axis in axes)
            value = read(export, name, access, site)
            value = export.writer.cast(value, node.type.dtype)
            for axis in axes:
                exists = export.places.existing(axis)
                if exists is not None:
                    zero = export.writer.number(0, node.type.dtype)
                    value = export.writer.where(exists, value, zero, f"{name}.existing")
            parts.append(export.whole(value, tuple(axes), node))
        final = output.name
        node = export.source[output.node]
        static = [dim for dim in layout.dims if dim.static]
        if static:
            wide = [export.writer.unsqueeze(Value(part, "real"), [0]) for part in parts]
            joint = export.writer.node("Concat", wide, f"{final}.all", axis=0)
            sizes = [cast(int, dim.extent.constant) for dim in static]
            if len(sizes) > 1:
                rest = export.writer.node("Shape", [joint], "shape", start=1)
                shape = [export.writer.ints(*sizes), rest]
                shape = [export.writer.node("Concat", shape, "shape", axis=0)]
                joint = export.writer.node("Reshape", [joint, *shape], f"{final}.grid")
        else:
            [joint] = parts
        helper = export.writer.onnx.helper
        export.writer.scope.nodes.append(helper.make_node("Identity", [joint], [final]))
        infos.append(info(export, final, node, layout))
    return infos
