"""A model's scope: dims, variables and equations, before anything is evaluated."""

from __future__ import annotations

from collections.abc import Sequence

from rnnc.diagnostics import Span
from rnnc.frontend import ast
from rnnc.frontend.context import Context
from rnnc.frontend.patterns import affine, binder
from rnnc.frontend.scope import BoundEquation, ModelScope
from rnnc.frontend.values import Callee
from rnnc.frontend.variables import Variable
from rnnc.ir.domain import Dim, Domain
from rnnc.ir.poly import Poly


def declare_dims(scope: ModelScope, *, solved: bool) -> None:
    """Fills in the dims and run-time extents; of a called model, extents are yet to be solved."""
    context = Context(scope.session, scope, Domain(), {}, scope.ids)
    sizes = scope.session.sizes
    for statement in scope.definition.body:
        if not isinstance(statement, ast.Dims):
            continue
        for row in statement.ranges:
            upper = row.range.upper
            if (
                isinstance(upper, ast.Name)
                and upper.text not in scope.extents
                and scope.definition_named(upper.text, upper.span) is None
            ):
                extent = sizes.placeholder(upper.text) if solved else None
                scope.extents[upper.text] = extent or sizes.declare_extent(upper.text)
    for statement in scope.definition.body:
        if isinstance(statement, ast.Dims):
            for row in statement.ranges:
                _declare_dim(row, scope, context)


def _declare_dim(row: ast.Membership, scope: ModelScope, context: Context) -> None:
    if not isinstance(row.element, ast.Name):
        return
    ends = [None if e is None else affine(e, context) for e in (row.range.lower, row.range.upper)]
    if ends[0] is None or ends[1] is None:
        if row.range.lower is None or row.range.upper is None:
            context.error("RNN308", "a dim has two ends", row.span)
        ends = [Poly(), Poly.of(1)] if None in ends else ends
    lower, upper = ends
    assert lower is not None and upper is not None
    extents = {name for extent in scope.extents.values() for name in extent.names}
    static = not any(
        context.sizes.is_extent(n) or n in extents for n in (*lower.names, *upper.names)
    )
    scope.dims[row.element.text] = Dim(row.element.text, lower, upper, static)


def resolve_dims(scope: ModelScope) -> None:
    """Puts in what was solved of a called model's sizes."""
    sizes = scope.session.sizes
    for name, extent in scope.extents.items():
        scope.extents[name] = sizes.normal(extent)
    for name, dim in scope.dims.items():
        assert dim.lower is not None and dim.upper is not None
        lower, upper = sizes.normal(dim.lower), sizes.normal(dim.upper)
        static = sizes.is_static(lower) and sizes.is_static(upper)
        scope.dims[name] = Dim(name, lower, upper, static)


def declare_names(scope: ModelScope) -> None:
    """Fills in params, inputs, the variables of equations, and models that are called."""
    inputs: dict[str, list[ast.Declaration]] = {}
    equations: list[ast.Equation] = []
    for statement in scope.definition.body:
        if isinstance(statement, ast.Params):
            for declaration in statement.declarations:
                rows = scope.params.get(declaration.name, ())
                scope.params[declaration.name] = (*rows, declaration)
        elif isinstance(statement, ast.Inputs):
            for declaration in statement.declarations:
                inputs.setdefault(declaration.name, []).append(declaration)
        elif isinstance(statement, ast.Equation):
            equations.append(statement)
    patterns: dict[str, list[tuple[Sequence[ast.Expression], Span]]] = {}
    for name, declarations in inputs.items():
        patterns[name] = [(d.indices or (), d.name_span) for d in declarations]
    for equation in equations:
        if not _calls_model(equation, scope):
            for target in equation.targets:
                row = (target.indices or (), target.name_span)
                patterns.setdefault(target.name, []).append(row)
    for name, found in patterns.items():
        scope.variables[name] = Variable(
            name,
            "input" if name in inputs else "equation",
            scope.outer.dims,
            _positions([indices for indices, _ in found], scope),
            found[0][1],
            scope.id(name),
        )
    for equation in equations:
        if _calls_model(equation, scope):
            bound = BoundEquation(equation, ())
            scope.instances[equation.targets[0].name] = bound
            continue
        bound = BoundEquation(equation, tuple(scope.variables[t.name] for t in equation.targets))
        scope.equations.append(bound)
        for variable in bound.variables:
            variable.is_output = variable.is_output or equation.is_output


def _calls_model(equation: ast.Equation, scope: ModelScope) -> bool:
    """Whether the right side is a model: `enc = stacked_lstm{H, L}(x)`."""
    if len(equation.targets) != 1 or len(equation.cases) != 1:
        return False
    value = equation.cases[0].value
    if not isinstance(value, ast.Call):
        return False
    function = value.function
    while isinstance(function, ast.WithStatics | ast.Indexed):
        function = function.base
    if not isinstance(function, ast.Name):
        return False
    found = None
    if function.text in scope.params:
        kind = scope.params[function.text][0].type
        if isinstance(kind, ast.CellType):
            found = scope.definition_named(kind.name.text, kind.name.span)
    else:
        found = scope.definition_named(function.text, function.span)
    return isinstance(found, Callee) and isinstance(found.definition, ast.Model)


def _positions(rows: Sequence[Sequence[ast.Expression]], scope: ModelScope) -> tuple[Dim, ...]:
    """The dim of each grid index: from the first pattern that names one."""
    rank = max(len(row) for row in rows)
    names = tuple(scope.dims)
    dims: list[Dim] = []
    for position in range(rank):
        found: Dim | None = None
        for row in rows:
            if position >= len(row) or isinstance(row[position], ast.Membership):
                continue
            name = binder(row[position], names)
            if name is not None and name in scope.dims:
                bound_before = any(binder(other, names) == name for other in row[:position])
                if not bound_before:
                    found = scope.dims[name]
                    break
        if found is None:
            found = _range_dim(rows, position, scope)
        taken = [dim.name for dim in (*scope.outer.dims, *dims)]
        name = scope.session.sizes.dim_name(found.name, taken)
        dims.append(Dim(name, found.lower, found.upper, found.static))
    return tuple(dims)


def _range_dim(rows: Sequence[Sequence[ast.Expression]], position: int, scope: ModelScope) -> Dim:
    """A position that no equation names by a dim: `k in a..b`, or single points."""
    for row in rows:
        if position < len(row):
            pattern = row[position]
            if isinstance(pattern, ast.Membership) and isinstance(pattern.element, ast.Name):
                static = scope.dims.get(pattern.element.text)
                return Dim(pattern.element.text, None, None, static is None or static.static)
    return Dim(f"i{position}", None, None, True)
