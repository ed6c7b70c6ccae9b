"""Where a statement is computed: its grid indices as values, conditions on them, and reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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


class Places:
    """Polynomials and conditions as values of a model whose extents are `extents`."""

    def __init__(self, writer: Writer, extents: Mapping[str, Value]) -> None:
        self.writer = writer
        self.extents = extents
        self.known = Assumptions(frozenset(extents))

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
            return self.extents[name]
        axis = next(axis for axis in site.axes if axis.dim == name)
        return self.range(axis)

    def range(self, axis: Axis) -> Value:
        """The indices of an axis."""
        key = ("range", axis)
        found = self.writer.scope.find(key)
        if found is not None:
            return found
        nothing = Site((), {}, {}, {})
        ends = [self.index(end, nothing).name for end in (axis.lower, axis.upper)]
        name = self.writer.node("Range", [*ends, self.writer.number(1, "int").name], axis.dim)
        return self.writer.once(key, Value(name, "int", 0, (axis,)))

    def length(self, axis: Axis) -> str:
        """The number of points of an axis, [1]."""
        length = self.index(axis.upper - axis.lower, Site((), {}, {}, {}))
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
        last = self.index(length - 1, Site((), {}, {}, {}))
        return self._apply("Max", self._apply("Min", index, last), self._zero())

    def _zero(self) -> Value:
        return Value(self.writer.constant(np.asarray(0, np.int64)), "int")
