"""Takes complex numbers apart: every complex value becomes two real ones.

    h[t]: complex[N] = mul(a, h[t - 1])
becomes
    h.re[t]: real[N] = a.re * h.re[t - 1] - a.im * h.im[t - 1];  h.im[t]: real[N] = ...

so that nothing behind this pass knows of complex numbers. Legal always: it is what they are. A
parameter, input or output keeps its name and becomes real[2, ...], its real and its imaginary part
along a new first axis. A part that is zero for certain is not computed. Fourier transforms become
O(n log n) stages (passes.fourier), for sizes whose prime factors are small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, cast

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.ir.domain import Domain
from rnnc.ir.graph import DataIndex, Graph, Node, Operand, Output
from rnnc.ir.ops import op
from rnnc.ir.poly import Poly
from rnnc.ir.reads import index_positions
from rnnc.ir.types import TensorType
from rnnc.passes.complex_pairs import Pair, Part, Writer
from rnnc.passes.fourier import MOST, radices, transform
from rnnc.passes.rewrite import Rewriter, assemble, identity, ordered


@dataclass(frozen=True, slots=True)
class SplitComplex:
    name: ClassVar[str] = "split-complex"

    def run(self, graph: Graph) -> Graph:
        if all(node.type.dtype != "complex" for node in graph.nodes):
            return graph
        return Splitter(graph).in_parts()


# Linear in the first operand, and they only say which elements: each part by itself.
BY_PARTS = frozenset(
    (
        *("slice", "pick", "gather", "reshape", "broadcast", "flip", "cumsum"),
        *("stack_points", "concat_points", "reduce", "reduce_axis", "stop_gradient"),
    )
)


class Splitter:
    """`parts` holds the ids of both parts of every complex node; None is a part that is zero."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.rewriter = Rewriter.of(graph)
        self.parts: dict[str, tuple[str | None, str | None]] = {}

    def in_parts(self) -> Graph:
        nodes = {node.id: node for node in self.graph.nodes}
        variables = [node for node in nodes.values() if is_complex_variable(node)]
        for node in variables:  # they may be read before their cases are known
            self.parts[node.id] = (self.declared(node, "re"), self.declared(node, "im"))
        for name in ordered(nodes, dict.fromkeys(nodes)):
            self.split(nodes[name])
        for node in variables:
            self.fill(node)
        outputs = self.outputs()
        left = {n: node for n, node in self.rewriter.nodes.items() if node.type.dtype != "complex"}
        return assemble(self.graph, left, outputs)

    # ---- what is stored -----------------------------------------------------------------------

    def declared(self, node: Node, part: str) -> str:
        """A variable for a part; its cases come when everything has its parts."""
        return self.rewriter.derive(named(node, part), node.op, (), type=real(node.type)).id

    def fill(self, node: Node) -> None:
        indices = index_positions(node)
        for part, name in enumerate(self.parts[node.id]):
            assert name is not None
            made = self.rewriter[name]
            zero = Writer(self.rewriter, replace(made, domain=Domain())).number(0.0)
            operands = []
            for position, operand in enumerate(node.operands):
                found = self.pair(operand)[part] if position not in indices else operand
                operands.append(found or replace(zero, guard=operand.guard))
            self.rewriter.put(replace(made, operands=tuple(operands)))

    def stored(self, node: Node) -> None:
        """A parameter or an input becomes real, its parts are views of it."""
        shape = (Poly.of(2), *node.type.shape)
        attributes = dict(node.op.attributes)
        if node.op.name == "param":
            attributes["initial"] = f"parts({attributes['initial']})"
        elif attributes["default"] is not None:
            number = complex(cast(complex, attributes["default"]))
            if number.imag:
                raise refused(node, "a complex input cannot be a complex number by default")
            if number.real:
                raise refused(node, "a complex input can only be zero by default")
            attributes["default"] = 0.0
        self.rewriter.put(
            replace(node, op=op(node.op.name, **attributes), type=TensorType("real", shape))
        )
        whole = Operand(node.id, identity(node.domain))
        self.keep(
            node,
            *(
                Writer(self.rewriter, named(node, part)).emit("pick", whole, axis=0, at=Poly.of(at))
                for at, part in enumerate(("re", "im"))
            ),
        )

    def outputs(self) -> tuple[Output, ...]:
        found = []
        for output in self.graph.outputs:
            node = self.graph[output.node]
            if node.type.dtype == "complex":
                writer = Writer(self.rewriter, named(node, "parts"))
                pair = self.pair(Operand(node.id, identity(node.domain)))
                both = [
                    writer.zeros(node.type.shape) if part is None else part
                    for part in (pair.re, pair.im)
                ]
                output = replace(output, node=writer.emit("stack", *both).source)
            found.append(output)
        return tuple(found)

    # ---- what is computed ---------------------------------------------------------------------

    def pair(self, operand: Operand) -> Pair:
        """An operand by its parts, whatever it is."""
        if operand.source not in self.parts:
            return Pair(operand, None)
        re, im = self.parts[operand.source]
        return Pair(
            None if re is None else replace(operand, source=re),
            None if im is None else replace(operand, source=im),
        )

    def keep(self, node: Node, re: Part, im: Part) -> None:
        self.parts[node.id] = (self.whole(node, re), self.whole(node, im))

    def whole(self, node: Node, part: Part) -> str | None:
        """The id of a node that has the part in the node's own shape, at its own point."""
        if part is None:
            return None
        source = self.rewriter[part.source]
        shape = node.type.shape
        is_own = source.domain == node.domain and part.access == identity(node.domain)
        if is_own and source.type == real(node.type):
            return part.source
        writer = Writer(self.rewriter, node)
        if source.type.shape == shape:
            return writer.emit("cast", part, dtype="real").source
        missing = len(shape) - source.type.rank
        axes = tuple(range(missing, len(shape)))
        return writer.emit("broadcast", part, shape=shape, axes=axes).source

    def split(self, node: Node) -> None:
        reads = [self.graph[operand.source].type.dtype for operand in node.operands]
        if node.type.dtype != "complex" and "complex" not in reads:
            return
        name = node.op.name
        if name in ("param", "input"):
            self.stored(node)
        elif name in BY_PARTS:
            self.by_parts(node)
        elif name == "merge":
            assert is_complex_variable(node), "a case has the type of its variable"
        else:
            values = [self.pair(operand) for operand in self.direct(node)]
            writer = Writer(self.rewriter, node)
            if node.type.dtype == "complex":
                found = arithmetic(writer, node, values, self.graph)
                self.keep(node, found.re, found.im)
            else:
                result = to_real(writer, node, values)
                if node.type.dtype == "real":
                    result = Operand(cast(str, self.whole(node, result)), identity(node.domain))
                copy = op("cast", dtype=node.type.dtype)
                self.rewriter.put(replace(node, op=copy, operands=(result,)))

    def direct(self, node: Node) -> list[Operand]:
        """What a node takes, where a value says which point in a copy of its own."""
        indices = index_positions(node)
        found = []
        for position, operand in enumerate(node.operands):
            if position in indices:
                continue
            if any(isinstance(index, DataIndex) for index in operand.access):
                operand = self.copied(node, operand)
            found.append(operand)
        return found

    def copied(self, node: Node, operand: Operand) -> Operand:
        at = [index.operand for index in operand.access if isinstance(index, DataIndex)]
        place = {old: new for new, old in enumerate(dict.fromkeys(at), 1)}
        access = tuple(
            replace(index, operand=place[index.operand]) if isinstance(index, DataIndex) else index
            for index in operand.access
        )
        rest = tuple(node.operands[old] for old in place)

        def copy(part: Part) -> str | None:
            if part is None:
                return None
            type = self.rewriter[part.source].type
            op_ = op("cast", dtype=type.dtype)
            return self.rewriter.derive(node, op_, (part, *rest), type=type).id

        pair = self.pair(replace(operand, access=access))
        re, im = copy(pair.re), copy(pair.im)
        if operand.source not in self.parts:
            assert re is not None
            return Operand(re, identity(node.domain))
        name = self.rewriter.builder.fresh(f"{node.id}.read")
        self.parts[name] = (re, im)
        return Operand(name, identity(node.domain))

    def by_parts(self, node: Node) -> None:
        if node.op.name in ("reduce", "reduce_axis") and node.op["kind"] != "sum":
            raise refused(node, f"complex numbers have no {node.op['kind']} here")
        value, *rest = node.operands
        found: list[str | None] = []
        for number, part in enumerate(self.pair(value)):
            if part is None:
                found.append(None)
                continue
            fields = {"bound": node.bound, "type": real(node.type)}
            made = self.rewriter.derive(
                named(node, ("re", "im")[number]), node.op, (part, *rest), **fields
            )
            found.append(made.id)
        self.parts[node.id] = (found[0], found[1])


