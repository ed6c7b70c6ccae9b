"""The least time of a model on a processor: what its matrix products need, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor, prod

from measuring import Peaks

from rnnc.analysis.components import Component
from rnnc.analysis.cost import CostModel, varies
from rnnc.driver import Compilation


@dataclass(frozen=True, slots=True)
class Work:
    """Of all matrix products: `flops`, bytes of weights `read`, once in every wave that uses them,
    and of those the `resident` ones, which the waves of one recurrence read again and again."""

    flops: float
    read: float
    resident: float

    def floor_ms(self, peaks: Peaks) -> float:
        found: float = peaks.floor_ms(self.flops, self.read, self.resident)
        return found


def work(
    compilation: Compilation, given: Mapping[str, int], batch: int = 1, levels: int = 0
) -> Work:
    """What a call does for these extents, in the waves that were chosen; `levels` are those of a
    complete binary tree."""
    graph = compilation.completed
    extents = CostModel.of(graph, {**graph.values, **given}).extents
    flops = read = resident = 0.0
    dims = compilation.schedule.dims
    for component, waves, around, of_tree in loops(
        compilation.schedule.components, extents, levels, 1, False
    ):
        here = 0.0
        seen: set[tuple[str, tuple[object, ...]]] = set()  # one read serves several products
        for node in map(graph.__getitem__, component.nodes):
            if node.op.name != "matmul":
                continue
            sources = [graph[operand.source] for operand in node.operands]
            sizes = [prod(size.constant or 1 for size in one.type.shape) for one in sources]
            heavy = max(range(2), key=sizes.__getitem__)
            own = sorted(varies(graph, node, node.operands[heavy]))
            points = list(node.domain.points(extents))
            keys = [tuple(point[dim] for dim in own) for point in points]
            weights = len(set(keys))
            visits = max(1.0, weights / around) * waves
            if component.alpha and around == 1:  # a wave may need a part of the weights
                steps = zip(keys, (wave(component, dims, point) for point in points), strict=True)
                visits = len(set(steps))
            # Leaves of a complete tree have no children to multiply.
            share = (2 ** (levels - 1) - 1) / (2**levels - 1) if of_tree else 1
            flops += 2 * share * len(points) * sizes[heavy] * batch
            matrix = (node.operands[heavy].source, node.operands[heavy].access)
            if matrix in seen:
                continue
            seen.add(matrix)
            read += 4 * min(len(points), visits) * sizes[heavy]
            here += 4 * max(1, weights / around) * sizes[heavy]
        resident = max(resident, here)
    return Work(flops, read, resident)


def wave(component: Component, dims: Sequence[str], point: Mapping[str, int]) -> int:
    """The wave of a point, but for the offset of its statement."""
    vector = zip(component.alpha, dims, strict=True)
    return floor(sum(factor * point.get(dim, 0) for factor, dim in vector))


def loops(
    components: Sequence[Component],
    extents: Mapping[str, int],
    levels: int,
    around: int,
    of_tree: bool,
) -> Iterator[tuple[Component, int, int, bool]]:
    """Innermost components, with the waves of all loops around their statements, and of all but
    the innermost one, and whether one of the loops is over the levels of a tree."""
    for component in components:
        waves, inside = around, of_tree or component.levels is not None
        if component.levels:
            waves *= levels - 1
        elif component.waves is not None:
            waves *= component.waves.evaluate(extents)
        if component.kind == "split":
            yield from loops(component.inner, extents, levels, waves, inside)
        else:
            yield component, waves, around, inside
