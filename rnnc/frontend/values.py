"""What an expression stands for while a model is elaborated.

`Number` and `Condition` are exact: known as formulas in sizes and grid indices. They become nodes
of the IR only where a tensor is needed; elsewhere they are indices, shapes and cuts of domains.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rnnc.diagnostics import Span
from rnnc.frontend import ast
from rnnc.frontend.conditions import Formula
from rnnc.ir.domain import Dim
from rnnc.ir.graph import Operand
from rnnc.ir.poly import Poly
from rnnc.ir.types import TensorType

if TYPE_CHECKING:
    from rnnc.frontend.modules import LoadedModule
    from rnnc.frontend.scope import ModelScope
    from rnnc.frontend.variables import Variable


class Absent(enum.Enum):
    """No value: `UNKNOWN` may still be inferred, or is any; `BAD` has been reported."""

    UNKNOWN = enum.auto()
    BAD = enum.auto()


UNKNOWN, BAD = Absent.UNKNOWN, Absent.BAD


@dataclass(frozen=True, slots=True)
class Number:
    """An int (as a polynomial in sizes and grid indices), a float or a complex number."""

    value: Poly | float | complex


@dataclass(frozen=True, slots=True)
class Condition:
    """A truth value that grid indices and sizes decide."""

    formula: Formula


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value at every point of the region: its type, and where it is read.

    `type.range` and the access are polynomials in the names of the region's dims.
    """

    type: TensorType
    read: Operand


@dataclass(frozen=True, slots=True)
class ListValue:
    """`[a, b]`: a static list, a shape, or a vector of scalars."""

    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """The results of a cell, by name; one with one field is also its field."""

    fields: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Parts:
    """The pieces of a `split`, for several targets."""

    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A built-in function."""

    name: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where the weights of a cell live: `lstm[l].` over `dims`, read at `access`."""

    prefix: str = ""
    dims: tuple[Dim, ...] = ()
    access: tuple[Poly, ...] = ()


@dataclass(frozen=True, slots=True)
class Callee:
    """A cell or model that can be called, with the statics given so far.

    `place` is None for a definition that is used directly: its call declares the weights, under
    `name` and at `indices`.
    """

    definition: ast.Definition
    module: LoadedModule
    name: str
    span: Span
    statics: Mapping[str, Value] = field(default_factory=dict)
    place: Place | None = None
    indices: tuple[Poly, ...] = ()


@dataclass(frozen=True, slots=True)
class Whole:
    """A variable (or one field of it) without its grid indices, for a model to read.

    `point` are the indices of its leading dims that are already given (of a model that runs once
    per point).
    """

    variable: Variable
    field: str = ""
    point: tuple[Poly, ...] = ()


@dataclass(frozen=True, slots=True)
class Instance:
    """A called model: its outputs are fields. `point` are the indices of the caller's point."""

    scope: ModelScope
    point: tuple[Poly, ...] = ()


Value = (
    Absent
    | Number
    | Condition
    | Tensor
    | ListValue
    | Record
    | Parts
    | Function
    | Callee
    | Whole
    | Instance
)