def is_complex_variable(node: Node) -> bool:
    return node.op.name == "merge" and node.type.dtype == "complex"


def named(node: Node, part: str) -> Node:
    """A model for nodes that are called after a part of this one."""
    return replace(node, id=f"{node.id}.{part}")


def real(type: TensorType) -> TensorType:
    return TensorType("real", type.shape)


# ---- the meaning of each op -------------------------------------------------------------------


def arithmetic(writer: Writer, node: Node, values: Sequence[Pair], graph: Graph) -> Pair:
    """The parts of a complex result."""
    name = node.op.name
    if name in SIMPLE:
        return SIMPLE[name](writer, *values)
    match name:
        case "constant":
            value = complex(cast(complex, node.op["value"]))
            return Pair(
                *(writer.number(part) if part else None for part in (value.real, value.imag))
            )
        case "complex":
            return Pair(values[0].re, values[1].re)
        case "select":
            condition, one, other = values
            assert condition.re is not None
            return Pair(
                writer.select(condition.re, one.re, other.re),
                writer.select(condition.re, one.im, other.im),
            )
        case "dropout" | "cast" | "straight_through":
            return values[0]
        case "pow":
            exponent = graph[node.operands[1].source].op
            if exponent.name == "constant" and isinstance(exponent["value"], int):
                return writer.power(values[0], exponent["value"])
            raise refused(node, "a complex number can be raised to a whole number only")
        case "concat" | "stack":
            shapes = [graph[operand.source].type.shape for operand in node.operands]
            return joined(writer, node, values, shapes)
        case "fft" | "ifft":
            size = cast(int, node.type.shape[-1].constant)
            if radices(size) is None:
                message = f"a transform of {size} elements: a prime factor is larger than {MOST}"
                raise refused(node, message, "choose a size with small factors, best a power of 2")
            return transform(writer, values[0], node.type.shape, inverse=name == "ifft")
    raise refused(node, f"'{name}' of complex numbers is not known here")


