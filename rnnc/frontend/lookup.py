"""Names, grid points and fields: from what is written to a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnc.diagnostics import Span
from rnnc.frontend import ast
from rnnc.frontend.cases import evaluate_cases
from rnnc.frontend.context import Context, project
from rnnc.frontend.patterns import as_index, bind
from rnnc.frontend.reads import PointIndex, own_point, read, read_field
from rnnc.frontend.scope import CellScope, ModelScope
from rnnc.frontend.tensors import as_tensor, one_of
from rnnc.frontend.values import (
    BAD,
    UNKNOWN,
    Absent,
    Callee,
    Instance,
    Number,
    Parts,
    Record,
    Tensor,
    Value,
    Whole,
)
from rnnc.frontend.variables import Variable
from rnnc.frontend.weights import weight
from rnnc.ir.poly import Poly


def look_up(name: str, context: Context, span: Span) -> Value | None:
    """What a name stands for; None where it stands for nothing (reported by `names`)."""
    if name in context.indices:
        return Number(context.indices[name])
    scope = context.scope
    if isinstance(scope, CellScope):
        if name in scope.locals:
            return local(name, scope, context)
        if name in scope.arguments:
            return scope.arguments[name]
    if isinstance(scope, ModelScope):
        if name in scope.values:
            return scope.values[name]
        if name in scope.instances:
            return instance_at(name, (), context)
        if name in scope.variables:
            variable = scope.variables[name]
            if variable.positions:
                return Whole(variable, "", own_point(variable))
            return read(variable, own_point(variable), (), context, span)
        if name in scope.extents:
            return Number(scope.extents[name])
    if name in scope.params:
        found = weight(name, scope, context)
        if isinstance(found, Callee | Absent):
            return found
        if found.positions:
            return Whole(found, "", scope.place.access)
        return read(found, scope.place.access, (), context, span)
    return scope.definition_named(name, span)


def variable_named(name: str, context: Context) -> Variable | str | None:
    """The variable with grid indices of that name; the name itself for a called model."""
    scope = context.scope
    if name in context.indices:
        return None
    if isinstance(scope, CellScope) and (name in scope.locals or name in scope.arguments):
        return None
    if isinstance(scope, ModelScope):
        if name in scope.values:
            return None
        if name in scope.instances:
            return name if scope.instances[name].tree.targets[0].indices else None
        if name in scope.variables:
            return scope.variables[name]
    if name in scope.params:
        found = weight(name, scope, context)
        return found if isinstance(found, Variable) else None
    return None


def local(name: str, scope: CellScope, context: Context) -> Value:
    """A name that an equation of a cell defines, computed where it is needed."""
    region = project(context.region, scope.region.names)
    key = (name, region)
    if key in scope.memo:
        return scope.memo[key]
    equation, _ = scope.locals[name]
    if name in scope.active:
        return _cycle(name, scope, context)
    base = replace(context, scope=scope, region=region, indices={})
    inner = base.named(scope.id(name) if name else scope.ids)
    scope.active.append(name)
    try:
        value = one_of(evaluate_cases(equation.cases, inner), inner, equation.span)
    finally:
        scope.active.remove(name)
    for target, part in zip(
        equation.targets, parts_of(value, equation.targets, inner), strict=True
    ):
        scope.memo[target.name, region] = part
        if isinstance(part, Tensor) and target.name:
            context.session.emitter.rename(part, scope.id(target.name))
    return scope.memo[key]


def _cycle(name: str, scope: CellScope, context: Context) -> Absent:
    """A value of a cell that needs itself: the path of its equations, and where each reads."""
    path = [*scope.active[scope.active.index(name) :], name]
    equation, _ = scope.locals[name]
    return context.error(
        "RNN403",
        f"'{name}' needs itself at the same point: {' <- '.join(path)}",
        equation.targets[0].name_span,
        hints=("the value of the step before is an argument of the cell",),
    )


def parts_of(value: Value, targets: Sequence[ast.Target], context: Context) -> list[Value]:
    """The value for each target: results of a cell, parts of a split, rows of a tensor."""
    count, span = len(targets), targets[0].span
    if count == 1:
        return [value]
    if isinstance(value, Absent):
        return [value] * count
    if isinstance(value, Record | Parts):
        items = list(value.fields.values() if isinstance(value, Record) else value.items)
        if len(items) == count:
            return items
        wrong = context.error(
            "RNN305", f"{count} names on the left, {len(items)} values on the right", span
        )
        return [wrong] * count
    tensor = as_tensor(value, context, span)
    if isinstance(tensor, Absent):
        return [tensor] * count
    if not tensor.type.shape or not context.sizes.equal(tensor.type.shape[0], Poly.of(count)):
        size = context.sizes.normal(tensor.type.shape[0]) if tensor.type.shape else "no axis"
        wrong = context.error(
            "RNN305", f"{count} names on the left, the first axis on the right has {size}", span
        )
        return [wrong] * count
    from rnnc.frontend.axes import pick

    return [
        pick(tensor, 0, Poly.of(position), context.named(f"{context.hint}.{target.name}"), span)
        for position, target in enumerate(targets)
    ]


# ---- grid points ------------------------------------------------------------------------------


def read_point(base: Variable | str | Whole, node: ast.Indexed, context: Context) -> Value:
    """`h[l-1, t]`: a variable at affine or data-dependent indices."""
    indices: list[PointIndex] = []
    for written in node.indices:
        index = point_index(written, context)
        if isinstance(index, Absent):
            return index
        indices.append(index)
    if isinstance(base, str):
        points = tuple(index for index in indices if isinstance(index, Poly))
        return instance_at(base, points, context)
    variable = base.variable if isinstance(base, Whole) else base
    if isinstance(base, Whole):
        point = base.point
    elif variable.kind == "param":
        point = context.scope.place.access
    else:
        point = own_point(variable)
    if len(indices) != len(variable.positions):
        wanted = len(variable.positions)
        named = all(dim.lower is not None for dim in variable.positions)
        names = f" [{', '.join(dim.name for dim in variable.positions)}]" if named else ""
        return context.error(
            "RNN205",
            f"'{variable.name}' has {wanted} grid {'index' if wanted == 1 else 'indices'}{names}, "
            f"{len(indices)} given",
            node.span,
        )
    if isinstance(base, Whole) and base.field:
        return read_field(variable, base.field, point, indices, context, node.span)
    return read(variable, point, indices, context, node.span)


def point_index(written: ast.Expression, context: Context) -> PointIndex | Absent:
    """An index of a grid point: affine, or an int value with a range."""
    if isinstance(written, ast.Range):
        return context.error(
            "RNN308", "a range of grid points is read by a reduction, not by an index", written.span
        )
    value = context.evaluate(written)
    index = as_index(value, context, written.span)
    if index is not None:
        return index
    tensor = as_tensor(value, context, written.span)
    if isinstance(tensor, Absent):
        return tensor
    if tensor.type.dtype != "int" or tensor.type.shape:
        return context.error(
            "RNN308",
            f"'{written.span.text}' is no index: an int is wanted",
            written.span,
        )
    if tensor.type.range is None:
        return context.error(
            "RNN308",
            f"'{written.span.text}' may be any number: an index of grid points needs a range",
            written.span,
            hints=("declare it with a range, as in  left[n]: int in -1..n",),
        )
    return tensor


def instance_at(name: str, indices: Sequence[Poly], context: Context) -> Value:
    """A called model at a point of its target's dims."""
    scope = context.scope
    assert isinstance(scope, ModelScope)
    equation = scope.instances[name]
    target = equation.tree.targets[0]
    base = Context(context.session, scope, scope.outer, {}, scope.id(name))
    bound = bind(target.indices or (), base)
    if bound is None:
        return BAD
    value = bound.context.evaluate(equation.tree.cases[0].value)
    if not isinstance(value, Instance):
        return value
    if len(indices) != len(bound.access):
        return UNKNOWN
    moved = {str(here): there for here, there in zip(bound.access, indices, strict=True)}
    return Instance(value.scope, tuple(index.substitute(moved) for index in value.point))


