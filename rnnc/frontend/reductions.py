"""Reductions over grid points: `sum(i < j <= t: body)`, `softmax(s: e)`, `concat(u, v: ...)`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rnnc.diagnostics import Span
from rnnc.frontend import ast
from rnnc.frontend.arithmetic import truth
from rnnc.frontend.builtins import GRID_FUNCTIONS
from rnnc.frontend.context import Context, pieces, project
from rnnc.frontend.emit import identity
from rnnc.frontend.patterns import bind
from rnnc.frontend.tensors import as_tensor, emit, one_of
from rnnc.frontend.values import BAD, Absent, Function, Number, Tensor, Value
from rnnc.frontend.variables import Group, Piece, Variable
from rnnc.ir.domain import Domain
from rnnc.ir.graph import Operand
from rnnc.ir.ops import op, reduced_dtype
from rnnc.ir.poly import Poly
from rnnc.ir.types import TensorType, promote


@dataclass(frozen=True, slots=True)
class Ranged:
    """The body of a reduction: its value over the region times `bound`."""

    body: Tensor
    inner: Context
    bound: Domain


def reduction(node: ast.Reduction, context: Context) -> Value:
    """The value of a reduction at each point of the region."""
    function = context.evaluate(node.function)
    if isinstance(function, Absent):
        return function
    if not isinstance(function, Function) or function.name not in GRID_FUNCTIONS:
        return context.error(
            "RNN307",
            f"'{node.function.span.text}' does not reduce over grid points",
            node.function.span,
            hints=("there are  " + ", ".join(GRID_FUNCTIONS),),
        )
    name = function.name
    if name in ("softmax", "cumsum"):
        return _keeping(name, node, context)
    ranged = _ranged(node, context)
    if isinstance(ranged, Absent):
        return ranged
    match name:
        case "concat" | "stack":
            return _joined(name, ranged, context, node)
        case "mean":
            total = _reduce("sum", ranged, context, node.span)
            return emit("div", (total, _count(ranged, context, node.span)), context, node.span)
        case "logsumexp":
            return _logsumexp(ranged, context, node.span)
        case "any" | "all":
            test = truth(ranged.body, ranged.inner, node.body.span)
            if isinstance(test, Absent):
                return test
            return _reduce(name, replace(ranged, body=test), context, node.span)
        case _:
            return _reduce(name, ranged, context, node.span)


def _ranged(node: ast.Reduction, context: Context) -> Ranged | Absent:
    """Binds the patterns and evaluates the body over the larger region."""
    before = len(context.region.dims)
    bound = bind(node.patterns, context, shadow=True, tight=True)
    if bound is None:
        return BAD
    inner = bound.context
    dims = inner.region.dims[before:]
    if len(dims) < len(node.patterns):
        return context.error("RNN308", "a reduction binds one name for each pattern", node.span)
    constraints = tuple(c for c in inner.region.constraints if c not in context.region.constraints)
    names = frozenset(dim.name for dim in dims)
    parts = pieces(inner, lambda c: c.evaluate(node.body), names)
    body = as_tensor(one_of(parts, inner, node.body.span), inner, node.body.span)
    if isinstance(body, Absent):
        return body
    return Ranged(body, inner, Domain(dims, constraints))


def _reduce(kind: str, ranged: Ranged, context: Context, span: Span) -> Tensor | Absent:
    """A `reduce` node over the region."""
    operation = op("reduce", kind=kind)
    body, bound = ranged.body, ranged.bound
    if kind in ("max", "min", "argmax") and body.type.dtype == "complex":
        return context.error("RNN307", "complex numbers have no order", span)
    if kind == "argmax" and (len(bound.dims) != 1 or body.type.shape):
        return context.error("RNN308", "argmax is over one name, of a scalar", span)
    type = TensorType(reduced_dtype(kind, body.type.dtype), body.type.shape)
    if kind == "argmax":
        [dim] = bound.dims
        if dim.lower is not None and dim.upper is not None:
            type = replace(type, range=(dim.lower, dim.upper))
    hint = f"{context.hint}.{kind}" if context.hint else kind
    return context.session.emitter.add(
        operation, (body,), context.region, hint, span, type=type, bound=bound
    )


def _count(ranged: Ranged, context: Context, span: Span) -> Tensor | Absent:
    """How many points are bound."""
    if not ranged.bound.constraints:
        count = Poly.of(1)
        for dim in ranged.bound.dims:
            count = count * dim.extent
        return as_tensor(Number(count), context, span)
    one = context.session.emitter.constant(1, "int", span)
    return _reduce("sum", replace(ranged, body=one), context, span)


def _logsumexp(ranged: Ranged, context: Context, span: Span) -> Value:
    largest = _reduce("max", ranged, context, span)
    if isinstance(largest, Absent):
        return largest
    inner = ranged.inner
    shifted = emit("sub", (ranged.body, largest), inner, span)
    powers = emit("exp", (shifted,), inner, span)
    if isinstance(powers, Absent):
        return powers
    total = _reduce("sum", replace(ranged, body=powers), context, span)
    return emit("add", (largest, emit("log", (total,), context, span)), context, span)


# ---- concat and stack -------------------------------------------------------------------------


def _joined(name: str, ranged: Ranged, context: Context, node: ast.Reduction) -> Value:
    """All points of a static range in one tensor."""
    sizes: list[Poly] = []
    for dim in ranged.bound.dims:
        if dim.lower is None or dim.upper is None or not context.sizes.is_static(dim.extent):
            return context.error(
                "RNN308",
                f"{name} is over a static range: the shape of its result is known when compiling",
                node.patterns[0].span,
            )
        sizes.append(dim.extent)
    if ranged.bound.constraints:
        return context.error(
            "RNN308", f"{name} is over whole ranges of points", node.patterns[0].span
        )
    shape = tuple(map(context.sizes.normal, ranged.body.type.shape))
    if name == "concat":
        if not shape:
            return context.error(
                "RNN305",
                f"'{node.body.span.text}' is a scalar: concat puts vectors together",
                node.body.span,
                hints=(f"write  stack({node.span.text.partition('(')[2]}",),
            )
        count = Poly.of(1)
        for size in sizes:
            count = count * size
        shape = (context.sizes.normal(count * shape[0]), *shape[1:])
    else:
        shape = (*map(context.sizes.normal, sizes), *shape)
    hint = f"{context.hint}.{name}" if context.hint else name
    return context.session.emitter.add(
        op(f"{name}_points"),
        (ranged.body,),
        context.region,
        hint,
        node.span,
        type=TensorType(ranged.body.type.dtype, shape),
        bound=ranged.bound,
    )


# ---- softmax and cumsum -----------------------------------------------------------------------


def _keeping(name: str, node: ast.Reduction, context: Context) -> Value:
    """`softmax(s: e)`, `cumsum(s: e)`: the value at the left side's `s`.

    The body is computed for all of the range, whatever part of it the left side asks for.
    """
    own = _kept_dim(node, context)
    if isinstance(own, Absent):
        return own
    outer_names = tuple(n for n in context.region.names if n != own)
    outer = replace(
        context,
        region=project(context.region, outer_names),
        indices={k: v for k, v in context.indices.items() if own not in v.names},
    )
    bound = bind(node.patterns, outer, shadow=True, tight=True)
    if bound is None:
        return BAD
    inner = bound.context
    dim = inner.region.dims[-1]
    parts = pieces(inner, lambda c: c.evaluate(node.body), frozenset((dim.name,)))
    body = as_tensor(one_of(parts, inner, node.body.span), inner, node.body.span)
    if isinstance(body, Absent):
        return body
    fresh = tuple(c for c in inner.region.constraints if c not in outer.region.constraints)
    ranged = Ranged(body, inner, Domain((dim,), fresh))
    if name == "softmax":
        result = _softmax(ranged, outer, node.span)
    else:
        result = _cumsum(ranged, outer, node.span)
    if isinstance(result, Absent):
        return result
    here = {dim.name: context.indices[_name(node)]}
    access = tuple(
        index.substitute(here) if isinstance(index, Poly) else index for index in result.read.access
    )
    return Tensor(result.type, replace(result.read, access=access))


def _name(node: ast.Reduction) -> str:
    """The name that `softmax(s: ...)` or `softmax(s <= t: ...)` binds."""
    match node.patterns[0]:
        case ast.Name(text) | ast.Membership(ast.Name(text)):
            return text
        case ast.Comparison((ast.Name(text), _)) | ast.Comparison((_, ast.Name(text), _)):
            return text
    return ""


def _kept_dim(node: ast.Reduction, context: Context) -> str | Absent:
    """The dim of the region that the reduction keeps."""
    name = _name(node)
    index = context.indices.get(name)
    function = node.function.span.text
    if len(node.patterns) != 1 or not name:
        return context.error("RNN308", f"'{function}' is over one name", node.span)
    if index is None:
        return context.error(
            "RNN308",
            f"'{function}' keeps '{name}': the left side must have it",
            node.patterns[0].span,
            hints=(f"add {name} to the indices of the left side",),
        )
    return index.names[0] if len(index.names) == 1 else ""


def _softmax(ranged: Ranged, outer: Context, span: Span) -> Tensor | Absent:
    """exp(e - max e) / sum of these: no overflow however large e is."""
    inner = ranged.inner
    largest = _reduce("max", ranged, outer, span)
    powers = emit("exp", (emit("sub", (ranged.body, largest), inner, span),), inner, span)
    if isinstance(powers, Absent):
        return powers
    total = _reduce("sum", replace(ranged, body=powers), outer, span)
    return emit("div", (powers, total), inner, span)


def _cumsum(ranged: Ranged, outer: Context, span: Span) -> Tensor | Absent:
    """The sum so far, as a recurrence along the dim that is kept."""
    inner, body = ranged.inner, ranged.body
    [dim] = ranged.bound.dims
    type = TensorType(promote("int", body.type.dtype), body.type.shape)
    hint = f"{inner.hint}.cumsum" if inner.hint else "cumsum"
    emitter = inner.session.emitter
    name = emitter.reserve(hint)
    before = tuple(Poly.of(n) - 1 if n == dim.name else Poly.of(n) for n in inner.region.names)
    total = emit("add", (Tensor(type, Operand(name, before, span=span)), body), inner, span)
    if isinstance(total, Absent):
        return total
    case = Operand(total.read.source, identity(inner.region), inner.region, span)
    if inner.session.last:
        variable = Variable(hint, "equation", (), inner.region.dims, span, name)
        variable.pieces.append(Piece(inner.region, {"": type}, span))
        variable.groups[""] = (Group((), type, name),)
        inner.session.hidden.append(variable)
    return emitter.merge([case], inner.region, type, hint, span, name=name)
