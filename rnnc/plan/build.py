"""Lowers a scheduled graph to a plan: groups become kernels, components become steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from rnnc.analysis.boxes import interval, never_negative, tightened
from rnnc.analysis.early_exit import exits
from rnnc.analysis.levels import level_reads
from rnnc.analysis.linear import STATES
from rnnc.analysis.schedule import Component, Schedule
from rnnc.analysis.semirings import Semiring
from rnnc.analysis.timing import Timing, statement_loops
from rnnc.analysis.wave import Bound, WaveLoop
from rnnc.ir.domain import Constraint
from rnnc.ir.graph import Graph, Node
from rnnc.ir.poly import Poly, PolyLike
from rnnc.ir.signature import extent_names
from rnnc.plan.chains import chain_order, with_carries, without_unread
from rnnc.plan.elements import ElementBuilder, unsupported
from rnnc.plan.exits import Nest, limits_of, rest_loops, until
from rnnc.plan.expression import Contract, element, walk
from rnnc.plan.groups import Group, Read, group, reads
from rnnc.plan.levels import level_steps
from rnnc.plan.lifetimes import slotted
from rnnc.plan.plan import (
    Argument,
    Buffer,
    Define,
    Kernel,
    Parameter,
    Phase,
    Plan,
    Step,
    Store,
    Until,
    Waves,
)
from rnnc.plan.scan import scan
from rnnc.plan.storage import Storage, assign
from rnnc.plan.turns import in_turns

FARTHEST = 2**31 - 1  # of an index and its coefficients


@dataclass(frozen=True, slots=True)
class Placed:
    """A group with the loops over its points."""

    group: Group
    loops: tuple[WaveLoop, ...]
    constraints: tuple[Constraint, ...]
    serial: str | None = None
    semiring: Semiring | None = None
    chunks: int = 1


# A step before its kernels are built: phases of placed groups.
@dataclass(frozen=True, slots=True)
class Draft:
    """`variable` is None for a plain sequence of phases."""

    variable: str | None
    count: Bound | None
    phases: tuple[tuple[Placed, ...], ...] = ()
    inner: tuple[Draft, ...] = ()
    component: Component | None = None
    nest: Nest = ()


def build_plan(graph: Graph, schedule: Schedule) -> Plan:
    """The plan of a graph whose variables are complete (passes.complete_variables)."""
    assert all(node.type.dtype != "complex" for node in graph.nodes), "passes.split_complex"
    check_indices(graph)
    turned = tuple(in_turns(graph, component) for component in schedule.components)
    schedule = replace(schedule, components=turned)
    drafts = draft(graph, schedule.components, ())
    fused = {
        node.id: (number, node)
        for number, placed in enumerate(all_placed(drafts))
        for node in placed.group.nodes
    }
    stored: dict[str, bool] = {}
    for number, node in fused.values():
        for read in reads(graph, node):
            if not read.direct or fused[read.source.id][0] != number:
                stored[read.source.id] = True
    stored |= {found.node: True for _, found in exits(schedule.components)}
    batched = batched_nodes(graph)
    storage = slotted(graph, schedule, assign(graph, stored, batched))
    kernels = KernelBuilder(graph, storage, batched)
    steps = tuple(step for found in drafts for step in kernels.steps(found))
    inputs = tuple(argument(node, node.id) for node in graph.inputs())
    outputs = tuple(Argument(output.name, output.node, None, None) for output in graph.outputs)
    return Plan(
        graph.name,
        tuple(size.name for size in graph.sizes if size.kind == "extent"),
        (*storage.buffers.values(), *kernels.scratch),
        inputs,
        outputs,
        tuple(
            Parameter(
                cast(str, node.op["path"]),
                node.id,
                cast(str, node.op["initial"]),
                node.domain,
                node.type.range,
            )
            for node in graph.params()
        ),
        without_unread(steps, tuple(storage.buffers.values())),
    )


def check_indices(graph: Graph) -> None:
    """Raises RNN703 for reads further away than an array can be long."""
    for node in graph.nodes:
        for operand in node.operands:
            for index in operand.access:
                if not isinstance(index, Poly):
                    continue
                far = next((c for _, c in index.terms if abs(c) > FARTHEST), None)
                if far is not None:
                    raise unsupported(node, f"index '{index}' goes beyond {FARTHEST}")


def argument(node: Node, buffer: str) -> Argument:
    default = cast(float | None, node.op["default"])
    return Argument(cast(str, node.op["name"]), buffer, default, node.type.range)


def batched_nodes(graph: Graph) -> dict[str, bool]:
    """Nodes whose value may differ between batch rows: what an input or a row's length reaches."""
    extents = frozenset(extent_names(graph))
    found = {node.id: node.op.name == "input" or has_lengths(node, extents) for node in graph.nodes}
    pending = [name for name, value in found.items() if value]
    while pending:
        for reader, _ in graph.readers(pending.pop()):
            if not found[reader.id]:
                found[reader.id] = True
                pending.append(reader.id)
    return found | {output.node: True for output in graph.outputs}


