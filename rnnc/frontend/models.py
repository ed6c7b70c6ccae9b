"""Models called inside models: whole variables or values at a point go in, outputs are read."""

from __future__ import annotations

from collections.abc import Sequence

from rnnc.diagnostics import Note, Span
from rnnc.frontend import ast
from rnnc.frontend.bindings import counted
from rnnc.frontend.context import Context, pieces, project
from rnnc.frontend.model_scope import declare_dims, declare_names, resolve_dims
from rnnc.frontend.patterns import bind
from rnnc.frontend.reads import read, read_field
from rnnc.frontend.scope import ModelScope
from rnnc.frontend.sharing import place_of
from rnnc.frontend.solve import default_statics, open_statics, solve, unsolved
from rnnc.frontend.tensors import as_tensor, converted, type_text
from rnnc.frontend.types import declared_type
from rnnc.frontend.values import (
    BAD,
    UNKNOWN,
    Absent,
    Callee,
    Instance,
    Number,
    Record,
    Tensor,
    Value,
    Whole,
)
from rnnc.frontend.variables import Piece, Variable
from rnnc.frontend.weights import guard_of
from rnnc.ir.domain import Domain
from rnnc.ir.graph import Operand
from rnnc.ir.poly import Poly
from rnnc.ir.types import TensorType


def call_model(callee: Callee, node: ast.Call, context: Context) -> Value:
    """The model as an instance: its dims are those of the arguments, then its own."""
    definition = callee.definition
    assert isinstance(definition, ast.Model)
    declared = _inputs(definition)
    given = _arguments(definition, declared, node, context)
    if isinstance(given, Absent):
        return given
    place = place_of(callee, node, context)
    if isinstance(place, Absent):
        return place
    outer = _outer(given, context)
    ids = context.hint or context.scope.id(callee.name)
    scope = ModelScope(
        context.session,
        definition,
        callee.module,
        dict(callee.statics),
        place,
        ids,
        (*context.scope.above, definition),
        outer=outer,
    )
    base = Context(context.session, scope, outer, {}, ids)
    opened = open_statics(scope, base)
    declare_dims(scope, solved=True)
    if _solve(scope, declared, given, base, context):
        return BAD
    default_statics(scope, opened, base)
    left = unsolved(scope, opened)
    if left:
        if not context.session.last:
            return UNKNOWN
        static = next(s for s in definition.statics if s.name == left[0])
        return context.error(
            "RNN303",
            f"cannot tell the size {left[0]} of '{definition.name}': no argument's shape has it",
            callee.span,
            (Note(f"{left[0]} is a static of '{definition.name}'", static.span),),
            (f"pass it:  {callee.name}{{{left[0]}}}",),
        )
    resolve_dims(scope)
    scope = _remembered(scope, node, outer, context)
    _pass(scope, declared, given, context)
    return Instance(scope, tuple(Poly.of(dim.name) for dim in outer.dims))


def _remembered(scope: ModelScope, node: ast.Call, outer: Domain, context: Context) -> ModelScope:
    """The scope of this call from before, if its sizes are still the same."""
    statics = tuple((name, repr(value)) for name, value in scope.statics.items())
    extents = tuple((name, str(extent)) for name, extent in scope.extents.items())
    key = (id(node), context.scope.place.prefix, context.scope.ids, outer, statics, extents)
    known = context.session.calls.get(key)
    if known is None:
        declare_names(scope)
        context.session.calls[key] = known = scope
    if all(model is not known for model in context.session.models):
        context.session.enter(known)
    return known


def _inputs(definition: ast.Model) -> list[ast.Declaration]:
    return [
        declaration
        for statement in definition.body
        if isinstance(statement, ast.Inputs)
        for declaration in statement.declarations
    ]


