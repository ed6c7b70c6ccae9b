"""Writes ONNX: nodes in nested graphs, constants, and arrays whose axes are known.

An array has the axes of the grid that it varies along, then the batch, then the value's own; what
it does not vary along is left out, so that most operators need no reshaping.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnc.importers.onnx.graph import require_onnx
from rnnc.ir.poly import Poly
from rnnc.ir.types import DType
from rnnc.version import VERSION

from .unroll import refused

OPSET = 18
IR_VERSION = 8  # the one that came with the opset
LARGEST = 2**31 - 2**20  # bytes of parameters; a file is a protobuf message, of less than 2 GB
Array = npt.NDArray[np.generic]
NUMPY: dict[DType, type[np.generic]] = {"bool": np.bool_, "int": np.int64, "real": np.float32}


@dataclass(frozen=True, slots=True)
class Axis:
    """A grid axis: the points lower..upper of a dim."""

    dim: str
    lower: Poly
    upper: Poly


@dataclass(frozen=True, slots=True)
class Value:
    """An array in the model: `axes`, then the batch if there is one, then `rank` own axes."""

    name: str
    dtype: DType
    rank: int = 0
    axes: tuple[Axis, ...] = ()
    batch: bool = False

    @property
    def own(self) -> int:
        """Where the value's own axes begin."""
        return len(self.axes) + self.batch


@dataclass(slots=True)
class Scope:
    """A graph that is being written; inner ones see what outer ones have."""

    outer: Scope | None = None
    nodes: list[Any] = field(default_factory=list)
    known: dict[tuple[object, ...], Value] = field(default_factory=dict)

    def find(self, key: tuple[object, ...]) -> Value | None:
        scope: Scope | None = self
        while scope is not None:
            if key in scope.known:
                return scope.known[key]
            scope = scope.outer
        return None


