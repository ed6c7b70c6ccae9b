"""Where a statement is computed: its grid indices as values, conditions on them, and reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rnnc.analysis.sets import Assumptions, is_empty
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.poly import Floor, Poly

from .loops import Loop
from .writer import Axis, Value, Writer


@dataclass(frozen=True, slots=True)
class Site:
    """`axes` are computed all at once; `fixed` are the indices of loops around, as values.

    `names` says how the loops' dims are called here; `ranges` are their bounds.
    """

    axes: tuple[Axis, ...]
    fixed: Mapping[str, Value]
    names: Mapping[Loop, str]
    ranges: Mapping[str, tuple[Poly, Poly]]

    @property
    def box(self) -> tuple[Dim, ...]:
        """All points that are computed here."""
        around = tuple(Dim(name, *bounds, False) for name, bounds in self.ranges.items())
        return around + tuple(Dim(axis.dim, axis.lower, axis.upper, False) for axis in self.axes)


_EVERYWHERE = Site((), {}, {}, {})


class Places:
    """Polynomials and conditions as values of a model.

    Arrays are as long as `extents` say; `rows` has the extents of each row where rows have lengths
    of their own. Points beyond a row's length are computed, and are nobody's: only a loop that
    begins there, reductions and outputs have to look.
    """

    def __init__(
        self, writer: Writer, extents: Mapping[str, Value], rows: Mapping[str, Value]
    ) -> None:
        self.writer = writer
        self.extents = extents
        self.rows = rows
        self.known = Assumptions(frozenset(extents) - frozenset(rows))

    def is_ragged(self, poly: Poly) -> bool:
        """Whether it differs from row to row."""
        return not self.rows.keys().isdisjoint(poly.names)

    def existing(self, axis: Axis) -> Value | None:
        """Which points of an axis each row has; None: all."""
        if not self.is_ragged(axis.upper):
            return None
        ends = [self.range(axis), self.index(axis.upper, _EVERYWHERE)]
        return self.writer.pointwise("Less", ends, "bool", f"{axis.dim}.exists")

    # ---- what is certain ----------------------------------------------------------------------

    def never(self, site: Site, *constraints: Constraint) -> bool:
        return is_empty(Domain(site.box, constraints), self.known)

    def always(self, site: Site, constraint: Constraint) -> bool:
        return all(self.never(site, opposite) for opposite in constraint.negated())

    # ---- values -------------------------------------------------------------------------------

    def index(self, poly: Poly, site: Site) -> Value:
        """The value of a polynomial in indices and extents at every point of the site."""
        key = ("index", str(poly), site.axes, tuple((n, v.name) for n, v in site.fixed.items()))
        found = self.writer.scope.find(key)
        return found or self.writer.once(key, self._index(poly, site))

    def end(self, poly: Poly) -> Value:
        """The value of a polynomial in extents, for arrays as a whole."""
        return self.index(poly, replace(_EVERYWHERE, fixed=self.extents))

    def _index(self, poly: Poly, site: Site) -> Value:
        total: Value | None = None
        for monomial, coefficient in poly.terms:
            product: Value | None = None
            if coefficient != 1 or not monomial:
                product = self.writer.number(coefficient, "int")
            for atom, power in monomial:
                factor = self._floor(atom, site) if isinstance(atom, Floor) else None
                factor = factor or self._name(str(atom), site)
                for _ in range(power):
                    product = factor if product is None else self._apply("Mul", product, factor)
            assert product is not None
            total = product if total is None else self._apply("Add", total, product)
        return total or self.writer.number(0, "int")

    def _apply(self, op: str, left: Value, right: Value) -> Value:
        return self.writer.pointwise(op, [left, right], "int", "index")

    def _floor(self, atom: Floor, site: Site) -> Value:
        numerator = self.index(atom.numerator, site)
        divisor = self.writer.number(atom.denominator, "int")
        rest = self._apply("Mod", numerator, divisor)  # ONNX divides towards zero
        return self._apply("Div", self._apply("Sub", numerator, rest), divisor)

    def _name(self, name: str, site: Site) -> Value:
        if name in site.fixed:
            return site.fixed[name]
        if name in self.extents:
            return self.rows.get(name, self.extents[name])
        axis = next(axis for axis in site.axes if axis.dim == name)
        return self.range(axis)

    def range(self, axis: Axis) -> Value:
        """The indices of an axis."""
        key = ("range", axis)
        found = self.writer.scope.find(key)
        if found is not None:
            return found
        ends = [self.end(end).name for end in (axis.lower, axis.upper)]
        name = self.writer.node("Range", [*ends, self.writer.number(1, "int").name], axis.dim)
        return self.writer.once(key, Value(name, "int", 0, (axis,)))

    def length(self, axis: Axis) -> str:
        """The number of points of an axis, [1]."""
        length = self.end(axis.upper - axis.lower)
        return self.writer.unsqueeze(length, [0])

    def condition(self, constraints: tuple[Constraint, ...], site: Site) -> Value | None:
        """Where all constraints hold; None if they do everywhere."""
        found: Value | None = None
        for constraint in constraints:
            if self.always(site, constraint):
                continue
            left = self.index(constraint.poly, site)
            op = "GreaterOrEqual" if constraint.relation == ">=" else "Equal"
            zero = self.writer.number(0, "int")
            holds = self.writer.pointwise(op, [left, zero], "bool", "holds")
            found = (
                holds
                if found is None
                else self.writer.pointwise("And", [found, holds], "bool", "holds")
            )
        return found

    def clipped(self, index: Value, length: Poly) -> Value:
        """The index, moved into 0..length."""
        last = self.end(length - 1)
        return self._apply("Max", self._apply("Min", index, last), self._zero())

    def _zero(self) -> Value:
        return Value(self.writer.constant(np.asarray(0, np.int64)), "int")