# ---- fields -----------------------------------------------------------------------------------


def field_of(base: Value, node: ast.Field, context: Context) -> Value:
    """`s[t].h` of a record, `enc.h_n` of a called model."""
    match base:
        case Absent():
            return base
        case Record(fields):
            if node.name in fields:
                return fields[node.name]
            return _no_field(node, tuple(fields), context)
        case Whole(variable, "", point):
            if node.name in variable.fields:
                return Whole(variable, node.name, point)
            return UNKNOWN if not variable.fields else _no_field(node, variable.fields, context)
        case Instance(scope, point):
            output = scope.variables.get(node.name)
            if output is None or not output.is_output:
                outputs = tuple(v.name for v in scope.variables.values() if v.is_output)
                return _no_field(node, outputs, context)
            if output.positions:
                return Whole(output, "", point)
            return read(output, point, (), context, node.span)
        case Tensor():
            return context.error("RNN207", f"this value has no field '{node.name}'", node.span)
    return context.error("RNN207", f"'{node.base.span.text}' has no field '{node.name}'", node.span)


def _no_field(node: ast.Field, known: Sequence[str], context: Context) -> Absent:
    return context.error(
        "RNN207",
        f"'{node.base.span.text}' has no field '{node.name}'",
        node.span,
        hints=(f"it has:  {', '.join(known)}",) if known else (),
    )
