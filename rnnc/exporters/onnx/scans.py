"""Recurrences as Scans: what they carry from step to step, and what they leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnc.ir.poly import Poly

from .loops import Loop, bounds_of, box, carried, find_loop
from .reads import cases
from .writer import NUMPY, Axis, Scope, Value

if TYPE_CHECKING:
    from .exporter import Export


def emit_scan(export: Export, members: tuple[str, ...]) -> None:
    """A Scan."""
    loop = find_loop(export.graph, members, [loop for loop, _ in export.stack])
    for name in members:
        export.cycle.setdefault(name, members)
    states = [(s, step) for s, delay in loop.delays.items() for step in range(1, delay + 1)]
    first = [before(export, loop, name, step) for name, step in states]
    empty = [nothing(export, loop, name) for name in loop.kept]
    axis = Axis(export.writer.name(loop.dims[members[0]]), loop.lower, loop.upper)
    steps = export.places.range(axis)

    outer, export.writer.scope = export.writer.scope, Scope(export.writer.scope)
    index = Value(export.writer.name(f"{axis.dim}.now"), "int")
    inputs: list[Value] = []
    carried_on: dict[tuple[str, int], Value] = {}
    for (name, step), value in zip(states, first, strict=True):
        inside = replace(value, name=export.writer.name(f"{name}.{step}ago"))
        carried_on[name, step] = inside
        inputs.append(inside)
    export.states[loop] = carried_on
    export.histories[loop] = {}
    for name, value in zip(loop.kept, empty, strict=True):
        inside = replace(value, name=export.writer.name(f"{name}.history"))
        export.histories[loop][name] = inside
        inputs.append(inside)
    for name in members:
        export.around[name] = (*export.around.get(name, ()), loop)
    export.stack.append((loop, index))
    export.emit(members)
    nexts: list[str] = []
    for (name, step), value in zip(states, first, strict=True):
        now = carried_on[name, step - 1] if step > 1 else export.values[name]
        now = export.writer.cast(now, value.dtype)
        nexts.append(copied(export, export.whole(now, value.axes, export.graph[name])))
    nexts += [copied(export, export.histories[loop][name].name) for name in loop.kept]
    kept = [name for name in members if is_needed(export, name, members)]
    wholes: list[tuple[str, Value]] = []
    for name in kept:
        value = export.values[name]
        nexts.append(copied(export, export.whole(value, value.axes, export.graph[name])))
        wholes.append((name, replace(value, batch=True, rank=export.graph[name].type.rank)))
    export.stack.pop()
    body = scan_body(export, f"{axis.dim}.step", [*inputs, index], nexts)
    export.writer.scope = outer

    backwards = 0 if loop.forward else 1
    hints = [f"{name}.{step}last" for name, step in states]
    hints += [f"{name}.all" for name in loop.kept]
    outputs = export.writer.nodes(
        "Scan",
        [*(value.name for value in (*first, *empty)), steps.name],
        [*hints, *kept],
        body=body,
        num_scan_inputs=1,
        scan_input_directions=[backwards],
        scan_output_directions=[backwards] * len(kept),
    )
    for name in members:
        export.values.pop(name, None)
        export.around[name] = export.around[name][:-1] if export.stack else export.around[name]
    for (name, value), array in zip(wholes, outputs[len(first) + len(empty) :], strict=True):
        whole = Axis(loop.dims[name], loop.lower, loop.upper)
        export.values[name] = replace(value, name=array, axes=(whole, *value.axes))


def copied(export: Export, name: str) -> str:
    """An output of a body is no input of it, and no other output."""
    return export.writer.node("Identity", [name], f"{name}.out")


def before(export: Export, loop: Loop, name: str, step: int) -> Value:
    """A member as it was so many steps before the loop begins."""
    node = export.graph[name]
    bounds = box(export.graph, name, export.cycle[name])
    full = export.site(node, {**bounds_of(node), **bounds})
    dim = loop.dims[name]
    axes = tuple(axis for axis in full.axes if axis.dim != dim)
    site = replace(full, axes=axes)
    at = loop.lower - step if loop.forward else loop.upper - 1 + step
    access = tuple(at if other == dim else Poly.of(other) for other in node.domain.names)
    merged = node.op.name == "merge"
    value = cases(export, name, access, site, outside=True) if merged else export.filled(node, 0)
    dtype = node.type.dtype
    whole = export.whole(export.writer.cast(value, dtype), axes, node)
    return Value(whole, dtype, node.type.rank, axes, True)


def nothing(export: Export, loop: Loop, name: str) -> Value:
    """A member at all steps of a loop, before it begins: zeros."""
    node = export.graph[name]
    site = export.site(node, {**bounds_of(node), **box(export.graph, name, export.cycle[name])})
    whole = Axis(loop.dims[name], loop.lower, loop.upper)
    axes = (whole, *(axis for axis in site.axes if axis.dim != whole.dim))
    zeros = export.whole(export.filled(node, 0), axes, node)
    return Value(zeros, node.type.dtype, node.type.rank, axes, True)


def remember(export: Export, name: str) -> None:
    """Puts what a member is at this step where all its steps are."""
    for loop, index in export.stack:
        if name not in loop.kept:
            continue
        history = export.histories[loop][name]
        whole = history.axes[0]
        here = export.writer.pointwise(
            "Equal", [export.places.range(whole), index], "bool", f"{name}.here"
        )
        now = export.writer.cast(export.values[name], history.dtype)
        found = export.writer.where(here, now, history, f"{name}.history")
        made = export.whole(found, history.axes, export.graph[name])
        export.histories[loop][name] = replace(history, name=made)


def is_needed(export: Export, name: str, members: tuple[str, ...]) -> bool:
    """Whether anybody outside of the loop that is open reads it."""
    loops = [loop for loop, _ in export.stack[:-1]]
    if any(name in output for output in export.unrolled.outputs.values()):
        return True
    if any(name in loop.delays or name in loop.kept for loop in loops):
        return True
    for reader, position in export.graph.readers(name):
        operand = reader.operands[position]
        if reader.id not in members or carried(export.graph, reader.id, operand, loops):
            return True
    return False


def scan_body(export: Export, name: str, inputs: Sequence[Value], outputs: Sequence[str]) -> Any:
    helper = export.writer.onnx.helper
    infos = []
    for value in inputs:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(NUMPY[value.dtype]))
        infos.append(helper.make_tensor_value_info(value.name, kind, None))
    made = [helper.make_empty_tensor_value_info(output) for output in outputs]
    return helper.make_graph(export.writer.scope.nodes, name, infos, made)
