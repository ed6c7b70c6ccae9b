"""ONNX's LSTM, GRU and RNN: cells of the library where they are that, cells of their own else.

Equations as in the ONNX operator reference, opset 14 and before. Gates go by the names of rnnc's
cells: ONNX's c is g, its h of the GRU is n, R is U. The two biases of a gate are summed, but where
the reset gate multiplies one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnnc.importers.gates import ONNX_PEEPHOLES, split_gates

from .activations import activations, clipped
from .graph import Array, Node
from .values import Axis, Value
from .writer import Writer

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_STATES = {"LSTM": ("h", "c"), "GRU": ("h",), "RNN": ("h",)}
_KNOWN = {
    "activations", "activation_alpha", "activation_beta", "clip", "direction", "hidden_size",
    "input_forget", "layout", "linear_before_reset", "output_sequence",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recurrent:
    """One such node, its arrays checked."""

    node: Node
    hidden: int
    inputs: int
    arrays: Mapping[str, Array]  # W, R, and B, P if there

    @property
    def directions(self) -> tuple[str, ...]:
        match self.node.attributes.get("direction", "forward"):
            case "bidirectional":
                return ("forward", "reverse")
            case "forward" | "reverse" as one:
                return (one,)
            case other:
                raise self.node.refuse(f"the direction '{other}' is not known")

    @property
    def batch_first(self) -> bool:
        return bool(self.node.attributes.get("layout", 0))

    def axes(self, *inner: Axis) -> tuple[Axis, ...]:
        """The axes of Y (with "time") or of a state, as the node's layout has them."""
        if "time" in inner:
            own: tuple[Axis, ...] = ("time", "direction", "batch", self.hidden)
            return ("batch", "time", "direction", self.hidden) if self.batch_first else own
        if self.batch_first:
            return ("batch", "direction", self.hidden)
        return ("direction", "batch", self.hidden)