def has_lengths(node: Node, extents: frozenset[str]) -> bool:
    """Whether a node has an extent in it, which is every row's own: as a number, in what it reads,
    in what it reduces, or at which points it is, but for the end of the dim that has the extent."""
    polys: list[object] = [node.op["value"]] if node.op.name == "index" else []
    polys += [index for operand in node.operands for index in operand.access]
    if node.bound is not None:
        polys += [dim.upper for dim in node.bound.dims]
    domains = [node.domain, *(operand.guard for operand in node.operands if operand.guard)]
    polys += [limit.poly for domain in domains for limit in domain.constraints]
    polys += [dim.lower for domain in domains for dim in domain.dims]
    plain = {Poly.of(name) for name in extents}
    ends = {dim.upper for domain in domains for dim in domain.dims if dim.upper is not None}
    polys += ends - plain
    return any(isinstance(poly, Poly) and not extents.isdisjoint(poly.names) for poly in polys)


# ---- steps ------------------------------------------------------------------------------------


def draft(graph: Graph, components: Iterable[Component], nest: Nest) -> tuple[Draft, ...]:
    """Steps of components in order; runs of parallel ones share their phases."""
    found: list[Draft] = []
    parallel: list[Node] = []

    def flush() -> None:
        if parallel:
            nodes = tuple(parallel)
            # Components come sources first; what is read from a later one, an outer loop carries.
            place = {node.id: number for number, node in enumerate(nodes)}
            key = positions(place, nest)

            def waits(reader: Node, read: Read) -> bool:
                return place.get(read.source.id, len(place)) < place[reader.id]

            phases = placed(graph, nodes, key, waits, nest)
            found.append(Draft(None, None, phases))
            parallel.clear()

    for component in components:
        nodes = tuple(graph[name] for name in component.nodes)
        if component.kind == "parallel":
            parallel.extend(nodes)
            continue
        flush()
        assert component.timing is not None and component.waves is not None
        wave = f"w{len(nest)}"
        inner = (*nest, (component.timing, wave))
        if component.kind == "split":
            steps = draft(graph, component.inner, inner)
            found.append(Draft(wave, component.waves, (), steps, component, inner))
        else:
            key = positions(component.nodes, inner)
            timings = tuple(timing for timing, _ in inner)
            if component.kind == "chain":
                chain = chained(graph, component, key, same_wave(timings), inner)
                if chain is not None:
                    found.append(Draft(None, None, ((chain,),)))
                    continue
            phases = placed(graph, nodes, key, same_wave(timings), inner)
            found.append(Draft(wave, component.waves, phases, (), component, inner))
    flush()
    return tuple(found)


