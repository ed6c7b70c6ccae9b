"""Cases and branches: which part of the region takes which value."""

from __future__ import annotations

from collections.abc import Sequence

from rnnc.diagnostics import Span
from rnnc.frontend import ast
from rnnc.frontend.arithmetic import truth
from rnnc.frontend.context import Context, pieces
from rnnc.frontend.tensors import as_tensor, common_type, decide, emit, one_of, type_text
from rnnc.frontend.values import (
    BAD,
    UNKNOWN,
    Absent,
    Condition,
    Number,
    Record,
    Tensor,
    Value,
)
from rnnc.frontend.variables import combined_shape


def evaluate_cases(cases: Sequence[ast.Case], context: Context) -> list[tuple[Context, Value]]:
    """The value on each part of the region, the cases tried from the top.

    A condition on grid indices and sizes cuts the region; one on values selects. Points where no
    case holds are in no part.
    """
    if not cases:
        return []
    first, rest = cases[0], cases[1:]
    if first.condition is None:
        return evaluate_body(first.value, context)
    condition = first.condition
    parts: list[tuple[Context, Value]] = []
    for part, value in pieces(context, lambda c: c.evaluate(condition)):
        parts += _evaluate_case(first, value, rest, part)
    return parts


def _evaluate_case(
    case: ast.Case, condition: Value, rest: Sequence[ast.Case], context: Context
) -> list[tuple[Context, Value]]:
    if isinstance(condition, Condition):
        holds, fails = decide(condition.formula, context)
        parts: list[tuple[Context, Value]] = []
        for part in holds:
            parts += evaluate_body(case.value, part)
        for part in fails:
            parts += evaluate_cases(rest, part)
        return parts
    assert case.condition is not None
    test = truth(condition, context, case.condition.span)
    chosen = one_of(evaluate_body(case.value, context), context, case.span)
    others = evaluate_cases(rest, context)
    if not others:
        return [
            (
                context,
                context.error(
                    "RNN309",
                    "these cases end with a condition on values: what holds otherwise?",
                    case.span,
                    hints=("add a last case:  0    otherwise",),
                ),
            )
        ]
    other = one_of(others, context, rest[0].span if rest else case.span)
    return [(context, select(test, chosen, other, context, case.span))]


def evaluate_body(expression: ast.Expression, context: Context) -> list[tuple[Context, Value]]:
    """The value on each part of the region; an outermost `if` counts as cases."""
    if isinstance(expression, ast.Conditional):
        cases = (
            ast.Case(expression.value, expression.condition, expression.span),
            ast.Case(expression.otherwise, None, expression.otherwise.span),
        )
        return evaluate_cases(cases, context)
    return pieces(context, lambda c: c.evaluate(expression))


def select(
    test: Tensor | Absent, chosen: Value, other: Value, context: Context, span: Span
) -> Value:
    """`chosen if test else other`, element by element; of records field by field."""
    if (
        isinstance(chosen, Record)
        and isinstance(other, Record)
        and tuple(chosen.fields) == tuple(other.fields)
    ):
        return Record(
            {
                name: select(test, chosen.fields[name], other.fields[name], context, span)
                for name in chosen.fields
            }
        )
    sides = [as_tensor(chosen, context, span), as_tensor(other, context, span)]
    if BAD in sides or test is BAD:
        return BAD
    known = [side for side in sides if isinstance(side, Tensor)]
    if len(known) < 2:
        # A number says little about the other side.
        constant = isinstance(chosen, Number) or isinstance(other, Number)
        if not known or context.session.last or (constant and not context.session.guessing):
            return UNKNOWN
        known = [known[0], known[0]]
    shape = combined_shape(known[0].type.shape, known[1].type.shape, context.sizes)
    if shape is None:
        texts = [type_text(side.type, context.sizes) for side in known]
        return context.error("RNN302", f"one branch is {texts[0]}, the other one {texts[1]}", span)
    if not isinstance(test, Tensor):
        return known[0] if shape == known[0].type.shape else known[1]
    if combined_shape(test.type.shape, shape, context.sizes) is None:
        return context.error(
            "RNN302",
            f"the condition is {type_text(test.type, context.sizes)}, "
            f"the branches are {type_text(known[0].type, context.sizes)}",
            span,
        )
    result = emit("select", (test, *known), context, span)
    both = common_type(known, context.sizes)
    if isinstance(result, Tensor) and not isinstance(both, tuple | Absent) and both.range:
        return Tensor(both, result.read)
    return result
