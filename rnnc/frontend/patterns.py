"""Index patterns: what they bind, and over which points.

t                the whole dim              l > 0, i < j <= t   a restricted dim
k in a..b        exactly this range         -1, L, t - 1        one point
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rnnc.diagnostics import Span
from rnnc.frontend import ast
from rnnc.frontend.conditions import cut
from rnnc.frontend.context import Context, Unroll
from rnnc.frontend.values import Absent, Condition, Number, Value
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.poly import Poly


@dataclass(frozen=True, slots=True)
class Bound:
    """The region with the bound names, the index at each position, and what was bound there.

    `binders[i]` is the dim of the region that position i binds, or None for one point.
    """

    context: Context
    access: tuple[Poly, ...]
    binders: tuple[Dim | None, ...]


def binder(node: ast.Expression, dims: Sequence[str]) -> str | None:
    """The name that a pattern can bind, or None for an expression."""
    match node:
        case ast.Name(text):
            return text if text in dims else None
        case ast.Membership(ast.Name(text)):
            return text
        case ast.Comparison(operands) if len(operands) == 2:
            names = [o.text for o in operands if isinstance(o, ast.Name) and o.text in dims]
            return names[0] if names else None
        case ast.Comparison((_, ast.Name(text), _)):
            return text
    return None


def bind(
    nodes: Sequence[ast.Expression],
    context: Context,
    *,
    shadow: bool = False,
    tight: bool = False,
) -> Bound | None:
    """Binds the patterns in `context`; None where one is in error.

    Plain names are bound first, so that `s[t, i < t]` and `s[i < t, t]` agree. With `shadow` (of
    reductions), a name that is bound already gets a meaning of its own. With `tight`, constant
    bounds move into the dims.
    """
    dims = tuple(context.scope.dims)
    access: dict[int, Poly] = {}
    binders: dict[int, Dim] = {}
    fresh: set[str] = set()
    order = sorted(range(len(nodes)), key=lambda i: not isinstance(nodes[i], ast.Name))
    for position in order:
        node = nodes[position]
        name = binder(node, dims)
        if name is None or name in fresh or (name in context.indices and not shadow):
            index = affine(node, context)
            if index is None:
                return None
            access[position] = index
            continue
        step = _bind_one(name, node, context, tight)
        if step is None:
            return None
        context, dim = step
        fresh.add(name)
        binders[position] = dim
        access[position] = Poly.of(dim.name)
    return Bound(
        context,
        tuple(access[position] for position in range(len(nodes))),
        tuple(binders.get(position) for position in range(len(nodes))),
    )


def _bind_one(
    name: str, node: ast.Expression, context: Context, tight: bool
) -> tuple[Context, Dim] | None:
    declared = context.scope.dims.get(name)
    if isinstance(node, ast.Name):
        assert declared is not None
        lower, upper = declared.lower, declared.upper
        constraints: tuple[Constraint, ...] = ()
        static = declared.static
    else:
        limits = _limits(node, name, declared, context)
        if limits is None:
            return None
        lower, upper, constraints, static = limits
    new = context.sizes.dim_name(name, context.region.names)
    here = {name: Poly.of(new)}
    own = tuple(c.substitute({_OWN: new}) for c in constraints)
    dim = Dim(new, lower, upper, static)
    if tight:
        dim, own = tightened(dim, own)
    return context.extend((dim,), own, here), dim


# The name of the dim that is being bound, while its constraints are worked out.
_OWN = "?own"


def _limits(
    node: ast.Expression, name: str, declared: Dim | None, context: Context
) -> tuple[Poly | None, Poly | None, tuple[Constraint, ...], bool] | None:
    """Bounds in sizes alone, further constraints on `?own`, and whether the dim is static."""
    own = Poly.of(_OWN)
    inner = replace(context, indices={**context.indices, name: own})
    if isinstance(node, ast.Membership):
        ends = [
            None if end is None else affine(end, context)
            for end in (node.range.lower, node.range.upper)
        ]
        for end, written in zip(ends, (node.range.lower, node.range.upper), strict=True):
            if end is None and written is not None:
                return None
        lower, upper = ends
        parts = []
        if lower is not None:
            parts.append(Constraint(own - lower, ">="))
        if upper is not None:
            parts.append(Constraint(upper - 1 - own, ">="))
        box = None
    else:
        formula = inner.evaluate(node)
        if not isinstance(formula, Condition):
            if not isinstance(formula, Absent):
                context.error("RNN308", "a pattern compares grid indices and sizes", node.span)
            return None
        holds, _ = cut(formula.formula)
        if len(holds) != 1:
            context.error("RNN308", "a pattern is one range of points", node.span)
            return None
        parts = list(holds[0])
        box = declared
    if box is not None:
        return box.lower, box.upper, tuple(parts), box.static
    lower, upper, rest = None, None, []
    for part in parts:
        sign = part.poly.coefficient(_OWN)
        bound = (part.poly - own * sign) * -sign
        limit = extreme(bound, context.region, greatest=sign < 0)
        if limit is not None and sign > 0:
            lower = limit
        elif limit is not None and sign < 0:
            upper = limit + 1
        if limit != bound:
            rest.append(part)
    names = {n for end in (lower, upper) if end is not None for n in end.names}
    static = not any(context.sizes.is_extent(n) for n in names)
    return lower, upper, tuple(rest), static and lower is not None and upper is not None


def tightened(dim: Dim, constraints: Sequence[Constraint]) -> tuple[Dim, tuple[Constraint, ...]]:
    """Moves `l - 1 >= 0` into the bounds where these are comparable numbers."""
    rest: list[Constraint] = []
    for constraint in constraints:
        sign = constraint.poly.coefficient(dim.name)
        others = constraint.poly - Poly.of(dim.name) * sign
        if constraint.relation == ">=" and sign in (1, -1) and dim.name not in others.names:
            if sign == 1 and dim.lower is not None:
                step = (-others - dim.lower).constant
                if step is not None:
                    dim = replace(dim, lower=-others) if step > 0 else dim
                    continue
            if sign == -1 and dim.upper is not None:
                step = (others + 1 - dim.upper).constant
                if step is not None:
                    dim = replace(dim, upper=others + 1) if step < 0 else dim
                    continue
        rest.append(constraint)
    return dim, tuple(rest)


def extreme(poly: Poly, region: Domain, *, greatest: bool) -> Poly | None:
    """A bound of the polynomial over the box of the region, in sizes alone."""
    for dim in reversed(region.dims):
        sign = poly.coefficient(dim.name)
        if dim.name not in poly.names:
            continue
        if not poly.is_affine or any(dim.name in f.numerator.names for f in poly.floors):
            return None
        end = dim.upper if (sign > 0) == greatest else dim.lower
        if end is None:
            return None
        if (sign > 0) == greatest:
            end = end - 1
        poly = poly.substitute({dim.name: end})
    return poly


# ---- indices ----------------------------------------------------------------------------------


def affine(node: ast.Expression, context: Context) -> Poly | None:
    """An index expression as a polynomial; None (and reported) where it is none."""
    value = context.evaluate(node)
    if isinstance(value, Absent):
        return None
    index = as_index(value, context, node.span)
    if index is None:
        context.error(
            "RNN308",
            f"'{node.span.text}' is no index: an integer combination of grid indices is wanted",
            node.span,
        )
    return index


def as_index(value: Value, context: Context, span: Span) -> Poly | None:
    """The value as an affine index; static dims that occur otherwise are taken point by point."""
    if not isinstance(value, Number) or not isinstance(value.value, Poly):
        return None
    poly = context.sizes.normal(value.value)
    if poly.is_affine:
        return poly
    grid = [name for name in poly.names if name in context.region.names]
    for name in grid:
        if _is_entangled(poly, name) and context.region.dim(name).static:
            raise Unroll(name, span)
    if not grid:
        return poly
    sizes = {n: context.sizes.number(Poly.of(n), span) for n in poly.names if n not in grid}
    known = poly.substitute(sizes)
    return known if known.is_affine else None


def _is_entangled(poly: Poly, name: str) -> bool:
    """Whether the name occurs in a product or inside a floor that is not affine."""
    for monomial, _ in poly.terms:
        degree = sum(power for _, power in monomial)
        for atom, _ in monomial:
            names = (atom,) if isinstance(atom, str) else atom.numerator.names
            if name in names and (degree > 1 or not Poly(((monomial, 1),)).is_affine):
                return True
    return False
