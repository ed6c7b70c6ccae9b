"""Reading a variable at a point: which node, at which index, and of which type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnc.analysis.sets import implies, is_empty
from rnnc.diagnostics import Span
from rnnc.frontend.context import Context, Split, Unroll
from rnnc.frontend.emit import identity
from rnnc.frontend.values import BAD, UNKNOWN, Record, Tensor, Value
from rnnc.frontend.variables import Group, Variable
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import DataIndex, Index, Operand
from rnnc.ir.poly import Poly, PolyLike
from rnnc.ir.types import TensorType

PointIndex = Poly | Tensor  # affine, or an int value with a range


def read(
    variable: Variable,
    point: Sequence[Poly],
    indices: Sequence[PointIndex],
    context: Context,
    span: Span,
) -> Value:
    """The variable at `point` (of its leading dims) and `indices`; all fields of a record."""
    if not variable.fields:
        return BAD if variable.is_bad else UNKNOWN
    if variable.fields == ("",):
        return read_field(variable, "", point, indices, context, span)
    return Record(
        {
            name: read_field(variable, name, point, indices, context, span)
            for name in variable.fields
        }
    )


def read_field(
    variable: Variable,
    name: str,
    point: Sequence[Poly],
    indices: Sequence[PointIndex],
    context: Context,
    span: Span,
) -> Value:
    """One field; raises Split where the region meets points of several types."""
    if name not in variable.groups:
        return BAD if variable.is_bad else UNKNOWN
    _separate(indices, context, span)
    where, region = _image(variable, point, indices, context)
    group = _group(variable.groups[name], where, region, context)
    if group.type is None:
        return BAD if variable.is_bad else UNKNOWN
    type = _seen(group.type, where, region, context.region, context)
    data = [index for index in indices if isinstance(index, Tensor)]
    own: list[Index] = list(point)
    for position, index in enumerate(indices):
        if isinstance(index, Poly):
            own.append(index)
        else:
            assert index.type.range is not None
            place = 1 + sum(isinstance(other, Tensor) for other in indices[:position])
            own.append(DataIndex(place, *index.type.range))
    template = _direct(variable, name, where, region, context)
    if template is None:
        operand = Operand(group.node, tuple(own), span=span)
    else:
        operand = _through(template, variable, own, where, span)
    if not data:
        return Tensor(type, operand)
    # The index is an operand of the node that reads by it: a merge, which any node can read.
    cases = [replace(operand, guard=context.region), *(index.read for index in data)]
    hint = f"{context.hint}.{variable.id}"
    return context.session.emitter.merge(cases, context.region, type, hint, span)


def _separate(indices: Sequence[PointIndex], context: Context, span: Span) -> None:
    """Takes a static dim point by point where it shifts a read along a run-time dim.

    `h[u, i-1+2*u]` runs one way for u = 0 and the other way for u = 1: no order serves both.
    """
    region = context.region
    for index in indices:
        if not isinstance(index, Poly):
            continue
        inside = [name for name in index.names if name in region.names]
        static = [name for name in inside if region.dim(name).static]
        if static and len(static) < len(inside):
            raise Unroll(static[0], span)


def _image(
    variable: Variable, point: Sequence[Poly], indices: Sequence[PointIndex], context: Context
) -> tuple[dict[str, PolyLike], Domain]:
    """The variable's dims in terms of the region; a data-dependent index becomes a dim of it."""
    values: list[PolyLike] = list(point)
    extra: list[Dim] = []
    constraints: list[Constraint] = []
    for index in indices:
        if isinstance(index, Poly):
            values.append(index)
            continue
        assert index.type.range is not None
        name = f"?{len(extra)}"
        lower, upper = index.type.range
        extra.append(Dim(name, None, None, False))
        constraints.append(Constraint(Poly.of(name) - lower, ">="))
        constraints.append(Constraint(upper - 1 - name, ">="))
        values.append(name)
    region = context.region.extend(tuple(extra)).restrict(*constraints)
    return dict(zip(variable.names, values, strict=True)), region


