"""Declared types, with shapes in the sizes of the program."""

from __future__ import annotations

from typing import cast

from rnnc.frontend import ast
from rnnc.frontend.context import Context, Unroll
from rnnc.frontend.patterns import affine
from rnnc.frontend.values import BAD, Absent, Callee, Number
from rnnc.ir.poly import Poly
from rnnc.ir.types import DType, TensorType


def declared_type(
    type: ast.TensorType | ast.StateType | None, context: Context
) -> TensorType | Absent | dict[str, TensorType]:
    """The type that is written; of `state(cell)`, that of each of the cell's primed results."""
    if type is None:
        return TensorType("real")
    if isinstance(type, ast.StateType):
        return _state(type, context)
    dtype = cast(DType, type.dtype or "real")
    shape: list[Poly] = []
    for entry in type.shape or ():
        size = static_size(entry, context)
        if size is None:
            return BAD
        shape.append(size)
    if type.range is None:
        return TensorType(dtype, tuple(shape))
    ends = [
        None if end is None else affine(end, context)
        for end in (type.range.lower, type.range.upper)
    ]
    if ends[0] is None or ends[1] is None:
        if type.range.lower is None or type.range.upper is None:
            context.error("RNN308", "the range of a type has two ends", type.range.span)
        return BAD
    return TensorType(dtype, tuple(shape), (ends[0], ends[1]))


def static_size(entry: ast.Expression, context: Context) -> Poly | None:
    """One entry of a shape; None (and reported) where it is no static integer."""
    value = context.evaluate(entry)
    if isinstance(value, Absent):
        return None
    if isinstance(value, Number) and isinstance(value.value, Poly):
        for name in value.value.names:
            if name in context.region.names:
                if context.region.dim(name).static:
                    raise Unroll(name, entry.span)
                break
        else:
            if not any(context.sizes.is_extent(name) for name in value.value.names):
                return context.sizes.as_size(value.value, entry.span)
        context.error(
            "RNN308",
            f"'{entry.span.text}' changes at run time: a shape is known when compiling",
            entry.span,
        )
        return None
    context.error(
        "RNN308", f"'{entry.span.text}' is no size: a static integer is wanted", entry.span
    )
    return None


def _state(type: ast.StateType, context: Context) -> Absent | dict[str, TensorType]:
    """The fields of a cell's state; their sizes are inferred from where the state is used."""
    cell = context.scope.definition_named(type.cell.text, type.cell.span)
    if cell is None or isinstance(cell, Absent):
        context.session.has_unknown |= cell is None
        return cell or BAD
    if not isinstance(cell, Callee) or not isinstance(cell.definition, ast.Cell):
        return context.error("RNN307", f"'{type.cell.text}' is no cell", type.cell.span)
    arguments = {argument.name: argument for argument in cell.definition.arguments}
    fields: dict[str, TensorType] = {}
    for result in cell.definition.results:
        name = result.name.removesuffix("'")
        if name == result.name or name not in arguments:
            continue
        written = result.type or arguments[name].type
        if not isinstance(written, ast.TensorType):
            return context.error(
                "RNN307", f"'{type.cell.text}' does not say the type of '{name}'", type.span
            )
        dtype = cast(DType, written.dtype or "real")
        shape = tuple(context.sizes.placeholder(f"{name}") for _ in written.shape or ())
        fields[name] = TensorType(dtype, shape)
    if not fields:
        return context.error(
            "RNN307", f"the cell '{type.cell.text}' has no state: no result is primed", type.span
        )
    return fields
