"""What a kernel computes for one element: scalar expressions over buffers.

Variables of the index polynomials: the kernel's point loops by name, the result's element axes
`e0`, `e1`, ..., the loops of enclosing reductions by name, and run-time extents. In an index of a
batched buffer an extent means *that row's* length (LANGUAGE.md section 4); everywhere else the
extent of the arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from rnnc.ir.domain import Constraint
from rnnc.ir.graph import Attribute
from rnnc.ir.ops import ReductionKind
from rnnc.ir.poly import Poly
from rnnc.ir.types import DType


def element(axis: int) -> str:
    """The variable of a result's element axis."""
    return f"e{axis}"


@dataclass(frozen=True, slots=True)
class Constant:
    value: int | float | bool
    dtype: DType


@dataclass(frozen=True, slots=True)
class IndexValue:
    """An int: the value of a polynomial. With `per_row`, extents are the row's own lengths."""

    value: Poly
    per_row: bool


@dataclass(frozen=True, slots=True)
class Local:
    """The value that an earlier `Define` of the same kernel gave to this very element."""

    name: str
    dtype: DType


@dataclass(frozen=True, slots=True)
class Load:
    """An element of a buffer: `index` for each grid dim, `element` for each axis of its shape.

    An index may be an int expression (data-dependent); the builder promises that it lies within
    the buffer, or clamps it where `clamped` (rows shorter than the array).
    """

    buffer: str
    index: tuple[Poly | Expression, ...]
    element: tuple[Poly | Expression, ...]
    dtype: DType
    clamped: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Apply:
    """A pointwise op of `rnnc.ir.ops`; `dtype` is that of the result."""

    op: str
    arguments: tuple[Expression, ...]
    dtype: DType
    attributes: tuple[tuple[str, Attribute], ...] = ()


@dataclass(frozen=True, slots=True)
class Loop:
    """`lower <= name < upper`; `extent` is a run-time extent that rows may fall short of.

    With it the bounds, and the constraints of the reduction, mean each row's own lengths.
    """

    name: str
    lower: Poly
    upper: Poly
    extent: str | None = None


@dataclass(frozen=True, slots=True)
class Reduce:
    """Folds `body` over the loops' points that satisfy the constraints; empty is neutral.

    `argmax` gives the loop's value at the first maximum.
    """

    kind: ReductionKind
    loops: tuple[Loop, ...]
    constraints: tuple[Constraint, ...]
    body: Expression
    dtype: DType


@dataclass(frozen=True, slots=True)
class Branch:
    """`then` where the constraints on element axes and loops hold, else `otherwise`.

    Only the taken side may be evaluated: the other may read outside its buffer.
    """

    constraints: tuple[Constraint, ...]
    then: Expression
    otherwise: Expression
    dtype: DType


@dataclass(frozen=True, slots=True)
class Weight:
    """A rows x columns block of a parameter, packed once when parameters are bound.

    `index` is affine in the kernel's point loops (one polynomial for each dim of the parameter's
    domain); `leading` selects fixed or loop-dependent positions of leading axes of the parameter's
    tensor before its last two. The block is W[row:row+rows, column:column+columns] of the last two
    axes, or of their transpose. A vector parameter counts as one row.
    """

    param: str
    index: tuple[Poly, ...]
    leading: tuple[Poly, ...]
    row: int
    rows: int
    column: int
    columns: int
    transposed: bool


@dataclass(frozen=True, slots=True)
class Contract:
    """`sum_k W[e_last, k] * vector[k]`: a matrix product with packed weights.

    `vector` is the load of element k, with `k` the variable named `contraction` in its last
    element polynomial.
    """

    weight: Weight
    vector: Load
    contraction: str


Expression = Constant | IndexValue | Local | Load | Apply | Reduce | Branch | Contract


def children(expression: Expression) -> tuple[Expression, ...]:
    """The expressions directly inside."""
    match expression:
        case Constant() | IndexValue() | Local():
            return ()
        case Load(index=index, element=axes):
            return tuple(entry for entry in (*index, *axes) if not isinstance(entry, Poly))
        case Apply(arguments=arguments):
            return arguments
        case Reduce(body=body):
            return (body,)
        case Branch(then=then, otherwise=otherwise):
            return (then, otherwise)
        case Contract(vector=vector):
            return (vector,)


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and everything inside it, outside first."""
    yield expression
    for child in children(expression):
        yield from walk(child)


def rewritten(
    expression: Expression, change: Callable[[Expression], Expression | None]
) -> Expression:
    """The expression with every part that `change` answers for replaced, outside first."""
    made = change(expression)
    if made is not None:
        return made

    def inside(part: Expression) -> Expression:
        return rewritten(part, change)

    def entries(parts: tuple[Poly | Expression, ...]) -> tuple[Poly | Expression, ...]:
        return tuple(part if isinstance(part, Poly) else inside(part) for part in parts)

    match expression:
        case Constant() | IndexValue() | Local():
            return expression
        case Load(index=index, element=axes):
            return replace(expression, index=entries(index), element=entries(axes))
        case Apply(arguments=arguments):
            return replace(expression, arguments=tuple(map(inside, arguments)))
        case Reduce(body=body):
            return replace(expression, body=inside(body))
        case Branch(then=then, otherwise=otherwise):
            return replace(expression, then=inside(then), otherwise=inside(otherwise))
        case Contract(vector=vector):
            made = inside(vector)
            return replace(expression, vector=made) if isinstance(made, Load) else expression
