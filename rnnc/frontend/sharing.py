"""Weights of cells that are called without a param: where they live, and who shares them."""

from __future__ import annotations

from dataclasses import replace

from rnnc.analysis.sets import are_disjoint
from rnnc.diagnostics import Note
from rnnc.frontend import ast
from rnnc.frontend.context import Context
from rnnc.frontend.mentions import names_of
from rnnc.frontend.modules import LoadedModule
from rnnc.frontend.scope import Scope, Use
from rnnc.frontend.values import Absent, Callee, Place
from rnnc.frontend.weights import image, nested
from rnnc.ir.domain import Dim
from rnnc.ir.poly import Poly


def place_of(callee: Callee, node: ast.Call, context: Context) -> Place | Absent:
    """Where the weights of a call live; a direct call declares them."""
    if callee.place is not None:
        place = callee.place
        missing = len(place.dims) - len(place.access) - len(callee.indices)
        if missing:
            own = place.dims[len(place.access) :]
            names = ", ".join(dim.name for dim in own)
            return context.error(
                "RNN205",
                f"'{callee.name}' has {len(own)} indices [{names}], {len(callee.indices)} given",
                node.function.span,
            )
        return replace(place, access=place.access + callee.indices)
    scope = context.scope
    if not has_weights(callee.definition, callee.module):
        return scope.place
    dims = _dims(callee, node, context)
    if isinstance(dims, Absent):
        return dims
    place = nested(scope.place, callee.name, dims)
    place = replace(place, access=place.access + callee.indices)
    if context.session.last:
        _remember(callee, node, place, scope, context)
    return place


def _dims(callee: Callee, node: ast.Call, context: Context) -> tuple[Dim, ...] | Absent:
    """The static dims that index the weights, called as they are written."""
    written = _written_indices(node.function)
    dims: list[Dim] = []
    for position, (index, expression) in enumerate(zip(callee.indices, written, strict=True)):
        name = expression.text if isinstance(expression, ast.Name) else ""
        region = {dim.name: dim for dim in context.region.dims}
        moving = [region[n] for n in index.names if n in region]
        if any(not dim.static for dim in moving):
            return context.error(
                "RNN308",
                f"'{expression.span.text}' changes at run time: weights are indexed by static dims",
                expression.span,
            )
        declared = context.scope.dims.get(name)
        if declared is not None:
            dims.append(replace(declared, name=context.sizes.dim_name(name)))
        elif len(moving) == 1 and index == Poly.of(moving[0].name):
            dims.append(moving[0])
        elif not moving:
            dims.append(Dim(f"i{position}", index, index + 1, True))
        else:
            dims.append(Dim(f"i{position}", None, None, True))
    return tuple(dims)


def _written_indices(expression: ast.Expression) -> tuple[ast.Expression, ...]:
    match expression:
        case ast.Indexed(_, indices):
            return indices
        case ast.WithStatics(base):
            return _written_indices(base)
    return ()


def _remember(callee: Callee, node: ast.Call, place: Place, scope: Scope, context: Context) -> None:
    """RNN501: two calls that no param declares, with weights in common."""
    use = Use(node.span, callee.span, image(place, context.region))
    uses = scope.uses.setdefault(callee.name, [])
    for other in uses:
        if other.call == use.call or len(other.image.dims) != len(use.image.dims):
            continue
        if are_disjoint(use.image, other.image, context.sizes.known):
            continue
        written = node.function
        indices = _written_indices(written)
        if isinstance(written, ast.Indexed):
            written = written.base
        index = f"[{', '.join(i.span.text for i in indices)}]" if indices else ""
        first, second = sorted((other.callee, use.callee), key=lambda s: (s.line, s.column))
        context.session.found.warning(
            "RNN501",
            f"both calls of '{callee.name}' use the same weights",
            second,
            (Note("the first call is here", first),),
            (
                f"for weights of their own:  param fwd{index}, bwd{index}: {written.span.text}",
                f"if they are meant to be tied, say so:  "
                f"param {callee.name}{index}: {written.span.text}",
            ),
        )
        break
    uses.append(use)


def has_weights(definition: ast.Definition, module: LoadedModule) -> bool:
    """Whether a cell or model has parameters, itself or in what it calls."""
    return _has_weights(definition, module, ())


def _has_weights(definition: ast.Definition, module: LoadedModule, above: tuple[str, ...]) -> bool:
    if definition.name in above:
        return False
    for statement in definition.body:
        if isinstance(statement, ast.Params):
            return True
        if isinstance(statement, ast.Equation):
            for name in names_of(statement):
                found = module.find(name)
                if found is not None and _has_weights(
                    found[1], found[0], (*above, definition.name)
                ):
                    return True
    return any(
        isinstance(static.default, ast.Name)
        and (found := module.find(static.default.text)) is not None
        and _has_weights(found[1], found[0], (*above, definition.name))
        for static in definition.statics
    )