def _group(
    groups: Sequence[Group], where: dict[str, PolyLike], region: Domain, context: Context
) -> Group:
    """The one group that is met; raises Split where there are several."""
    if len(groups) == 1:
        return groups[0]
    known = context.sizes.known
    met: list[tuple[Group, tuple[Constraint, ...]]] = []
    index = {name: Poly.of(place).substitute(region.fixed) for name, place in where.items()}
    for group in groups:
        for atom in group.placed.at(index):
            limits = tuple(c.substitute(where) for c in (*atom.bounds, *atom.constraints))
            if not is_empty(region.restrict(*limits), known):
                met.append((group, limits))
    found = list(dict.fromkeys(id(group) for group, _ in met))
    if len(found) <= 1:
        return met[0][0] if met else groups[0]
    if not context.session.last:
        # What is not known yet is taken to be like the rest: to cut here would peel off one
        # point a round of `U[k] = f(U[k-1])`.
        told = [(group, limits) for group, limits in met if group.type is not None]
        if len({id(group) for group, _ in told}) <= 1:
            return told[0][0] if told else met[0][0]
        met = told
    own = frozenset(context.region.names)
    for _, limits in met:
        for limit in limits:
            dims = (name for name in limit.poly.names if name in region.names)
            if not implies(region, limit, known) and own.issuperset(dims):
                raise Split(limit)
    return met[0][0]  # a data-dependent index meets several types: told by its reader


def _direct(
    variable: Variable, name: str, where: dict[str, PolyLike], region: Domain, context: Context
) -> Operand | None:
    """The node that has all points read itself, over the variable's dims."""
    known = context.sizes.known
    pieces = [piece for piece in variable.pieces if piece.direct is not None]
    for piece in pieces:
        limits = [c.substitute(where) for c in (*piece.guard.bounds, *piece.guard.constraints)]
        if all(implies(region, limit, known) for limit in limits):
            assert piece.direct is not None
            return piece.direct[name]
        if variable.kind == "param" and not is_empty(region.restrict(*limits), known):
            raise Split(next(limit for limit in limits if not implies(region, limit, known)))
    # Parameters have no outside: the rules say so of a read that misses all of them.
    if variable.kind == "param" and pieces and pieces[0].direct is not None:
        return pieces[0].direct[name]
    return None


def _through(
    template: Operand,
    variable: Variable,
    own: Sequence[Index],
    where: dict[str, PolyLike],
    span: Span,
) -> Operand:
    """The read of the node behind the variable; data-dependent indices pass as they are."""
    given = dict(zip(variable.names, own, strict=True))
    access: list[Index] = []
    for index in template.access:
        assert isinstance(index, Poly)
        name = index.names[0] if len(index.names) == 1 else ""
        bare = name in given and index == Poly.of(name)
        access.append(given[name] if bare else index.substitute(where))
    return Operand(template.source, tuple(access), span=span)


def _seen(
    type: TensorType, where: dict[str, PolyLike], region: Domain, outer: Domain, context: Context
) -> TensorType:
    """The type at the reader's point; a range that depends on a data index is lost."""
    shape = tuple(context.sizes.normal(size) for size in type.shape)
    seen = TensorType(type.dtype, shape, type.range).substitute(where)
    fresh = frozenset(region.names) - frozenset(outer.names)
    if seen.range and any(not fresh.isdisjoint(bound.names) for bound in seen.range):
        return replace(seen, range=None)
    return seen


def own_point(variable: Variable) -> tuple[Poly, ...]:
    """The point of the leading dims, seen from an equation of the same model."""
    return tuple(Poly.of(dim.name) for dim in variable.lead)


def merge_read(node: str, domain: Domain) -> Operand:
    return Operand(node, identity(domain))
