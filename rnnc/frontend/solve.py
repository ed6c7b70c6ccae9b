"""Sizes that a call does not give: solved from the shapes of its arguments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rnnc.diagnostics import Note
from rnnc.frontend import ast
from rnnc.frontend.context import Context
from rnnc.frontend.mentions import names_in
from rnnc.frontend.modules import closest
from rnnc.frontend.scope import Scope
from rnnc.frontend.sizes import Sizes
from rnnc.frontend.values import Number
from rnnc.ir.poly import Poly


def named_statics(
    arguments: Sequence[ast.Argument], definition: ast.Definition, context: Context
) -> Iterator[tuple[ast.Argument, str | None]]:
    """The statics that `{H, act=relu}` gives, by name; None (and reported) for one that is none."""
    known = tuple(static.name for static in definition.statics)
    seen: set[str] = set()
    for argument in arguments:
        name = argument.name
        if name is None and isinstance(argument.value, ast.Name):
            name = argument.value.text
        if name is None or argument.splat:
            context.error(
                "RNN206",
                "a static is given by name",
                argument.span,
                hints=(f"write  {{{known[0]}={argument.span.text}}}",) if known else (),
            )
            name = None
        elif name not in known:
            like = closest(name, known)
            hint = f"did you mean '{like}'?" if like else f"it has:  {', '.join(known)}"
            context.error(
                "RNN206",
                f"'{definition.name}' has no static '{name}'",
                argument.span,
                (Note(f"'{definition.name}' is defined here", definition.name_span),),
                (hint,) if known else (),
            )
            name = None
        elif name in seen:
            context.error("RNN206", f"static '{name}' is given twice", argument.span)
        seen.add(name or "")
        yield argument, name


def open_statics(scope: Scope, context: Context) -> dict[str, Poly]:
    """Gives every static that the call leaves open a size to be inferred.

    A size with a default is open, too: the shape of an argument may tell it.
    """
    opened: dict[str, Poly] = {}
    names = {static.name for static in scope.definition.statics}
    for static in scope.definition.statics:
        if static.name in scope.statics:
            continue
        if static.default is not None and names.isdisjoint(_names(static.default)):
            evaluate_default(static, scope, context)
            value = scope.statics[static.name]
            if not isinstance(value, Number) or not isinstance(value.value, Poly):
                continue
        opened[static.name] = context.sizes.placeholder(static.name)
        scope.statics[static.name] = Number(opened[static.name])
    return opened


def evaluate_default(static: ast.Static, scope: Scope, context: Context) -> None:
    assert static.default is not None
    scope.statics[static.name] = context.named(static.name).evaluate(static.default)


def solve(shapes: Iterable[tuple[Sequence[Poly], Sequence[Poly]]], sizes: Sizes) -> None:
    """Infers sizes from pairs of (declared, actual) shapes, each from one linear occurrence."""
    pending = [pair for declared, actual in shapes for pair in zip(declared, actual, strict=True)]
    while pending:
        left = [pair for pair in pending if not _solve_one(*pair, sizes)]
        if len(left) == len(pending):
            return
        pending = left


def _solve_one(declared: Poly, actual: Poly, sizes: Sizes) -> bool:
    """Whether the pair has told what it can."""
    declared, actual = sizes.normal(declared), sizes.normal(actual)
    unknown = [name for name in declared.names if name in sizes.unified]
    if not unknown:
        return True
    if len(unknown) > 1 or unknown[0] in actual.names:
        return False
    name = unknown[0]
    rest = declared.substitute({name: 0})
    factor = declared.substitute({name: 1}) - rest
    if declared != rest + factor * name:
        return False
    value = (actual - rest).divide_exactly(factor) if factor.terms else None
    if value is None:
        return False
    sizes.unified[name] = value
    return True


def default_statics(scope: Scope, opened: dict[str, Poly], context: Context) -> None:
    """What the arguments did not tell takes its default."""
    for static in scope.definition.statics:
        poly = opened.get(static.name)
        if poly is None:
            continue
        value = context.sizes.normal(poly)
        if static.default is not None and value == poly:
            evaluate_default(static, scope, context)
            found = scope.statics[static.name]
            if isinstance(found, Number) and isinstance(found.value, Poly):
                context.sizes.unified[str(poly)] = found.value
        else:
            scope.statics[static.name] = Number(value)


def unsolved(scope: Scope, opened: dict[str, Poly]) -> list[str]:
    """Statics that are still open."""
    return [
        name
        for name, poly in opened.items()
        if isinstance(found := scope.statics[name], Number) and found.value == poly
    ]


def _names(expression: ast.Expression) -> frozenset[str]:
    return frozenset(name for name, _ in names_in(expression))
