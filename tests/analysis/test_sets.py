"""Integer sets and boxes around them, against enumeration of their points."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from rnnc.analysis.boxes import hull, interval, never_negative, relaxed, tightened
from rnnc.analysis.sets import are_disjoint, implies, is_empty, is_subset, sample
from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.poly import Poly

SIZES = (0, 1, 2, 3, 5, 8)
GRIDS = [{"N": n, "M": m} for n, m in product(SIZES, SIZES)]

numbers = st.integers(-3, 3)
ends = st.sampled_from((Poly(), Poly.of(1), Poly.of("N"), Poly.of("M"), Poly.of("N") - 1))


@st.composite
def indices(draw: st.DrawFn) -> Poly:
    """Affine in i, j and N, sometimes with a floor."""
    found = Poly.of(draw(numbers))
    for name in ("i", "j", "N"):
        found = found + Poly.of(name) * draw(numbers)
    if draw(st.booleans()):
        found = found + Poly.of("i") // draw(st.integers(2, 3)) * draw(numbers)
    return found


@st.composite
def domains(draw: st.DrawFn) -> Domain:
    """Points (i, j); the bounds of j may name i."""
    lower, upper = draw(ends), draw(ends) + draw(st.integers(0, 2))
    inner = draw(st.sampled_from((Poly.of("M"), Poly.of("i") + 1, Poly.of("N") + 1)))
    dims = (Dim("i", lower, upper, False), Dim("j", Poly.of(draw(numbers)), inner, False))
    limits = [
        Constraint(draw(indices()), "==" if draw(st.integers(0, 2)) == 0 else ">=")
        for _ in range(draw(st.integers(0, 2)))
    ]
    if draw(st.booleans()):
        limits.append(Constraint(Poly.of("j") - draw(ends), ">="))
    return Domain(dims, tuple(limits))


Points = list[tuple[dict[str, int], dict[str, int]]]


def points(domain: Domain) -> Points:
    """Every point with its sizes."""
    return [(point, sizes) for sizes in GRIDS for point in domain.points(sizes)]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(domains())
def test_empty_sets_have_no_point_and_others_a_sample(domain: Domain) -> None:
    found = sample(domain)
    assert is_empty(domain) == (found is None)
    if found is None:
        assert points(domain) == []
    else:
        values = {"N": 0, "M": 0, **found}
        assert domain.contains(values, values) and values["N"] >= 0 and values["M"] >= 0


@settings(max_examples=200, deadline=None, derandomize=True)
@given(domains(), indices(), st.sampled_from((">=", "==")))
def test_what_is_implied_holds_everywhere(domain: Domain, index: Poly, relation: str) -> None:
    constraint = Constraint(index, ">=" if relation == ">=" else "==")
    if implies(domain, constraint):
        assert all(constraint.holds({**sizes, **point}) for point, sizes in points(domain))
    else:
        rest = [sample(domain.restrict(part)) for part in constraint.negated()]
        assert any(found is not None for found in rest)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(domains(), domains())
def test_subsets_and_disjoint_sets(left: Domain, right: Domain) -> None:
    inside = [right.contains(point, sizes) for point, sizes in points(left)]
    if is_subset(left, right):
        assert all(inside)
    if are_disjoint(left, right):
        assert not any(inside)
    assert is_subset(left, left)
    assert are_disjoint(left, left) == is_empty(left)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(domains(), indices())
def test_tightened_sets_are_the_same_and_intervals_hold_all_indices(
    domain: Domain, index: Poly
) -> None:
    found = points(domain)
    assert points(tightened(domain)) == found
    for box in (domain, tightened(domain)):
        around = interval(index, box)
        low, high = relaxed(index)
        for point, sizes in found:
            values = {**sizes, **point}
            value = index.evaluate(values)
            assert low.evaluate(values) <= value <= high.evaluate(values)
            assert around.lower is None or around.lower.evaluate(sizes) <= value
            assert around.upper is None or value <= around.upper.evaluate(sizes)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(domains(), indices(), indices())
def test_a_hull_holds_both(domain: Domain, first: Poly, second: Poly) -> None:
    around = hull([interval(first, domain), interval(second, domain)])
    for point, sizes in points(domain):
        for index in (first, second):
            value = index.evaluate({**sizes, **point})
            assert around.lower is None or around.lower.evaluate(sizes) <= value
            assert around.upper is None or value <= around.upper.evaluate(sizes)


@given(indices())
def test_what_is_never_negative_is_not(index: Poly) -> None:
    if never_negative(index):
        for i, j, n in product(SIZES, SIZES, SIZES):
            assert index.evaluate({"i": i, "j": j, "N": n}) >= 0
