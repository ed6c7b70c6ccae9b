"""Sets of grid points: a box of named dimensions, cut by affine constraints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from rnnc.ir.poly import Poly, PolyLike


@dataclass(frozen=True)
class Dim:
    """`lower <= name < upper`; None is open. `static` dims have extents known when compiling."""

    name: str
    lower: Poly | None
    upper: Poly | None
    static: bool

    @property
    def extent(self) -> Poly:
        """Number of points of a bounded dim."""
        if self.lower is None or self.upper is None:
            raise ValueError(f"dim {self.name} is unbounded")
        return self.upper - self.lower

    @cached_property
    def bounds(self) -> tuple[Constraint, ...]:
        """What the index has to satisfy."""
        own = Poly.of(self.name)
        lower = () if self.lower is None else (Constraint(own - self.lower, ">="),)
        upper = () if self.upper is None else (Constraint(self.upper - 1 - own, ">="),)
        return lower + upper

    def __str__(self) -> str:
        lower = "" if self.lower is None else str(self.lower)
        upper = "" if self.upper is None else str(self.upper)
        return f"{'static ' if self.static else ''}{self.name} in {lower}..{upper}"


@dataclass(frozen=True, slots=True)
class Constraint:
    """`poly >= 0` or `poly == 0`; modulo conditions are written with floors in the poly."""

    poly: Poly
    relation: Literal[">=", "=="]

    def negated(self) -> tuple[Constraint, ...]:
        """Disjoint constraints whose union is the complement."""
        below = Constraint(-self.poly - 1, ">=")
        if self.relation == ">=":
            return (below,)
        return (below, Constraint(self.poly - 1, ">="))

    def substitute(self, values: Mapping[str, PolyLike]) -> Constraint:
        return Constraint(self.poly.substitute(values), self.relation)

    def holds(self, values: Mapping[str, int]) -> bool:
        value = self.poly.evaluate(values)
        return value >= 0 if self.relation == ">=" else value == 0

    def __str__(self) -> str:
        return f"{self.poly} {self.relation} 0"


@dataclass(frozen=True)
class Domain:
    """Points of the product of `dims` that satisfy all `constraints`."""

    dims: tuple[Dim, ...] = ()
    constraints: tuple[Constraint, ...] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple([dim.name for dim in self.dims])

    def dim(self, name: str) -> Dim:
        return next(dim for dim in self.dims if dim.name == name)

    @cached_property
    def bounds(self) -> tuple[Constraint, ...]:
        """The box as constraints."""
        return tuple([bound for dim in self.dims for bound in dim.bounds])

    @cached_property
    def fixed(self) -> Mapping[str, int]:
        """The static dims of which all points have one index, as far as it is seen at once."""
        found = {dim.name: self._only(dim) for dim in self.dims if dim.static}
        return {name: index for name, index in found.items() if index is not None}

    def _only(self, dim: Dim) -> int | None:
        if dim.lower is not None and dim.upper is not None and dim.extent.constant == 1:
            return dim.lower.constant
        roots = (c.poly.root(dim.name) for c in self.constraints if c.relation == "==")
        return next((root for root in roots if root is not None), None)

    def restrict(self, *constraints: Constraint) -> Domain:
        """Intersection; a constraint that is already there is not repeated."""
        fresh = tuple(c for c in dict.fromkeys(constraints) if c not in self.constraints)
        return replace(self, constraints=self.constraints + fresh) if fresh else self

    def extend(self, dims: tuple[Dim, ...]) -> Domain:
        """The product with further dims."""
        return replace(self, dims=self.dims + dims)

    def contains(self, point: Mapping[str, int], sizes: Mapping[str, int]) -> bool:
        values = {**sizes, **point}
        for dim in self.dims:
            index = values[dim.name]
            if dim.lower is not None and index < dim.lower.evaluate(values):
                return False
            if dim.upper is not None and index >= dim.upper.evaluate(values):
                return False
        return all(c.holds(values) for c in self.constraints)

    def points(self, sizes: Mapping[str, int]) -> Iterator[dict[str, int]]:
        """Every point of a bounded domain, lexicographically; bounds may name dims before them.

        `sizes` may also hold indices of an enclosing point (of a reduction).
        """
        for point in _box_points(self.dims, dict(sizes)):
            if all(c.holds({**sizes, **point}) for c in self.constraints):
                yield point

    def substitute(self, values: Mapping[str, PolyLike]) -> Domain:
        """Replaces sizes (not dim names) in bounds and constraints."""
        dims = tuple(
            replace(
                dim,
                lower=None if dim.lower is None else dim.lower.substitute(values),
                upper=None if dim.upper is None else dim.upper.substitute(values),
            )
            for dim in self.dims
        )
        return Domain(dims, tuple(c.substitute(values) for c in self.constraints))

    def __str__(self) -> str:
        parts = [str(dim) for dim in self.dims]
        text = ", ".join(parts)
        if self.constraints:
            text += " : " + " and ".join(str(c) for c in self.constraints)
        return "{" + text + "}"


def _box_points(dims: tuple[Dim, ...], values: dict[str, int]) -> Iterator[dict[str, int]]:
    if not dims:
        yield {}
        return
    dim, *inner = dims
    if dim.lower is None or dim.upper is None:
        raise ValueError(f"dim {dim.name} is unbounded")
    for index in range(dim.lower.evaluate(values), dim.upper.evaluate(values)):
        for point in _box_points(tuple(inner), {**values, dim.name: index}):
            yield {dim.name: index, **point}
