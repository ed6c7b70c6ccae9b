"""Evaluation of expressions: one case for each kind of syntax."""

from __future__ import annotations

from rnnc.diagnostics import Span
from rnnc.frontend import ast
from rnnc.frontend.arithmetic import binary, compare, truth, unary
from rnnc.frontend.axes import index_axes
from rnnc.frontend.calls import call
from rnnc.frontend.cases import evaluate_cases
from rnnc.frontend.conditions import comparison, conjunction
from rnnc.frontend.context import Context, Unroll
from rnnc.frontend.lookup import field_of, look_up, read_point, variable_named
from rnnc.frontend.matmul import matmul
from rnnc.frontend.patterns import as_index
from rnnc.frontend.reductions import reduction
from rnnc.frontend.solve import named_statics
from rnnc.frontend.tensors import emit, one_of
from rnnc.frontend.values import (
    BAD,
    Absent,
    Callee,
    Condition,
    ListValue,
    Number,
    Tensor,
    Value,
    Whole,
)
from rnnc.ir.poly import Poly


def evaluate(node: ast.Expression, context: Context) -> Value:
    """What the expression stands for in the region of `context`.

    Raises Split or Unroll where parts of the region need to be treated apart.
    """
    match node:
        case ast.Name(text):
            found = look_up(text, context, node.span)
            if found is None:
                context.session.has_unknown = True
                return BAD
            return found
        case ast.Number(value):
            return Number(Poly.of(value) if isinstance(value, int) else value)
        case ast.Boolean(value):
            return Condition(value)
        case ast.ListLiteral(items):
            return ListValue(tuple(evaluate(item, context) for item in items))
        case ast.Unary():
            operand = evaluate(node.operand, context)
            return unary(node, operand, context)
        case ast.Binary(operator="@"):
            return matmul(node, context)
        case ast.Binary():
            left, right = evaluate(node.left, context), evaluate(node.right, context)
            return binary(node, left, right, context)
        case ast.Comparison():
            values = [evaluate(operand, context) for operand in node.operands]
            return compare(node, values, context)
        case ast.Membership():
            return _membership(node, context)
        case ast.Conditional():
            cases = (
                ast.Case(node.value, node.condition, node.span),
                ast.Case(node.otherwise, None, node.otherwise.span),
            )
            return one_of(evaluate_cases(cases, context), context, node.span)
        case ast.Indexed():
            return _indexed(node, context)
        case ast.WithStatics():
            return _with_statics(node, context)
        case ast.Call():
            return call(node, context)
        case ast.Reduction():
            return reduction(node, context)
        case ast.Field():
            return field_of(evaluate(node.base, context), node, context)
        case ast.Range():
            return context.error("RNN307", "a range stands in an index only", node.span)


# ---- ranges --------------------------------------------------------------------------------


def _membership(node: ast.Membership, context: Context) -> Value:
    """`k in a..b` as a condition."""
    value = evaluate(node.element, context)
    result: Value = Condition(True)
    for operator, end in ((">=", node.range.lower), ("<", node.range.upper)):
        if end is None:
            continue
        limit = evaluate(end, context)
        if (
            isinstance(value, Number)
            and isinstance(limit, Number)
            and isinstance(value.value, Poly)
            and isinstance(limit.value, Poly)
            and isinstance(result, Condition)
        ):
            link = comparison(operator, value.value, limit.value)
            result = Condition(conjunction(result.formula, link))
            continue
        chain = ast.Comparison((node.element, end), (operator,), node.span)
        link_value = compare(chain, (value, limit), context)
        sides = (truth(result, context, node.span), truth(link_value, context, node.span))
        result = emit("and", sides, context, node.span)
    return result


# ---- brackets ---------------------------------------------------------------------------------


def _indexed(node: ast.Indexed, context: Context) -> Value:
    """Grid points of a variable, weights of a cell, elements of a list, or axes of a tensor."""
    if isinstance(node.base, ast.Name):
        variable = variable_named(node.base.text, context)
        if variable is not None and (isinstance(variable, str) or variable.positions):
            return read_point(variable, node, context)
    base = evaluate(node.base, context)
    match base:
        case Absent():
            return base
        case Whole():
            return read_point(base, node, context)
        case Callee():
            indices = [as_index(evaluate(i, context), context, i.span) for i in node.indices]
            known = tuple(index for index in indices if index is not None)
            if len(known) < len(indices) or base.indices:
                return context.error("RNN308", "weights are indexed by static dims", node.span)
            return Callee(
                base.definition, base.module, base.name, base.span, base.statics, base.place, known
            )
        case ListValue(items) if len(node.indices) == 1:
            index = evaluate(node.indices[0], context)
            if isinstance(index, Number) and isinstance(index.value, Poly):
                return _item(items, index.value, node, context)
    return index_axes(base, node, context)


def _item(items: tuple[Value, ...], index: Poly, node: ast.Indexed, context: Context) -> Value:
    """An element of a static list; a static dim in the index is taken point by point."""
    position = context.sizes.normal(index).constant
    if position is None:
        grid = [name for name in index.names if name in context.region.names]
        for name in grid:
            dim = context.region.dim(name)
            if dim.static:
                assert dim.lower is not None and dim.upper is not None
                context.sizes.number(dim.upper - dim.lower, node.span, len(items))
                raise Unroll(name, node.span)
        if grid:
            return index_axes(ListValue(items), node, context)
        position = context.sizes.number(index, node.span, len(items))
    if not 0 <= position < len(items):
        for dim in context.region.dims:
            if dim.static and dim.upper is not None:
                context.sizes.lower_guess(dim.upper, node.span, len(items))
        return context.error(
            "RNN308",
            f"'{node.base.span.text}' has {len(items)} items, this reads number {position}",
            node.span,
        )
    return items[position]


def _with_statics(node: ast.WithStatics, context: Context) -> Value:
    """`lstm{H, act=relu}`: a definition with some statics given."""
    base = evaluate(node.base, context)
    if isinstance(base, Absent):
        return base
    if not isinstance(base, Callee):
        return context.error("RNN206", f"'{node.base.span.text}' takes no statics", node.base.span)
    given = dict(base.statics)
    for argument, name in named_statics(node.arguments, base.definition, context):
        if name is not None:
            given[name] = _static(evaluate(argument.value, context), argument.span, context)
    return Callee(
        base.definition, base.module, base.name, base.span, given, base.place, base.indices
    )


def _static(value: Value, span: Span, context: Context) -> Value:
    """A static argument; a static dim in it is taken point by point."""
    if isinstance(value, Number) and isinstance(value.value, Poly):
        for name in value.value.names:
            if name in context.region.names:
                if context.region.dim(name).static:
                    raise Unroll(name, span)
                return context.error("RNN206", "a static is known when compiling", span)
    if isinstance(value, Tensor):
        return context.error("RNN206", "a static is known when compiling", span)
    return value
