"""Rule 2: every point that is read has a value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import islpy as isl

from rnnc.analysis.sets import affine_text, identifier, implies, to_set
from rnnc.diagnostics import DiagnosticSink, Note, Span
from rnnc.frontend.rules import Defined, Part, Program, Read, limits_at, reads
from rnnc.frontend.rules_text import (
    Extent,
    compact,
    definition_note,
    described,
    equation_text,
    first_point,
    index_texts,
    listed,
    sizes_text,
    with_index,
)
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import Node
from rnnc.ir.placed import Placed
from rnnc.ir.poly import Poly

# A note for each equation of a variable, as long as there are no more than these.
_NOTES = 3
# What more domains than these may cover is first compared with all of them in one.
_FEW = 4


def check_covered(program: Program, sink: DiagnosticSink) -> None:
    for variable in program.variables:
        if variable.is_output and not variable.is_bad:
            _check_output(variable, program, sink)
    by_node = program.by_node
    allowed = {
        node: found
        for variable in program.variables
        for found in (_Allowed(_allowed(variable, program), program),)
        for node in variable.nodes
    }
    missing: dict[tuple[Span | None, str], _Missing] = {}
    checked: dict[Read, isl.Set] = {}
    for read in reads(program):
        source = program.graph[read.source]
        if read.source in by_node:
            what: Defined | Node = by_node[read.source]
            if by_node[read.source].is_bad:
                continue
            inside = allowed[read.source]
        elif source.op.name == "param":
            what, inside = source, _Allowed((source.domain,), program)
        else:
            continue
        place = replace(read, span=None)  # one read may be written several times
        if place not in checked:
            checked[place] = _uncovered(read, inside, program)
        points, key = checked[place], (read.span, read.source)
        if read.span is None or points.is_empty():
            continue
        image = _image(points, read)
        if key in missing:
            missing[key].add(image, read)
        else:
            missing[key] = _Missing(what, read.span, image, [read])
    for found in missing.values():
        found.report(program, sink)


def _allowed(variable: Defined, program: Program) -> tuple[Domain, ...]:
    """What may be read: the points of the equations, and all beyond a side that none is on."""
    found = [part.guard for part in variable.parts]
    for dim in variable.box.dims:
        for side in _sides(dim):
            if all(implies(part.guard, side, program.known) for part in variable.parts):
                space = Domain(tuple(_open(dim) for dim in variable.box.dims))
                found += [space.restrict(outside) for outside in side.negated()]
    return tuple(dict.fromkeys(found))


class _Allowed:
    """What may be read of a variable, or of a parameter."""

    def __init__(self, points: Sequence[Domain], program: Program) -> None:
        self.points, self.program = points, program

    @cached_property
    def placed(self) -> Placed[str, Domain]:
        return Placed((domain.fixed, domain) for domain in self.points)

    @cached_property
    def sizes(self) -> tuple[Constraint, ...]:
        """The least values of the sizes in it."""
        limits = (
            limit for points in self.points for limit in (*points.bounds, *points.constraints)
        )
        return self.program.sizes_at_least({name for limit in limits for name in limit.poly.names})

    @cached_property
    def whole(self) -> isl.Set:
        """All in one: where equations divide the points among them, few parts are left."""
        first, *others = [to_set(domain, self.program.known) for domain in self.points]
        for other in others:
            first = first.union(other)
        return first.coalesce()


def _sides(dim: Dim) -> list[Constraint]:
    return list(Domain((dim,)).bounds)


def _open(dim: Dim) -> Dim:
    return Dim(dim.name, None, None, dim.static)


def _uncovered(read: Read, allowed: _Allowed, program: Program) -> isl.Set:
    """The reader's points at which the read finds nothing."""
    dims = program.graph[read.source].domain.names
    met = allowed.placed.at(dict(zip(dims, read.access, strict=True)))
    if len(met) > _FEW:
        points = to_set(read.points.restrict(*allowed.sizes), program.known)
        if _image(points, read).is_subset(allowed.whole):
            return points.subtract(points)
    cuts = [limits_at(domain, read.access) for domain in met]
    # What is known of sizes must also hold of those that only the equations name.
    names = {name for limits in cuts for limit in limits for name in limit.poly.names}
    points = to_set(read.points.restrict(*program.sizes_at_least(names)), program.known)
    for limits in cuts:
        if points.is_empty():
            break
        points = points.subtract(to_set(Domain(read.points.dims, limits), program.known))
    return points


