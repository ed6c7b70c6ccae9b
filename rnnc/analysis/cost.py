"""What a schedule costs: THE estimate by which orders that are all legal are compared.

A phase of products with r rows on weights of N x K takes the longer of its arithmetic and of
reading its weights, once for each register tile of rows, from the level of the cache where all
weights of its loop stay; a wave that is worth sharing takes a barrier more. Layers one after
another have their input products computed for all steps at once (many rows, one phase), and their
results stored and read again; a wavefront has fewer waves, and all layers' weights in every one.
What a target is like is a `Machine`: its numbers only rank.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from rnnc.analysis.boxes import extreme, tightened
from rnnc.analysis.components import Component
from rnnc.analysis.machine import CPU, Machine
from rnnc.ir.graph import Graph, Node, Operand
from rnnc.ir.ops import is_statement, is_view
from rnnc.ir.poly import Poly
from rnnc.weights import BYTES, PackType

# Taken for an extent of which nothing is known.
_LIKELY = 100
# Both must be served well: one sequence at a time, and many.
_BATCHES = (1, 32)
# The part of its waves that a loop goes through which may end early: nobody knows.
_UNTIL_STOPPED = 0.5
# Ops of an instruction or two.
_ARITHMETIC = frozenset({"add", "sub", "mul", "neg", "abs", "max", "min", "relu", "select", "cast"})
# Estimates that differ by less say nothing.
_CLEARLY = 0.83


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix product: how often, on how many different weights of which size."""

    vector: Operand  # products of the same one are one kernel
    points: float
    weights: float
    size: float  # multiply-adds of one point and row
    result: float  # elements


