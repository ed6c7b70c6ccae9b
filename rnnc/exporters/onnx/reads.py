"""Reads: which array holds a node where a statement reads it, and the arrays at those points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from rnnc.ir.domain import Constraint
from rnnc.ir.graph import DataIndex, Node, Operand
from rnnc.ir.poly import Poly
from rnnc.ir.reads import value_operands

from .loops import Loop, box
from .places import Site
from .unroll import refused
from .writer import Axis, Value

if TYPE_CHECKING:
    from .exporter import Export


def read_operand(
    export: Export, node: Node, operand: Operand, site: Site, at: Mapping[str, Poly] | None = None
) -> Value:
    """An operand of a node; `at` are the node's indices where they are not the site's own.

    An index that is a value is one of the site's indices, in its range, under a name.
    """
    moved = at or {}
    fixed, ranges = dict(site.fixed), dict(site.ranges)
    access: list[Poly] = []
    for index in operand.access:
        if isinstance(index, DataIndex):
            value = read_operand(export, node, node.operands[index.operand], site, at)
            name = f"?{value.name}"
            fixed[name] = export.writer.cast(value, "int")
            ranges[name] = index.lower.substitute(moved), index.upper.substitute(moved)
            index = Poly.of(name)
        access.append(index.substitute(moved))
    return read(export, operand.source, tuple(access), replace(site, fixed=fixed, ranges=ranges))


def read(export: Export, name: str, access: tuple[Poly, ...], site: Site) -> Value:
    """A node at the points that a site reads."""
    if export.graph[name].op.name == "merge" and not is_stored(export, name):
        return cases(export, name, access, site)
    if export.graph[name].op.name != "merge":
        return stored(export, name, access, site)
    inside: list[Constraint] = []
    node = export.graph[name]
    bounds = box(export.graph, name, export.cycle[name])
    for dim, index in zip(node.domain.names, access, strict=True):
        loop = carrier(export, name, site, dim)
        lower, upper = (loop.lower, loop.upper) if loop is not None else bounds[dim]
        outside = loop is None or loop not in site.names
        outside |= loop is not None and steps_ago(export, name, loop, index, site) is None
        if outside:
            inside.append(Constraint(index - lower, ">="))
        if outside or (loop is not None and not loop.forward and export.places.is_ragged(upper)):
            inside.append(Constraint(upper - 1 - index, ">="))
    if export.places.never(site, *inside):
        return cases(export, name, access, site, outside=True)
    value = stored(export, name, access, site)
    holds = export.places.condition(tuple(inside), site)
    if holds is None:
        return value
    rest = cases(export, name, access, site, outside=True)
    return export.writer.where(holds, value, export.writer.cast(rest, value.dtype), f"{name}.read")


def is_stored(export: Export, name: str) -> bool:
    return name in export.values or any(name in loop.dims for loop, _ in export.stack)


def carrier(export: Export, name: str, site: Site, dim: str) -> Loop | None:
    """The loop that the node was computed in along a dim."""
    for loop in export.around.get(name, ()):
        if loop.dims[name] == dim:
            return loop
    return None


def steps_ago(export: Export, name: str, loop: Loop, index: Poly, site: Site) -> int | None:
    """How many steps of a loop around both ago a member is read; None if that varies."""
    if loop not in site.names:
        return None
    constant = (Poly.of(site.names[loop]) - index).constant
    return None if constant is None else abs(constant)


def cases(
    export: Export, name: str, access: tuple[Poly, ...], site: Site, outside: bool = False
) -> Value:
    """A variable, from its equations; `outside` takes those alone that are in no loop."""
    node = export.graph[name]
    at = dict(zip(node.domain.names, access, strict=True))
    dtype = node.type.dtype
    value: Value | None = None
    for case in value_operands(node):
        if outside and case.source in export.cycle.get(name, ()):
            continue
        assert case.guard is not None
        limits = (*case.guard.bounds, *case.guard.constraints)
        guard = tuple(constraint.substitute(at) for constraint in limits)
        if export.places.never(site, *guard):
            continue
        holds = export.places.condition(guard, site)
        found = export.writer.cast(read_operand(export, node, case, site, at), dtype)
        if holds is None:
            return found
        value = export.writer.where(holds, found, value or export.filled(node, 0), f"{name}.case")
    return value or export.filled(node, 0)


def stored(export: Export, name: str, access: tuple[Poly, ...], site: Site) -> Value:
    """An array that is there, at the points that a site reads."""
    node = export.graph[name]
    at = dict(zip(node.domain.names, access, strict=True))
    value = export.values.get(name)
    for loop in export.around.get(name, ()):
        if loop not in site.names:
            break
        distance = steps_ago(export, name, loop, at[loop.dims[name]], site)
        if distance is None:
            value = export.histories[loop][name]
            break
        if distance:
            value = export.states[loop][name, distance]
            break
    assert value is not None, f"{name} is read before it is computed"
    for axis in value.axes:
        value = along(export, value, axis, at[axis.dim], site)
    return value


def along(export: Export, value: Value, axis: Axis, index: Poly, site: Site) -> Value:
    """The array with one axis read at an index of the site."""
    marked = [a.dim for a in value.axes]
    place = marked.index(axis.dim)
    for mine in site.axes:
        same = mine.lower == axis.lower and mine.upper == axis.upper
        if same and index == Poly.of(mine.dim):
            return renamed(export, value, place, (replace(mine, dim=f"#{mine.dim}"),))
    found = export.places.index(index - axis.lower, site)
    length = axis.upper - axis.lower
    ends = Constraint(index - axis.lower, ">="), Constraint(axis.upper - 1 - index, ">=")
    if found.batch or not all(export.places.always(site, end) for end in ends):
        found = export.places.clipped(found, length)
    marks = tuple(replace(mine, dim=f"#{mine.dim}") for mine in found.axes)
    if found.batch:
        return renamed(export, by_row(export, value, place, found), place, marks)
    name = export.writer.node("Gather", [value.name, found.name], f"{value.name}.at", axis=place)
    return renamed(export, replace(value, name=name), place, marks)


def by_row(export: Export, value: Value, place: int, index: Value) -> Value:
    """The array with one axis read at an index of each row."""
    writer, hint = export.writer, f"{value.name}.at"
    before, more, after = place, len(index.axes), len(value.axes) - place - 1
    own = range(value.rank)
    if not value.batch:
        name = writer.node("Gather", [value.name, index.name], hint, axis=place)
        batch, rest = before + more, range(before + more + 1, before + more + 1 + after)
        own = range(before + more + 1 + after, before + more + 1 + after + value.rank)
        perm = [*range(before + more), *rest, batch, *own]
        name = writer.node("Transpose", [name], hint, perm=perm)
        return replace(value, name=name, batch=True)
    axes = len(value.axes)
    perm = [axes, place, *range(place), *range(place + 1, axes)]
    perm += range(axes + 1, axes + 1 + value.rank)
    rows = writer.node("Transpose", [value.name], hint, perm=perm)
    at = writer.node("Transpose", [index.name], f"{hint}.row", perm=[more, *range(more)])
    at = writer.node("Unsqueeze", [at, writer.ints(-1)], f"{hint}.row")
    name = writer.node("GatherND", [rows, at], hint, batch_dims=1)
    # [batch, the index's axes, those before, those behind, own ones]
    perm = [*range(1 + more, 1 + more + before), *range(1, 1 + more)]
    perm += [*range(1 + more + before, 1 + more + before + after), 0]
    perm += range(1 + more + before + after, 1 + more + before + after + value.rank)
    return replace(value, name=writer.node("Transpose", [name], hint, perm=perm))


def renamed(export: Export, value: Value, place: int, axes: tuple[Axis, ...]) -> Value:
    """The axis at a place is these now; the mark `#` goes when all are the reader's."""
    found = (*value.axes[:place], *axes, *value.axes[place + 1 :])
    dims = [axis.dim for axis in found]
    if len(set(dims)) != len(dims):
        raise refused("a diagonal of the grid cannot be exported", export.span)
    if all(dim.startswith("#") for dim in dims):
        found = tuple(replace(axis, dim=axis.dim.removeprefix("#")) for axis in found)
    return replace(value, axes=found)
