"""What `rnnc explain` says of a schedule: what was found, what was rejected and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rnnc.analysis.cuts import Cut, Rational
from rnnc.analysis.dependence import Dependence, dependences
from rnnc.analysis.schedule import Component, Options, Schedule, schedule
from rnnc.analysis.wave import Bound
from rnnc.diagnostics import DiagnosticError
from rnnc.ir.graph import Graph

# More names or reads than these do not make a component clearer.
_NAMES_SHOWN = 6
_READS_SHOWN = 4


def report(graph: Graph, found: Schedule, extents: Mapping[str, int]) -> str:
    """Components in the order in which they run, and the critical path as a formula.

    `graph` is the one that was scheduled; `extents` may give numbers for its run-time extents.
    """
    writer = _Writer(graph, found.dims, dependences(graph, found.dims), {**graph.values, **extents})
    lines = list(writer.components(found.components, ""))
    lines += ["", f"Critical path, in waves: {writer.path(found.components)}"]
    lines += writer.wavefront(found)
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Writer:
    graph: Graph
    dims: tuple[str, ...]
    edges: tuple[Dependence, ...]
    values: Mapping[str, int]

    def components(self, components: Sequence[Component], number: str) -> Iterator[str]:
        """One paragraph a component; neighbours without recurrence share one."""
        indent = "   " * number.count(".")
        for position, run in enumerate(_runs(components), 1):
            own = f"{number}{position}."
            if run[0].kind == "parallel":
                names = [name for component in run for name in component.nodes]
                yield f"{indent}{own} at once, for all points: {_listed(names)}"
            else:
                yield from self.recurrence(run[0], own, indent)

    def recurrence(self, component: Component, number: str, indent: str) -> Iterator[str]:
        names = _listed(component.nodes)
        direction = _vector(component.alpha, self.dims)
        if component.kind == "affine":
            yield f"{indent}{number} recurrence: {names}"
            yield f"{indent}   points with equal {direction} at once; {self.count(component)} waves"
        else:
            yield f"{indent}{number} recurrence, one {direction} after another: {names}"
            yield f"{indent}   {self.count(component)} times:"
        for line in self.reasons(component):
            yield f"{indent}   {line}"
        yield from self.components(component.inner, number)

    def reasons(self, component: Component) -> Iterator[str]:
        """The reads that make it a recurrence, or that leave no single direction."""
        if component.conflict:
            yield f"no single direction serves {_listed(_reads(component.conflict), _READS_SHOWN)}"
            return
        own = set(component.nodes)
        carried = [e.text for e in self.edges if e.source in own and e.reader in own and e.delay]
        yield f"because of {_listed(list(dict.fromkeys(carried)), _READS_SHOWN)}"

    def count(self, component: Component) -> str:
        """The number of waves as a formula, and as a number where the sizes are known."""
        assert component.waves is not None
        number = self.number(component.waves)
        text = str(component.waves)
        return text if number is None or text == str(number) else f"{text} = {number}"

    def number(self, bound: Bound) -> int | None:
        try:
            return bound.evaluate(self.values)
        except KeyError:
            # An extent that was not given, or an outer loop on which the inner one depends.
            return None

    def path(self, components: Sequence[Component]) -> str:
        """Waves one after another; work without a recurrence adds none that grow."""
        formula = _path_formula(components)
        number = self.path_number(components)
        return formula if number is None or formula == str(number) else f"{formula} = {number}"

    def path_number(self, components: Sequence[Component]) -> int | None:
        total = 0
        for component in components:
            if component.waves is None:
                continue
            outer = self.number(component.waves)
            inner = self.path_number(component.inner) if component.inner else 1
            if outer is None or inner is None:
                return None
            total += outer * max(1, inner)
        return total

    def wavefront(self, found: Schedule) -> Iterator[str]:
        """What running all layers at once would have given, where that was not taken."""
        try:
            other = schedule(self.graph, Options(layered=False))
        except DiagnosticError:
            return
        if other == found:
            return
        yield "Also legal, with layers at the same time instead of one after another:"
        for component in other.components:
            if component.kind != "parallel":
                direction = _vector(component.alpha, self.dims)
                yield f"   equal {direction} at once; {self.count(component)} waves"
        yield "   Not taken: one after another, a layer's input products are one for all steps."


def _runs(components: Sequence[Component]) -> Iterator[list[Component]]:
    """Neighbouring parallel components together, every other one alone."""
    run: list[Component] = []
    for component in components:
        if run and not (run[-1].kind == component.kind == "parallel"):
            yield run
            run = []
        run.append(component)
    if run:
        yield run


def _vector(alpha: Rational, dims: Sequence[str]) -> str:
    """`l + 2*t` for (1, 2)."""
    text = ""
    for value, dim in zip(alpha, dims, strict=True):
        if value:
            size = "" if abs(value) == 1 else f"{abs(value)}*"
            sign = " - " if value < 0 else " + "
            text += f"{sign}{size}{dim}"
    return text.removeprefix(" + ").replace(" - ", "-", 1) if text[:3] == " - " else text[3:]


def _path_formula(components: Sequence[Component]) -> str:
    terms: list[str] = []
    for component in components:
        if component.waves is None:
            continue
        outer = str(component.waves)
        inner = _path_formula(component.inner) if component.inner else "1"
        terms.append(outer if inner in ("0", "1") else f"({outer}) * ({inner})")
    return " + ".join(terms) or "0"


def _reads(conflict: Sequence[Cut]) -> list[str]:
    return list(dict.fromkeys(read for cut in conflict for read in cut.reason))


def _listed(names: Sequence[str], shown: int = _NAMES_SHOWN) -> str:
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