def _image(points: isl.Set, read: Read) -> isl.Set:
    """The points that are read from some points of the reader."""
    names = read.points.names
    sizes = sorted({name for index in read.access for name in index.names} - set(names))
    parameters = ", ".join(identifier(name) for name in sizes)
    dims = ", ".join(identifier(name) for name in names)
    access = ", ".join(affine_text(index) for index in read.access)
    return points.apply(isl.Map(f"[{parameters}] -> {{ [{dims}] -> [{access}] }}"))


@dataclass(slots=True)
class _Missing:
    """The points without a value that one read of the source meets."""

    what: Defined | Node
    span: Span
    points: isl.Set
    reads: list[Read]

    def add(self, points: isl.Set, read: Read) -> None:
        self.points = self.points.union(points).coalesce()
        self.reads.append(read)

    def report(self, program: Program, sink: DiagnosticSink) -> None:
        if isinstance(self.what, Node):
            self.report_param(self.what, program, sink)
            return
        variable = self.what
        sides = self.sides(variable, program)
        found = described(self.points, variable.box, program.sizes)
        shown = tuple(found.extents[position] for position, _ in sides) or found.special
        text = f" at {listed(shown)}" if sides else str(found)
        if sides and len({read.access for read in self.reads}) > 1:
            text = self.written_text(found.extents, sides) or text
        if not all(extent.is_point for extent in shown):
            first = first_point(self.points, variable.box, program.sizes)
            text += f", first at ({first})" if first else ""
        text += sizes_text(self.points, program.sizes)
        notes, hints = self.notes_of_sides(variable, sides, program)
        if not sides:
            notes = _definitions(variable, program)
        sink.error(
            "RNN402",
            f"this reads '{variable.name}' where it has no value" + (f":{text}" if text else ""),
            self.span,
            notes,
            hints,
        )

    def sides(self, variable: Defined, program: Program) -> list[tuple[int, bool]]:
        """The sides of the box (position, whether the high one) beyond which points are missed."""
        found: list[tuple[int, bool]] = []
        for position, dim in enumerate(variable.box.dims):
            for side in _sides(dim):
                space = Domain(tuple(_open(other) for other in variable.box.dims))
                beyond = [to_set(space.restrict(c), program.known) for c in side.negated()]
                if any(not self.points.intersect(outside).is_empty() for outside in beyond):
                    found.append((position, side.poly.coefficient(dim.name) < 0))
        return found

    def written_text(self, found: Sequence[Extent], sides: Sequence[tuple[int, bool]]) -> str:
        """`at t = -2^l .. -2` for `t - 2^l`: where static points were taken one by one, the index
        as it is written says more than the numbers."""
        indices = index_texts(self.span.text)
        lead = len(found) - len(indices)
        parts: list[str] = []
        for position, is_high in sides:
            extent = found[position]
            dim = extent.dim
            match = re.fullmatch(
                rf"{re.escape(dim.name)}\s*([-+])\s*(.+)", indices[position - lead]
            )
            end = dim.upper if is_high else dim.lower
            if match is None or end is None or extent.lower is None or extent.upper is None:
                return ""
            start = compact(end - 1) if is_high else "" if end == Poly() else compact(end)
            written = start + match[1] + match[2] if match[1] == "-" or start else match[2]
            ends = (extent.lower, written) if is_high else (written, extent.upper)
            texts = [compact(e) if isinstance(e, Poly) else e for e in ends]
            parts.append(f"{dim.name} = {' .. '.join(texts)}")
        return f" at {', '.join(parts)}"

    def notes_of_sides(
        self, variable: Defined, sides: Sequence[tuple[int, bool]], program: Program
    ) -> tuple[list[Note], list[str]]:
        """What is given on these sides, and how to give more or less."""
        notes: list[Note] = []
        hints: list[str] = []
        for position, is_high in sides:
            dim = variable.box.dims[position]
            for part in variable.parts:
                given = _beyond(part, position, is_high, variable, program)
                if given is None:
                    continue
                end = dim.upper - 1 if is_high and dim.upper is not None else dim.lower
                assert end is not None
                side = f"{'after' if is_high else 'before'} {dim.name} = {compact(end)}"
                note = f"the values {side} are given here, for {given} only"
                notes.append(Note(note, part.target))
                hints += _whole_side(part, position, is_high, variable)
        if sides:
            hints.append("to read zero there, give no equation for that side")
        return notes, hints

    def report_param(self, node: Node, program: Program, sink: DiagnosticSink) -> None:
        """A parameter has the points of its declaration and nothing outside."""
        name = str(node.op["path"]).rpartition(".")[2].partition("[")[0]
        found = described(self.points, node.domain, program.sizes)
        own = described(to_set(node.domain, program.known), node.domain, program.sizes)
        notes = [
            Note(f"it is declared here, for {listed(own.extents)}", span) for span in node.spans[:1]
        ]
        message = f"this reads the parameter '{name}' where there is none:{found}"
        sink.error("RNN402", message, self.span, notes)


