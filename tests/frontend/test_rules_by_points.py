"""The rules against brute force: made-up specs over one dim, point by point, for small T."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from rnnc.diagnostics import DiagnosticSink, Source
from rnnc.frontend import ast
from rnnc.frontend.inference import elaborate_model
from rnnc.frontend.modules import Library

SIZES = range(13)  # beyond every constant below, with room for both ends
MARGIN = 8


@dataclass(frozen=True)
class Place:
    """A stretch of indices as written, and as Python."""

    text: str
    lower: str
    upper: str

    def points(self, T: int) -> set[int]:
        ends = {"T": T, "inf": T + MARGIN}
        low = eval(self.lower, {}, ends)  # the texts are those below
        return set(range(low, eval(self.upper, {}, ends)))


@dataclass(frozen=True)
class Step:
    """A read of `h` from `y[t]`, or from a point without a dim."""

    text: str
    at: str

    def point(self, T: int, t: int) -> int:
        return int(eval(self.at, {}, {"T": T, "t": t}))


NUMBERS = st.integers(0, 3)
TARGETS = st.one_of(
    st.just(Place("t", "0", "T")),
    NUMBERS.map(lambda a: Place(f"t > {a}", f"{a} + 1", "T")),
    NUMBERS.map(lambda a: Place(f"t < T-{a}", "0", f"T - {a}")),
    NUMBERS.map(lambda a: Place(f"t <= {a}", "0", f"min({a} + 1, T)")),
    st.integers(-3, 3).map(lambda a: Place(f"{a}", f"{a}", f"{a} + 1")),
    st.integers(-2, 2).map(lambda a: Place(f"T{a:+d}" if a else "T", f"T{a:+d}", f"T{a:+d} + 1")),
    st.tuples(st.integers(-4, 0), NUMBERS).map(
        lambda pair: Place(f"t in {pair[0]}..{pair[1]}", f"{pair[0]}", f"{pair[1]}")
    ),
    st.just(Place("t in ..0", f"-{MARGIN}", "0")),
    st.just(Place("t in T..", "T", "inf")),
)
READS = st.one_of(
    st.integers(-3, 3).map(lambda a: Step(f"t{a:+d}" if a else "t", f"t{a:+d}")),
    st.integers(-2, 2).map(lambda a: Step(f"{a}", f"{a}")),
    st.integers(-2, 2).map(lambda a: Step(f"T{a:+d}" if a else "T", f"T{a:+d}")),
    st.just(Step("T-1-t", "T - 1 - t")),
    st.just(Step("t // 2", "t // 2")),
    st.just(Step("2*t", "2 * t")),
)


def spec(targets: list[Place], reads: list[Step]) -> str:
    lines = ["model m:", "    dim t in 0..T", "    input x: real"]
    lines += [f"    h[{place.text}]: real = x" for place in targets]
    lines.append("    output y[t] = x" + "".join(f" + h[{read.text}]" for read in reads))
    return "\n".join(lines) + "\n"


def codes(text: str) -> set[str]:
    sink = DiagnosticSink()
    library = Library(sink)
    module = library.load(Source("m.rnn", text))
    [model] = [d for d in module.own.values() if isinstance(d, ast.Model)]
    elaborate_model(model, module, library, {}, sink, checking=True)
    return {diagnostic.code for diagnostic in sink.found}


def is_defined_twice(targets: list[Place]) -> bool:
    for T in SIZES:
        points = [point for place in targets for point in place.points(T)]
        if len(points) != len(set(points)):
            return True
    return False


def misses(targets: list[Place], reads: list[Step]) -> bool:
    """Whether some read meets no equation, and not beyond a side that has none."""
    low = any(min(place.points(T), default=0) < 0 for T in SIZES for place in targets)
    high = any(max(place.points(T), default=-1) >= T for T in SIZES for place in targets)
    for T in SIZES:
        given = {point for place in targets for point in place.points(T)}
        for t in range(T):
            for read in reads:
                point = read.point(T, t)
                beyond = (point < 0 and not low) or (point >= T and not high)
                # Open sides are written out so far only.
                if point not in given and not beyond and -MARGIN <= point < T + MARGIN:
                    return True
    return False


@settings(max_examples=150, deadline=None)
@given(
    st.lists(TARGETS, min_size=0, max_size=3), st.lists(READS, min_size=1, max_size=2, unique=True)
)
def test_once_and_covered(others: list[Place], reads: list[Step]) -> None:
    targets = [*others, Place("t > 1", "2", "T")]  # it gives the variable its box
    found = codes(spec(targets, reads))
    assert found <= {"RNN401", "RNN402"}
    assert ("RNN401" in found) == is_defined_twice(targets)
    assert ("RNN402" in found) == misses(targets, reads)
