"""Scopes: what the names of a model, or of a cell at one of its calls, stand for."""

from __future__ import annotations

from dataclasses import dataclass, field

from rnnc.diagnostics import Span
from rnnc.frontend import ast
from rnnc.frontend.builtins import BUILTINS, CONSTANTS
from rnnc.frontend.context import Session
from rnnc.frontend.modules import LoadedModule
from rnnc.frontend.values import Callee, Function, Number, Place, Value
from rnnc.frontend.variables import Variable
from rnnc.ir.domain import Dim, Domain
from rnnc.ir.poly import Poly


@dataclass(frozen=True, slots=True)
class Use:
    """A call of a cell that no param declares: which weights, at which points."""

    call: Span
    callee: Span
    image: Domain


@dataclass(frozen=True, slots=True, eq=False)
class BoundEquation:
    """An equation of a model with the variables that it defines."""

    tree: ast.Equation
    variables: tuple[Variable, ...]


@dataclass(slots=True, eq=False)
class Scope:
    """What a model and a cell have in common.

    `ids` begins the ids of the scope's nodes ('' for the compiled model), `place` says where its
    weights live. `above` are the definitions on the way of calls, the own one last.
    """

    session: Session
    definition: ast.Definition
    module: LoadedModule
    statics: dict[str, Value]
    place: Place
    ids: str
    above: tuple[ast.Definition, ...]
    params: dict[str, tuple[ast.Declaration, ...]] = field(default_factory=dict)
    weights: dict[str, Variable] = field(default_factory=dict)
    dims: dict[str, Dim] = field(default_factory=dict)
    uses: dict[str, list[Use]] = field(default_factory=dict)

    def id(self, name: str) -> str:
        return f"{self.ids}.{name}" if self.ids else name

    def definition_named(self, name: str, span: Span) -> Value | None:
        """A static, a definition or a built-in: what has no value at grid points."""
        if name in self.statics:
            return self.statics[name]
        found = self.module.find(name)
        if found is not None:
            return Callee(found[1], found[0], name, span)
        if name in CONSTANTS:
            return Number(CONSTANTS[name])
        return Function(name) if name in BUILTINS else None


@dataclass(slots=True, eq=False)
class ModelScope(Scope):
    """A model that is compiled or called.

    `outer` has the dims of the caller's point where the model runs once per point; its own nodes
    have these dims first.
    """

    outer: Domain = field(default_factory=Domain)
    extents: dict[str, Poly] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    values: dict[str, Value] = field(default_factory=dict)  # inputs without grid indices
    equations: list[BoundEquation] = field(default_factory=list)
    instances: dict[str, BoundEquation] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class CellScope(Scope):
    """A cell at one call: its arguments are values at the caller's point."""

    region: Domain = field(default_factory=Domain)
    arguments: dict[str, Value] = field(default_factory=dict)
    locals: dict[str, tuple[ast.Equation, int]] = field(default_factory=dict)
    memo: dict[tuple[str, Domain], Value] = field(default_factory=dict)
    active: list[str] = field(default_factory=list)
