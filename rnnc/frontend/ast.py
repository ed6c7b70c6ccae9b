"""The syntax tree of a `.rnn` file: what was written, nothing decided.

Frozen data with a span on every node. `grammar/rnn.lark` has one rule for each class here.
"""

from __future__ import annotations

from dataclasses import dataclass

from rnnc.diagnostics import Source, Span

# ---- expressions ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Name:
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Number:
    """`1`, `1e-5`, `2j`: `value` is int, float or complex accordingly; `text` as written."""

    value: int | float | complex
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Boolean:
    value: bool
    span: Span


@dataclass(frozen=True, slots=True)
class ListLiteral:
    """`[1, 2, 4]`: a static list, a shape, or a vector of scalars, as its place tells."""

    items: tuple[Expression, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Unary:
    """`operator` is '-' or 'not'."""

    operator: str
    operand: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Binary:
    """`operator` is one of + - * / // % @ ^ and or; `and`, `or` group to the left."""

    operator: str
    left: Expression
    right: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Comparison:
    """`a < b <= c`: one operator less than operands."""

    operands: tuple[Expression, ...]
    operators: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Membership:
    """`k in a..b`."""

    element: Expression
    range: Range
    span: Span


@dataclass(frozen=True, slots=True)
class Range:
    """`a..b`, half-open; either end may be open (None)."""

    lower: Expression | None
    upper: Expression | None
    span: Span


@dataclass(frozen=True, slots=True)
class Conditional:
    """`value if condition else otherwise`."""

    value: Expression
    condition: Expression
    otherwise: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Indexed:
    """`base[...]`: grid points, or axes, as the base tells."""

    base: Expression
    indices: tuple[Expression, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class WithStatics:
    """`base{H, act=relu}`."""

    base: Expression
    arguments: tuple[Argument, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Call:
    function: Expression
    arguments: tuple[Argument, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Reduction:
    """`sum(i < j <= t: body)`: `function` applied over the grid points that `patterns` bind."""

    function: Expression
    patterns: tuple[Expression, ...]
    body: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Field:
    """`base.name`: a result of a cell, or an output of a called model."""

    base: Expression
    name: str
    span: Span


Expression = (
    Name
    | Number
    | Boolean
    | ListLiteral
    | Unary
    | Binary
    | Comparison
    | Membership
    | Range
    | Conditional
    | Indexed
    | WithStatics
    | Call
    | Reduction
    | Field
)


@dataclass(frozen=True, slots=True)
class Argument:
    """`value`, `name=value`, or `*value` (a record's fields by name)."""

    value: Expression
    name: str | None
    splat: bool
    span: Span


# ---- types ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TensorType:
    """`real[H, X]`, `[H]`, `int in -1..n`: `dtype` is None where not written (real)."""

    dtype: str | None
    shape: tuple[Expression, ...] | None
    range: Range | None
    span: Span


@dataclass(frozen=True, slots=True)
class CellType:
    """`lstm{H}`: the type of a parameter that is a cell."""

    name: Name
    arguments: tuple[Argument, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class StateType:
    """`state(unit)`: a record of a cell's primed results."""

    cell: Name
    span: Span


Type = TensorType | CellType | StateType


# ---- statements -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Declaration:
    """One name of a `param`, `input`, argument or result list.

    `type` and `default` are already spread over a Go-style group (`a, b: [H] = 0`).
    `indices` is None where no bracket was written. `span` covers name, indices, own type and
    default; `name_span` the name alone.
    """

    name: str
    indices: tuple[Expression, ...] | None
    type: Type | None
    default: Expression | None
    name_span: Span
    span: Span


@dataclass(frozen=True, slots=True)
class Dims:
    """`dim l in 0..L, t in 0..T`."""

    ranges: tuple[Membership, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Params:
    declarations: tuple[Declaration, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Inputs:
    declarations: tuple[Declaration, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Target:
    """Left of `=`; `indices` is None where no bracket was written."""

    name: str
    indices: tuple[Expression, ...] | None
    type: Type | None
    name_span: Span
    span: Span


@dataclass(frozen=True, slots=True)
class Case:
    """`value if condition`; `condition` is None for `otherwise` and for a plain equation."""

    value: Expression
    condition: Expression | None
    span: Span


@dataclass(frozen=True, slots=True)
class Equation:
    """`targets = value`, or cases tried top down; `is_output` if led by `output`."""

    targets: tuple[Target, ...]
    cases: tuple[Case, ...]
    is_output: bool
    span: Span


Statement = Dims | Params | Inputs | Equation


# ---- definitions ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Static:
    """`H`, `L = 4`, `unit = lstm`, `period = [1, 2]`."""

    name: str
    default: Expression | None
    span: Span


@dataclass(frozen=True, slots=True)
class Import:
    """`from path import a, b`."""

    path: str
    names: tuple[Name, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell, or a one-line function (`results` has one nameless entry, `name` '')."""

    name: str
    statics: tuple[Static, ...]
    arguments: tuple[Declaration, ...]
    results: tuple[Declaration, ...]
    docstring: str | None
    body: tuple[Statement, ...]
    is_function: bool
    name_span: Span
    span: Span


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    statics: tuple[Static, ...]
    docstring: str | None
    body: tuple[Statement, ...]
    name_span: Span
    span: Span


Definition = Cell | Model


@dataclass(frozen=True, slots=True)
class Module:
    """One file. A function's body is a single Equation whose only target is named ''.

    `broken` are the names that definitions and imports with syntax errors would have given: that
    they are unknown is no mistake of its own.
    """

    source: Source
    docstring: str | None
    imports: tuple[Import, ...]
    definitions: tuple[Definition, ...]
    broken: tuple[str, ...] = ()