def positions(names: Iterable[str], nest: Nest) -> dict[str, object]:
    """Where each statement stands in the loops around it: kernels hold what stands at one place."""
    return {name: tuple(timing.positions[name] for timing, _ in nest) for name in names}


def same_wave(timings: tuple[Timing, ...]) -> Callable[[Node, Read], bool]:
    """Whether a statement may read what is computed in its own wave.

    `timings` are those of all loops around, outermost first: what an outer one carries is finished,
    even if it is computed in the same wave of the inner one.
    """

    def waits(reader: Node, read: Read) -> bool:
        if any(not isinstance(index, Poly) for _, index in read.access.items()):
            return False  # a whole range is finished in earlier waves
        return not any(carries(timing, reader, read) for timing in timings)

    return waits


def carries(timing: Timing, reader: Node, read: Read) -> bool:
    """Whether a statement runs in a later wave than what it reads, at all of its points."""
    access: dict[str, PolyLike] = {}
    for name, index in read.access.items():
        assert isinstance(index, Poly)
        access[name] = index
    source, own = timing.positions[read.source.id].substitute(access), timing.positions[reader.id]
    least = interval(own - source, tightened(reader.domain)).lower
    waves = own // timing.scale - source // timing.scale
    later = least is not None and never_negative(least - timing.scale)
    return later or (waves.constant or 0) >= 1


def chained(
    graph: Graph,
    component: Component,
    key: Mapping[str, object],
    waits: Callable[[Node, Read], bool],
    nest: Nest,
) -> Placed | None:
    """The component as one kernel of chains, if one can hold all its statements.

    States that only read each other at other points may stand side by side in it.
    """
    groups = group(graph, tuple(graph[name] for name in component.nodes), key, waits)
    nodes = tuple(node for found in groups for node in found.nodes)
    first = nodes[0]
    if any(found.level for found in groups) or any(
        (node.domain, node.type.shape, key[node.id])
        != (first.domain, first.type.shape, key[first.id])
        for node in nodes
    ):
        return None
    order = chain_order(graph, component, nest)
    whole = Group(nodes, 0)
    found = order.loops, order.constraints, order.serial
    return Placed(whole, *found, component.semiring, component.chunks)


def placed(
    graph: Graph,
    nodes: tuple[Node, ...],
    key: Mapping[str, object],
    waits: Callable[[Node, Read], bool],
    nest: Nest,
) -> tuple[tuple[Placed, ...], ...]:
    """The groups of statements that run in one step, by level, with their loops."""
    groups = group(graph, nodes, key, waits)
    return by_level([Placed(found, *statement_loops(found.nodes[0], nest)) for found in groups])


def by_level(placed: list[Placed]) -> tuple[tuple[Placed, ...], ...]:
    levels: dict[int, list[Placed]] = {}
    for found in placed:
        levels.setdefault(found.group.level, []).append(found)
    return tuple(tuple(levels[level]) for level in sorted(levels))


def all_placed(drafts: Iterable[Draft]) -> Iterable[Placed]:
    for found in drafts:
        for phase in found.phases:
            yield from phase
        yield from all_placed(found.inner)


