"""A variable that keeps its value between the steps at which it is computed is read where it was.

    h[t] merges  a[t] if t % 4 == 0,  h[t-1] otherwise;     reader:  h[t-1]
becomes
    h.held[t in 0..T] merges  a[t] if t % 4 == 0,  h[-1] if t == -4
    h[t] merges  a[t] if t % 4 == 0,  h.held[4*floor(t/4)] otherwise
    reader:  h.held[4*floor((t - 1)/4)]

so that the recurrence has only the computed steps left; copies are made for those alone who want
every step (an output), off the recurrence.

Legal where the copies are exactly the other residues of one dim over a box: then the last computed
step before t is known, `m*floor((t - r)/m) + r`. Before the first one the value is the one that
stands before the box; it gets the place of the computed step that would come next, downwards.
Reads that may reach further than that stay on the variable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import lcm
from typing import ClassVar

from rnnc.analysis.boxes import tightened
from rnnc.analysis.lattice import Lattice, is_periodic, residues
from rnnc.analysis.regions import fixed_value, region
from rnnc.analysis.sets import is_empty
from rnnc.ir.domain import Domain
from rnnc.ir.graph import DataIndex, Graph, Node, Operand
from rnnc.ir.placed import may_meet
from rnnc.ir.poly import Poly, PolyLike
from rnnc.passes.rewrite import Rewriter, moved, point_of


@dataclass(frozen=True, slots=True)
class HoldCopies:
    name: ClassVar[str] = "hold-copies"

    def run(self, graph: Graph) -> Graph:
        rewriter = Rewriter.of(graph)
        for node in graph.nodes:
            if node.op.name == "merge":
                for dim in node.domain.names:
                    for box in boxes_of_copies(rewriter[node.id], dim):
                        hold(rewriter, rewriter[node.id], box)
        return rewriter.finish()


@dataclass(frozen=True, slots=True)
class Held:
    """Over `box`, a variable is copied along `dim` except at the points of `computed`."""

    dim: str
    box: Domain
    first: int  # the box's first point along `dim`
    computed: Lattice

    @property
    def fixed(self) -> dict[str, PolyLike]:
        """Dims of which the box has one index: the held variable does without them."""
        values = {dim.name: fixed_value(dim, self.box) for dim in self.box.dims}
        return {name: v for name, v in values.items() if v is not None and v.constant is not None}

    def last(self, index: Poly) -> Poly:
        """The last computed point up to an index of the box."""
        return self.computed.point(self.computed.position(index))

    def along(self, lower: int, upper: Poly | None) -> Domain:
        """The box with other bounds along the dim."""
        dims = (
            replace(dim, lower=Poly.of(lower), upper=upper) if dim.name == self.dim else dim
            for dim in self.box.dims
        )
        return replace(self.box, dims=tuple(dims))

    def access(self, point: Mapping[str, PolyLike]) -> tuple[Poly, ...]:
        """Where the held variable has the value of a point of the box."""
        return tuple(
            self.last(Poly.of(point[name])) if name == self.dim else Poly.of(point[name])
            for name in self.box.names
            if name not in self.fixed
        )

    def without_fixed(self, domain: Domain) -> Domain:
        kept = replace(domain, dims=tuple(d for d in domain.dims if d.name not in self.fixed))
        return kept.substitute(self.fixed)


# ---- where it is legal ------------------------------------------------------------------------


def boxes_of_copies(node: Node, dim: str) -> list[Held]:
    """Every box in which the variable is copied along the dim, but for one residue."""
    copies: dict[Domain, list[Operand]] = {}
    for case in node.operands:
        if is_copy(node, case, dim):
            copies.setdefault(box_of_copy(case, dim), []).append(case)
    found = (held(dim, box, cases) for box, cases in copies.items())
    return [box for box in found if box is not None]


def box_of_copy(case: Operand, dim: str) -> Domain:
    """Where a case would hold if residues of the dim did not count."""
    assert case.guard is not None
    rest = tuple(c for c in case.guard.constraints if not is_periodic(c, dim))
    return tightened(replace(case.guard, constraints=rest))


def is_copy(node: Node, case: Operand, dim: str) -> bool:
    """Whether a case is the variable itself one point before."""
    if case.source != node.id or case.guard is None:
        return False
    box = tightened(case.guard)
    for name, index in zip(node.domain.names, case.access, strict=True):
        own = Poly.of(name)
        if name == dim:
            if index != own - 1:
                return False
        elif index != own and index != fixed_value(box.dim(name), box):
            return False
    return True


def held(dim: str, box: Domain, cases: list[Operand]) -> Held | None:
    """The box, if the copies leave one residue of it to be computed."""
    lower = box.dim(dim).lower
    first = None if lower is None else lower.constant
    if first is None or any(dim in constraint.poly.names for constraint in box.constraints):
        return None
    ends = [end for other in box.dims for end in (other.lower, other.upper) if end is not None]
    if any(dim in end.names for end in ends):
        return None
    period, computed = 1, {0}
    for case in cases:
        assert case.guard is not None
        found = residues([c for c in case.guard.constraints if is_periodic(c, dim)], dim)
        if found is None:
            return None
        longer, copied = lcm(period, found[0]), set(found[1])
        computed = {
            r for r in range(longer) if r % period in computed and r % found[0] not in copied
        }
        period = longer
    if len(computed) != 1 or period == 1:
        return None
    return Held(dim, box, first, Lattice(period, min(computed)))


# ---- the rewrite ------------------------------------------------------------------------------


def hold(rewriter: Rewriter, node: Node, box: Held) -> None:
    """Makes the variable of computed points; copies read it, and so do readers that can."""
    cases = [*computed_cases(node, box), *cases_before(node, box)]
    if any(isinstance(index, DataIndex) for case in cases for index in case.access):
        return
    name = rewriter.builder.fresh(f"{node.id}.held")
    domain = box.without_fixed(Domain(box.box.dims))
    rewriter.put(replace(node, id=name, operands=tuple(cases), domain=domain))
    own = box.access({other: other for other in node.domain.names})
    kept = tuple(
        replace(case, source=name, access=own) if is_copy_in(node, case, box) else case
        for case in node.operands
    )
    rewriter.put(replace(node, operands=kept))
    for reader in list(rewriter.nodes.values()):
        if all(operand.source != node.id for operand in reader.operands):
            continue
        operands = tuple(
            redirected(reader, operand, node, box, name) if operand.source == node.id else operand
            for operand in reader.operands
        )
        rewriter.put(replace(reader, operands=operands))


def is_copy_in(node: Node, case: Operand, box: Held) -> bool:
    if case.guard is None or not may_meet(case.guard.fixed, box.box.fixed):
        return False
    return is_copy(node, case, box.dim) and box_of_copy(case, box.dim) == box.box


def computed_cases(node: Node, box: Held) -> Iterator[Operand]:
    """The equations that compute points of the box."""
    for case in node.cases_at(box.box.fixed):
        if case.guard is not None and not is_copy_in(node, case, box):
            guard = box.box.restrict(*case.guard.bounds, *case.guard.constraints)
            yield from met(case, box, guard)


def cases_before(node: Node, box: Held) -> Iterator[Operand]:
    """What stands just before the box, at the last place of a computed point there."""
    outside: dict[str, PolyLike] = {box.dim: box.first - 1}
    before = box.last(Poly.of(box.first - 1)).offset
    place = box.along(before, Poly.of(before + 1))
    for case in node.cases_at(box.box.fixed):
        if case.guard is not None:
            limits = (*case.guard.bounds, *case.guard.constraints)
            guard = place.restrict(*(limit.substitute(outside) for limit in limits))
            yield from met(moved(case, outside), box, guard)


def met(case: Operand, box: Held, guard: Domain) -> Iterator[Operand]:
    """The case of the held variable at the points of a guard, if it has any."""
    guard = tightened(box.without_fixed(guard))
    if not is_empty(guard):
        limits = tuple(c for c in guard.constraints if c.poly.constant is None)
        yield replace(moved(case, box.fixed), guard=replace(guard, constraints=limits))


def redirected(reader: Node, operand: Operand, node: Node, box: Held, name: str) -> Operand:
    """The read of the last computed point, if all its points lie in the box or just before."""
    values = point_of(node, operand.access)
    if values is None:
        return operand
    points = region(reader, operand)
    around = box.along(box.first - 1, box.box.dim(box.dim).upper)
    limits = [c.substitute(values) for c in (*around.bounds, *around.constraints)]
    if not all(limit.poly.constant is None or limit.holds({}) for limit in limits):
        return operand
    outside = (points.restrict(part) for limit in limits for part in limit.negated())
    if not all(is_empty(part) for part in outside):
        return operand
    return replace(operand, source=name, access=box.access(values))
