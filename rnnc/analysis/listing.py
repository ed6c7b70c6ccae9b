"""A schedule in words: what runs after what, numbered in the order in which it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rnnc.analysis.alternatives import vector_text
from rnnc.analysis.boxes import tightened
from rnnc.analysis.components import Exit, Obstacle
from rnnc.analysis.schedule import Component, Schedule
from rnnc.analysis.wave import Bound
from rnnc.ir.domain import Dim
from rnnc.ir.graph import Graph, Node

# More than these do not make a component clearer.
_SHOWN = 5


def listing(graph: Graph, found: Schedule, values: Mapping[str, int]) -> tuple[str, ...]:
    """The lines. `graph` is the one that was scheduled; `values` are the sizes that are known."""
    writer = _Writer(graph, found.dims, values, _variables(graph))
    lines = [*writer.components(found.components, "")]
    return (*lines, *(writer.obstacle(other) for other in found.obstacles))


@dataclass(frozen=True, slots=True)
class _Writer:
    """`variables` says which variable of the source a node defines points of."""

    graph: Graph
    dims: tuple[str, ...]
    values: Mapping[str, int]
    variables: Mapping[str, str]

    def components(self, components: Sequence[Component], number: str) -> Iterator[str]:
        """One paragraph a component; neighbours without recurrence share one."""
        indent = "   " * number.count(".")
        for position, run in enumerate(_runs(components), 1):
            own = f"{number}{position}."
            if run[0].kind == "parallel":
                names = [name for component in run for name in component.nodes]
                yield f"{indent}{own} All points at once: {self.work(names)}"
            else:
                yield from self.recurrence(run[0], own, indent)

    def recurrence(self, component: Component, number: str, indent: str) -> Iterator[str]:
        """What it defines, in which order, and which reads leave no other."""
        defined = dict.fromkeys(self.variables[n] for n in component.nodes if n in self.variables)
        names = listed(list(defined) or component.nodes)
        if component.kind == "joint":
            yield f"{indent}{number} Recurrences that do not depend on each other, together:"
        else:
            yield f"{indent}{number} Recurrence of {names}{self.layers(component)}"
        indent += "   "
        if component.kind in ("affine", "chain"):
            yield f"{indent}{self.order(component)}: {self.count(component)} waves"
            yield f"{indent}in each: {self.work(component.nodes)}"
        if component.kind == "chain":
            yield f"{indent}every element only waits for itself: no wait between waves"
        if component.semiring is not None:
            step = component.semiring.step
            yield f"{indent}its steps compose, as h -> {step} does: a scan may bracket them anew"
        if component.chunks > 1:
            yield f"{indent}as an associative scan: {component.chunks} parts of it at once"
        if component.conflict:
            reads = [read for cut in component.conflict for read in cut.reason]
            yield f"{indent}no single direction serves {listed(list(dict.fromkeys(reads)))}"
        if component.kind == "split":
            yield f"{indent}{self.order(component)}: {self.count(component)} times"
        if component.kind == "joint":
            yield f"{indent}all in the same {self.count(component)} waves"
        if component.until is not None:
            yield f"{indent}{self.end(component.until)}"
        yield from self.components(component.inner, number)

    def end(self, until: Exit) -> str:
        """When the loop may end before its last wave."""
        value = str(until.value).lower()
        return f"may end early: when {self.name(until.node)} is {value} in all rows"

    def obstacle(self, found: Obstacle) -> str:
        """Which equation needs what a stop could have saved."""
        value = str(found.value).lower()
        text = f"No loop ends early when {self.name(found.node)} is {value} in all rows: "
        if found.source == found.reader:
            return f"{text}{self.name(found.source)} is an output"
        return f"{text}'{self.name(found.reader)}' needs '{self.name(found.source)}' even then"

    def name(self, node: str) -> str:
        """A statement as it was written, or the variable that it defines."""
        spans = self.graph[node].spans
        return self.variables.get(node) or (spans[0].text if spans else node)

    def layers(self, component: Component) -> str:
        """` for l in 0..1`: the static dims that all its statements have in common."""
        ranges = [
            [str(dim).removeprefix("static ") for dim in _box(self.graph[name]) if dim.static]
            for name in component.nodes
        ]
        common = [text for text in ranges[0] if all(text in other for other in ranges)]
        return f" for {', '.join(common)}" if common else ""

    def order(self, component: Component) -> str:
        """`one t after another`, or which points may be computed at the same time."""
        if component.kind == "joint":
            return ", and ".join(dict.fromkeys(self.order(part) for part in component.inner))
        moving = [
            (dim, value) for dim, value in zip(self.dims, component.alpha, strict=True) if value
        ]
        if len(moving) == 1 and abs(moving[0][1]) == 1:
            dim, value = moving[0]
            return f"one {dim} after another" + (", from the last" if value < 0 else "")
        return f"points of equal {vector_text(component.alpha, self.dims)} at once"

    def work(self, names: Sequence[str]) -> str:
        """The matrix products as they were written, and how many other operations there are."""
        nodes = [self.graph[name] for name in names]
        products = [node for node in nodes if node.op.name == "matmul"]
        others = len(nodes) - len(products)
        written = dict.fromkeys(node.spans[0].text if node.spans else node.id for node in products)
        parts = [listed(list(written))] if written else []
        parts += [f"{others} elementwise or other operations" if others > 1 else "1 operation"][
            : min(1, others)
        ]
        return " and ".join(parts)

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


def _variables(graph: Graph) -> dict[str, str]:
    """The variable that each node defines points of; the first if there are several."""
    found: dict[str, str] = {}
    for node in graph.nodes:
        if node.op.name == "merge":
            for operand in node.operands:
                found.setdefault(operand.source, node.id)
    return found


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


def _box(node: Node) -> tuple[Dim, ...]:
    """The node's dims, as its constraints narrow them."""
    return tightened(node.domain).dims


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