SIMPLE: Mapping[str, Callable[..., Pair]] = {
    "neg": lambda writer, a: Pair(writer.neg(a.re), writer.neg(a.im)),
    "conj": lambda writer, a: Pair(a.re, writer.neg(a.im)),
    "add": Writer.plus,
    "sub": Writer.minus,
    "mul": Writer.times,
    "div": Writer.by,
    "exp": Writer.exp,
    "sqrt": Writer.sqrt,
    "matmul": Writer.matmul,
}


def joined(
    writer: Writer, node: Node, values: Sequence[Pair], shapes: Sequence[tuple[Poly, ...]]
) -> Pair:
    found: list[Part] = []
    for part in (0, 1):
        if all(value[part] is None for value in values):
            found.append(None)
            continue
        known = [
            value[part] or writer.zeros(shape) for value, shape in zip(values, shapes, strict=True)
        ]
        found.append(writer.emit(node.op.name, *known, **dict(node.op.attributes)))
    return Pair(found[0], found[1])


def to_real(writer: Writer, node: Node, values: Sequence[Pair]) -> Operand:
    """A real, int or bool result of complex operands."""
    name = node.op.name
    match name:
        case "re" | "cast":
            return writer.known(values[0].re)
        case "im":
            return writer.known(values[0].im)
        case "abs":
            return writer.modulus(values[0])
        case "eq" | "ne":
            one, other = values
            parts = [
                writer.emit(name, writer.known(one[part]), writer.known(other[part]))
                for part in (0, 1)
            ]
            return writer.emit("and" if name == "eq" else "or", *parts)
    raise refused(node, f"'{name}' of complex numbers is not known here")


def refused(node: Node, what: str, *hints: str) -> DiagnosticError:
    span = node.spans[0] if node.spans else None
    message = f"cannot compile '{node.id}': {what}"
    return DiagnosticError([Diagnostic("RNN703", message, span, hints=hints)])