# ---- kernels ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KernelBuilder:
    graph: Graph
    storage: Storage
    batched: Mapping[str, bool]
    scratch: list[Buffer] = field(default_factory=list)

    def steps(self, found: Draft) -> tuple[Step, ...]:
        body: tuple[Step, ...] = tuple(
            made for phase in found.phases for made in self.phases(phase)
        )
        body += tuple(step for inner in found.inner for step in self.steps(inner))
        if found.variable is None:
            return body
        levels = None if found.component is None else found.component.levels
        if found.component is not None and levels is not None:
            along = level_reads(self.graph, found.component.nodes, levels)
            steps, buffers = level_steps(
                self.graph, self.storage, along, levels, found.variable, body
            )
            self.scratch.extend(buffers)
            return steps
        assert found.count is not None
        return (Waves(found.variable, found.count, body, self.until(found)),)

    def until(self, found: Draft) -> Until | None:
        """When a loop ends early, with kernels for what is left of it then."""
        if found.component is None or found.component.until is None or found.count is None:
            return None
        end = found.component.until
        kernels: list[Kernel] = []
        for node in end.filled:
            if node.id in self.storage.writes:
                own = Group((node,), 0)
                kernel = self.kernel(Placed(own, *rest_loops(node, found.nest, found.count)))
                in_order = None if node.op.name == "constant" else found.variable
                kernels.append(replace(kernel, serial=in_order))
        test = until(self.graph, self.storage, found.component, end, found.nest)
        return replace(test, rest=Phase(tuple(kernels)))

    def phases(self, group: tuple[Placed, ...]) -> tuple[Phase, ...]:
        """What may run at once; more than one phase where chains are scanned."""
        kernels = tuple(self.kernel(placed) for placed in group)
        semiring = group[0].semiring if len(group) == 1 else None
        if semiring is not None and group[0].chunks > 1:
            domain = group[0].group.nodes[0].domain
            found = scan(kernels[0], domain, group[0].chunks, semiring)
            if found is not None:
                self.scratch.extend(found.buffers)
                return found.phases
        return (Phase(merged(kernels)),)

    def kernel(self, placed: Placed) -> Kernel:
        nodes = placed.group.nodes
        first = nodes[0]
        batched = any(self.batched[node.id] for node in nodes)
        limits = dict(limits_of(self.graph, first))
        names = frozenset(node.id for node in nodes)
        elements = ElementBuilder(self.graph, self.storage, names, batched, limits)
        defines: list[Define] = []
        stores: list[Store] = []
        for node in nodes:
            defines.append(Define(node.id, elements.statement(node), node.type.dtype))
            axes = tuple(Poly.of(element(axis)) for axis in range(node.type.rank))
            for home in self.storage.writes.get(node.id, ()):
                stores.append(Store(node.id, home.buffer, home.index, axes))
                batched = batched or self.storage.buffers[home.buffer].batched
        shape = self.storage_shape(first)
        spans = tuple(dict.fromkeys(span for node in nodes for span in node.spans))
        kernel = Kernel(
            first.id,
            placed.loops,
            placed.constraints,
            batched,
            shape,
            tuple(defines),
            tuple(stores),
            spans,
            placed.serial,
        )
        if placed.serial is None:
            return kernel
        # Chunks begin with all that a step reads; a chain finds what is older in its cache.
        reach = STATES if placed.chunks > 1 else 1
        return with_carries(kernel, self.storage.buffers, reach)

    def storage_shape(self, node: Node) -> tuple[int, ...]:
        return tuple(cast(int, size.constant) for size in node.type.shape)


def merged(kernels: tuple[Kernel, ...]) -> tuple[Kernel, ...]:
    """Kernels over the same points and shape whose products share an operand become one."""
    result: list[Kernel] = []
    for kernel in kernels:
        for number, other in enumerate(result):
            if same_space(kernel, other) and set(vectors(kernel)) & set(vectors(other)):
                result[number] = replace(
                    other,
                    defines=other.defines + kernel.defines,
                    stores=other.stores + kernel.stores,
                    spans=tuple(dict.fromkeys(other.spans + kernel.spans)),
                )
                break
        else:
            result.append(kernel)
    return tuple(result)


def same_space(left: Kernel, right: Kernel) -> bool:
    return (left.loops, left.constraints, left.batched, left.shape) == (
        right.loops,
        right.constraints,
        right.batched,
        right.shape,
    )


def vectors(kernel: Kernel) -> list[tuple[object, ...]]:
    """What the products of a kernel multiply their weights with."""
    return [
        (found.vector.buffer, found.vector.index)
        for define in kernel.defines
        for found in walk(define.value)
        if isinstance(found, Contract)
    ]
