"""ONNX's Scan: the body's nodes as equations at step t, its states as recurrences.

Up to opset 8 a Scan has a batch in its first axis and its steps in the second; from opset 9 on the
steps are in the first (or in `scan_input_axes`), and an axis whose dim is a name is the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .graph import Dim, Graph, Node
from .operators import Operand, Operators
from .values import Axis, Value
from .writer import Writer


def scan_roles(
    node: Node, opset: int, inputs: Mapping[str, tuple[tuple[Dim, ...] | None, bool]]
) -> dict[str, tuple[Axis | None, ...]]:
    """What a Scan says of the axes of the model's inputs that it takes."""
    names = node.inputs[1:] if opset < 9 else node.inputs
    scanned = int(node.attributes["num_scan_inputs"])
    states = len(names) - scanned
    found: dict[str, tuple[Axis | None, ...]] = {}
    for place, name in enumerate(names):
        if name not in inputs or inputs[name][0] is None:
            continue
        dims = inputs[name][0] or ()
        roles: list[Axis | None] = ["batch" if isinstance(dim, str) else None for dim in dims]
        if opset < 9:
            roles = [None] * len(dims)
            roles[0] = "batch"
        if place >= states:
            axes = node.attributes.get("scan_input_axes") or [0] * scanned
            axis = 1 if opset < 9 else int(axes[place - states]) % len(dims)
            roles[axis] = "time"
        found[name] = tuple(roles)
    return found


def emit_scan(
    node: Node, given: Sequence[Operand | None], opset: int, writer: Writer, operators: Operators
) -> list[Value]:
    """Equations for the body; final states, then what is stacked along the steps."""
    if opset < 9:
        if given[0] is not None:
            raise node.refuse("rows of different lengths are not known")
        given = given[1:]
    body, scanned = node.attributes["body"], int(node.attributes["num_scan_inputs"])
    assert isinstance(body, Graph)
    states = len(given) - scanned
    for name in ("directions", "scan_input_directions", "scan_output_directions"):
        if any(node.attributes.get(name) or ()):
            raise node.refuse("steps in reverse are not known")
    if any(node.attributes.get("scan_output_axes") or ()):
        raise node.refuse("results that are stacked along another axis than the first")
    writer.timed = True
    values: dict[str, Operand] = dict(body.constants)
    starts: list[Value] = []
    names: list[str] = []
    formal = list(body.inputs)
    for name, operand in zip(formal[:states], given[:states], strict=True):
        start = _start(node, operand, operators)
        own = writer.name(name)
        starts.append(start)
        names.append(own)
        values[name] = Value(("time", *start.axes), (f"{own}[t-1]",))
    for name, operand in zip(formal[states:], given[states:], strict=True):
        if not isinstance(operand, Value) or not operand.timed or len(operand.parts) > 1:
            raise node.refuse("what it scans has no axis of steps")
        inner = tuple(axis for axis in operand.axes if axis != "time")
        values[name] = Value(("time", *inner), operand.parts)
    for inner_node in body.nodes:
        operands: list[Operand | None] = []
        for name in inner_node.inputs:
            if name and name not in values:
                raise inner_node.refuse(f"its input '{name}' is from outside the body of the Scan")
            operands.append(values[name] if name else None)
        if inner_node.op == "Scan":
            raise inner_node.refuse("a Scan inside a Scan is not known")
        results = operators.emit(inner_node, operands)
        values |= {name: v for name, v in zip(inner_node.outputs, results, strict=False) if name}
    outputs: list[Value] = []
    for place, name in enumerate(body.outputs):
        value = values[name]
        if isinstance(value, np.ndarray):
            raise node.refuse(f"its result '{name}' is a constant")
        assert isinstance(value, Value)
        if place < states:
            state, start = names[place], starts[place]
            writer.equations.append(f"{state}[t] = {value.parts[0]}")
            writer.equations.append(f"{state}[-1] = {start.parts[0]}")
            outputs.append(Value(start.axes, (f"{state}[T-1]",)))
        elif opset < 9 and "batch" in value.axes:
            rest = tuple(axis for axis in value.axes if axis not in ("time", "batch"))
            outputs.append(Value(("batch", "time", *rest), value.parts))
        else:
            outputs.append(value)
    return outputs


def _start(node: Node, operand: Operand | None, operators: Operators) -> Value:
    if operand is None:
        raise node.refuse("an initial state is missing")
    return operators.value(node, operand)
