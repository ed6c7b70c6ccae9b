"""What depends on a held value alone is computed once for each value, not at each of its readers.

    a[t in 0..T] = U @ h[4*floor((t - 1)/4)];          b[t] = a[t] + x[t]
becomes
    a[t in -4..T-1 : t % 4 == 0] = U @ h[t];           b[t] = a[4*floor((t - 1)/4)] + x[t]

Legal where every operand that depends on a dim at all reads at the same `m*floor((t + c)/m)`, up to
constants. It pays where the statement's own points lie closer than those that it reads; inside of a
recurrence it would leave statements of unlike rates in one loop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rnnc.analysis.boxes import tightened
from rnnc.analysis.lattice import Lattice, is_periodic, lattice
from rnnc.ir.domain import Constraint, Domain
from rnnc.ir.graph import DataIndex, Graph, Index, Node, Operand
from rnnc.ir.ops import is_statement
from rnnc.ir.poly import Floor, Poly
from rnnc.passes.hoist_sums import recurrences
from rnnc.passes.rewrite import Rewriter, ordered


@dataclass(frozen=True, slots=True)
class LowerRates:
    name: ClassVar[str] = "lower-rates"

    def run(self, graph: Graph) -> Graph:
        rewriter = Rewriter.of(graph)
        kept = {output.node for output in graph.outputs} | set(recurrences(graph))
        for name in ordered(rewriter.nodes, dict.fromkeys(rewriter.nodes)):
            for dim in rewriter[name].domain.names:
                rate = slower_rate(rewriter[name], dim)
                if rate is not None and name not in kept:
                    lower(rewriter, rewriter[name], dim, rate)
        return rewriter.finish()


@dataclass(frozen=True, slots=True)
class Rate:
    """Index i reads at `step*floor((i + shift)/step) + offset`."""

    step: int
    shift: int
    offset: int

    def held(self, index: Poly) -> Poly:
        return (index + self.shift) // self.step * self.step + self.offset

    @property
    def points(self) -> Lattice:
        return Lattice(self.step, self.offset % self.step)


# ---- where it is legal, and where it pays -----------------------------------------------------


def slower_rate(node: Node, dim: str) -> Rate | None:
    """The one rate at which the node reads along a dim, if that is below its own."""
    if not is_statement(node.op) or node.bound is not None or node.domain.dim(dim).static:
        return None
    indices = [
        index for operand in node.operands for index in operand.access if depends(index, dim)
    ]
    rates = dict.fromkeys(rate_of(index, dim) for index in indices)
    names = {n for _, value in node.op.attributes if isinstance(value, Poly) for n in value.names}
    if len(rates) != 1 or dim in names:
        return None
    [rate] = rates
    return rate if rate is not None and rate.step > lattice(node.domain, dim).step else None


def depends(index: Index, dim: str) -> bool:
    polys = (index,) if isinstance(index, Poly) else (index.lower, index.upper)
    return any(dim in poly.names for poly in polys)


def rate_of(index: Index, dim: str) -> Rate | None:
    """The rate of an index that is a rounded dim and no more."""
    if isinstance(index, DataIndex) or len(index.floors) != 1:
        return None
    [floor] = index.floors
    shift = (floor.numerator - Poly.of(dim)).constant
    if shift is None:
        return None
    offset = (index - rounded(floor)).constant
    return None if offset is None else Rate(floor.denominator, shift, offset)


def rounded(floor: Floor) -> Poly:
    return floor.numerator // floor.denominator * floor.denominator


# ---- the rewrite ------------------------------------------------------------------------------


def lower(rewriter: Rewriter, node: Node, dim: str, rate: Rate) -> None:
    domain = at_rate(node.domain, dim, rate)
    if domain is None:
        return
    operands = tuple(
        replace(read, access=tuple(Poly.of(dim) if depends(i, dim) else i for i in read.access))
        for read in node.operands
    )
    rewriter.put(replace(node, operands=operands, domain=domain))
    position = node.domain.names.index(dim)

    def relocated(read: Operand) -> Operand:
        if read.source != node.id:
            return read
        access = list(read.access)
        index = access[position]
        assert isinstance(index, Poly), "what is read at a data-dependent index is a variable"
        access[position] = rate.held(index)
        return replace(read, access=tuple(access))

    for reader in list(rewriter.nodes.values()):
        rewriter.put(replace(reader, operands=tuple(map(relocated, reader.operands))))


def at_rate(domain: Domain, dim: str, rate: Rate) -> Domain | None:
    """The points that the readers ask for: the held places of the domain's own points."""
    box, own = tightened(domain), lattice(domain, dim)
    bounds = box.dim(dim)
    if bounds.lower is None or bounds.upper is None:
        return None
    rest = tuple(c for c in box.constraints if not is_periodic(c, dim))
    if any(dim in constraint.poly.names for constraint in rest):
        return None
    others = [end for d in box.dims if d.name != dim for end in (d.lower, d.upper)]
    if any(end is not None and dim in end.names for end in others):
        return None
    first = own.point(own.position(bounds.lower + own.step - 1))
    last = own.point(own.position(bounds.upper - 1))
    ends = replace(bounds, lower=rate.held(first), upper=rate.held(last) + 1)
    dims = tuple(ends if d.name == dim else d for d in box.dims)
    variable = Poly.of(dim)
    phase = Constraint(variable - rate.points.point(rate.points.position(variable)), "==")
    return Domain(dims, (*rest, phase))