def recurrent(node: Node, constants: Mapping[str, Array]) -> Recurrent:
    """The node, checked. Raises RNN602 for what it has that is not known."""
    unknown = set(node.attributes) - _KNOWN
    if unknown:
        raise node.refuse(f"the attribute '{min(unknown)}' is not known")
    arrays: dict[str, Array] = {}
    for number, name in ((1, "W"), (2, "R"), (3, "B"), (7, "P")):
        source = node.input(number) if node.op == "LSTM" or number < 7 else ""
        if not source:
            continue
        if source not in constants:
            raise node.refuse(
                f"its weights {name} ('{source}') are no constants",
                "weights have to be initializers of the model",
            )
        arrays[name] = constants[source]
    gates = GATES[node.op]
    weights = arrays.get("W")
    if weights is None or "R" not in arrays or weights.ndim != 3:
        raise node.refuse("its weights W and R are missing, or no matrices")
    hidden = int(node.attributes.get("hidden_size", weights.shape[1] // gates))
    found = Recurrent(node, hidden, weights.shape[2], arrays)
    count = len(found.directions)
    wanted = {
        "W": (count, gates * hidden, found.inputs),
        "R": (count, gates * hidden, hidden),
        "B": (count, 2 * gates * hidden),
        "P": (count, 3 * hidden),
    }
    for name, array in arrays.items():
        if array.shape != wanted[name]:
            raise node.refuse(f"{name} has the shape {array.shape}, expected {wanted[name]}")
    return found


def emit(found: Recurrent, x: Value, initial: Mapping[str, Value], writer: Writer) -> list[Value]:
    """Equations for a node; its outputs Y, Y_h and, of an LSTM, Y_c."""
    node = found.node
    wanted: tuple[Axis, ...] = ("batch", "time") if found.batch_first else ("time", "batch")
    if x.axes != (*wanted, found.inputs) or len(x.parts) != 1:
        raise node.refuse(f"its input has the axes {x.axes}, expected {(*wanted, found.inputs)}")
    writer.timed = True
    functions = activations(node, _DEFAULTS[node.op], writer)
    clip = clipped(node, writer)
    each = len(functions) // len(found.directions)
    names = list(_STATES[node.op])
    sequences: dict[str, list[str]] = {name: [] for name in names}
    last: dict[str, list[str]] = {name: [] for name in names}
    for number, direction in enumerate(found.directions):
        own = functions[number * each : (number + 1) * each]
        kind = cell(found, own, clip, writer)
        suffix = f"_{direction}" if len(found.directions) > 1 else ""
        base = writer.name(node.name + suffix)
        writer.params.append(f"{base}: {kind}")
        for path, array in parameters(found, number).items():
            writer.weights[f"{base}.{path}"] = np.ascontiguousarray(array, np.float32)
        before, start, end = ("t-1", "-1", "T-1") if direction == "forward" else ("t+1", "T", "0")
        states = {name: writer.name(f"{base}_{name}") for name in names}
        targets = ", ".join(f"{state}[t]" for state in states.values())
        given = ", ".join([x.parts[0], *(f"{state}[{before}]" for state in states.values())])
        writer.equations.append(f"{targets} = {base}({given})")
        for name, state in states.items():
            if name in initial:
                writer.equations.append(f"{state}[{start}] = {initial[name].parts[number]}")
            sequences[name].append(f"{state}[t]")
            last[name].append(f"{state}[{end}]")
    outputs = [Value(found.axes("time"), tuple(sequences["h"]))]
    outputs += [Value(found.axes(), tuple(last[name])) for name in names]
    return outputs


# ---- cells ------------------------------------------------------------------------------------


def cell(found: Recurrent, own: list[str], clip: str, writer: Writer) -> str:
    """The type of the node's parameter: `lstm{H=3}`."""
    node, size = found.node, f"H={found.hidden}"
    coupled = bool(node.attributes.get("input_forget", 0))
    if node.op == "LSTM" and own == ["sigmoid", "tanh", "tanh"] and not clip:
        if not coupled and "P" not in found.arrays:
            writer.imports.setdefault("lstm", set()).add("lstm")
            return f"lstm{{{size}}}"
    elif node.op == "GRU" and own == ["sigmoid", "tanh"] and not clip:
        writer.imports.setdefault("gru", set()).add("gru")
        after = "" if node.attributes.get("linear_before_reset", 0) else ", reset_after=false"
        return f"gru{{{size}{after}}}"
    elif node.op == "RNN" and not clip:
        writer.imports.setdefault("elman", set()).add("elman")
        act = "" if own == ["tanh"] else f", act={own[0]}"
        return f"elman{{{size}{act}}}"
    text = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}[node.op](found, own, clip)
    for name, known in writer.cells.items():
        if known == text.replace("NAME", name):
            return f"{name}{{{size}}}"
    name = writer.name(f"{node.op.lower()}_cell")
    writer.cells[name] = text.replace("NAME", name)
    return f"{name}{{{size}}}"


def _cut(activation: str, clip: str, argument: str) -> str:
    return f"{activation}({clip}({argument}))" if clip else f"{activation}({argument})"


def _lstm(found: Recurrent, own: list[str], clip: str) -> str:
    peepholes, coupled = "P" in found.arrays, bool(found.node.attributes.get("input_forget", 0))

    def gate(name: str, activation: str, memory: str) -> str:
        peep = f" + p_{name} * {memory}" if peepholes and name != "g" else ""
        total = f"W_{name} @ x + U_{name} @ h + b_{name}{peep}"
        return f"    {name} = {_cut(activation, clip, total)}"

    vectors = "b_i, b_o, b_f, b_g" + (", p_i, p_o, p_f" if peepholes else "")
    lines = [
        "cell NAME{X, H}(x: [X], h, c: [H]) -> (h', c'):",
        "    \"An LSTM with options of ONNX's; gate g is ONNX's c.\"",
        "    param W_i, W_o, W_f, W_g: [H, X], U_i, U_o, U_f, U_g: [H, H]",
        f"    param {vectors}: [H]",
        gate("i", own[0], "c"),
        "    f = 1 - i" if coupled else gate("f", own[0], "c"),
        gate("g", own[1], "c"),
        "    c' = f * c + i * g",
        gate("o", own[0], "c'"),
        f"    h' = o * {own[2]}(c')",
    ]
    if coupled:
        lines = [line.replace("W_f, ", "").replace("U_f, ", "") for line in lines]
        lines = [line.replace("b_f, ", "").replace(", p_f", "") for line in lines]
    return "\n".join(lines)


def _gru(found: Recurrent, own: list[str], clip: str) -> str:
    after = found.node.attributes.get("linear_before_reset", 0)
    inner = "r * (U_n @ h + c_n)" if after else "U_n @ (r * h) + c_n"
    return "\n".join(
        [
            "cell NAME{X, H}(x: [X], h: [H]) -> (h'):",
            "    \"A GRU with options of ONNX's; n is ONNX's h.\"",
            "    param W_r, W_z, W_n: [H, X], U_r, U_z, U_n: [H, H], b_r, b_z, b_n, c_n: [H]",
            f"    r = {_cut(own[0], clip, 'W_r @ x + U_r @ h + b_r')}",
            f"    z = {_cut(own[0], clip, 'W_z @ x + U_z @ h + b_z')}",
            f"    n = {_cut(own[1], clip, f'W_n @ x + b_n + {inner}')}",
            "    h' = (1 - z) * n + z * h",
        ]
    )


def _rnn(_: Recurrent, own: list[str], clip: str) -> str:
    return "\n".join(
        [
            "cell NAME{X, H}(x: [X], h: [H]) -> (h'):",
            '    "A simple recurrence with options of ONNX\'s RNN."',
            "    param W: [H, X], U: [H, H], b: [H]",
            f"    h' = {_cut(own[0], clip, 'W @ x + U @ h + b')}",
        ]
    )


# ---- weights ----------------------------------------------------------------------------------


def parameters(found: Recurrent, direction: int) -> dict[str, Array]:
    """The arrays of one direction by the names of the cell's parameters."""
    op, hidden = found.node.op, found.hidden
    inputs, states = found.arrays["W"][direction], found.arrays["R"][direction]
    rows = GATES[op] * hidden
    bias = found.arrays.get("B")
    whole = np.zeros(2 * rows, np.float32) if bias is None else bias[direction]
    given, recurrent_bias = whole[:rows], whole[rows:]
    if op == "RNN":
        return {"W": inputs, "U": states, "b": np.add(given, recurrent_bias)}
    kind = "lstm" if op == "LSTM" else "gru"
    stacks = {"W": inputs, "U": states, "b": np.add(given, recurrent_bias)}
    parts = {
        f"{name}_{gate}": part
        for name, stacked in stacks.items()
        for gate, part in split_gates(stacked, "onnx", kind).items()  # type: ignore[arg-type]
    }
    if op == "GRU":
        parts["b_n"] = split_gates(given, "onnx", "gru")["n"]
        parts["c_n"] = split_gates(recurrent_bias, "onnx", "gru")["n"]
    if "P" in found.arrays:
        peepholes = np.split(found.arrays["P"][direction], 3)
        parts |= {f"p_{gate}": p for gate, p in zip(ONNX_PEEPHOLES, peepholes, strict=True)}
    if found.node.attributes.get("input_forget", 0):
        for name in ("W_f", "U_f", "b_f", "p_f"):
            parts.pop(name, None)
    return parts