@dataclass(frozen=True, slots=True)
class CostModel:
    """`extents` are likely ones; an extent that is not among them is taken to be long.

    `weight` is the size of one, in bytes.
    """

    graph: Graph
    extents: Mapping[str, int]
    machine: Machine = CPU
    weight: int = 4

    @staticmethod
    def of(
        graph: Graph,
        hints: Mapping[str, int],
        weights: PackType = "float32",
        machine: Machine = CPU,
    ) -> CostModel:
        return CostModel(graph, _Likely(hints), machine, BYTES[weights])

    def better(
        self, left: Sequence[Component], right: Sequence[Component], times: float = 1
    ) -> bool:
        """Whether `left` is clearly the faster one, over the batches that matter; loops around
        both turn so many times."""
        ratios = [
            self.seconds(left, batch, times) / self.seconds(right, batch, times)
            for batch in _BATCHES
        ]
        return prod(ratios) < _CLEARLY ** len(ratios)

    def seconds(self, components: Iterable[Component], batch: int, times: float = 1) -> float:
        """Components one after another, each for one of `times` turns of the loops around."""
        return sum((self.one(component, batch, times) for component in components), 1e-9)

    def one(self, component: Component, batch: int, times: float) -> float:
        machine = self.machine
        products = [found for name in component.nodes for found in self.products(name, times)]
        if component.kind in ("parallel", "chain"):
            stored = sum(8 * found.points * batch * found.result for found in products)
            size = sum(found.points * found.size for found in products) * batch
            # Alone, all of them share it; in a loop, what is large enough.
            shared = bool(products) and (times == 1 or size >= machine.worth_sharing)
            cores = machine.cores if shared or not products else 1
            again = sum(4 * found.weights * found.size for found in products) if times > 1 else 0
            work = sum(self.phase(found, 1, batch, again / cores) for found in products)
            moved = stored / machine.bandwidth(stored)
            return machine.barrier * shared + (work + moved) / cores
        assert component.waves is not None
        waves = max(1, component.waves.evaluate(self.extents))
        turns = waves if component.until is None else max(1, waves * _UNTIL_STOPPED)
        if component.kind == "split":
            return turns * self.seconds(component.inner, batch, times * waves)
        wave = sum(found.points * found.size for found in products) * batch / waves
        shared = wave >= machine.worth_sharing
        cores = machine.cores if shared else 1
        resident = sum(self.weight * found.weights * found.size for found in products) / cores
        work = sum(self.phase(found, waves, batch, resident) for found in products)
        kernels = len({found.vector for found in products})
        overhead = machine.barrier * shared + machine.kernel * kernels
        return turns * (overhead + work / cores)

    def chunks(self, component: Component, states: int = 1) -> int:
        """Into how many parts that run at once an affine chain is best cut; 1: not at all.

        A part is run twice, first to see what it makes of what it begins with: that is as many
        chains more as there are coupled states.
        """
        best, least = 1, self.scanned(component, 1, states)
        for chunks in (2**power for power in range(2, 7)):
            seconds = self.scanned(component, chunks, states)
            # A scan must be well worth it: what it reads twice is not counted.
            if seconds < least / (1.25 if best == 1 else 1):
                best, least = chunks, seconds
        return best

    def scanned(self, component: Component, chunks: int, states: int) -> float:
        """Geometric mean over the batches that matter."""
        assert component.waves is not None
        machine, steps = self.machine, component.waves.evaluate(self.extents)
        vectors = self.vectors(component)
        seconds = 1.0
        for batch in _BATCHES:
            chains = vectors * batch
            turns = max(1.0, chains * chunks / (machine.cores * machine.streams))
            if chunks == 1:
                seconds *= machine.barrier + steps * turns * machine.step
            else:
                runs = 1 + (1 + states) / 2
                passes = runs * steps / chunks * turns + 2 * chunks
                seconds *= 3 * machine.barrier + passes * machine.step
        return float(seconds ** (1 / len(_BATCHES)))

    def vectors(self, component: Component) -> float:
        """Chains of one row, as many at a time as a vector holds."""
        node = self.graph[component.nodes[0]]
        points = prod(
            max(1, extent.evaluate(self.extents))
            for dim, extent in extents_of(node)
            if component.timing is None or not component.timing.positions[node.id].coefficient(dim)
        )
        shape = [size.constant or 1 for size in node.type.shape]
        return points * (prod(shape[:-1]) * -(-shape[-1] // self.machine.lanes) if shape else 1)

    def joins_chain(self, node: Node, chain: Component) -> bool:
        """Whether what reads a chain's states is better computed in its loop than behind it.

        Arithmetic costs nothing while the chain waits for its step before; a function costs as much
        as elsewhere, where one row's chains keep all cores busy.
        """
        busy = self.machine.cores * self.machine.streams
        return node.op.name in _ARITHMETIC or self.vectors(chain) >= busy

    def phase(self, found: Product, waves: float, batch: int, resident: float) -> float:
        """One wave's part of a product, on one core."""
        machine = self.machine
        points = found.points / waves
        weights = max(1.0, min(points, found.weights))
        rows = batch * max(1.0, points / weights)
        arithmetic = 2 * weights * rows * found.size / machine.flops
        times = max(1.0, rows / machine.tile)
        read = self.weight * weights * found.size * times
        return max(arithmetic, read / machine.bandwidth(resident))

    def products(self, name: str, times: float) -> Iterable[Product]:
        """The product that a statement is, if it is one."""
        node = self.graph[name]
        if node.op.name != "matmul":
            return
        left, right = (self.graph[read.source] for read in node.operands)
        sizes = [prod(size.constant or 1 for size in read.type.shape) for read in (left, right)]
        heavy = 0 if sizes[0] > sizes[1] else 1
        own = varies(self.graph, node, node.operands[heavy])
        points = weights = 1.0
        for dim, extent in extents_of(node):
            count = max(1, extent.evaluate(self.extents))
            points *= count
            weights *= count if dim in own else 1
        yield Product(
            node.operands[1 - heavy],
            max(1.0, points / times),
            max(1.0, weights / times),
            sizes[heavy],
            prod(size.constant or 1 for size in node.type.shape),
        )


def extents_of(node: Node) -> Iterable[tuple[str, Poly]]:
    """The extent of each dim of a statement, at most."""
    box = tightened(node.domain)
    for dim in box.dims:
        yield dim.name, extreme(dim.extent, box, 1) or Poly.of(1)


def varies(graph: Graph, node: Node, operand: Operand) -> set[str]:
    """The dims of a node along which an operand is another value; parameters are looked for
    behind views, anything computed is taken to vary with all that its index names."""
    source = graph[operand.source]
    found = {name for index in operand.access if isinstance(index, Poly) for name in index.names}
    if is_view(source.op) and not is_statement(source.op):
        inner = set[str]().union(*(varies(graph, source, read) for read in source.operands))
        return found if inner else set()
    return found & set(node.domain.names)


class _Likely(dict[str, int]):
    """Extents, with a guess for those that nobody gave."""

    def __missing__(self, name: str) -> int:
        return _LIKELY
