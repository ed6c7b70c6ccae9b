"""What reads the states of a chain at their own point is computed inside its loop.

    c[t] = f[t] * c[t-1] + x[t]          chain
    h[t] = o[t] * c[t]                   joins it: c need not be stored and read again

Legal where the reader is pointwise, at the same points and of the same shape, and all else that it
reads is there before the chain begins. Whether it pays is a question of `CostModel.joins_chain`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from rnnc.analysis.components import Component
from rnnc.analysis.cost import CostModel
from rnnc.analysis.dependence import sources
from rnnc.analysis.timing import Timing
from rnnc.ir.graph import Graph, Node
from rnnc.ir.ops import is_pointwise, is_statement
from rnnc.ir.poly import Poly


def with_epilogues(cost: CostModel, components: Sequence[Component]) -> tuple[Component, ...]:
    """The components with readers moved into the chains before them."""
    found: list[Component] = []
    rest = list(components)
    while rest:
        component = rest.pop(0)
        if component.kind == "chain":
            component = extended(cost, component, rest)
            moved = set(component.nodes)
            rest = [other for other in rest if not moved.issuperset(other.nodes)]
        found.append(component)
    return tuple(found)


def extended(cost: CostModel, chain: Component, later: Iterable[Component]) -> Component:
    """The chain with what joins it of the components behind it."""
    graph, timing = cost.graph, chain.timing
    assert timing is not None
    behind = dict.fromkeys(name for component in later for name in component.nodes)
    like = {name: name for name in chain.nodes}  # the statement of the chain that each is beside
    for component in later:
        if component.kind != "parallel" or len(component.nodes) > 1:
            continue
        [name] = component.nodes
        beside = joined(graph, graph[name], like, behind)
        if beside is not None and cost.joins_chain(graph[name], chain):
            like[name] = like[beside]
            del behind[name]
    gamma = dict(chain.gamma)
    return replace(
        chain,
        nodes=tuple(like),
        gamma=tuple((name, gamma[state]) for name, state in like.items()),
        timing=Timing(
            timing.scale, {name: timing.positions[state] for name, state in like.items()}
        ),
    )


def joined(
    graph: Graph, node: Node, inside: Mapping[str, str], behind: Collection[str]
) -> str | None:
    """A statement of the chain that this one may stand behind, if there is one."""
    if not is_pointwise(node.op) or not is_statement(node.op):
        return None
    here = tuple(Poly.of(name) for name in node.domain.names)
    beside: str | None = None
    for operand in node.operands:
        first = graph[operand.source]
        direct = (
            operand.access == here
            and first.domain == node.domain
            and first.type.shape == node.type.shape
        )
        for source, _, _ in sources(graph, operand, True):
            if source.id in inside:
                if source.id != first.id or not direct:
                    return None
                beside = source.id
            elif source.id in behind:
                return None
    return beside
