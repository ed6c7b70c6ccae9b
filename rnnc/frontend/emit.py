"""New nodes of the IR. While types are inferred, only their types exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rnnc.diagnostics import Span
from rnnc.frontend.values import Tensor
from rnnc.ir.domain import Domain
from rnnc.ir.graph import Builder, Index, Node, Op, Operand
from rnnc.ir.ops import infer, op
from rnnc.ir.poly import Poly
from rnnc.ir.types import DType, TensorType


def identity(domain: Domain) -> tuple[Index, ...]:
    """The access that reads a node of this domain at the reader's own point."""
    return tuple(Poly.of(name) for name in domain.names)


@dataclass(slots=True)
class Emitter:
    """`builder` is None while types are inferred."""

    builder: Builder | None = None
    names: dict[str, str] = field(default_factory=dict)  # better ids, given at the end
    _constants: dict[tuple[str, str], Operand] = field(default_factory=dict)
    _params: dict[tuple[str, Domain, TensorType, str], str] = field(default_factory=dict)

    def add(
        self,
        operation: Op,
        operands: Sequence[Tensor],
        domain: Domain,
        hint: str,
        span: Span | None,
        *,
        type: TensorType | None = None,
        bound: Domain | None = None,
    ) -> Tensor:
        """A node with an inferred type (or the given one), as read at its own point."""
        if type is None:
            type = infer(operation, [operand.type for operand in operands])
        if self.builder is None:
            return Tensor(type, Operand("", identity(domain)))
        name = self.builder.fresh(hint)
        reads = tuple(operand.read for operand in operands)
        spans = () if span is None else (span,)
        self.builder.add(Node(name, operation, reads, domain, type, bound, spans))
        return Tensor(type, Operand(name, identity(domain), span=span))

    def rename(self, tensor: Tensor, name: str) -> None:
        """Proposes an id for the node that ends the computation of a name."""
        source = tensor.read.source
        if source.startswith(name + "."):
            self.names.setdefault(source, name)

    def reserve(self, hint: str) -> str:
        """An id for a node that is added later: a merge that its own cases read."""
        return "" if self.builder is None else self.builder.fresh(hint)

    def merge(
        self,
        cases: Sequence[Operand],
        domain: Domain,
        type: TensorType,
        hint: str,
        span: Span | None,
        *,
        name: str | None = None,
    ) -> Tensor:
        """A merge node; `cases` carry guards, and the operands of their data-dependent indices."""
        if self.builder is None:
            return Tensor(type, Operand("", identity(domain)))
        name = name or self.builder.fresh(hint)
        spans = () if span is None else (span,)
        self.builder.add(Node(name, op("merge"), tuple(cases), domain, type, None, spans))
        return Tensor(type, Operand(name, identity(domain), span=span))

    def constant(self, value: bool | int | float | complex, dtype: DType, span: Span) -> Tensor:
        """A number, once for all its readers."""
        type = TensorType(dtype)
        if self.builder is None:
            return Tensor(type, Operand(""))
        converted: bool | int | float | complex
        match dtype:
            case "bool":
                converted = bool(value)
            case "int":
                converted = int(value.real)
            case "real":
                converted = float(value.real)
            case "complex":
                converted = complex(value)
        key = (dtype, repr(converted))
        if key not in self._constants:
            name = self.builder.fresh("constant")
            node = Node(name, op("constant", value=converted), (), Domain(), type, None, (span,))
            self.builder.add(node)
            self._constants[key] = Operand(name)
        return Tensor(type, replace(self._constants[key], span=span))

    def index(self, value: Poly, domain: Domain, span: Span) -> Tensor:
        """The value of a polynomial in grid indices and sizes, over the dims that it names."""
        dims = tuple(dim for dim in domain.dims if dim.name in value.names)
        return self.add(op("index", value=value), (), Domain(dims), f"index.{value}", span)

    def param(self, path: str, initial: str, domain: Domain, type: TensorType, span: Span) -> str:
        """The id of the weights at `path` over `domain`."""
        key = (path, domain, type, initial)
        if self.builder is None:
            return ""
        if key not in self._params:
            name = self.builder.fresh(path)
            operation = op("param", path=path, initial=initial)
            self.builder.add(Node(name, operation, (), domain, type, None, (span,)))
            self._params[key] = name
        return self._params[key]

    def input(
        self,
        name: str,
        default: int | float | complex | bool | None,
        domain: Domain,
        type: TensorType,
        span: Span,
    ) -> str:
        if self.builder is None:
            return ""
        name = self.builder.fresh(name)
        operation = op("input", name=name, default=default)
        self.builder.add(Node(name, operation, (), domain, type, None, (span,)))
        return name
