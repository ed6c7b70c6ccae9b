"""Well-formed recurrences made up by hypothesis: stacks of variables with steps back in a grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import Builder, Graph, Index, Node, Op, Operand, Output, Size
from rnnc.ir.ops import infer, op
from rnnc.ir.poly import Poly
from rnnc.ir.types import TensorType

LAYER = Dim("l", Poly(), Poly.of("L"), static=True)
TIME = Dim("t", Poly(), Poly.of("T"), static=False)
VECTOR = TensorType("real", (Poly.of("H"),))
MATRIX = TensorType("real", (Poly.of("H"), Poly.of("H")))
SIZES = (Size("H", "static"), Size("L", "static"), Size("T", "extent"))


@dataclass(slots=True)
class Sketch:
    """A graph in the making: each method adds a node and gives the operand that reads it."""

    builder: Builder
    grid: Domain
    draw: st.DrawFn

    def put(self, operation: Op, *operands: Operand, bound: Domain | None = None) -> Operand:
        types = [self.builder.graph[operand.source].type for operand in operands]
        type = infer(operation, types)
        name = self.builder.fresh(operation.name)
        self.builder.add(Node(name, operation, operands, self.grid, type, bound))
        return self.here(name)

    def here(self, name: str) -> Operand:
        dims = self.builder.graph[name].domain.names
        return Operand(name, tuple(Poly.of(dim) for dim in dims))

    def param(self, type: TensorType, indexed: bool) -> Operand:
        name = self.builder.fresh("W")
        domain = Domain((LAYER,)) if indexed and LAYER in self.grid.dims else Domain()
        path = f"{name}[l]" if domain.dims else name
        self.builder.add(Node(name, op("param", path=path, initial=""), (), domain, type))
        return self.here(name)


@st.composite
def recurrences(draw: st.DrawFn, variables: int = 3) -> Graph:
    """Variables over (l, t) or t, each from earlier ones and from steps back; computable for all
    sizes H, L >= 1 and T >= 0. Inputs `x[t]` and `first`."""
    layered = draw(st.booleans())
    grid = Domain((LAYER, TIME)) if layered else Domain((TIME,))
    sketch = Sketch(Builder("made_up", SIZES), grid, draw)
    for name, domain in (("x", Domain((TIME,))), ("first", Domain())):
        operation = op("input", name=name, default=None)
        sketch.builder.add(Node(name, operation, (), domain, VECTOR))
    names = [f"v{number}" for number in range(draw(st.integers(1, variables)))]
    for name in names:  # variables may read each other before they have equations
        sketch.builder.add(Node(name, op("merge"), (), grid, VECTOR))
    for position, name in enumerate(names):
        cases = _boundary(sketch) + _inside(sketch, names, position)
        node = sketch.builder.graph[name]
        sketch.builder.add(replace(node, operands=tuple(cases)))
    return sketch.builder.finish(_outputs(sketch, names[-1]))


def sizes() -> st.SearchStrategy[dict[str, int]]:
    """Sizes at which anything made up here is quickly computed; the edges are among them."""
    return st.fixed_dictionaries(
        {"H": st.integers(1, 3), "L": st.integers(1, 3), "T": st.integers(0, 5)}
    )


def _boundary(sketch: Sketch) -> list[Operand]:
    """What is given beyond the low sides of the grid, if anything."""
    cases: list[Operand] = []
    depth = sketch.draw(st.integers(0, 2))
    if depth:
        early = replace(TIME, lower=Poly.of(-depth), upper=Poly())
        guard = Domain((*sketch.grid.dims[:-1], early))
        cases.append(Operand("first", (), guard))
    if LAYER in sketch.grid.dims and sketch.draw(st.booleans()):
        below = replace(LAYER, lower=Poly.of(-1), upper=Poly())
        cases.append(Operand("x", (Poly.of("t"),), Domain((below, TIME))))
    return cases


def _inside(sketch: Sketch, names: list[str], position: int) -> list[Operand]:
    """One equation for the grid, or two that share it between them."""
    value = _expression(sketch, names, position, 2)
    period = sketch.draw(st.integers(1, 3))
    if period == 1:
        return [replace(value, guard=sketch.grid)]
    phase = Constraint(Poly.of("t") % period, "==")
    other = _expression(sketch, names, position, 1)
    return [
        replace(value, guard=sketch.grid.restrict(phase)),
        *(replace(other, guard=sketch.grid.restrict(part)) for part in phase.negated()),
    ]


def _expression(sketch: Sketch, names: list[str], position: int, depth: int) -> Operand:
    draw = sketch.draw
    if depth == 0:
        return _leaf(sketch, names, position)
    kind = draw(st.sampled_from(("unary", "binary", "matmul", "reduce", "select")))
    inner = _expression(sketch, names, position, depth - 1)
    match kind:
        case "unary":
            name = draw(st.sampled_from(("tanh", "sigmoid", "neg", "relu", "sin")))
            return sketch.put(op(name), inner)
        case "binary":
            name = draw(st.sampled_from(("add", "sub", "mul", "max")))
            return sketch.put(op(name), inner, _expression(sketch, names, position, depth - 1))
        case "matmul":
            weights = sketch.param(MATRIX, draw(st.booleans()))
            return sketch.put(op("tanh"), sketch.put(op("matmul"), weights, inner))
        case "reduce":
            return _over_past(sketch, inner)
        case _:
            other = _leaf(sketch, names, position)
            return sketch.put(op("select"), sketch.put(op("lt"), inner, other), other, inner)


def _over_past(sketch: Sketch, value: Operand) -> Operand:
    """A mean-sized sum of inputs over s < t, times the value."""
    past = Domain((Dim("s", Poly(), Poly.of("T"), static=False),))
    past = past.restrict(Constraint(Poly.of("t") - Poly.of("s") - 1, ">="))
    kind = sketch.draw(st.sampled_from(("sum", "max", "min")))
    total = sketch.put(op("reduce", kind=kind), Operand("x", (Poly.of("s"),)), bound=past)
    return sketch.put(op("mul"), sketch.put(op("tanh"), total), value)


def _leaf(sketch: Sketch, names: list[str], position: int) -> Operand:
    """A step back in a variable, the same point of an earlier one, or an input at some offset."""
    draw = sketch.draw
    layered = LAYER in sketch.grid.dims
    match draw(st.sampled_from(("back", "back", "below", "input"))):
        case "back":
            name, step = draw(st.sampled_from(names)), draw(st.integers(1, 3))
            layers = draw(st.integers(-1, 1)) if layered else 0
            return Operand(name, _point(layered, layers, -step))
        case "below" if layered:
            return Operand(draw(st.sampled_from(names)), _point(True, -1, 0))
        case "below" if position:
            return Operand(draw(st.sampled_from(names[:position])), _point(layered, 0, 0))
        case _:
            return Operand("x", (Poly.of("t") + draw(st.integers(-2, 2)),))


def _point(layered: bool, layers: int, steps: int) -> tuple[Index, ...]:
    time = Poly.of("t") + steps
    return (Poly.of("l") + layers, time) if layered else (time,)


def _outputs(sketch: Sketch, name: str) -> tuple[Output, ...]:
    """The top layer at every step, and every layer at the last step."""
    layered = LAYER in sketch.grid.dims
    top: tuple[Index, ...] = (Poly.of("L") - 1, Poly.of("t")) if layered else (Poly.of("t"),)
    last: tuple[Index, ...] = (Poly.of("l"), Poly.of("T") - 1) if layered else (Poly.of("T") - 1,)
    found: list[Output] = []
    for output, access, domain in (
        ("y", top, Domain((TIME,))),
        ("last", last, Domain(sketch.grid.dims[:-1])),
    ):
        read = Operand(name, access, domain)
        sketch.builder.add(Node(output, op("merge"), (read,), domain, VECTOR))
        found.append(Output(output, output, domain))
    return tuple(found)
