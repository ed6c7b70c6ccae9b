"""Loops over the waves of random systems visit every point of a statement in its wave, once."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings

from rnnc.analysis.schedule import Options, schedule
from rnnc.analysis.timing import statement_loops
from tests.analysis.systems import System, systems
from tests.analysis.test_systems import completed
from tests.analysis.test_wave import points

SIZES = {1: (0, 1, 2, 3, 5, 8), 2: (0, 1, 2, 3, 5, 8), 3: (0, 1, 3)}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(systems(whole=True))
def test_loops_are_the_points_of_a_wave(system: System) -> None:
    graph = completed(system)
    for component in schedule(graph, Options("wavefront")).components:
        timing, waves = component.timing, component.waves
        if timing is None or waves is None or component.kind == "split":
            continue
        for name in component.nodes:
            node = graph[name]
            loops, limits = statement_loops(node, [(timing, "w")])
            order = [node.domain.names.index(loop.name) for loop in loops]
            for lengths in product(SIZES[len(system.dims)], repeat=len(system.extents)):
                sizes = dict(zip(system.extents, lengths, strict=True))
                visited: list[tuple[int, ...]] = []
                for wave in range(waves.evaluate(sizes)):
                    for indices in points(loops, sizes | {"w": wave}):
                        pairs = zip(order, indices, strict=True)
                        point = tuple(index for _, index in sorted(pairs))
                        values = dict(zip(node.domain.names, point, strict=True))
                        if all(limit.holds({**sizes, **values, "w": wave}) for limit in limits):
                            assert timing.wave(name).evaluate({**sizes, **values}) == wave
                            visited.append(point)
                every = [tuple(point.values()) for point in node.domain.points(sizes)]
                assert sorted(visited) == sorted(every)
