"""Takes a graph over one run-time dim apart: what it begins with, and one step of it.

    h[t in -1..T] = merge(a[t] if {t in 0..T}, h0 if {t in -1..0});   a[t] = f(h[t-1], x[t])
becomes two graphs, the beginning and the step:
    h.after[age in 0..1] = merge(h0 if {age == 0})
    h.before = input;   h = merge(a);   a = f(h.before[0], x)
    h.after[age in 0..1] = merge(h if {age == 0})

`h.before[j]` is h as it was j + 1 steps ago. An output without steps, such as h[T-1], is what it
would be if the sequence ended with this step. `step` is the number of steps before this one: a size
of the step's graph, if anything depends on it.

Legal where no value depends on later steps: every read along the dim is a fixed number of steps
back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import DataIndex, Graph, Index, Node, Op, Operand, Output, Size
from rnnc.ir.ops import op
from rnnc.ir.poly import Poly, PolyLike
from rnnc.passes.bind_sizes import bind
from rnnc.passes.drop_unused_dims import domain_names, names_in
from rnnc.passes.rewrite import assemble

BEFORE, AFTER = ".before", ".after"
AGE = "age"


@dataclass(frozen=True, slots=True)
class Steps:
    """`step` has an input NAME.before and an output NAME.after for each of `states`.

    `beginning` has the outputs NAME.after of those states that do not begin with zero; None if all
    do.
    """

    beginning: Graph | None
    step: Graph
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a model has no steps that can be made one at a time."""

    reason: str


class Refused(Exception):
    """Carries the reason to `stream_steps`."""


def stream_steps(graph: Graph) -> Steps | Refusal:
    """The steps, or why they cannot be made one at a time."""
    try:
        return Stepper(graph).steps()
    except Refused as reason:
        return Refusal(str(reason))


