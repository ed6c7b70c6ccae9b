"""Where values live: which nodes are stored, in which buffer, at which index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rnnc.analysis.boxes import tightened
from rnnc.analysis.regions import store_index
from rnnc.ir.domain import Dim, Domain
from rnnc.ir.graph import Graph, Node
from rnnc.ir.poly import Poly
from rnnc.plan.expression import Expression
from rnnc.plan.plan import Buffer, BufferDim, Role


@dataclass(frozen=True, slots=True)
class Home:
    """A node's value at its own point stands in `buffer` at `index` (over the node's dims)."""

    buffer: str
    index: tuple[Poly, ...]


@dataclass(frozen=True, slots=True)
class Storage:
    """`homes`: where each stored node is read; `writes`: everywhere its kernel must write it."""

    buffers: Mapping[str, Buffer]
    homes: Mapping[str, Home]
    writes: Mapping[str, tuple[Home, ...]]

    def role(self, buffer: str) -> Role:
        return self.buffers[buffer].role

    def may_leave(
        self, buffer: str, number: int, entry: Poly | Expression, limits: Mapping[str, str]
    ) -> bool:
        """Whether a row shorter than the array could read beyond its own end or the buffer.

        `limits` maps a loop variable to the extent below which it stays at valid points.
        """
        extent = self.buffers[buffer].dims[number].extent
        if extent is None:
            return False
        if not isinstance(entry, Poly):
            return True
        if entry.constant is not None:
            return entry.offset >= 0
        for name in entry.names:
            if limits.get(name) == extent or name == extent:
                rest = (entry - Poly.of(name)).constant
                return rest is None or rest > (-1 if name == extent else 0)
        return True


def assign(graph: Graph, stored: Mapping[str, bool], batched: Mapping[str, bool]) -> Storage:
    """Buffers for inputs, params, variables and every node in `stored`.

    The cases of a variable write straight into its buffer; a node that is no case of a variable
    (or only of outputs) and is read elsewhere gets a buffer of its own.
    """
    exported = {output.node: output.name for output in graph.outputs}
    buffers: dict[str, Buffer] = {}
    homes: dict[str, Home] = {}
    writes: dict[str, list[Home]] = {}
    for node in graph.nodes:
        if node.op.name in ("input", "param", "merge"):
            role: Role = "state"
            if node.op.name != "merge":
                role = "input" if node.op.name == "input" else "param"
            elif node.id in exported:
                role = "output"
            buffers[node.id] = buffer_for(graph, node, role, batched[node.id])
            homes[node.id] = own_home(node)
    for node in graph.nodes:
        if node.op.name != "merge":
            continue
        for case in node.operands:
            source = graph[case.source]
            index = store_index(source, case)
            assert index is not None, f"{case.source} does not relabel its points in {node.id}"
            home = Home(node.id, tuple(index[axis] for axis in storage_order(node.domain)))
            writes.setdefault(source.id, []).append(home)
            if node.id not in exported:
                homes.setdefault(source.id, home)
    for node in graph.nodes:
        if stored.get(node.id) and node.id not in homes:
            buffers[node.id] = buffer_for(graph, node, "state", batched[node.id])
            homes[node.id] = own_home(node)
            writes.setdefault(node.id, []).append(homes[node.id])
    return Storage(buffers, homes, {name: tuple(places) for name, places in writes.items()})


def storage_order(domain: Domain) -> tuple[int, ...]:
    """Static dims first, then run-time dims, each in the order in which they are named."""
    return tuple(sorted(range(len(domain.dims)), key=lambda axis: not domain.dims[axis].static))


def own_home(node: Node) -> Home:
    """A buffer of the node's own, indexed by its own point."""
    names = node.domain.names
    return Home(node.id, tuple(Poly.of(names[axis]) for axis in storage_order(node.domain)))


def buffer_for(graph: Graph, node: Node, role: Role, batched: bool) -> Buffer:
    """A buffer for all points of a node."""
    box = node.domain if role in ("input", "output") else tightened(node.domain)
    dims = tuple(buffer_dim(graph, box.dims[axis]) for axis in storage_order(node.domain))
    shape = tuple(size.constant for size in node.type.shape)
    assert all(size is not None for size in shape)
    sizes = tuple(size for size in shape if size is not None)
    return Buffer(node.id, role, node.type.dtype, dims, batched, sizes)


def buffer_dim(graph: Graph, dim: Dim) -> BufferDim:
    assert dim.lower is not None and dim.upper is not None, f"{dim.name} is unbounded"
    extents = [size.name for size in graph.sizes if size.kind == "extent"]
    extent = next((name for name in dim.upper.names if name in extents), None)
    return BufferDim(dim.name, dim.lower, dim.upper, None if dim.static else extent)
