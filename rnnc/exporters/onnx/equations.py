"""The equations of a recurrence as forms: what each state is, from those of the step before.

What does not depend on the recurrence is a value from outside; what parameters alone decide is
known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from rnnc.ir.evaluate import EVALUATORS, Site, evaluate
from rnnc.ir.graph import Graph, Node, Operand
from rnnc.ir.poly import Poly
from rnnc.ir.reads import index_positions

from .forms import Form, Named, Term
from .functions import PLAIN, applied, collapsed
from .loops import Loop, box

Array = npt.NDArray[np.generic]
Access = tuple[Poly, ...]
_SAME = ("cast", "stop_gradient", "dropout", "straight_through")
_LINEAR = ("matmul", "add", "sub", "neg", "mul", "div", "slice", *_SAME)
_COMPARED = {"lt": False, "le": False, "gt": True, "ge": True}  # whether the sides change
_MIRRORED = {"gt": "lt", "ge": "le"}


@dataclass(frozen=True)
class Given(Named):
    """A value from outside, read at `access`; polynomials are in the loop's dim."""

    source: str
    access: Access


class Constants:
    """What parameters alone decide; `param` gives the array of a param."""

    def __init__(self, graph: Graph, param: Callable[[Node], Array]) -> None:
        self.graph = graph
        self.param = param
        self.known: dict[str, Array | None] = {}

    def value(self, name: str) -> Array | None:
        """The value of a node; None if it is not one for all points and inputs."""
        if name not in self.known:
            self.known[name] = None  # for a node that depends on itself
            self.known[name] = self._value(self.graph[name])
        return self.known[name]

    def _value(self, node: Node) -> Array | None:
        if node.op.name == "param":
            return self.param(node)
        if node.bound is not None or node.op.name not in EVALUATORS or node.op.name == "index":
            return None
        if index_positions(node):
            return None
        given: list[Array] = []
        for operand in node.operands:
            value = self.value(operand.source)
            if value is None:
                return None
            given.append(value[None])
        attributes = [value for _, value in node.op.attributes if isinstance(value, Poly)]
        if any(value.constant is None for value in attributes):
            return None
        return np.asarray(evaluate(node.op, given, Site(node.type, {}, np.float64))[0])


