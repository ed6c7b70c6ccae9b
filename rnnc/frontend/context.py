"""Where an expression is evaluated: the scope of names, the region of points, what is bound.

Evaluation is the same in the rounds that infer types and in the last one, which emits nodes and
reports mistakes; `Session` knows which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from rnnc.analysis.sets import implies, is_empty
from rnnc.diagnostics import DiagnosticSink, Note, Span
from rnnc.frontend import ast
from rnnc.frontend.conditions import Part
from rnnc.frontend.sizes import Sizes
from rnnc.frontend.values import BAD, Absent, Value
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.poly import Poly

if TYPE_CHECKING:
    from rnnc.frontend.emit import Emitter
    from rnnc.frontend.modules import Library
    from rnnc.frontend.scope import ModelScope, Scope
    from rnnc.frontend.variables import Variable

Result = TypeVar("Result")


class Split(Exception):
    """The region must be cut: the two sides of `constraint` need different treatment."""

    def __init__(self, constraint: Constraint) -> None:
        super().__init__(str(constraint))
        self.constraint = constraint


class Unroll(Exception):
    """Every point of the static dim `name` needs a treatment of its own."""

    def __init__(self, name: str, span: Span) -> None:
        super().__init__(name)
        self.name, self.span = name, span


@dataclass(slots=True)
class Session:
    """One elaboration: everything that is not a place in the source.

    `guessing`: whether an operand of unknown type is taken to have the type of the other one even
    where that is a number. `last`: whether this is the round that emits and reports. `generic`: a
    cell is checked by itself, where an argument may have any type. `has_unknown`: a name was met
    that `names` reports.
    """

    library: Library
    sizes: Sizes
    emitter: Emitter
    found: DiagnosticSink
    evaluate: Callable[[ast.Expression, Context], Value]
    guessing: bool = False
    last: bool = False
    generic: bool = False
    has_unknown: bool = False
    models: list[ModelScope] = field(default_factory=list)  # of this round, callers first
    calls: dict[tuple[object, ...], ModelScope] = field(default_factory=dict)
    hidden: list[Variable] = field(default_factory=list)  # recurrences that have no name
    prepare: Callable[[ModelScope], None] = field(default=lambda _: None)

    def enter(self, scope: ModelScope) -> None:
        """A model that takes part in this round: its equations are evaluated in turn."""
        self.models.append(scope)
        self.prepare(scope)

    def error(
        self,
        code: str,
        message: str,
        span: Span,
        notes: Iterable[Note] = (),
        hints: Iterable[str] = (),
    ) -> Absent:
        """Reports in the last round; the value of the expression is bad in every round."""
        if self.last:
            self.found.error(code, message, span, notes, hints)
        return BAD


@dataclass(frozen=True, slots=True)
class Context:
    """`indices` are the bound names of the source; `hint` begins the ids of new nodes."""

    session: Session
    scope: Scope
    region: Domain
    indices: Mapping[str, Poly]
    hint: str

    def evaluate(self, expression: ast.Expression) -> Value:
        return self.session.evaluate(expression, self)

    def error(
        self,
        code: str,
        message: str,
        span: Span,
        notes: Iterable[Note] = (),
        hints: Iterable[str] = (),
    ) -> Absent:
        return self.session.error(code, message, span, notes, hints)

    @property
    def sizes(self) -> Sizes:
        return self.session.sizes

    def named(self, hint: str) -> Context:
        return replace(self, hint=hint)

    # ---- regions ------------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        return is_empty(self.region, self.sizes.known)

    def implies(self, constraint: Constraint) -> bool:
        return implies(self.region, constraint, self.sizes.known)

    def excludes(self, constraints: Iterable[Constraint]) -> bool:
        """Whether no point of the region satisfies all of the constraints."""
        return is_empty(self.region.restrict(*constraints), self.sizes.known)

    def restrict(self, constraints: Iterable[Constraint]) -> Context:
        """The part of the region where the constraints hold; what holds anyway is not repeated.

        A static index that has one value there becomes that number.
        """
        # `l == 1` may hold in a region that does not say so, such as 1 <= l < L with L = 2.
        fixed = dict(_fixed(self.region))
        unknown = [dim.name for dim in self.region.dims if dim.static and dim.name not in fixed]
        fresh = [c for c in constraints if not self.implies(c) or _pins(c, unknown)]
        if not fresh:
            return self
        region = self.region.restrict(*fresh)
        fixed = dict(_fixed(region))
        indices = {name: index.substitute(fixed) for name, index in self.indices.items()}
        return replace(self, region=_pinned(region, fixed), indices=indices)

    def extend(
        self, dims: tuple[Dim, ...], constraints: Iterable[Constraint], names: Mapping[str, Poly]
    ) -> Context:
        """The region times further dims, under the names that the source gives them."""
        region = self.region.extend(dims).restrict(*constraints)
        fixed = dict(_fixed(region))
        indices = {name: i.substitute(fixed) for name, i in {**self.indices, **names}.items()}
        return replace(self, region=region, indices=indices)

    def parts(self, parts: Iterable[Part]) -> Iterator[Context]:
        """The parts of the region that have points."""
        for part in parts:
            if not self.excludes(part):
                yield self.restrict(part)


def _fixed(region: Domain) -> Iterator[tuple[str, Poly]]:
    """The static dims that have one value, a number, in the region."""
    for dim in region.dims:
        if not dim.static:
            continue
        lower = None if dim.lower is None else dim.lower.constant
        upper = None if dim.upper is None else dim.upper.constant
        for constraint in region.constraints:
            poly = constraint.poly
            if poly.names != (dim.name,) or not poly.is_affine or poly.floors:
                continue
            sign, offset = poly.coefficient(dim.name), poly.offset
            if constraint.relation == "==" or sign > 0:
                least = -(offset // sign)
                lower = least if lower is None else max(lower, least)
            if constraint.relation == "==" or sign < 0:
                most = offset // -sign
                upper = most + 1 if upper is None else min(upper, most + 1)
        if lower is not None and upper == lower + 1:
            yield dim.name, Poly.of(lower)


def _pins(constraint: Constraint, names: Iterable[str]) -> bool:
    """Whether a constraint gives one of the indices its value."""
    found = constraint.poly.names
    return constraint.relation == "==" and len(found) == 1 and found[0] in names


def _pinned(region: Domain, fixed: Mapping[str, Poly]) -> Domain:
    """The region with `l == 0` in place of whatever else pins `l`."""
    own = {(name,): Constraint(Poly.of(name) - value, "==") for name, value in fixed.items()}
    kept = [c for c in region.constraints if c.poly.names not in own]
    return Domain(region.dims, (*kept, *own.values()))


def pieces(
    context: Context,
    compute: Callable[[Context], Result],
    bound: frozenset[str] | None = None,
) -> list[tuple[Context, Result]]:
    """The result on each part of the region that needs its own; one part where none does.

    With `bound`, only cuts that mention one of these dims are made here; others pass on.
    """
    try:
        return [(context, compute(context))]
    except Split as split:
        if bound is not None and bound.isdisjoint(split.constraint.poly.names):
            raise
        cuts: list[Part] = [(split.constraint,)]
        cuts += [(part,) for part in split.constraint.negated()]
    except Unroll as unroll:
        if bound is not None and unroll.name not in bound:
            raise
        dim = context.region.dim(unroll.name)
        assert dim.lower is not None and dim.upper is not None
        lower = context.sizes.number(dim.lower, unroll.span)
        upper = context.sizes.number(dim.upper, unroll.span)
        here = Poly.of(dim.name)
        cuts = [(Constraint(here - value, "=="),) for value in range(lower, upper)]
    return [piece for part in context.parts(cuts) for piece in pieces(part, compute, bound)]


def project(region: Domain, names: Iterable[str]) -> Domain:
    """The region without its other dims and without what is known of them only."""
    kept = frozenset(names)
    dropped = frozenset(region.names) - kept
    return Domain(
        tuple(dim for dim in region.dims if dim.name in kept),
        tuple(c for c in region.constraints if dropped.isdisjoint(c.poly.names)),
    )
