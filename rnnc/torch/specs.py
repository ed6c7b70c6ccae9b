"""The stacks of `torch.nn` as specs: parameters are torch's, one by one, so that a state_dict needs
no arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["lstm", "gru", "rnn_tanh", "rnn_relu"]


@dataclass(frozen=True, slots=True)
class Stack:
    """What decides the equations of a stack."""

    kind: Kind
    bias: bool
    bidirectional: bool
    projected: bool

    @property
    def states(self) -> tuple[str, ...]:
        return ("h", "c") if self.kind == "lstm" else ("h",)

    @property
    def weights(self) -> tuple[str, ...]:
        """Of one layer in one direction, in torch's order."""
        biases = ("bias_ih", "bias_hh") if self.bias else ()
        projection = ("weight_hr",) if self.projected else ()
        return ("weight_ih", "weight_hh", *biases, *projection)


_EQUATIONS: dict[Kind, tuple[int, str]] = {
    "lstm": (
        4,
        """
    i, f, g, o = split(a + b, 4)
    c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h' = {projection}(sigmoid(o) * tanh(c'))""",
    ),
    "gru": (
        3,
        """
    a_r, a_z, a_n = split(a, 3)
    b_r, b_z, b_n = split(b, 3)
    z = sigmoid(a_z + b_z)
    n = tanh(a_n + sigmoid(a_r + b_r) * b_n)
    h' = (1 - z) * n + z * h""",
    ),
    "rnn_tanh": (1, "\n    h' = tanh(a + b)"),
    "rnn_relu": (1, "\n    h' = relu(a + b)"),
}


def spec(stack: Stack) -> str:
    """Model `layers{X, H, P, L}` (without P where nothing is projected).

    x[t]: [X]; h0, h_n and for an LSTM c0, c_n are those of every layer, in two directions those of
    [layer, direction]. Cells are `fwd[l]` and `bwd[l]`.
    """
    return _cell(stack) + (_two_ways(stack) if stack.bidirectional else _one_way(stack))


def _cell(stack: Stack) -> str:
    gates, equations = _EQUATIONS[stack.kind]
    width = "P" if stack.projected else "H"
    sizes = "X, H, P" if stack.projected else "X, H"
    states = f"h: [{width}]" + (", c: [H]" if stack.kind == "lstm" else "")
    results = ", ".join(f"{state}'" for state in stack.states)
    params = f"weight_ih: [{gates}*H, X], weight_hh: [{gates}*H, {width}]"
    params += f", bias_ih, bias_hh: [{gates}*H]" if stack.bias else ""
    params += ", weight_hr: [P, H]" if stack.projected else ""
    a, b = ("weight_ih @ x + bias_ih", "weight_hh @ h + bias_hh")
    if not stack.bias:
        a, b = "weight_ih @ x", "weight_hh @ h"
    equations = equations.format(projection="weight_hr @ " if stack.projected else "")
    return f"""cell unit{{{sizes}}}(x: [X], {states}) -> ({results}):
    param {params}
    a = {a}
    b = {b}{equations}

"""


def _one_way(stack: Stack) -> str:
    now = ", ".join(f"{state}[l, t]" for state in stack.states)
    before = ", ".join(f"{state}[l, t-1]" for state in stack.states)
    lines = [
        f"{now} = fwd[l](h[l-1, t], {before})",
        "h[-1, t] = x[t]",
        *(f"{state}[l, -1] = {state}0[l]" for state in stack.states),
        "output y[t] = h[L-1, t]",
        *(f"output {state}_n[l] = {state}[l, T-1]" for state in stack.states),
    ]
    return _model(stack, "", "fwd[l]", "[l]", lines)


def _two_ways(stack: Stack) -> str:
    lines = []
    for way, step in (("f", "-1"), ("b", "+1")):
        now = ", ".join(f"{way}{state}[l, t]" for state in stack.states)
        before = ", ".join(f"{way}{state}[l, t{step}]" for state in stack.states)
        lines.append(f"{now} = {way}wd[l](both[l-1, t], {before})")
    lines += ["both[l, t] = concat(fh[l, t], bh[l, t])", "both[-1, t] = x[t]"]
    for state in stack.states:
        lines += [f"f{state}[l, -1] = {state}0[l, 0]", f"b{state}[l, T] = {state}0[l, 1]"]
        ends = f"f{state}[l, T-1] if d == 0 else b{state}[l, 0]"
        lines.append(f"output {state}_n[l, d] = {ends}")
    lines.append("output y[t] = both[L-1, t]")
    return _model(stack, ", d in 0..2", "fwd[l], bwd[l]", "[l, d]", lines)


def _model(stack: Stack, dims: str, cells: str, point: str, lines: list[str]) -> str:
    sizes, unit, width = "X, H, L", "unit{H}", "H"
    if stack.projected:
        sizes, unit, width = "X, H, P, L", "unit{H, P}", "P"
    starts = f", h0{point}: [{width}] = 0" + (f", c0{point}: [H] = 0" * (stack.kind == "lstm"))
    head = [
        f"model layers{{{sizes}}}:",
        f"dim l in 0..L, t in 0..T{dims}",
        f"input x[t]: [X]{starts}",
        f"param {cells}: {unit}",
    ]
    return "\n    ".join([*head, *lines]) + "\n"