class Equations:
    """The members of a loop as forms. `states` are those of them that are read a step later."""

    def __init__(
        self, graph: Graph, members: Sequence[str], loop: Loop, constants: Constants
    ) -> None:
        self.graph = graph
        self.members = frozenset(members)
        self.loop = loop
        self.constants = constants
        self.dim = loop.dims[members[0]]
        self.states = tuple(loop.delays)
        self.definitions = {self.definition(state): state for state in self.states}
        self.given: dict[str, Given] = {}
        self.forms: dict[tuple[str, Access], Form] = {}

    def size(self, name: str) -> int:
        """Of a vector."""
        return cast(int, self.graph[name].type.shape[0].constant)

    def next(self, state: str) -> Form:
        """What a state is at a step."""
        name = self.definition(state)
        here = tuple(Poly.of(self.dim) for _ in self.graph[name].domain.names)
        return self._computed(self.graph[name], here)

    def definition(self, name: str) -> str:
        """The statement that computes a variable in the loop."""
        node = self.graph[name]
        if node.op.name != "merge":
            return name
        inside = [o for o in node.operands if o.source in self.members]
        if len(inside) == 1 and self._is_whole(node, inside[0]):
            return self.definition(inside[0].source)
        return name

    def _is_whole(self, node: Node, case: Operand) -> bool:
        """Whether a case holds at all points of the loop, for the point that is computed."""
        bounds = box(self.graph, node.id, tuple(self.members))
        plain = tuple(Poly.of(name) for name in node.domain.names)
        return (
            (case.guard is None or not case.guard.constraints)
            and case.access == plain
            and bounds.get(self.loop.dims[node.id]) == (self.loop.lower, self.loop.upper)
        )

    def form(self, name: str, access: Access) -> Form:
        """A value where the point of the loop reads it."""
        key = name, access
        if key not in self.forms:
            self.forms[key] = self._form(self.graph[name], access)
        return self.forms[key]

    def _form(self, node: Node, access: Access) -> Form:
        known = self.constants.value(node.id)
        if known is not None and known.ndim < 2:
            return Form.constant(known.astype(np.float64))
        if node.id not in self.members:
            return self._outside(node, access)
        if access != tuple(Poly.of(self.dim) for _ in access):
            return Form.factor(Named(node.id))
        definition = self.definition(node.id)
        if definition in self.definitions:
            return Form.factor(Named(f"{self.definitions[definition]}'"))
        return self._computed(self.graph[definition], access)

    def _outside(self, node: Node, access: Access) -> Form:
        """Sums of products with known matrices are looked into."""
        if node.op.name in _LINEAR:
            found = self._computed(node, access)
            if all(_is_weighted(term) for term in found.terms):
                return found
        return Form.factor(self._given(node, access))

    def _given(self, node: Node, access: Access) -> Given:
        name = f"{node.id}[{', '.join(map(str, access))}]"
        return self.given.setdefault(name, Given(name, node.id, access))

    def _computed(self, node: Node, access: Access) -> Form:
        """A statement at a point, from its operands."""
        if node.type.rank > 1 or node.bound is not None or index_positions(node):
            return self._unknown(node, access)
        at = dict(zip(node.domain.names, access, strict=True))
        reads = [
            (o.source, tuple(cast(Poly, index).substitute(at) for index in o.access))
            for o in node.operands
        ]
        if node.op.name == "matmul":
            return self._product(node, reads) or self._unknown(node, access)
        if node.op.name == "concat":
            return self._joined(node, reads)
        found = self._elementwise(node, [self.form(*read) for read in reads])
        return self._unknown(node, access) if found is None else collapsed(found)

    def _unknown(self, node: Node, access: Access) -> Form:
        return Form.factor(Named(f"?{node.id}[{', '.join(map(str, access))}]"))

    def _product(self, node: Node, reads: list[tuple[str, Access]]) -> Form | None:
        left, right = (self.constants.value(name) for name, _ in reads)
        if left is not None and left.ndim == 2:
            return self._vector(*reads[1]).multiplied(left.astype(np.float64))
        if right is not None and right.ndim == 2:
            return self._vector(*reads[0]).multiplied(right.T.astype(np.float64))
        return None

    def _vector(self, name: str, access: Access) -> Form:
        """What a matrix multiplies; from outside it is one value, however it is made."""
        known = self.constants.value(name)
        if name in self.members or known is not None:
            return self.form(name, access)
        return Form.factor(self._given(self.graph[name], access))

    def _joined(self, node: Node, reads: list[tuple[str, Access]]) -> Form:
        """Each vector, moved to its place by a matrix."""
        sizes = [cast(int, self.graph[name].type.shape[0].constant) for name, _ in reads]
        whole = np.eye(sum(sizes))
        total = Form(())
        for read, columns in zip(reads, np.split(whole, np.cumsum(sizes)[:-1], 1), strict=True):
            total += self._vector(*read).multiplied(columns)
        return total

    def _elementwise(self, node: Node, given: list[Form]) -> Form | None:
        match node.op.name:
            case "add":
                return given[0] + given[1]
            case "sub":
                return given[0] - given[1]
            case "neg":
                return Form(()) - given[0]
            case "mul":
                return given[0] * given[1]
            case "div":
                inverse = _inverse(given[1])
                return applied("div", *given) if inverse is None else given[0] * inverse
            case "slice":
                ends = (cast(Poly, node.op[end]).constant for end in ("start", "stop"))
                return _rows(given[0], slice(*ends))
            case "select" | "exp" | "abs" | "min" | "max" as name:
                return applied(name, *given)
            case name if name in _SAME:
                return given[0]
            case name if name in _COMPARED:
                sides = given[::-1] if _COMPARED[name] else given
                return applied(_MIRRORED.get(name, name), *sides)
            case name if name in PLAIN:
                return applied(PLAIN[name], *given)
        return None


def _is_weighted(term: Term) -> bool:
    """A known vector, or the product of a known matrix with one value."""
    return not term.factors or (term.weight.ndim == 2 and len(term.factors) == 1)


def _inverse(form: Form) -> Form | None:
    """1 / form, of a known one."""
    if len(form.terms) == 1 and not form.terms[0].factors:
        return Form.constant(np.asarray(1 / form.terms[0].weight))
    return None


def _rows(form: Form, rows: slice) -> Form | None:
    """A block of a known vector, or of a sum of products with known matrices."""
    if any(term.factors and term.weight.ndim < 2 for term in form.terms):
        return None
    if any(term.weight.ndim == 0 for term in form.terms):
        return None
    return Form.of(Term(term.factors, term.weight[rows]) for term in form.terms)
