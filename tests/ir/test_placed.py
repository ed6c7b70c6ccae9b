"""What is found by fixed indices is what does not contradict them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.placed import Placed
from rnnc.ir.poly import Poly

points = st.dictionaries(st.sampled_from("abc"), st.integers(-1, 2))


@given(st.lists(points), points, st.booleans())
def test_finds_all_that_may_be_met_in_order(
    rows: list[dict[str, int]], point: dict[str, int], moving: bool
) -> None:
    found = Placed((row, number) for number, row in enumerate(rows))
    access = {name: Poly.of(index) for name, index in point.items()}
    if moving:
        access["a"] = Poly.of("t") + 1
        point = {name: index for name, index in point.items() if name != "a"}
    assert found.at(access) == [
        number
        for number, row in enumerate(rows)
        if all(row.get(name, index) == index for name, index in point.items())
    ]


def test_fixed_indices_of_a_domain() -> None:
    a, b, c, t = map(Poly.of, "abct")
    size, one = Poly.of("N"), Poly.of(1)
    dims = [
        Dim("a", Poly(), size, True),
        Dim("b", Poly(), size, True),
        Dim("c", one, one * 2, True),
    ]
    dims.append(Dim("t", Poly(), size, False))
    limits = [a - 3, 2 - b, 2 * c - 2, t - 1]
    domain = Domain(tuple(dims), tuple(Constraint(limit, "==") for limit in limits))
    assert domain.fixed == {"a": 3, "b": 2, "c": 1}
    below = Domain(tuple(dims), (Constraint(a - 3, ">="), Constraint(a - b, "==")))
    assert below.fixed == {"c": 1}
