"""Which of ONNX's recurrent operators a recurrence is, if any: RNN, GRU or LSTM, and its arrays.

The equations are compared with those of the operator reference (ONNX 1.14, RNN, GRU, LSTM) in the
form in which they are the same however they were written. Gates go by the names of rnnc's cells:
ONNX's c is g, its h of the GRU is n.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import permutations
from typing import Literal

import numpy as np

from rnnc.importers.gates import GATE_ORDERS, ONNX_PEEPHOLES

from .equations import Equations, Given
from .forms import Applied, Array, Factor, Form, Named, Term
from .functions import ACTIVATIONS

Operator = Literal["RNN", "GRU", "LSTM"]


@dataclass(frozen=True)
class Activation:
    """`settings` are ONNX's alpha and beta, if it has them."""

    name: str
    settings: tuple[float, ...] = ()


_LINEAR = Activation("Affine", (1.0, 0.0))


@dataclass(frozen=True)
class Gate:
    """`activation(sum of matrix @ input + recurrent @ h + peephole * c + bias)`, cut to +-clip."""

    activation: Activation
    inputs: Mapping[Given, Array]
    recurrent: Array | None = None
    peephole: Array | None = None
    bias: Array = field(default_factory=lambda: np.zeros(()))
    clip: float | None = None

    def negated(self) -> Gate:
        return Gate(
            self.activation,
            {given: -matrix for given, matrix in self.inputs.items()},
            None if self.recurrent is None else -self.recurrent,
            None if self.peephole is None else -self.peephole,
            -self.bias,
            self.clip,
        )


@dataclass(frozen=True)
class Cell:
    """A recurrence that an operator computes; `states` are h and, of an LSTM, c.

    `inputs` side by side are what it reads at a step. Arrays are ONNX's W, R, B and P of one
    direction.
    """

    operator: Operator
    states: tuple[str, ...]
    inputs: tuple[Given, ...]
    arrays: Mapping[str, Array]
    activations: tuple[Activation, ...]
    attributes: Mapping[str, int | float]

    @property
    def hidden(self) -> int:
        return int(self.arrays["R"].shape[1])


def find_cell(equations: Equations) -> Cell | None:
    """The operator that computes the states, if there is one."""
    steps = {state: equations.next(state) for state in equations.states}
    if len(steps) == 1:
        [(h, step)] = steps.items()
        return _gru(equations, h, step) or _rnn(equations, h, step)
    if len(steps) == 2:
        for h, c in permutations(steps):
            found = _lstm(equations, h, c, steps)
            if found is not None:
                return found
    return None


# ---- the operators ----------------------------------------------------------------------------


def _rnn(equations: Equations, h: str, step: Form) -> Cell | None:
    """h' = f(W x + R h + b)"""
    gate = _gate(step.single, h) or _affine(step, h, _LINEAR)
    return None if gate is None else _cell(equations, "RNN", (h,), {"": gate}, ("",), {})


def _gru(equations: Equations, h: str, step: Form) -> Cell | None:
    """h' = (1 - z) * n + z * h"""
    parts = {term.kind: term.number for term in step.terms}
    state = Named(h)
    for term in step.terms:
        others = _without(term, state)
        if len(step.terms) != 3 or others is None or len(others) != 1:
            continue
        [z] = others
        for n in _factors(step):
            wanted = {_kind(n): 1.0, _kind(z, n): -1.0, _kind(z, state): 1.0}
            turned = {_kind(state): 1.0, _kind(z, n): 1.0, _kind(z, state): -1.0}
            if parts not in (wanted, turned):
                continue
            update = _gate(z, h)
            if update is None or (parts == turned and update.activation.name != "Sigmoid"):
                continue
            update = update if parts == wanted else update.negated()  # 1 - s(v) = s(-v)
            found = _candidate(n, h)
            if found is not None:
                new, reset, inner, after = found
                gates = {"z": update, "r": reset, "n": new}
                return _cell(equations, "GRU", (h,), gates, ("z", "n"), after, inner)
    return None


