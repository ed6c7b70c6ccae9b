"""What `rnnc explain` says of a schedule: what was found, what was rejected and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rnnc.analysis.boxes import tightened
from rnnc.analysis.cuts import Rational
from rnnc.analysis.dependence import Dependence, dependences
from rnnc.analysis.orders import Order
from rnnc.analysis.schedule import Component, Options, Schedule, schedule
from rnnc.analysis.wave import Bound, Increment, Polynomial
from rnnc.diagnostics import DiagnosticError
from rnnc.ir.domain import Dim
from rnnc.ir.graph import Graph, Node
from rnnc.ir.poly import Poly

# What is compared with the order that was taken.
ORDERS: tuple[Order, ...] = ("layered", "wavefront")

# More than these do not make a component clearer.
_SHOWN = 5


def report(graph: Graph, found: Schedule, extents: Mapping[str, int]) -> str:
    """Components in the order in which they run, and the critical path as a formula.

    `graph` is the one that was scheduled; `extents` may give numbers for its run-time extents.
    """
    edges = dependences(graph, found.dims)
    values = {**graph.values, **extents}
    writer = _Writer(graph, found.dims, edges, values, _variables(graph))
    lines = list(writer.components(found.components, ""))
    lines += ["", f"Critical path: {writer.path(found.components)} waves"]
    lines += writer.alternatives(found)
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Writer:
    """`variables` says which variable of the source a node defines points of."""

    graph: Graph
    dims: tuple[str, ...]
    edges: tuple[Dependence, ...]
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
        names = _listed(list(defined) or component.nodes)
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
        if component.chunks > 1:
            yield f"{indent}as an associative scan: {component.chunks} parts of it at once"
        for line in self.reasons(component):
            yield f"{indent}{line}"
        if component.kind == "split":
            yield f"{indent}{self.order(component)}: {self.count(component)} times"
        if component.kind == "joint":
            yield f"{indent}all in the same {self.count(component)} waves"
        yield from self.components(component.inner, number)

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
        return f"points of equal {_vector(component.alpha, self.dims)} at once"

    def work(self, names: Sequence[str]) -> str:
        """The matrix products as they were written, and how many other operations there are."""
        nodes = [self.graph[name] for name in names]
        products = [node for node in nodes if node.op.name == "matmul"]
        others = len(nodes) - len(products)
        written = dict.fromkeys(node.spans[0].text if node.spans else node.id for node in products)
        parts = [_listed(list(written))] if written else []
        parts += [f"{others} elementwise or other operations" if others > 1 else "1 operation"][
            : min(1, others)
        ]
        return " and ".join(parts)

    def reasons(self, component: Component) -> Iterator[str]:
        """The reads that make it a recurrence, or that leave no single direction."""
        if component.kind == "joint":
            return
        own = set(component.nodes)
        if component.conflict:
            reads = [read for cut in component.conflict for read in cut.reason]
            yield f"no single direction serves all of {_listed(list(dict.fromkeys(reads)))}"
            return
        reads = [
            self.read(edge)
            for edge in self.edges
            if edge.source in own and edge.reader in own and any(map(any, edge.vertices))
        ]
        yield f"because it reads {_listed(list(dict.fromkeys(reads)))}"

    def read(self, edge: Dependence) -> str:
        """`h[t - 1]` for an edge from the node that defines h."""
        text = edge.text.partition(" <- ")[2]
        return self.variables.get(edge.source, edge.source) + text.removeprefix(edge.source)

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
        formula = _waves_in_all(components)
        text = (" + ".join(_terms(components)) or "0") if formula is None else str(formula)
        number = self.path_number(components)
        return text if number is None or text == str(number) else f"{text} = {number}"

    def path_number(self, components: Sequence[Component]) -> int | None:
        total = 0
        for component in components:
            if component.waves is not None:
                parts = component.inner if component.kind == "split" else ()
                outer, inner = self.number(component.waves), self.path_number(parts)
                if outer is None or inner is None:
                    return None
                total += outer * max(1, inner)
        return total

    def alternatives(self, found: Schedule) -> Iterator[str]:
        """What the other orders would have given, where they differ."""
        for order in ORDERS:
            try:
                other = schedule(self.graph, Options(order))
            except DiagnosticError:
                continue
            if other != found:
                yield f"Also legal, and not taken ({order}):"
                for component in other.components:
                    if component.kind != "parallel":
                        yield f"   {self.order(component)}: {self.count(component)} waves"


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


def _vector(alpha: Rational, dims: Sequence[str]) -> str:
    """`l + 2*t` for (1, 2)."""
    text = ""
    for value, dim in zip(alpha, dims, strict=True):
        if value:
            size = "" if abs(value) == 1 else f"{abs(value)}*"
            sign = " - " if value < 0 else " + "
            text += f"{sign}{size}{dim}"
    return text.removeprefix(" + ").replace(" - ", "-", 1) if text[:3] == " - " else text[3:]


def _box(node: Node) -> tuple[Dim, ...]:
    """The node's dims, as its constraints narrow them."""
    return tightened(node.domain).dims


def _waves_in_all(components: Sequence[Component]) -> Poly | None:
    """The sum over components, those inside an outer loop times its count; None if no formula."""
    total = Poly()
    for component in components:
        match component.waves:
            case None:
                continue
            case Polynomial(poly) | Increment(Polynomial(poly), _):
                amount = component.waves.amount if isinstance(component.waves, Increment) else 0
            case _:
                return None
        inner = _waves_in_all(component.inner) if component.kind == "split" else Poly.of(1)
        if inner is None:
            return None
        total = total + (poly + amount) * (inner if inner != Poly() else Poly.of(1))
    return total


def _terms(components: Sequence[Component]) -> Iterator[str]:
    """The same sum as text, where a count is a maximum, or depends on the loop around it."""
    for component in components:
        if component.waves is not None:
            inner = " + ".join(_terms(component.inner)) if component.kind == "split" else ""
            yield f"({component.waves}) * ({inner})" if inner else str(component.waves)


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