def _beyond(
    part: Part, position: int, is_high: bool, variable: Defined, program: Program
) -> Extent | None:
    """Which indices beyond a side an equation gives, if any."""
    dim = variable.box.dims[position]
    side = _sides(dim)[-1 if is_high else 0]
    beyond = [part.guard.restrict(c) for c in side.negated()]
    points = [to_set(domain, program.known) for domain in beyond]
    given = [points for points in points if not points.is_empty()]
    if not given:
        return None
    return described(given[0], variable.box, program.sizes).extents[position]


def _whole_side(part: Part, position: int, is_high: bool, variable: Defined) -> list[str]:
    """The equation of a side, for all points beyond it."""
    text, dim = equation_text(part), variable.box.dims[position]
    indices = index_texts(part.target.text)
    place = position - (len(variable.box.dims) - len(indices))
    end = dim.upper if is_high else dim.lower
    if not text or place < 0 or end is None:
        return []
    range = f"{compact(end)}.." if is_high else f"..{compact(end)}"
    changed = with_index(text, place, f"{dim.name} in {range}")
    return [f"for the same value at all of them:  {changed}"]


def _check_output(variable: Defined, program: Program, sink: DiagnosticSink) -> None:
    """Outputs cover their box."""
    if any(dim.lower is None or dim.upper is None for dim in variable.box.dims):
        return
    # What is known of sizes must also hold of those that only the equations name.
    limits = [c for part in variable.parts for c in (*part.guard.bounds, *part.guard.constraints)]
    least = program.sizes_at_least({name for limit in limits for name in limit.poly.names})
    points = to_set(variable.box.restrict(*least), program.known)
    for part in variable.parts:
        points = points.subtract(to_set(part.guard, program.known))
    if points.is_empty():
        return
    found = described(points, variable.box, program.sizes)
    sink.error(
        "RNN402",
        f"output '{variable.name}' has no value{found}",
        variable.parts[0].target if variable.parts else None,
        _definitions(variable, program),
    )


def _definitions(variable: Defined, program: Program) -> list[Note]:
    """Where a variable is defined, and for which points."""
    parts = {part.target: part for part in variable.parts}  # cases of one equation have one note
    notes = [Note(definition_note(part, variable, program), span) for span, part in parts.items()]
    return notes[:_NOTES]
