"""Variables of a model: which points they have, of which type each is, and how they are read.

A variable is a union of pieces, one for each equation (or part of one), input or parameter. Its
type may differ between static points, so the static positions are cut wherever a piece ends; the
atoms of one type make a `Group`, and a group is one node of the IR.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from rnnc.analysis.sets import Assumptions, is_empty, sample
from rnnc.diagnostics import Span
from rnnc.frontend import ast
from rnnc.frontend.context import Context
from rnnc.frontend.sizes import Sizes
from rnnc.frontend.values import Value
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import Operand
from rnnc.ir.ops import broadcast_shape
from rnnc.ir.placed import Placed, may_meet
from rnnc.ir.poly import Poly
from rnnc.ir.types import TensorType, promote

Types = Mapping[str, TensorType | None]  # by field; '' is the only field of a plain value


@dataclass(frozen=True, slots=True)
class Piece:
    """The points of `guard` (over the variable's dims) and the types of the fields there.

    `values` are over the points of `context`, whose dims `places` finds among the variable's.
    `direct` is set where a node (input, parameter, variable of a caller) has these points itself.
    """

    guard: Domain
    types: Types | None  # None: nothing is known yet, not even the fields
    span: Span
    values: Mapping[str, Value] = field(default_factory=dict)
    context: Context | None = None
    places: Mapping[str, Poly] = field(default_factory=dict)
    direct: Mapping[str, Operand] | None = None
    declared: bool = False
    equation: ast.Equation | None = None
    declaration: ast.Declaration | None = None


@dataclass(frozen=True)
class Group:
    """The static points at which a field has one type."""

    atoms: tuple[Domain, ...]
    type: TensorType | None
    node: str = ""

    @cached_property
    def placed(self) -> Placed[str, Domain]:
        """The atoms, by their static indices."""
        return Placed((atom.fixed, atom) for atom in self.atoms)


@dataclass(slots=True, eq=False)
class Variable:
    """`lead` are the dims of the callers' point (per-point models) or of a cell's instance.

    `positions` are the dims of the grid indices, with the box as bounds; a position that no
    equation names has open bounds and no box (`boxed`).
    """

    name: str
    kind: Literal["input", "param", "equation"]
    lead: tuple[Dim, ...]
    positions: tuple[Dim, ...]
    span: Span
    id: str
    boxed: tuple[bool, ...] = ()
    pieces: list[Piece] = field(default_factory=list)
    groups: dict[str, tuple[Group, ...]] = field(default_factory=dict)
    is_bad: bool = False  # an equation of it is in error
    is_partial: bool = False  # an equation of it has unknown points, so that it has no pieces
    is_output: bool = False
    settled: object = None  # the pieces that the groups were worked out from

    @property
    def dims(self) -> tuple[Dim, ...]:
        return self.lead + self.positions

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dim.name for dim in self.dims)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields; ('',) for a plain variable, () while nothing is known."""
        return tuple(self.groups)

    @property
    def box(self) -> Domain:
        return Domain(self.dims)

    def node_id(self, name: str) -> str:
        """The id of the node of a field: a field alone is called as the variable."""
        return f"{self.id}.{name}" if len(self.groups) > 1 else self.id

    def is_side(self, group: Group) -> bool:
        """Whether a group has no point of the box: it then does not get the plain id."""
        for piece in self.pieces:
            inside = all(
                dim.lower is None or own.lower == dim.lower
                for own, dim in zip(piece.guard.dims, self.dims, strict=True)
            )
            if inside and piece.types is not None and group.type in piece.types.values():
                return False
        return True

    def renew(self, pieces: Sequence[Piece], equation: ast.Equation) -> None:
        """Replaces the pieces of an equation; the order stays that of the source."""
        kept = [piece for piece in self.pieces if piece.equation is not equation]
        self.pieces = sorted(
            (*kept, *pieces), key=lambda p: (p.direct is None, p.span.line, p.span.column)
        )

    # ---- types --------------------------------------------------------------------------------

    def settle(self, sizes: Sizes) -> bool:
        """Works out the groups from the pieces; whether anything changed."""
        pieces = self.pieces
        key = tuple(
            (p.guard, None if p.types is None else (*p.types.items(),)) for p in self.pieces
        )
        if key == self.settled:
            return False
        self.settled = key
        before = {name: _signature(groups) for name, groups in self.groups.items()}
        names = self._field_names()
        if names is None:
            return False
        static = frozenset(dim.name for dim in self.dims if dim.static)
        atoms = [Domain(tuple(replace(d, lower=None, upper=None) for d in self.dims if d.static))]
        guards = [_static_part(piece.guard, static) for piece in self.pieces]
        placed = Placed(
            (piece.guard.fixed, (piece, guard))
            for piece, guard in zip(self.pieces, guards, strict=True)
        )
        for piece, guard in zip(self.pieces, guards, strict=True):
            atoms = refine(atoms, guard, piece.guard.fixed, sizes.known)
        covering = [
            [
                piece
                for piece, guard in placed.at(atom.fixed)
                if not is_empty(atom.restrict(*guard), sizes.known)
            ]
            for atom in atoms
        ]
        self.groups = {}
        for name in names:
            types = [
                join((_of_field(piece, name) for piece in pieces), sizes) for pieces in covering
            ]
            for position, pieces in enumerate(covering):
                if not pieces:
                    nearest = self._nearest(atoms, position, covering, sizes.known)
                    types[position] = None if nearest is None else types[nearest]
            self.groups[name] = _grouped(atoms, types, sizes)
        return {name: _signature(groups) for name, groups in self.groups.items()} != before

    def _field_names(self) -> tuple[str, ...] | None:
        """The fields of the first piece that is a record; a plain value where none is."""
        known = [tuple(piece.types) for piece in self.pieces if piece.types is not None]
        records = [names for names in known if names != ("",)]
        if records:
            return records[0]
        return ("",) if known else None

    def _nearest(
        self,
        atoms: Sequence[Domain],
        position: int,
        covering: Sequence[Sequence[Piece]],
        known: Assumptions,
    ) -> int | None:
        """The atom of the box that is next to an atom in which nothing is defined."""
        point = sample(atoms[position], known)
        if point is None:
            return None
        sizes = {name: value for name, value in point.items() if name not in self.names}
        sizes |= dict(known.values)
        for dim in self.dims:
            if dim.static and dim.lower is not None and dim.upper is not None:
                for name in (*dim.lower.names, *dim.upper.names):
                    sizes.setdefault(name, 4)
                lower, upper = dim.lower.evaluate(sizes), dim.upper.evaluate(sizes)
                point[dim.name] = max(lower, min(point[dim.name], upper - 1))
        for other, atom in enumerate(atoms):
            names = {name for c in atom.constraints for name in c.poly.names}
            values = {**dict.fromkeys(names, 4), **sizes}
            if covering[other] and atom.contains(point, values):
                return other
        return next((other for other, pieces in enumerate(covering) if pieces), None)


def _of_field(piece: Piece, name: str) -> TensorType | None:
    if piece.types is None:
        return None
    return piece.types.get(name, piece.types.get(""))


def _signature(groups: Iterable[Group]) -> tuple[tuple[tuple[Domain, ...], TensorType | None], ...]:
    return tuple((group.atoms, group.type) for group in groups)


def _static_part(guard: Domain, static: frozenset[str]) -> tuple[Constraint, ...]:
    """What the guard says of static positions alone."""
    dims = frozenset(guard.names) - static
    return tuple(
        c
        for c in (*guard.bounds, *guard.constraints)
        if not static.isdisjoint(c.poly.names) and dims.isdisjoint(c.poly.names)
    )


def refine(
    atoms: Iterable[Domain],
    guard: Sequence[Constraint],
    fixed: Mapping[str, int],
    known: Assumptions,
) -> list[Domain]:
    """Cuts every atom along the guard, which leaves the `fixed` indices only."""
    result: list[Domain] = []
    for atom in atoms:
        if not may_meet(atom.fixed, fixed):
            result.append(atom)
            continue
        inside = atom.restrict(*guard)
        if is_empty(inside, known):
            result.append(atom)
            continue
        parts = [
            atom.restrict(*guard[:position], part)
            for position, constraint in enumerate(guard)
            for part in constraint.negated()
        ]
        outside = [part for part in parts if not is_empty(part, known)]
        result += [inside, *outside] if outside else [atom]
    return result


def join(types: Iterable[TensorType | None], sizes: Sizes) -> TensorType | None:
    """The type of a variable from those of its pieces: scalars fill; the first shape wins."""
    known = [type for type in types if type is not None]
    if not known:
        return None
    shapes = [type.shape for type in known if type.shape]
    for other in shapes[1:]:
        sizes.equal_shapes(shapes[0], other)  # may tell sizes that were open
    shape = tuple(map(sizes.normal, shapes[0])) if shapes else ()
    ranges = {type.range for type in known}
    dtype = promote(*(type.dtype for type in known))
    return TensorType(dtype, shape, known[0].range if len(ranges) == 1 else None)


def _grouped(
    atoms: Sequence[Domain], types: Sequence[TensorType | None], sizes: Sizes
) -> tuple[Group, ...]:
    groups: list[tuple[list[Domain], TensorType | None]] = []
    for atom, type in zip(atoms, types, strict=True):
        for members, other in groups:
            if _same(type, other, sizes):
                members.append(atom)
                break
        else:
            groups.append(([atom], type))
    return tuple(Group(tuple(members), type) for members, type in groups)


def _same(left: TensorType | None, right: TensorType | None, sizes: Sizes) -> bool:
    if left is None or right is None:
        return left is right
    return (
        left.dtype == right.dtype
        and left.range == right.range
        and [sizes.normal(size) for size in left.shape]
        == [sizes.normal(size) for size in right.shape]
    )


def combined_shape(
    left: tuple[Poly, ...], right: tuple[Poly, ...], sizes: Sizes
) -> tuple[Poly, ...] | None:
    """The longer shape if the other is its end, else None."""
    longer, shorter = (left, right) if len(left) >= len(right) else (right, left)
    rest = len(longer) - len(shorter)
    if not sizes.equal_shapes(longer[rest:], shorter):
        return None
    return broadcast_shape([tuple(map(sizes.normal, longer))])
