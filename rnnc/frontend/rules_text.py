"""Words for the rules: sets of points as text, and equations with an index changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import islpy as isl

from rnnc.analysis.sets import identifier, to_set
from rnnc.diagnostics import Span
from rnnc.ir.domain import Dim, Domain
from rnnc.ir.poly import Poly

if TYPE_CHECKING:
    from rnnc.frontend.rules import Defined, Part, Program


def compact(poly: Poly) -> str:
    """`T-1`, as indices are written."""
    return str(poly).replace(" ", "")


# ---- sets of points ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Extent:
    """`lower .. upper` (both included; None where it is no polynomial): the indices of a set along
    `dim`; `is_whole` if these are all of the dim.
    """

    dim: Dim
    lower: Poly | None
    upper: Poly | None

    @property
    def is_whole(self) -> bool:
        return (
            self.lower is not None
            and self.upper is not None
            and self.lower == self.dim.lower
            and self.dim.upper is not None
            and self.upper == self.dim.upper - 1
        )

    @property
    def is_point(self) -> bool:
        return self.lower is not None and self.lower == self.upper

    def __str__(self) -> str:
        if self.is_point and self.lower is not None:
            return f"{self.dim.name} = {compact(self.lower)}"
        if self.is_whole and self.dim.lower is not None and self.dim.upper is not None:
            return f"all {self.dim.name} in {compact(self.dim.lower)}..{compact(self.dim.upper)}"
        ends = ["" if end is None else compact(end) for end in (self.lower, self.upper)]
        return f"{self.dim.name} = {' .. '.join(ends)}".rstrip()


def extents(points: isl.Set, box: Domain, sizes: Sequence[str]) -> tuple[Extent, ...]:
    """The indices of a set along each dim of the box, in terms of the sizes."""
    return tuple(
        Extent(dim, _end(points, place, sizes, False), _end(points, place, sizes, True))
        for place, dim in enumerate(box.dims)
    )


# Where a bound is the smaller of two, the one that holds for large sizes is told.
_LARGE = 1009


def _end(points: isl.Set, position: int, sizes: Sequence[str], upper: bool) -> Poly | None:
    """The least or greatest index as a polynomial in the sizes, if it is one."""
    try:
        end = points.dim_max(position) if upper else points.dim_min(position)
    except isl.Error:
        return None  # unbounded
    return _for_large(end, sizes)


def _for_large(value: isl.PwAff, sizes: Sequence[str]) -> Poly | None:
    pieces = [piece for piece in value.coalesce().get_pieces() if _holds_for_large(piece[0])]
    return _affine(pieces[0][1], sizes) if len(pieces) == 1 else None


def _holds_for_large(condition: isl.Set) -> bool:
    for position in range(condition.dim(isl.dim_type.param)):
        condition = condition.fix_val(isl.dim_type.param, position, _LARGE + 2 * position)
    return not condition.is_empty()


def _affine(aff: isl.Aff, sizes: Sequence[str]) -> Poly | None:
    if aff.dim(isl.dim_type.div) or not aff.get_denominator_val().is_one():
        return None
    names = {identifier(size): size for size in sizes}
    poly = Poly.of(aff.get_constant_val().to_python())
    for position in range(aff.dim(isl.dim_type.param)):
        factor = aff.get_coefficient_val(isl.dim_type.param, position).to_python()
        name = str(aff.get_dim_name(isl.dim_type.param, position))
        if factor and name not in names:
            return None  # a product of sizes
        poly = poly + Poly.of(names.get(name, name)) * factor
    return poly


def first_point(points: isl.Set, box: Domain, sizes: Sequence[str]) -> str:
    """The least point of a set in lexicographic order, `l = 1, t = -2`; '' if it is no one point
    for all sizes."""
    try:
        least = points.lexmin_pw_multi_aff()
    except isl.Error:
        return ""
    entries = [_for_large(least.get_pw_aff(place), sizes) for place in range(len(box.dims))]
    if any(entry is None for entry in entries):
        return ""
    known = [entry for entry in entries if entry is not None]
    return ", ".join(f"{d.name} = {compact(e)}" for d, e in zip(box.dims, known, strict=True))


def points_text(found: Sequence[Extent]) -> str:
    """`at t = 0`; dims of which the set has every index are not mentioned, if others are."""
    special = [extent for extent in found if not extent.is_whole]
    if not special:
        return f"for {', '.join(str(extent) for extent in found)}" if found else "here"
    return f"at {', '.join(str(extent) for extent in special)}"


def definition_note(part: Part, variable: Defined, program: Program) -> str:
    """`this equation defines it for all t in 0..T`."""
    what = "this equation defines it" if part.equation is not None else "it is given"
    found = extents(to_set(part.guard, program.known), variable.box, program.sizes)
    return f"{what} for {', '.join(str(extent) for extent in found)}" if found else f"{what} here"


# ---- source text ------------------------------------------------------------------------------


def index_texts(text: str) -> list[str]:
    """The indices in the first bracket of a read or target: `h[l, t-1]` has `l` and `t-1`."""
    start, end = _bracket(text)
    return [part.strip() for part in _split(text[start:end])] if end > start else []


def with_index(text: str, position: int, index: str) -> str:
    """The text with one index of its first bracket replaced."""
    start, end = _bracket(text)
    parts = [part.strip() for part in _split(text[start:end])]
    parts[position] = index
    return text[:start] + ", ".join(parts) + text[end:]


def _bracket(text: str) -> tuple[int, int]:
    """Where the contents of the first bracket begin and end."""
    start = text.find("[") + 1
    if not start:
        return 0, 0
    depth = 1
    for position in range(start, len(text)):
        depth += (text[position] in "[({") - (text[position] in "])}")
        if not depth:
            return start, position
    return 0, 0


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no bracket."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[({") - (character in "])}")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def equation_text(part: Part) -> str:
    """The equation, if it is one target and one value on one line; else ''."""
    equation = part.equation
    if equation is None or len(equation.targets) != 1 or len(equation.cases) != 1:
        return ""
    value: Span = equation.cases[0].value.span
    if equation.cases[0].condition is not None or value.line != part.target.line:
        return ""
    if value.end_line != value.line:
        return ""
    return f"{part.target.text} = {value.text}"


def declared_parts(line: str, start: int) -> str:
    """The names that share the type which begins at column `start` of a declaration line."""
    names = line[: start - 1].rstrip().removesuffix(":")
    names = names.lstrip().partition(" ")[2] if "input " in names else names
    kept: list[str] = []
    for entry in reversed(_split(names)):
        if ":" in entry:
            break
        kept.insert(0, entry.strip())
    return ", ".join(kept)
