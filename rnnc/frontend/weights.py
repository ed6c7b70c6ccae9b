"""Parameters: where they live, over which points, and of which type."""

from __future__ import annotations

from collections.abc import Sequence

from rnnc.frontend import ast
from rnnc.frontend.context import Context
from rnnc.frontend.initializers import initializer_text
from rnnc.frontend.patterns import bind
from rnnc.frontend.scope import CellScope, Scope
from rnnc.frontend.solve import named_statics
from rnnc.frontend.types import declared_type
from rnnc.frontend.values import BAD, Absent, Callee, Place
from rnnc.frontend.variables import Piece, Variable
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import Operand
from rnnc.ir.poly import Poly, PolyLike
from rnnc.ir.types import TensorType


def weight(name: str, scope: Scope, context: Context) -> Variable | Callee | Absent:
    """The parameter of that name: a variable over static points, or a cell with its place."""
    declarations = scope.params[name]
    kind = declarations[0].type
    base = Context(context.session, scope, Domain(), {}, scope.id(name))
    if isinstance(kind, ast.CellType):
        return _cell(name, declarations[0], kind, scope, base)
    if name in scope.weights:
        return scope.weights[name]
    # Should the type of the parameter need the parameter itself, it is bad.
    own = declarations[0].name_span
    scope.weights[name] = Variable(name, "param", (), (), own, scope.id(name), is_bad=True)
    region = context.region if isinstance(scope, CellScope) else Domain()
    scope.weights[name] = variable = _tensor(name, declarations, scope, base, region)
    return variable


def _cell(
    name: str, declaration: ast.Declaration, kind: ast.CellType, scope: Scope, context: Context
) -> Callee | Absent:
    bound = bind(declaration.indices or (), context)
    dims = () if bound is None else tuple(d for d in bound.binders if d is not None)
    found = scope.definition_named(kind.name.text, kind.name.span)
    if not isinstance(found, Callee):
        if found is None or isinstance(found, Absent):
            context.session.has_unknown |= found is None
            return found or BAD
        return context.error("RNN307", f"'{kind.name.text}' is no cell", kind.name.span)
    statics = dict(found.statics)
    for argument, static in named_statics(kind.arguments, found.definition, context):
        if static is not None:
            statics[static] = context.evaluate(argument.value)
    place = nested(scope.place, name, dims)
    return Callee(found.definition, found.module, name, declaration.name_span, statics, place)


def nested(place: Place, name: str, dims: Sequence[Dim]) -> Place:
    """The place of a cell's weights inside another: `lstm[l].norm.`"""
    index = "[" + ", ".join(dim.name for dim in dims) + "]" if dims else ""
    return Place(f"{place.prefix}{name}{index}.", (*place.dims, *dims), place.access)


def image(place: Place, region: Domain) -> Domain:
    """The points of the weights that a region reads, as far as they are a plain range."""
    inverse: dict[str, PolyLike] = {}
    constraints: list[Constraint] = []
    for dim, access in zip(place.dims, place.access, strict=True):
        names = [name for name in access.names if name in region.names]
        sign = access.coefficient(names[0]) if len(names) == 1 else 0
        if not names:
            constraints.append(Constraint(Poly.of(dim.name) - access, "=="))
        elif sign in (1, -1) and not access.floors:
            rest = access - Poly.of(names[0]) * sign
            inverse[names[0]] = (Poly.of(dim.name) - rest) * sign
    for constraint in region.constraints:
        names = [name for name in constraint.poly.names if name in region.names]
        if names and all(name in inverse for name in names):
            constraints.append(constraint.substitute(inverse))
    return Domain(place.dims).restrict(*constraints)


def _tensor(
    name: str,
    declarations: Sequence[ast.Declaration],
    scope: Scope,
    context: Context,
    region: Domain,
) -> Variable:
    lead = image(scope.place, region)
    variable: Variable | None = None
    rank = len(declarations[0].indices or ())
    for declaration in declarations:
        bound = bind(declaration.indices or (), context)
        if bound is None or isinstance(declaration.type, ast.CellType):
            continue
        if len(bound.binders) != rank:
            continue  # reported with the names
        moving = [dim for dim in bound.binders if dim is not None and not dim.static]
        if moving:
            context.error(
                "RNN308",
                f"a parameter is indexed by static dims, {moving[0].name} ends at run time",
                declaration.name_span,
            )
            continue
        names = tuple(
            Dim(f"i{position}", None, None, True) if dim is None else dim
            for position, dim in enumerate(bound.binders)
        )
        if variable is None:
            variable = Variable(
                name, "param", lead.dims, names, declaration.name_span, scope.id(name)
            )
        elif any(dim is not None for dim in bound.binders):
            # The positions are called as the declaration that names them has it.
            variable.positions = tuple(
                new if old.lower is None else old
                for old, new in zip(variable.positions, names, strict=True)
            )
    if variable is None:  # no declaration of it makes sense
        first = declarations[0].name_span
        return Variable(name, "param", lead.dims, (), first, scope.id(name), is_bad=True)
    for declaration in declarations:
        if len(declaration.indices or ()) == rank:
            _add_piece(variable, declaration, scope, context, lead)
    variable.settle(context.sizes)
    return variable


def _add_piece(
    variable: Variable,
    declaration: ast.Declaration,
    scope: Scope,
    context: Context,
    lead: Domain,
) -> None:
    bound = bind(declaration.indices or (), context)
    if bound is None or isinstance(declaration.type, ast.CellType):
        variable.is_bad = True
        return
    type = declared_type(declaration.type, bound.context)
    if not isinstance(type, TensorType):
        variable.is_bad = True
        return
    guard = guard_of(variable, bound.access, bound.binders, bound.context.region.constraints)
    domain = Domain(lead.dims + guard.dims, lead.constraints + guard.constraints)
    names = ", ".join(dim.name for dim in guard.dims)
    path = f"{scope.place.prefix}{variable.name}" + (f"[{names}]" if names else "")
    initial = initializer_text(declaration, type, bound.context)
    node = context.session.emitter.param(path, initial, domain, type, declaration.name_span)
    operand = Operand(node, tuple(Poly.of(dim.name) for dim in variable.dims))
    variable.pieces.append(
        Piece(domain, {"": type}, declaration.span, direct={"": operand}, declared=True)
    )


def guard_of(
    variable: Variable,
    access: Sequence[Poly],
    binders: Sequence[Dim | None],
    constraints: Sequence[Constraint],
) -> Domain:
    """The points of the positions that patterns bind, in the variable's own names."""
    rename: dict[str, PolyLike] = {
        binder.name: position.name
        for binder, position in zip(binders, variable.positions, strict=True)
        if binder is not None
    }
    dims: list[Dim] = []
    found: list[Constraint] = []
    for position, index, binder in zip(variable.positions, access, binders, strict=True):
        here = index.substitute(rename)
        own = Poly.of(position.name)
        if binder is not None:
            lower = None if binder.lower is None else binder.lower.substitute(rename)
            upper = None if binder.upper is None else binder.upper.substitute(rename)
            dims.append(Dim(position.name, lower, upper, position.static))
        elif any(name in rename.values() for name in here.names):
            dims.append(position)
            found.append(Constraint(own - here, "=="))
        else:
            dims.append(Dim(position.name, here, here + 1, position.static))
    found += [constraint.substitute(rename) for constraint in constraints]
    return Domain(tuple(dims), tuple(dict.fromkeys(found)))
