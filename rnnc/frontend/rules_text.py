"""Words for the rules: sets of points as text, and equations with an index changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    name: str

    @property
    def is_whole(self) -> bool:
        last = None if self.dim.upper is None else self.dim.upper - 1
        return self.lower is not None and (self.lower, self.upper) == (self.dim.lower, last)

    @property
    def is_point(self) -> bool:
        return self.lower is not None and self.lower == self.upper

    def __str__(self) -> str:
        name, lower, upper = self.name, self.lower, self.upper
        if lower is None:
            return f"some {name}" if upper is None else f"{name} <= {compact(upper)}"
        if upper is None:
            return f"{name} >= {compact(lower)}"
        if lower == upper:
            return f"{name} = {compact(lower)}"
        if self.is_whole:
            return f"all {name} in {compact(lower)}..{compact(upper + 1)}"
        return f"{name} = {compact(lower)} .. {compact(upper)}"


@dataclass(frozen=True, slots=True)
class Points:
    """A set of points in words: its extent along each dim, and whether it has all points of these
    (`is_full`)."""

    extents: tuple[Extent, ...]
    is_full: bool

    @property
    def special(self) -> tuple[Extent, ...]:
        """The extents that are not whole dims; all if there are none."""
        return tuple(e for e in self.extents if not e.is_whole) or self.extents

    def __str__(self) -> str:
        """` at t = 0`, ` for all t in 0..T`, ` at some points with t = 0 .. T-1`; '' of a variable
        without indices."""
        whole = all(extent.is_whole for extent in self.extents)
        if not self.is_full:
            return " at some points" if whole else f" at some points with {listed(self.special)}"
        if not self.extents:
            return ""
        return f" for {listed(self.extents)}" if whole else f" at {listed(self.special)}"


def listed(found: Sequence[Extent]) -> str:
    return ", ".join(str(extent) for extent in found)


_ORDINALS = ("first", "second", "third", "fourth")


def index_names(box: Domain) -> list[str]:
    """How the indices of a variable are called; one that no equation names has only a place."""
    return [
        f"{_ORDINALS[place] if place < len(_ORDINALS) else f'{place + 1}th'} index"
        if dim.lower is None and dim.upper is None
        else dim.name
        for place, dim in enumerate(box.dims)
    ]


def described(points: isl.Set, box: Domain, sizes: Sequence[str]) -> Points:
    """A set over the dims of a box, in terms of the sizes."""
    names = index_names(box)
    found = tuple(
        Extent(dim, _end(points, place, sizes, False), _end(points, place, sizes, True), name)
        for place, (dim, name) in enumerate(zip(box.dims, names, strict=True))
    )
    dims: list[Dim] = []
    for extent in found:
        if extent.lower is None or extent.upper is None:
            return Points(found, False)
        dims.append(replace(extent.dim, lower=extent.lower, upper=extent.upper + 1))
    full = to_set(Domain(tuple(dims))).intersect_params(points.params())
    if not _at_large(points).is_empty():
        full, points = _at_large(full), _at_large(points)
    return Points(found, bool(full.is_subset(points)))


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
    pieces = value.coalesce().get_pieces()
    if len(pieces) > 1:
        pieces = [piece for piece in pieces if not _at_large(piece[0]).is_empty()]
    return _affine(pieces[0][1], sizes) if len(pieces) == 1 else None


def sizes_text(points: isl.Set, sizes: Sequence[str]) -> str:
    """` when T = 1` if the set has points for these sizes only; else ''."""
    names = {identifier(size): size for size in sizes}
    parameters = points.params()
    found: list[str] = []
    for position in range(parameters.dim(isl.dim_type.param)):
        value = parameters.plain_get_val_if_fixed(isl.dim_type.param, position)
        name = str(parameters.get_dim_name(isl.dim_type.param, position))
        if value.is_int() and name in names:
            found.append(f"{names[name]} = {value.to_python()}")
    return f" when {', '.join(found)}" if found else ""


def _at_large(points: isl.Set) -> isl.Set:
    """The points for some large sizes, each its own."""
    for position in range(points.dim(isl.dim_type.param)):
        name = str(points.get_dim_name(isl.dim_type.param, position))
        size = _LARGE + sum(name.encode()) % 100
        points = points.fix_val(isl.dim_type.param, position, size)
    return points


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
    names = index_names(box)
    return ", ".join(f"{name} = {compact(e)}" for name, e in zip(names, known, strict=True))


def definition_note(part: Part, variable: Defined, program: Program) -> str:
    """`this equation defines it for all t in 0..T`."""
    what = "this equation defines it" if part.equation is not None else "the input has it"
    found = described(to_set(part.guard, program.known), variable.box, program.sizes)
    if not found.is_full:
        return f"{what}{found}"
    return f"{what} for {listed(found.extents)}" if found.extents else f"{what} here"


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