def _candidate(
    n: Factor, h: str
) -> tuple[Gate, Gate, Array | None, Mapping[str, int | float]] | None:
    """n = g(W x + b + R (r * h)), or g(W x + b + r * (R h + c)): the gates n and r, and c."""
    opened = _opened(n)
    if opened is None:
        return None
    activation, clip, total = opened
    state = Named(h)
    rest: list[Term] = []
    for term in total.terms:
        others = _without(term, state) if term.weight.ndim == 2 else None
        if others is not None and len(others) == 1:  # R (r * h)
            reset = _gate(others[0], h)
            rest = [other for other in total.terms if other is not term]
            new = _affine(Form(tuple(rest)), h, activation, clip)
            if reset is None or new is None or new.recurrent is not None:
                return None
            new = Gate(activation, new.inputs, term.weight, None, new.bias, clip)
            return new, reset, None, {}
    for term in total.terms:
        for product in term.factors:
            others = _without(term, product)
            matrix = _matrix(product, h)
            if matrix is None or term.number != 1 or others is None or len(others) != 1:
                continue
            [r] = others
            reset = _gate(r, h)
            inner = [t for t in total.terms if t.kind == _kind(r)]  # r * c
            rest = [t for t in total.terms if t is not term and t not in inner]
            new = _affine(Form(tuple(rest)), h, activation, clip)
            if reset is None or new is None or new.recurrent is not None:
                return None
            new = Gate(activation, new.inputs, matrix, None, new.bias, clip)
            constant = inner[0].weight if inner else None
            return new, reset, constant, {"linear_before_reset": 1}
    return None


def _lstm(equations: Equations, h: str, c: str, steps: Mapping[str, Form]) -> Cell | None:
    """c' = f * c + i * g;  h' = o * a(c'), with f = 1 - i where the gates are coupled."""
    state, now = Named(c), Named(f"{c}'")
    parts = {term.kind: term.number for term in steps[c].terms}
    for o in _factors(steps[h]):
        output, outer = _gate(o, h, now.name), _result(steps[h], o, now)
        if output is None or outer is None:
            continue
        for i, g in permutations(_factors(steps[c]), 2):
            entry, new = _gate(i, h, c), _gate(g, h)
            if entry is None or new is None or entry.activation != output.activation:
                continue
            gates = {"i": entry, "o": output, "g": new}
            functions = (entry.activation, new.activation, outer)
            if parts == {_kind(state): 1.0, _kind(i, state): -1.0, _kind(i, g): 1.0}:
                return _lstm_cell(equations, (h, c), gates, functions, coupled=True)
            for f in _factors(steps[c]):
                if parts == {_kind(f, state): 1.0, _kind(i, g): 1.0}:
                    forget = _gate(f, h, c)
                    if forget is not None and forget.activation == entry.activation:
                        gates["f"] = forget
                        return _lstm_cell(equations, (h, c), gates, functions, coupled=False)
    return None


def _lstm_cell(
    equations: Equations,
    states: tuple[str, str],
    gates: dict[str, Gate],
    functions: tuple[Activation, ...],
    coupled: bool,
) -> Cell | None:
    attributes: dict[str, int | float] = {}
    if coupled:
        attributes["input_forget"] = 1
        gates["f"] = Gate(gates["i"].activation, {}, clip=gates["i"].clip)
    found = _cell(equations, "LSTM", states, gates, (), attributes)
    if found is None:
        return None
    arrays = dict(found.arrays)
    peepholes = [gates[name].peephole for name in ONNX_PEEPHOLES]
    if any(peephole is not None for peephole in peepholes):
        size = (found.hidden,)
        arrays["P"] = np.concatenate([np.broadcast_to(_or_zero(p), size) for p in peepholes])
    return Cell("LSTM", states, found.inputs, arrays, functions, found.attributes)


# ---- gates ------------------------------------------------------------------------------------


def _gate(factor: Factor | None, h: str, memory: str | None = None) -> Gate | None:
    """A factor as a gate; `memory` is the state that its peephole may see."""
    opened = None if factor is None else _opened(factor)
    if opened is None:
        return None
    activation, clip, total = opened
    return _affine(total, h, activation, clip, memory)


def _opened(factor: Factor) -> tuple[Activation, float | None, Form] | None:
    """An activation, the clip of its argument, and that."""
    if not isinstance(factor, Applied) or factor.function not in ACTIVATIONS:
        return None
    [argument] = factor.arguments
    inner = argument.single
    activation = Activation(factor.function, factor.settings)
    if isinstance(inner, Applied) and inner.function == "clip":
        return activation, inner.settings[0], inner.arguments[0]
    return activation, None, argument


def _affine(
    form: Form,
    h: str,
    activation: Activation,
    clip: float | None = None,
    memory: str | None = None,
) -> Gate | None:
    """A sum of products of known matrices with inputs and h, a peephole and a bias."""
    inputs: dict[Given, Array] = {}
    recurrent: Array | None = None
    peephole: Array | None = None
    bias = np.zeros(())
    for term in form.terms:
        match term.factors, term.weight.ndim:
            case (), _:
                bias = term.weight
            case (Given() as given,), 2:
                inputs[given] = term.weight
            case (Named(name=name),), 2 if name == h:
                recurrent = term.weight
            case (Named(name=name),), 0 | 1 if name == memory:
                peephole = term.weight
            case _:
                return None
    return Gate(activation, inputs, recurrent, peephole, bias, clip)


