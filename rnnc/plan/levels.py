"""Plans of recurrences along index arrays: every point's level, and the points level by level.

phase: level[-1] = -1                      what is read outside of the points is there at once
phase: level[n] = 1 + max(level[left[n]], ...)    for n in order
for w in levels: phases for the points n of level w of every row
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from rnnc.analysis.boxes import tightened
from rnnc.analysis.levels import LevelRead
from rnnc.analysis.wave import Polynomial, WaveLoop
from rnnc.ir.graph import Graph
from rnnc.ir.poly import Poly
from rnnc.plan.elements import ElementBuilder, Position, extent_of
from rnnc.plan.expression import Apply, Constant, Expression, Load, Loop, Reduce
from rnnc.plan.plan import Buffer, BufferDim, Define, Kernel, Levels, Phase, Step, Store
from rnnc.plan.storage import Storage


def level_steps(
    graph: Graph,
    storage: Storage,
    found: tuple[LevelRead, ...],
    dim: str,
    variable: str,
    body: tuple[Step, ...],
) -> tuple[tuple[Step, ...], tuple[Buffer, ...]]:
    """The steps of a recurrence whose body, for one level, is given; and the buffers they need."""
    first = found[0].reader
    own = tightened(first.domain).dim(dim)
    assert own.lower is not None and own.upper is not None
    extent = extent_of(own.upper, graph)
    name = first.id
    lowest = min(lower_end(graph, read) for read in found)

    def buffer(kind: str, lower: Poly, upper: Poly, batched: bool) -> Buffer:
        stored = BufferDim(dim, lower, upper, extent)
        return Buffer(f"{name}.{kind}", "state", "int", (stored,), batched, ())

    level = buffer("level", Poly.of(lowest), own.upper, True)
    points = buffer("points", own.lower, own.upper, True)
    rows = buffer("rows", own.lower, own.upper, True)
    ends = buffer("ends", own.lower, own.upper + 1, False)
    steps: list[Step] = []
    if lowest < 0:
        outside = WaveLoop(dim, Polynomial(Poly.of(lowest)), Polynomial(own.lower))
        steps.append(Phase((assigned(level, outside, Constant(-1, "int"), None),)))
    along = WaveLoop(dim, Polynomial(own.lower), Polynomial(own.upper))
    limits = {} if extent is None else {dim: extent}
    elements = ElementBuilder(graph, storage, frozenset(), True, limits)
    value = reduce(
        lambda left, right: Apply("max", (left, right), "int"),
        (level_of(graph, elements, read, level) for read in distinct(found)),
    )
    after = Apply("add", (value, Constant(1, "int")), "int")
    steps.append(Phase((assigned(level, along, after, dim),)))
    body = tuple(listed(step, dim) for step in body)
    names = level.name, points.name, rows.name, ends.name
    steps.append(Levels(variable, dim, own.upper, extent, *names, body))
    return tuple(steps), (level, points, rows, ends)


def lower_end(graph: Graph, read: LevelRead) -> int:
    """The least index that the variable read has."""
    domain = graph[read.operand.source].domain
    place = next(n for n, index in enumerate(read.operand.access) if index is read.index)
    lower = tightened(domain).dims[place].lower
    assert lower is not None and lower.constant is not None
    return lower.constant


def assigned(buffer: Buffer, loop: WaveLoop, value: Expression, serial: str | None) -> Kernel:
    """`buffer[loop] = value` for every row."""
    store = Store(buffer.name, buffer.name, (Poly.of(loop.name),), ())
    define = Define(buffer.name, value, "int")
    name = f"{buffer.name}.{'outside' if serial is None else 'all'}"
    return Kernel(name, (loop,), (), True, (), (define,), (store,), serial=serial)


def distinct(found: tuple[LevelRead, ...]) -> tuple[LevelRead, ...]:
    """One read of each index array."""
    kept = {
        (read.reader.operands[read.index.operand], tightened(read.reader.domain).dims): read
        for read in found
    }
    return tuple(kept.values())


def level_of(graph: Graph, elements: ElementBuilder, read: LevelRead, level: Buffer) -> Expression:
    """The level of what is read; the highest one, where a statement reads along further dims."""
    node = read.reader
    loops: list[Loop] = []
    point: dict[str, Position] = {}
    for dim in tightened(node.domain).dims:
        point[dim.name] = Poly.of(dim.name)
        if dim.name == level.dims[0].name:
            continue
        assert dim.lower is not None and dim.upper is not None
        extent = None if dim.static else extent_of(dim.upper, graph)
        loop = Loop(elements.fresh(), dim.lower, dim.upper, extent)
        point[dim.name] = Poly.of(loop.name)
        if extent is not None:
            elements.limits[loop.name] = extent
        loops.append(loop)
    place = elements.operand(node, read.index.operand, point, [])
    found: Expression = Load(level.name, (place,), (), "int", (True,))
    none = Constant(-1, "int")
    if loops:
        found = Apply("max", (Reduce("max", tuple(loops), (), found, "int"), none), "int")
    return found


def listed(step: Step, dim: str) -> Step:
    """A step whose kernels run at the listed points of a dim."""
    assert isinstance(step, Phase), "what has levels has no loops inside"
    kernels = (
        replace(
            kernel,
            loops=tuple(loop for loop in kernel.loops if loop.name != dim),
            listed=dim,
        )
        for kernel in step.kernels
    )
    return Phase(tuple(kernels))