def _arguments(
    definition: ast.Model,
    declared: Sequence[ast.Declaration],
    node: ast.Call,
    context: Context,
) -> dict[str, tuple[Value, Span]] | Absent:
    """The arguments by the name of the input."""
    names = list(dict.fromkeys(declaration.name for declaration in declared))
    found: dict[str, tuple[Value, Span]] = {}
    position = 0
    for argument in node.arguments:
        value = context.evaluate(argument.value)
        name = argument.name
        if name is None and position < len(names):
            name = names[position]
            position += 1
        if argument.splat or name is None or name not in names or name in found:
            return context.error(
                "RNN206",
                f"'{definition.name}' takes {', '.join(names) or 'no arguments'}",
                argument.span,
                (Note("its inputs are declared here", definition.name_span),),
            )
        found[name] = (value, argument.span)
    for declaration in declared:
        if declaration.name not in found and declaration.default is None:
            return context.error(
                "RNN206",
                f"'{definition.name}' needs '{declaration.name}'",
                node.span,
                (Note("it is declared here", declaration.span),),
            )
    return found


def _outer(given: dict[str, tuple[Value, Span]], context: Context) -> Domain:
    """The dims of the caller's point that the arguments depend on: the model runs once for each."""
    names: set[str] = set()
    for value, _ in given.values():
        for part in value.fields.values() if isinstance(value, Record) else (value,):
            if isinstance(part, Tensor):
                for index in part.read.access:
                    names.update(index.names if isinstance(index, Poly) else ())
            elif isinstance(part, Number) and isinstance(part.value, Poly):
                names.update(part.value.names)
            elif isinstance(part, Whole):
                names.update(name for index in part.point for name in index.names)
    # What ties a dim that is used to one that is not must stay.
    region = context.region
    while True:
        tied = {
            name
            for constraint in region.constraints
            if not names.isdisjoint(constraint.poly.names)
            for name in constraint.poly.names
        }
        if tied <= names:
            return project(region, names)
        names |= tied


# ---- sizes ------------------------------------------------------------------------------------


def _solve(
    scope: ModelScope,
    declared: Sequence[ast.Declaration],
    given: dict[str, tuple[Value, Span]],
    base: Context,
    context: Context,
) -> bool:
    """Infers extents and statics from the arguments; whether one of these is bad."""
    sizes = context.sizes
    pairs: list[tuple[Sequence[Poly], Sequence[Poly]]] = []
    bad = False
    for declaration in declared:
        if declaration.name not in given:
            continue
        value, span = given[declaration.name]
        if isinstance(value, Absent):
            bad = bad or value is BAD
            continue
        indices = declaration.indices or ()
        if isinstance(value, Whole):
            dims = value.variable.positions
            if len(dims) != len(indices):
                number = counted(len(dims), "grid index", "grid indices")
                context.error(
                    "RNN205",
                    f"'{value.variable.name}' has {number}, "
                    f"input '{declaration.name}' has {len(indices)}",
                    span,
                    (Note(f"'{declaration.name}' is declared here", declaration.span),),
                )
                bad = True
                continue
            for index, dim in zip(indices, dims, strict=True):
                own = scope.dims.get(index.text) if isinstance(index, ast.Name) else None
                if own is not None and dim.upper is not None and dim.lower is not None:
                    assert own.lower is not None and own.upper is not None
                    pairs.append(((own.lower, own.upper), (dim.lower, dim.upper)))
        elif indices:
            names = ", ".join(index.span.text for index in indices)
            context.error(
                "RNN205",
                f"input '{declaration.name}' is read at [{names}]: pass a whole variable",
                span,
                (Note(f"'{declaration.name}' is declared here", declaration.span),),
                ("to pass an expression, name it, and pass the name without indices",),
            )
            bad = True
            continue
        if isinstance(declaration.type, ast.TensorType | None):
            type = declared_type(declaration.type, _typing(declaration, base))
            actual = _type_of(value, context, span)
            if isinstance(type, TensorType) and actual and type.rank == actual.rank:
                pairs.append((type.shape, actual.shape))
    solve(pairs, sizes)
    for formal, actual_sizes in pairs:
        for one, other in zip(formal, actual_sizes, strict=True):
            sizes.equal(one, other)
    return bad


def _typing(declaration: ast.Declaration, base: Context) -> Context:
    """Where the type of an input is evaluated: its dims may occur in a range."""

    bound = bind(declaration.indices or (), base)
    return base if bound is None else bound.context