def _result(step: Form, o: Factor, state: Named) -> Activation | None:
    """The activation a of `o * a(state)`."""
    parts = {term.kind: term.number for term in step.terms}
    if parts.keys() <= {_kind(o, state), _kind(o)} and None not in parts.values():
        alpha, beta = (parts.get(kind) or 0.0 for kind in (_kind(o, state), _kind(o)))
        return Activation("Affine", (alpha, beta))
    for factor in _factors(step):
        if parts == {_kind(o, factor): 1.0} and isinstance(factor, Applied):
            return _of_memory(factor, state)
    return None


def _of_memory(factor: Applied, state: Named) -> Activation | None:
    """The activation of a state, which has no weights that a factor could go into."""
    if factor.function not in ACTIVATIONS:
        return None
    parts = {term.kind: term.number for term in factor.arguments[0].terms}
    scale, shift = parts.get(_kind(state)), parts.get(_kind(), 0.0)
    if scale is None or shift is None or not parts.keys() <= {_kind(state), _kind()}:
        return None
    if (scale, shift) == (1.0, 0.0):
        return Activation(factor.function, factor.settings)
    if factor.function == "HardSigmoid":
        return Activation("HardSigmoid", (scale, shift))
    if factor.function in ("Tanh", "ScaledTanh") and shift == 0:
        return Activation("ScaledTanh", ((factor.settings or (1.0,))[0], scale))
    return None


# ---- arrays -----------------------------------------------------------------------------------


def _cell(
    equations: Equations,
    operator: Operator,
    states: tuple[str, ...],
    gates: Mapping[str, Gate],
    functions: tuple[str, ...],
    attributes: Mapping[str, int | float],
    inner: Array | None = None,
) -> Cell | None:
    """The arrays of all gates in ONNX's order; `functions` names gates with their activations.

    `inner` is the bias that the reset gate multiplies.
    """
    order = GATE_ORDERS["onnx", "gru" if operator == "GRU" else "lstm"]
    ordered = list(gates.values()) if operator == "RNN" else [gates[name] for name in order]
    inputs = tuple(dict.fromkeys(given for gate in ordered for given in gate.inputs))
    clips = {gate.clip for gate in ordered}
    if not inputs or len(clips) > 1:
        return None
    if operator == "GRU" and gates["z"].activation != gates["r"].activation:
        return None
    hidden = equations.size(states[0])
    widths = [equations.size(given.source) for given in inputs]
    rows: list[Array] = []
    recurrent: list[Array] = []
    biases: list[Array] = []
    for gate in ordered:
        blocks = [
            gate.inputs.get(given, np.zeros((hidden, width)))
            for given, width in zip(inputs, widths, strict=True)
        ]
        rows.append(np.concatenate(blocks, 1))
        recurrent.append(np.zeros((hidden, hidden)) if gate.recurrent is None else gate.recurrent)
        biases.append(np.broadcast_to(gate.bias, (hidden,)))
    second = np.zeros(hidden * len(ordered))
    if inner is not None:
        second[order.index("n") * hidden :][:hidden] = inner
    arrays = {
        "W": np.concatenate(rows),
        "R": np.concatenate(recurrent),
        "B": np.concatenate([*biases, second]),
    }
    if (clip := clips.pop()) is not None:
        attributes = {**attributes, "clip": clip}
    activations = tuple(gates[name].activation for name in functions)
    return Cell(operator, states, inputs, arrays, activations, attributes)


def _or_zero(array: Array | None) -> Array:
    return np.zeros(()) if array is None else array


# ---- terms ------------------------------------------------------------------------------------


def _factors(form: Form) -> tuple[Factor, ...]:
    return tuple(dict.fromkeys(factor for term in form.terms for factor in term.factors))


def _kind(*factors: Factor) -> tuple[str, ...]:
    """That of an elementwise product."""
    return ("", *sorted(factor.key for factor in factors))


def _without(term: Term, factor: Factor) -> tuple[Factor, ...] | None:
    """The other factors of a term; None if it has not this one."""
    if factor not in term.factors:
        return None
    place = term.factors.index(factor)
    return term.factors[:place] + term.factors[place + 1 :]


def _matrix(factor: Factor, h: str) -> Array | None:
    """The matrix of which a factor is the product with h."""
    if isinstance(factor, Applied) and factor.function == "product":
        [form] = factor.arguments
        if len(form.terms) == 1 and form.terms[0].factors == (Named(h),):
            return form.terms[0].weight
    return None
