"""Equations of a model: the pieces that they give their variables, and the merge nodes of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rnnc.analysis.sets import implies, is_empty
from rnnc.diagnostics import Note
from rnnc.frontend import ast
from rnnc.frontend.cases import evaluate_cases
from rnnc.frontend.context import Context, pieces
from rnnc.frontend.lookup import parts_of
from rnnc.frontend.patterns import Bound, bind
from rnnc.frontend.scope import BoundEquation, ModelScope
from rnnc.frontend.tensors import as_tensor, converted, type_text
from rnnc.frontend.types import declared_type
from rnnc.frontend.values import BAD, Absent, Record, Tensor, Value
from rnnc.frontend.variables import Group, Piece, Variable
from rnnc.frontend.weights import guard_of
from rnnc.ir.domain import Dim, Domain
from rnnc.ir.graph import DataIndex, Operand
from rnnc.ir.poly import Poly
from rnnc.ir.types import TensorType


def evaluate_equation(equation: BoundEquation, scope: ModelScope) -> bool:
    """Evaluates the right side and renews the pieces; whether a type has changed."""
    tree = equation.tree
    hint = scope.id(tree.targets[0].name)
    base = Context(scope.session, scope, scope.outer, {}, hint)
    bounds = [bind(target.indices or (), base) for target in tree.targets]
    changed = False
    fits = [
        bound is not None and len(bound.access) == len(variable.positions)
        for bound, variable in zip(bounds, equation.variables, strict=True)
    ]
    if not all(fits):
        for variable in equation.variables:
            variable.is_bad = variable.is_partial = True
        return False
    known = [bound for bound in bounds if bound is not None]
    names = [sorted(bound.context.indices) for bound in known]
    if any(other != names[0] for other in names):
        base.error(
            "RNN205", "the targets of one equation have the same indices", tree.targets[1].span
        )
    first = known[0].context
    if first.is_empty:
        parts: list[tuple[Context, Value]] = []
    else:
        parts = [
            part
            for _, found in pieces(first, lambda c: evaluate_cases(tree.cases, c))
            for part in found
        ]
    new: list[list[Piece]] = [[] for _ in tree.targets]
    for context, value in parts:
        items = parts_of(value, tree.targets, context)
        for position, item in enumerate(items):
            piece = _piece(
                equation.variables[position],
                tree.targets[position],
                item,
                known[position],
                context,
                tree,
            )
            new[position].append(piece)
    for variable, own in zip(equation.variables, new, strict=True):
        variable.renew(own, tree)
        if not scope.session.last:  # then the groups have ids already
            changed |= variable.settle(scope.session.sizes)
    return changed


def _piece(
    variable: Variable,
    target: ast.Target,
    value: Value,
    bound: Bound,
    context: Context,
    tree: ast.Equation,
) -> Piece:
    places = {
        binder.name: Poly.of(position.name)
        for binder, position in zip(bound.binders, variable.positions, strict=True)
        if binder is not None
    }
    outer = context.scope
    assert isinstance(outer, ModelScope)
    guard = guard_of(variable, bound.access, bound.binders, context.region.constraints)
    domain = Domain(outer.outer.dims + guard.dims, guard.constraints)
    types = _types(value, target, places, context)
    if value is BAD:
        variable.is_bad = True
    values = value.fields if isinstance(value, Record) else {"": value}
    return Piece(
        domain, types, target.span, values=values, context=context, places=places, equation=tree
    )


def _types(
    value: Value, target: ast.Target, places: Mapping[str, Poly], context: Context
) -> dict[str, TensorType | None] | None:
    """The type of each field, in the variable's own names."""
    if isinstance(target.type, ast.TensorType):
        declared = declared_type(target.type, context)
        if isinstance(declared, TensorType):
            return {"": declared.substitute(places)}
    if isinstance(value, Absent):
        return None
    fields = value.fields if isinstance(value, Record) else {"": value}
    types: dict[str, TensorType | None] = {}
    for name, part in fields.items():
        tensor = as_tensor(part, context, target.span)
        types[name] = tensor.type.substitute(places) if isinstance(tensor, Tensor) else None
    return types


# ---- merges -----------------------------------------------------------------------------------


def merge_variable(variable: Variable, scope: ModelScope) -> None:
    """Adds the merge nodes of a variable; their ids are known to its readers already."""
    session = scope.session
    for name, groups in variable.groups.items():
        for group in groups:
            if group.type is None:
                continue
            cases: list[Operand] = []
            for piece in variable.pieces:
                cases += _cases(piece, name, group, groups, variable, scope)
            domain = hull(variable, [case.guard for case in cases if case.guard is not None])
            session.emitter.merge(
                cases, domain, group.type, group.node, variable.span, name=group.node
            )


