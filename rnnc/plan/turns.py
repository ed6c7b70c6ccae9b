"""Waves that come in turns: loops whose every wave is one phase of a step become loops of steps.

    for w in 0..9*T:                           for w in 0..T:
        phase: a at t = w/9                        phase: a at t = w
               b at t = (w - 1)/9         ->       phase: b at t = w
               ...                                 ...

A schedule counts a wave for everything that must wait. Where each index of a loop takes g of them,
all statements stand at a multiple of g plus some number below it, and g waves make one: in it, what
waits is a phase behind what it waits for. Legal because waves keep their order: a read either
crosses a step, or stands in one, and then the phases of a plan keep apart what the waves did.
"""

from __future__ import annotations

from dataclasses import replace
from math import gcd

from rnnc.analysis.components import Component
from rnnc.analysis.timing import counted
from rnnc.ir.graph import Graph
from rnnc.ir.poly import Poly
from rnnc.plan.groups import reads


def in_turns(graph: Graph, component: Component) -> Component:
    """The component in loops of as few waves as there can be; itself if there is nothing to do."""
    inner = tuple(in_turns(graph, found) for found in component.inner)
    if component.kind == "split":
        return component if inner == component.inner else replace(component, inner=inner)
    timing = component.timing
    if timing is None or component.kind not in ("affine", "joint") or component.until is not None:
        return component
    turn = gcd(*(c for p in timing.positions.values() for key, c in p.terms if key))
    if timing.scale > 1 or turn < 2 or not is_affine(graph, component):
        return component
    positions = {name: position // turn for name, position in timing.positions.items()}
    nodes = {name: graph[name] for name in component.nodes}
    steps, count = counted(nodes, positions, 1)
    return replace(component, timing=steps, waves=count)


def is_affine(graph: Graph, component: Component) -> bool:
    """Whether all that statements read of each other is known before it is computed."""
    return not any(
        read.source.id in component.nodes and not isinstance(index, Poly)
        for name in component.nodes
        for read in reads(graph, graph[name])
        for index in read.access.values()
    )
