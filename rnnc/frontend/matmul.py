"""`a @ b`."""

from __future__ import annotations

from rnnc.diagnostics import Span
from rnnc.frontend import ast
from rnnc.frontend.context import Context
from rnnc.frontend.notes import origin_notes
from rnnc.frontend.tensors import as_tensor, emit, shape_text
from rnnc.frontend.values import BAD, UNKNOWN, Absent, Tensor
from rnnc.ir.poly import Poly
from rnnc.ir.types import TensorType


def matmul(node: ast.Binary, context: Context) -> Tensor | Absent:
    """[M,K]@[K], [K]@[K,N], [M,K]@[K,N], [K]@[K] (a scalar, no conjugation)."""
    left = as_tensor(context.evaluate(node.left), context, node.left.span)
    right = as_tensor(context.evaluate(node.right), context, node.right.span)
    if left is BAD or right is BAD:
        return BAD
    if isinstance(left, Absent) or isinstance(right, Absent):
        return _guess(left, right, context, node.span)
    shapes = [tuple(map(context.sizes.normal, side.type.shape)) for side in (left, right)]
    texts = [shape_text(shape, context.sizes) for shape in shapes]
    written = (node.left, node.right)
    for side, text, expression in zip((left, right), texts, written, strict=True):
        if side.type.rank not in (1, 2):
            what = "a scalar" if not side.type.rank else text
            return context.error(
                "RNN301",
                f"'{node.span.text}': '{expression.span.text}' is {what}, "
                f"a vector or matrix is wanted",
                node.span,
                origin_notes(written, (left.type, right.type), context),
                hints=("elementwise products are written  *",) if not side.type.rank else (),
            )
    inner, outer = shapes[0][-1], shapes[1][0]
    if not context.sizes.equal(inner, outer):
        return _mismatch(node, left.type, right.type, context)
    known = [
        Tensor(TensorType(side.type.dtype, tuple(map(context.sizes.normal, shape))), side.read)
        for side, shape in zip((left, right), shapes, strict=True)
    ]
    return emit("matmul", known, context, node.span)


def _guess(
    left: Tensor | Absent, right: Tensor | Absent, context: Context, span: Span
) -> Tensor | Absent:
    """A matrix times something unknown is taken for a matrix times a vector."""
    if not context.session.guessing or context.session.last:
        return UNKNOWN
    if isinstance(left, Tensor) and left.type.rank == 2:
        size = left.type.shape[0]
    elif isinstance(right, Tensor) and right.type.rank == 2:
        size = right.type.shape[1]
    else:
        return UNKNOWN
    zero = context.session.emitter.constant(0, "real", span)
    return emit("broadcast", (zero,), context, span, shape=(size,), axes=())


def _mismatch(node: ast.Binary, left: TensorType, right: TensorType, context: Context) -> Absent:
    sizes = context.sizes
    texts = [shape_text(type.shape, sizes) for type in (left, right)]
    inner, outer = sizes.text(left.shape[-1]), sizes.text(right.shape[0])
    notes = origin_notes((node.left, node.right), (left, right), context)
    hints = _own_type_hint(node.left, left, sizes.normal(right.shape[0]), context)
    return context.error(
        "RNN301",
        f"'{node.span.text}' multiplies {texts[0]} by {texts[1]}: "
        f"the inner sizes {inner} and {outer} differ",
        node.span,
        notes,
        hints,
    )


def _own_type_hint(
    expression: ast.Expression, type: TensorType, wanted: Poly, context: Context
) -> tuple[str, ...]:
    """Of a weight that shares the type of its group: the group with a type of its own for it."""
    name = expression.base if isinstance(expression, ast.Indexed) else expression
    if not isinstance(name, ast.Name):
        return ()
    for statement in context.scope.definition.body:
        if not isinstance(statement, ast.Params):
            continue
        group = list(statement.declarations)
        own = next((d for d in group if d.name == name.text), None)
        if own is None or own.type is None:
            continue
        sharing = [d for d in group if d.type is own.type]
        if len(sharing) < 2:
            return ()
        others = ", ".join(d.name_span.text for d in sharing if d is not own)
        shape = shape_text((*type.shape[:-1], wanted), context.sizes)
        return (
            f"give {own.name} its own type:  "
            f"param {others}: {own.type.span.text}, {own.name}: {shape}",
        )
    return ()