def _type_of(value: Value, context: Context, span: Span) -> TensorType | None:
    """The type of a value, or of a whole variable in its box."""
    if isinstance(value, Whole):
        variable = value.variable
        groups = variable.groups.get(value.field) or variable.groups.get("") or ()
        if not groups and len(variable.groups) == 1:
            [groups] = variable.groups.values()
        return groups[0].type if groups else None
    if isinstance(value, Record):
        return None
    tensor = as_tensor(value, context, span)
    return tensor.type if isinstance(tensor, Tensor) else None


# ---- arguments become variables ---------------------------------------------------------------


def _pass(
    scope: ModelScope,
    declared: Sequence[ast.Declaration],
    given: dict[str, tuple[Value, Span]],
    context: Context,
) -> None:
    """Gives the inputs their pieces: what the caller has at the same points."""
    for name in dict.fromkeys(declaration.name for declaration in declared):
        declaration = next(d for d in declared if d.name == name)
        variable = scope.variables[name]
        # What was passed in the round before goes; the equations of a border stay.
        variable.pieces = [p for p in variable.pieces if p.equation is not None]
        base = Context(scope.session, scope, scope.outer, {}, scope.id(name))
        if name not in given:
            assert declaration.default is not None
            value, span = base.evaluate(declaration.default), declaration.span
        else:
            value, span = given[name]
        _add_pieces(variable, declaration, value, span, base, context)
        variable.settle(scope.session.sizes)


def _add_pieces(
    variable: Variable,
    declaration: ast.Declaration,
    value: Value,
    span: Span,
    base: Context,
    context: Context,
) -> None:

    bound = bind(declaration.indices or (), base)
    if bound is None or value is BAD:
        variable.is_bad = variable.is_partial = True
        return
    here = bound.context
    places = {
        binder.name: Poly.of(position.name)
        for binder, position in zip(bound.binders, variable.positions, strict=True)
        if binder is not None
    }

    def passed(part: Context) -> Value:
        if not isinstance(value, Whole):
            return value
        indices = list(bound.access)
        if value.field:
            return read_field(value.variable, value.field, value.point, indices, part, span)
        return read(value.variable, value.point, indices, part, span)

    formal = None
    if isinstance(declaration.type, ast.TensorType | None):
        formal = declared_type(declaration.type, here)
    for part, found in pieces(here, passed):
        extra = [c for c in part.region.constraints if c not in base.region.constraints]
        guard = guard_of(variable, bound.access, bound.binders, extra)
        domain = Domain(variable.lead + guard.dims, base.region.constraints + guard.constraints)
        fields = found.fields if isinstance(found, Record) else {"": found}
        types: dict[str, TensorType | None] = {}
        direct: dict[str, Operand] = {}
        for name, item in fields.items():
            fitted = _fitted(item, formal, declaration, span, part, context)
            if isinstance(fitted, Tensor):
                types[name] = fitted.type.substitute(places)
                access = tuple(
                    index.substitute(places) if isinstance(index, Poly) else index
                    for index in fitted.read.access
                )
                direct[name] = Operand(fitted.read.source, access, span=span)
            else:
                types[name] = None
        variable.pieces.append(Piece(domain, types, span, direct=direct or None))


def _fitted(
    value: Value,
    formal: TensorType | Absent | dict[str, TensorType] | None,
    declaration: ast.Declaration,
    span: Span,
    part: Context,
    context: Context,
) -> Value:
    """An argument as the type of its input."""
    if not isinstance(formal, TensorType) or isinstance(value, Absent):
        return as_tensor(value, part, span)
    if isinstance(value, Number):
        return converted(value, formal, part, span)
    tensor = as_tensor(value, part, span)
    if isinstance(tensor, Absent):
        return tensor
    if part.sizes.equal_shapes(formal.shape, tensor.type.shape):
        if tensor.type.dtype == formal.dtype:
            return Tensor(
                TensorType(
                    tensor.type.dtype,
                    tuple(map(part.sizes.normal, tensor.type.shape)),
                    formal.range or tensor.type.range,
                ),
                tensor.read,
            )
        return converted(value, formal, part, span)
    return context.error(
        "RNN305",
        f"input '{declaration.name}' is {type_text(formal, part.sizes)}, "
        f"this is {type_text(tensor.type, part.sizes)}",
        span,
        (Note(f"'{declaration.name}' is declared here", declaration.span),),
    )
