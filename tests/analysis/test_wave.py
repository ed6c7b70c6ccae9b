"""The loops of a wave hold exactly the points whose wave it is."""

from __future__ import annotations

import itertools

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rnnc.analysis.wave import Box, WaveLoop, wave_loops
from rnnc.ir.poly import Poly

boxes = st.lists(
    st.tuples(st.integers(-2, 2), st.integers(0, 4), st.integers(-3, 3)), min_size=1, max_size=3
)


def points(loops: tuple[WaveLoop, ...], env: dict[str, int]) -> list[tuple[int, ...]]:
    """What the loop nest visits."""
    if not loops:
        return [()]
    loop, *rest = loops
    found: list[tuple[int, ...]] = []
    lower, upper = loop.lower.evaluate(env), loop.upper.evaluate(env)
    if loop.exact:
        assert upper == lower + 1
    assert loop.most is None or upper - lower <= loop.most
    for value in range(lower, upper):
        inner = points(tuple(rest), env | {loop.name: value})
        found += [(value, *point) for point in inner]
    return found


@settings(max_examples=300, deadline=None)
@given(boxes, st.integers(1, 3), st.integers(-4, 4))
def test_every_point_is_in_its_wave_and_in_no_other(
    shape: list[tuple[int, int, int]], scale: int, rest: int
) -> None:
    assume(any(weight for _, _, weight in shape))
    named = tuple(
        Box(f"i{n}", Poly.of(lower), Poly.of(f"N{n}"), weight)
        for n, (lower, _, weight) in enumerate(shape)
    )
    env = {f"N{n}": lower + extent for n, (lower, extent, _) in enumerate(shape)}
    ranges = [range(lower, lower + extent) for lower, extent, _ in shape]
    expected: dict[int, list[tuple[int, ...]]] = {}
    for point in itertools.product(*ranges):
        weighted = sum(i * weight for i, (_, _, weight) in zip(point, shape, strict=True))
        expected.setdefault((weighted + rest) // scale, []).append(point)
    loops = wave_loops(named, Poly.of(rest), scale, "w")
    for wave in range(min(expected, default=0) - 2, max(expected, default=0) + 3):
        assert points(loops, env | {"w": wave}) == expected.get(wave, [])