def _cases(
    piece: Piece,
    name: str,
    group: Group,
    groups: Sequence[Group],
    variable: Variable,
    scope: ModelScope,
) -> list[Operand]:
    """The operands of one piece: one for each atom of the group that it has points in."""
    assert group.type is not None
    guards = _guards(piece, group, groups, scope)
    if not guards:
        return []
    if piece.direct is not None:
        operand = piece.direct.get(name)
        return [] if operand is None else [replace(operand, guard=guard) for guard in guards]
    assert piece.context is not None
    value = piece.values.get(name, piece.values.get(""))
    if value is None or isinstance(value, Absent):
        return []
    tensor = as_tensor(value, piece.context, piece.span)
    if isinstance(tensor, Absent):
        return []
    if tensor.type.shape and not scope.session.sizes.equal_shapes(
        tensor.type.shape, group.type.shape
    ):
        _unlike(tensor.type, group.type, piece, variable, scope)
        return []
    type = replace(group.type, range=None)
    fitted = converted(value, type, piece.context, piece.span)
    assert isinstance(fitted, Tensor)
    access = tuple(
        index.substitute(piece.places)
        if isinstance(index, Poly)
        else DataIndex(
            index.operand,
            index.lower.substitute(piece.places),
            index.upper.substitute(piece.places),
        )
        for index in fitted.read.access
    )
    return [Operand(fitted.read.source, access, guard, piece.span) for guard in guards]


def _guards(piece: Piece, group: Group, groups: Sequence[Group], scope: ModelScope) -> list[Domain]:
    """The points of a piece that lie in a group: mostly all or none."""
    known = scope.session.sizes.known

    def met(group: Group) -> list[Domain]:
        atoms = group.placed.at(piece.guard.fixed)
        inside = [piece.guard.restrict(*a.bounds, *a.constraints) for a in atoms]
        return [guard for guard in inside if not is_empty(guard, known)]

    if not any(met(other) for other in groups if other is not group):
        return [piece.guard] if not is_empty(piece.guard, known) else []
    guards: list[Domain] = []
    for atom in group.atoms:
        limits = [*atom.bounds, *atom.constraints]
        needed = [c for c in limits if not implies(piece.guard, c, known)]
        guard = piece.guard.restrict(*needed)
        if not is_empty(guard, known) and guard not in guards:
            guards.append(guard)
    return guards


def _unlike(
    type: TensorType, other: TensorType, piece: Piece, variable: Variable, scope: ModelScope
) -> None:
    """RNN306: a piece that has another shape than the variable."""
    sizes = scope.session.sizes
    first = next((p for p in variable.pieces if p is not piece and _has(p, other)), None)
    notes = () if first is None else (Note(f"here it is {type_text(other, sizes)}", first.span),)
    scope.session.error(
        "RNN306",
        f"'{variable.name}' is {type_text(type, sizes)} here, "
        f"but {type_text(other, sizes)} elsewhere",
        piece.span,
        notes,
    )


def _has(piece: Piece, type: TensorType) -> bool:
    return piece.types is not None and any(
        other is not None and other.shape == type.shape for other in piece.types.values()
    )


def hull(variable: Variable, guards: Sequence[Domain]) -> Domain:
    """A box round the guards; open where it cannot be told. The own box where there are none."""
    if not guards:
        return variable.box
    dims: list[Dim] = []
    for dim in variable.dims:
        ends = [next(own for own in guard.dims if own.name == dim.name) for guard in guards]
        lower, upper = ends[0].lower, ends[0].upper
        for own in ends[1:]:
            lower, upper = _lower(lower, own.lower), _upper(upper, own.upper)
        dims.append(Dim(dim.name, lower, upper, dim.static))
    return Domain(tuple(dims))


def _lower(left: Poly | None, right: Poly | None) -> Poly | None:
    if left is None or right is None:
        return None
    step = (right - left).constant
    if step is None:
        # A bound that grows with a size is above a number.
        return left if left.constant is not None else right if right.constant is not None else None
    return right if step < 0 else left


def _upper(left: Poly | None, right: Poly | None) -> Poly | None:
    if left is None or right is None:
        return None
    step = (right - left).constant
    if step is None:
        return right if left.constant is not None else left if right.constant is not None else None
    return right if step > 0 else left
