"""The best one-dimensional affine integer schedule, by Farkas' lemma and one integer program (isl).

Feautrier 1992: `theta_S(i) = a_S . i + b_S . n + c_S` over indices i and extents n, legal iff
`theta_R(j) - theta_S(i) - delay >= 0` on every dependence, and `0 <= theta_S <= u . n + w` on every
domain. An affine form is nonnegative on a polyhedron iff its coefficients lie in the polyhedron
that `coefficients()` gives. The least (sum u, w) wins. Nothing is shared with the scheduler.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import islpy as isl

from rnnc.analysis.legality import ReadMaps
from rnnc.analysis.sets import to_set
from rnnc.ir.graph import Graph
from rnnc.ir.ops import is_pointwise, is_view
from rnnc.ir.signature import extent_names

_LARGEST = 8  # no unknown is larger: programs must be bounded

Form = dict[str, int]  # unknowns with their factors; "" is a number
Affine = dict[str, Form]  # the factor of each index and extent, and "" for the constant


@dataclass(slots=True)
class _Program:
    """Unknowns in order, and the constraints on them as isl writes them."""

    extents: tuple[str, ...]
    unknowns: dict[str, int] = field(default_factory=dict)
    rows: dict[str, None] = field(default_factory=dict)

    def unknown(self, name: str) -> Form:
        self.unknowns.setdefault(name, len(self.unknowns))
        return {name: 1}

    def theta(self, statement: str, dims: Sequence[str], prefix: str) -> Affine:
        """The schedule of a statement whose indices are called `prefix0`, `prefix1`, ..."""
        rows = {f"{prefix}{n}": self.unknown(f"{statement}.{d}") for n, d in enumerate(dims)}
        rows |= {name: self.unknown(f"{statement}.{name}") for name in self.extents}
        return {**rows, "": self.unknown(f"{statement}.")}

    def nonnegative(self, form: Affine, points: isl.Set, indices: Sequence[str]) -> None:
        """The form is >= 0 at all points, for all extents of at least 1."""
        extents = isl.Set(f"[{', '.join(self.extents)}] -> {{ : {_positive(self.extents)} }}")
        points = points.align_params(extents.get_space()).intersect_params(extents)
        parameters = range(points.dim(isl.dim_type.param))
        given = (str(points.get_dim_name(isl.dim_type.param, number)) for number in parameters)
        names = ["", *given, *indices]
        for piece in points.get_basic_sets():
            for constraint in piece.coefficients().get_constraints():
                total: Form = {"": _number(constraint.get_constant_val())}
                for place, name in enumerate(names):
                    factor = _number(constraint.get_coefficient_val(isl.dim_type.set, place))
                    for unknown, value in form.get(name, {}).items():
                        total[unknown] = total.get(unknown, 0) + factor * value
                relation = "=" if constraint.is_equality() else ">="
                self.rows[f"{self.text(total)} {relation} 0"] = None

    def text(self, form: Form) -> str:
        return " + ".join(f"{f}*x{self.unknowns[n]}" if n else str(f) for n, f in form.items())

    def solve(self, objectives: Sequence[Form]) -> dict[str, int] | None:
        """The lexicographically least objectives, and what they take."""
        names = ", ".join(f"x{number}" for number in self.unknowns.values())
        rows = [*self.rows, *(f"-{_LARGEST} <= x{n} <= {_LARGEST}" for n in self.unknowns.values())]
        image = ", ".join(self.text(form) for form in objectives)
        points = isl.Set(f"{{ [{names}] : {' and '.join(rows)} }}")
        least = points.apply(isl.Map(f"{{ [{names}] -> [{image}, {names}] }}")).lexmin()
        if least.is_empty():
            return None
        point = least.sample_point()
        return {
            name: _number(point.get_coordinate_val(isl.dim_type.set, len(objectives) + number))
            for name, number in self.unknowns.items()
        }


def _positive(names: Sequence[str]) -> str:
    return " and ".join(f"{name} >= 1" for name in names) or "true"


def _number(value: isl.Val) -> int:
    return int(value.to_python())


def _sum(*forms: tuple[int, Affine]) -> Affine:
    total: Affine = {}
    for sign, form in forms:
        for name, part in form.items():
            row = total.setdefault(name, {})
            for unknown, value in part.items():
                row[unknown] = row.get(unknown, 0) + sign * value
    return total


def farkas_waves(graph: Graph, nodes: Sequence[str]) -> Mapping[str, int] | None:
    """How many waves the best schedule of `nodes` by themselves takes: the factor of each extent,
    and "" for the constant. None if there is none (two dimensions are needed, say)."""
    maps = ReadMaps.of(graph)
    program = _Program(tuple(sorted(extent_names(graph))))
    bound: Affine = {name: program.unknown(f"u.{name}") for name in program.extents}
    bound[""] = program.unknown("w")
    for name in nodes:
        node = graph[name]
        theta = program.theta(name, node.domain.names, "i")
        points = to_set(node.domain, maps.known)
        indices = [f"i{number}" for number in range(len(node.domain.names))]
        program.nonnegative(theta, points, indices)
        program.nonnegative(_sum((1, bound), (-1, theta)), points, indices)
    for name in nodes:
        node = graph[name]
        for operand in node.operands:
            for source, read in maps.operand(node, operand).items():
                if source not in nodes or read.is_empty():
                    continue
                there = graph[source]
                joins = (
                    is_pointwise(node.op)
                    and not is_view(graph[operand.source].op)
                    and there.type.shape == node.type.shape
                    and read.is_subset(isl.Map.identity(read.get_space()))
                )
                own = program.theta(name, node.domain.names, "i")
                before = program.theta(source, there.domain.names, "j")
                later = _sum((1, own), (-1, before), (-int(not joins), {"": {"": 1}}))
                indices = [f"i{number}" for number in range(len(node.domain.names))]
                indices += [f"j{number}" for number in range(len(there.domain.names))]
                program.nonnegative(later, read.wrap().flatten(), indices)
    objectives = [_sum(*((1, {"": bound[name]}) for name in program.extents))[""], bound[""]]
    found = program.solve(objectives)
    if found is None:
        return None
    return {**{name: found[f"u.{name}"] for name in program.extents}, "": found["w"] + 1}