class Writer:
    """Emits into `scope`; constants and parameters go to the outermost graph."""

    def __init__(self) -> None:
        self.onnx = require_onnx()
        self.scope = Scope()
        self.initializers: dict[str, Any] = {}
        self._constants: dict[tuple[object, ...], str] = {}
        self._taken: dict[str, int] = {}

    def name(self, hint: str) -> str:
        """A name that no other value has."""
        count = self._taken.get(hint, -1) + 1
        self._taken[hint] = count
        return self.name(f"{hint}.{count}") if count else hint

    def node(self, op: str, inputs: Sequence[str], hint: str, **attributes: object) -> str:
        [output] = self.nodes(op, inputs, [hint], **attributes)
        return output

    def nodes(
        self, op: str, inputs: Sequence[str], hints: Sequence[str], **attributes: object
    ) -> list[str]:
        outputs = [self.name(hint) if hint else "" for hint in hints]
        name = f"{op}:{outputs[0]}"
        made = self.onnx.helper.make_node(op, list(inputs), outputs, name=name, **attributes)
        self.scope.nodes.append(made)
        return outputs

    def prune(self, outputs: Sequence[str]) -> None:
        """Forgets what no output needs."""
        needed = set(outputs)
        kept: list[Any] = []
        for node in reversed(self.scope.nodes):
            if needed.intersection(node.output):
                needed.update(_names(node))
                kept.append(node)
        self.scope.nodes[:] = reversed(kept)
        self.initializers = {n: array for n, array in self.initializers.items() if n in needed}

    def array(self, array: Array, name: str) -> str:
        """An initializer of that very name."""
        made = self.onnx.numpy_helper.from_array(np.asarray(array, order="C"), name)
        self.initializers[name] = made
        return name

    def constant(self, array: Array, hint: str = "const") -> str:
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.array(array, self.name(hint))
        return self._constants[key]

    def ints(self, *numbers: int) -> str:
        return self.constant(np.asarray(numbers, np.int64), "axes")

    def number(self, value: bool | int | float, dtype: DType) -> Value:
        return Value(self.constant(np.asarray(value, NUMPY[dtype])), dtype)

    # ---- arrays -------------------------------------------------------------------------------

    def once(self, key: tuple[object, ...], made: Value) -> Value:
        self.scope.known[key] = made
        return made

    def cast(self, value: Value, dtype: DType) -> Value:
        if value.dtype == dtype:
            return value
        key = ("cast", value.name, dtype)
        found = self.scope.find(key)
        if found is not None:
            return found
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(NUMPY[dtype]))
        name = self.node("Cast", [value.name], f"{value.name}.{dtype}", to=kind)
        return self.once(key, replace(value, name=name, dtype=dtype))

    def unsqueeze(self, value: Value, places: Sequence[int]) -> str:
        """The array with axes of 1 at these places of the result."""
        if not places:
            return value.name
        key = ("unsqueeze", value.name, *places)
        found = self.scope.find(key)
        if found is None:
            name = self.node("Unsqueeze", [value.name, self.ints(*places)], f"{value.name}.wide")
            found = self.once(key, Value(name, value.dtype))
        return found.name

    def transpose(self, value: Value, axes: Sequence[Axis]) -> Value:
        """The grid axes in the order in which they occur in `axes`."""
        order = sorted(value.axes, key=lambda axis: [a.dim for a in axes].index(axis.dim))
        if tuple(order) == value.axes:
            return value
        places = [value.axes.index(axis) for axis in order]
        places += range(len(order), value.own + value.rank)
        name = self.node("Transpose", [value.name], f"{value.name}.t", perm=places)
        return replace(value, name=name, axes=tuple(order))

    def aligned(self, values: Sequence[Value], ranks: Sequence[int]) -> tuple[list[str], Value]:
        """Arrays that broadcast against each other, and what their axes are then.

        `ranks` are the numbers of own axes that they are to have (at least what they have).
        """
        axes: list[Axis] = []
        for value in sorted(values, key=lambda value: -len(value.axes)):
            axes += [axis for axis in value.axes if axis.dim not in [a.dim for a in axes]]
        batch = any(value.batch for value in values)
        names: list[str] = []
        for value, rank in zip(values, ranks, strict=True):
            value = self.transpose(value, axes)
            mine = [axis.dim for axis in value.axes]
            present = [axis.dim in mine for axis in axes] + [value.batch] * batch
            present += [place >= rank - value.rank for place in range(rank)]
            # Axes that are missing in front broadcast by themselves.
            first = present.index(True) if True in present else len(present)
            missing = [n - first for n in range(first, len(present)) if not present[n]]
            names.append(self.unsqueeze(value, missing))
        return names, Value("", values[0].dtype, max(ranks), tuple(axes), batch)

    def pointwise(
        self, op: str, values: Sequence[Value], dtype: DType, hint: str, **attributes: object
    ) -> Value:
        """An operator that broadcasts as NumPy does; own axes are suffixes of the longest."""
        rank = max(value.rank for value in values)
        # A shorter value needs axes only if something stands before its own ones.
        ranks = [value.rank if value.own == 0 else rank for value in values]
        names, result = self.aligned(values, ranks)
        name = self.node(op, names, hint, **attributes)
        return replace(result, name=name, dtype=dtype, rank=rank)

    def where(self, condition: Value, then: Value, otherwise: Value, hint: str) -> Value:
        """`then` where the condition holds; both have one dtype."""
        dtype = then.dtype
        if dtype != "bool":
            return self.pointwise("Where", [condition, then, otherwise], dtype, hint)
        # ONNX Runtime chooses among numbers only.
        kept = self.pointwise("And", [condition, then], dtype, f"{hint}.then")
        opposite = self.pointwise("Not", [condition], dtype, f"{hint}.not")
        rest = self.pointwise("And", [opposite, otherwise], dtype, f"{hint}.else")
        return self.pointwise("Or", [kept, rest], dtype, hint)


def _names(node: Any) -> Iterator[str]:
    """What a node reads, and the nodes of its bodies."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _names(inner)
        yield from (value.name for value in attribute.g.output)


def finished(graph: Any, domains: Mapping[str, int] = MappingProxyType({})) -> Any:
    """The model of a graph, with the versions of other `domains`. Raises RNN604 if it is too large
    for a file."""
    size = sum(len(entry.raw_data) for entry in graph.initializer)
    if size > LARGEST:
        raise refused(f"an ONNX file has less than 2 GB, the parameters have {size / 1e9:.1f}")
    helper = require_onnx().helper
    versions = {"": OPSET, **domains}
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(*version) for version in versions.items()],
        ir_version=IR_VERSION,
        producer_name="rnnc",
        producer_version=VERSION,
    )