class Stepper:
    """The graph with everything at the one step `number`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        extents = [size.name for size in graph.sizes if size.kind == "extent"]
        if len(extents) != 1:
            raise Refused(f"it has {len(extents)} run-time extents")
        [self.extent] = extents
        taken = {name for node in graph.nodes for name in node.domain.names} | {*extents}
        self.number = "step"
        while self.number in taken:
            self.number += "_"
        self.time = {node.id: time_of(node) for node in graph.nodes}
        self.ages: dict[str, int] = {}  # how many steps back each state is read

    def steps(self) -> Steps:
        nodes = {node.id: self.at_step(node) for node in self.graph.nodes}
        outputs = tuple(map(self.output, self.graph.outputs))
        step: dict[str, Node] = {}
        for name in self.ages:
            step[name + BEFORE] = self.before(name)
        step |= {name: node for name, node in nodes.items() if node is not None}
        kept: list[Output] = []
        for name in self.ages:
            after = self.after(name, step)
            step[after.id] = after
            kept.append(Output(after.id, after.id, Domain(after.domain.dims)))
        counts = any(self.number in named(node) for node in step.values())
        sizes = (Size(self.number, "extent"),) if counts else ()
        shell = Graph(self.graph.name, sizes)
        made = assemble(shell, step, (*outputs, *kept), inputs=False)
        return Steps(Beginning(self).graph(), made, tuple(self.ages))

    @property
    def now(self) -> dict[str, PolyLike]:
        """The extent: as many steps as there are with this one."""
        return {self.extent: Poly.of(self.number) + 1}

    # ---- nodes --------------------------------------------------------------------------------

    def at_step(self, node: Node) -> Node | None:
        """The node at this step; None if it is at no step."""
        time = self.time[node.id]
        values = self.now if time is None else {**self.now, time: Poly.of(self.number)}
        domain = self.without_time(node.domain, time, values)
        if domain is None:
            return None
        found = replace(bind(replace(node, operands=(), domain=Domain()), values), domain=domain)
        operands: list[Operand] = []
        for read in node.operands:
            guard = None
            if read.guard is not None:
                guard = self.without_time(read.guard, time, values)
                if guard is None:
                    continue
            elif node.op.name == "merge":
                raise Refused(f"a case of '{node.id}' is read at an index that is a value")
            operands.append(replace(self.read(node, read, values), guard=guard))
        return replace(found, operands=tuple(operands))

    def without_time(
        self, domain: Domain, time: str | None, values: Mapping[str, PolyLike]
    ) -> Domain | None:
        """The points at this step; None if there are none at any."""
        own = [dim for dim in domain.dims if dim.name == time]
        moved = [c.substitute(values) for c in (*Domain(tuple(own)).bounds, *domain.constraints)]
        dims = Domain(tuple(dim for dim in domain.dims if dim.name != time)).substitute(values)
        if any(fails(constraint, self.number) for constraint in moved):
            return None
        return dims.restrict(*(c for c in moved if not holds(c, self.number)))

    # ---- reads --------------------------------------------------------------------------------

    def read(self, reader: Node, read: Operand, values: Mapping[str, PolyLike]) -> Operand:
        access = [bound_index(index, values) for index in read.access]
        time = self.time[read.source]
        if time is None:
            return replace(read, access=tuple(access))
        place = self.graph[read.source].domain.names.index(time)
        index = access.pop(place)
        if isinstance(index, DataIndex):
            raise Refused(f"'{reader.id}' reads '{read.source}' at a step that is a value")
        age = (Poly.of(self.number) - index).constant
        if age is None:
            raise Refused(f"'{reader.id}' reads '{read.source}' at [{read.access[place]}]")
        if age < 0:
            raise Refused(f"'{reader.id}' reads a later step of '{read.source}'")
        if age == 0:
            return replace(read, access=tuple(access))
        self.ages[read.source] = max(self.ages.get(read.source, 0), age)
        return replace(read, source=read.source + BEFORE, access=(Poly.of(age - 1), *access))

    # ---- states -------------------------------------------------------------------------------

    def box(self, name: str) -> tuple[Dim, ...]:
        """The dims of a state."""
        source = self.graph[name].domain.dims
        others = tuple(dim for dim in source if dim.name != self.time[name])
        return (Dim(AGE, Poly.of(0), Poly.of(self.ages[name]), True), *others)

    def state(self, name: str, operation: Op, suffix: str, cases: tuple[Operand, ...]) -> Node:
        node = self.graph[name]
        type = replace(node.type, range=None)
        box = Domain(self.box(name))
        return Node(name + suffix, operation, cases, box, type, None, node.spans)

    def before(self, name: str) -> Node:
        return self.state(name, op("input", name=name + BEFORE, default=None), BEFORE, ())

    def after(self, name: str, step: Mapping[str, Node]) -> Node:
        """The state behind this step."""
        dims, age = self.box(name), Poly.of(AGE)
        others = tuple(Poly.of(dim.name) for dim in dims[1:])
        cases: list[Operand] = []
        if name in step:
            guard = Domain(dims, (Constraint(age, "=="), *step[name].domain.constraints))
            cases.append(Operand(name, others, guard))
        if self.ages[name] > 1:
            guard = Domain(dims, (Constraint(age - 1, ">="),))
            cases.append(Operand(name + BEFORE, (age - 1, *others), guard))
        return self.state(name, op("merge"), AFTER, tuple(cases))

    def output(self, output: Output) -> Output:
        time = self.time[output.node]
        dims: list[Dim] = []
        names = self.graph[output.node].domain.names
        for own, dim in zip(names, output.domain.dims, strict=True):
            if own != time:
                dims.append(dim)
            elif (dim.lower, dim.upper) != (Poly.of(0), Poly.of(self.extent)):
                raise Refused(f"output '{output.name}' is not of one point a step")
        domain = replace(output.domain, dims=tuple(dims))
        if output.domain.constraints or any(self.extent in str(d) for d in dims):
            raise Refused(f"output '{output.name}' is not of one point a step")
        return replace(output, domain=domain)


class Beginning:
    """The states before the first step: the values of few equations, at the steps -1, -2, ..."""

    def __init__(self, stepper: Stepper) -> None:
        self.stepper, self.source = stepper, stepper.graph
        self.nodes: dict[str, Node] = {}

    def graph(self) -> Graph | None:
        outputs: list[Output] = []
        for name, ages in self.stepper.ages.items():
            dims = self.stepper.box(name)
            others = tuple(Poly.of(dim.name) for dim in dims[1:])
            cases: list[Operand] = []
            for age in range(ages):
                found = self.at(name, -1 - age)
                if found is not None:
                    own = (Constraint(Poly.of(AGE) - age, "=="), *found.domain.constraints)
                    cases.append(Operand(found.id, others, Domain(dims, own)))
            if cases:
                node = self.stepper.state(name, op("merge"), AFTER, tuple(cases))
                self.nodes[node.id] = node
                outputs.append(Output(node.id, node.id, node.domain))
        if not outputs:
            return None
        return assemble(Graph(self.source.name, ()), self.nodes, tuple(outputs), inputs=False)

    def at(self, name: str, step: int) -> Node | None:
        """The node at a step before the first; None where it has no value, which reads as zero."""
        node, time = self.source[name], self.stepper.time[name]
        if time is not None and node.op.name == "input":
            return None
        own = name if time is None else f"{name}@{step}"
        if own in self.nodes:
            return self.nodes[own]
        values: dict[str, PolyLike] = {} if time is None else {time: step}
        domain = self.fixed(node.domain, time, values)
        if domain is None:
            return None
        made = replace(bind(replace(node, operands=(), domain=Domain()), values), id=own)
        operands: list[Operand] = []
        for read in node.operands:
            guard = None if read.guard is None else self.fixed(read.guard, time, values)
            if read.guard is not None and guard is None:
                continue
            found = self.read(read, values)
            if found is not None:
                operands.append(replace(found, guard=guard))
            elif read.guard is None:
                raise Refused(f"'{name}' has no value at [{step}]")
        self.nodes[own] = made = replace(made, operands=tuple(operands), domain=domain)
        if self.stepper.extent in named(made):
            raise Refused(f"'{name}' depends on '{self.stepper.extent}' at [{step}]")
        return made

    def fixed(
        self, domain: Domain, time: str | None, values: Mapping[str, PolyLike]
    ) -> Domain | None:
        """The points at a fixed step; None if there are none, whatever the extent."""
        own = tuple(dim for dim in domain.dims if dim.name == time)
        bound = [c.substitute(values) for c in (*Domain(own).bounds, *domain.constraints)]
        if any(fails(constraint, self.stepper.extent) for constraint in bound):
            return None
        dims = tuple(dim for dim in domain.dims if dim.name != time)
        kept = (c for c in bound if not holds(c, self.stepper.extent))
        return Domain(dims).substitute(values).restrict(*kept)

    def read(self, read: Operand, values: Mapping[str, PolyLike]) -> Operand | None:
        access = [bound_index(index, values) for index in read.access]
        time = self.stepper.time[read.source]
        if time is None:
            self.at(read.source, 0)
            return replace(read, access=tuple(access))
        index = access.pop(self.source[read.source].domain.names.index(time))
        if isinstance(index, DataIndex) or index.constant is None or index.constant >= 0:
            raise Refused(f"it begins with what '{read.source}' has at [{index}]")
        found = self.at(read.source, index.constant)
        return None if found is None else replace(read, source=found.id, access=tuple(access))


def holds(constraint: Constraint, name: str) -> bool:
    """Whether it does for every value of `name` from zero on, if it names nothing else."""
    factor = constraint.poly.coefficient(name)
    offset = (constraint.poly - Poly.of(name) * factor).constant
    if offset is None:
        return False
    if constraint.relation == "==":
        return factor == 0 and offset == 0
    return factor >= 0 and offset >= 0


def fails(constraint: Constraint, name: str) -> bool:
    """Whether it does for no value of `name` from zero on."""
    return any(holds(part, name) for part in constraint.negated())


def time_of(node: Node) -> str | None:
    """The dim of a node that runs over steps."""
    dims = [dim for dim in node.domain.dims if not dim.static]
    if len(dims) > 1:
        raise Refused(f"'{node.id}' has a value for each {' and '.join(d.name for d in dims)}")
    if node.bound is not None and any(not dim.static for dim in node.bound.dims):
        raise Refused(f"'{node.id}' reads all steps")
    return dims[0].name if dims else None


def bound_index(index: Index, values: Mapping[str, PolyLike]) -> Index:
    if isinstance(index, Poly):
        return index.substitute(values)
    return replace(
        index, lower=index.lower.substitute(values), upper=index.upper.substitute(values)
    )


def named(node: Node) -> set[str]:
    """Every name in a node."""
    found = {*names_in(node), *domain_names(node.domain)}
    for operand in node.operands:
        if operand.guard is not None:
            found |= {*domain_names(operand.guard)}
    for poly in (*node.type.shape, *(node.type.range or ())):
        found |= {*poly.names}
    return found
