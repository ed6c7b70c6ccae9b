"""Graph -> text, complete and readable: parsing the text gives the graph; spans are not printed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import Attribute, Graph, Index, Node, Op, Operand, Output, Size
from rnnc.ir.poly import Poly
from rnnc.ir.text import quoted
from rnnc.ir.types import TensorType


def print_graph(graph: Graph) -> str:
    """The whole graph, each node on a line, in the form of `grammar/rir.lark`."""
    lines = [f"graph {quoted(graph.name)}"]
    lines += [_size(size) for size in graph.sizes]
    lines += [_output(output) for output in graph.outputs]
    lines += [node_text(node) for node in graph.nodes]
    return "\n".join(lines) + "\n"


def node_text(node: Node) -> str:
    """One node: `h[l in 0..L]: real[H] = tanh(a[l])`."""
    parts = [f"{quoted(node.id)}{_grid(node.domain)}: {type_text(node.type)} = {op_text(node.op)}"]
    if node.operands:
        operands = ", ".join(_operand(operand, node.domain) for operand in node.operands)
        parts.append(f"({operands})")
    if node.bound is not None:
        parts.append(f" over {domain_text(node.bound)}".rstrip())
    return "".join(parts)


def poly_text(poly: Poly) -> str:
    return str(poly.rename(quoted))


def domain_text(domain: Domain) -> str:
    """`l in 0..L, t in ..0 : t + 5 >= 0`."""
    dims = ", ".join(_dim(dim) for dim in domain.dims)
    return f"{dims}{_constraints(domain.constraints)}".strip()


def type_text(type: TensorType) -> str:
    text = str(type.dtype)
    if type.shape:
        text += f"[{', '.join(poly_text(size) for size in type.shape)}]"
    if type.range is not None:
        text += f" in {poly_text(type.range[0])}..{poly_text(type.range[1])}"
    return text


def op_text(op: Op) -> str:
    if not op.attributes:
        return op.name
    pairs = ", ".join(f"{key}={_attribute(value)}" for key, value in op.attributes)
    return f"{op.name}{{{pairs}}}"


def _size(size: Size) -> str:
    value = "" if size.value is None else f" = {size.value}"
    return f"{size.kind} {quoted(size.name)}{value}"


def _output(output: Output) -> str:
    return f"output {quoted(output.name)}{_grid(output.domain)} = {quoted(output.node)}"


def _grid(domain: Domain) -> str:
    return f"[{domain_text(domain)}]" if domain != Domain() else ""


def _dim(dim: Dim) -> str:
    lower = "" if dim.lower is None else poly_text(dim.lower)
    upper = "" if dim.upper is None else poly_text(dim.upper)
    return f"{'static ' if dim.static else ''}{quoted(dim.name)} in {lower}..{upper}"


def _constraints(constraints: Iterable[Constraint]) -> str:
    parts = " and ".join(f"{poly_text(c.poly)} {c.relation} 0" for c in constraints)
    return f" : {parts}" if parts else ""


def _operand(operand: Operand, own: Domain) -> str:
    text = quoted(operand.source)
    if operand.access:
        text += f"[{', '.join(_index(index) for index in operand.access)}]"
    if operand.guard is not None:
        text += f" if {_guard(operand.guard, own)}"
    return text


def _index(index: Index) -> str:
    if isinstance(index, Poly):
        return poly_text(index)
    return f"@{index.operand} in {poly_text(index.lower)}..{poly_text(index.upper)}"


def _guard(guard: Domain, own: Domain) -> str:
    """In braces the dims that differ from the node's own; all of them if the names differ."""
    signature = [(dim.name, dim.static) for dim in own.dims]
    if [(dim.name, dim.static) for dim in guard.dims] != signature:
        return f"full {{{domain_text(guard)}}}"
    pairs = zip(guard.dims, own.dims, strict=True)
    differing = [Dim(dim.name, dim.lower, dim.upper, False) for dim, mine in pairs if dim != mine]
    return f"{{{domain_text(Domain(tuple(differing), guard.constraints))}}}"


def _attribute(value: Attribute) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case int() | Poly():
            return poly_text(Poly.of(value))
        case float():
            return _float(value)
        case complex():
            return f"complex({_float(value.real)}, {_float(value.imag)})"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case tuple():
            comma = "," if len(value) == 1 else ""
            return f"({', '.join(_attribute(item) for item in value)}{comma})"


def _float(value: float) -> str:
    # repr writes 1e-05 without a point, which the grammar takes; it never writes a bare integer.
    return "nan" if math.isnan(value) else repr(value)
