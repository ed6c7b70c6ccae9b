"""Whole networks over time: simple nets, stacks, directions, time scales, gated feedback.

Sections 1 to 3, 10 to 14, 20, 41.

Every oracle takes the parameters, the inputs of one row without a batch axis, and all sizes (the
row's own extents among them); it returns the row's outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tests.oracles import cells
from tests.oracles.arrays import Array, Arrays, Floats
from tests.oracles.cells import Activation, tanh
from tests.oracles.mathematics import identity, rows, sigmoid

Sizes = Mapping[str, int]
Outputs = Mapping[str, Array]
State = tuple[Floats, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """A cell that can fill a layer: `step` returns its new states, the hidden one first."""

    name: str
    step: Callable[[Arrays, Floats, State], State]
    states: int

    def zero(self, width: int) -> State:
        return (np.zeros(width),) * self.states

    def layer(self, p: Arrays, x: Sequence[Floats], start: State) -> list[State]:
        """The states after every step, from the first step on."""
        found = [start]
        for step in x:
            found.append(self.step(p, step, found[-1]))
        return found[1:]


LSTM = Unit("lstm", lambda p, x, s: cells.lstm(p, x, *s), 2)
GRU = Unit("gru", lambda p, x, s: (cells.gru(p, x, *s),), 1)


# ---- one layer (sections 1 to 3, 20) ----------------------------------------------------------


def elman_network(act: Activation = tanh) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        h, y = x["h0"], []
        for step in x["x"]:
            h = cells.elman(p.under("elman"), step, h, act)
            y.append(p["V"] @ h + p["b_y"])
        return {"y": rows(y, n["Y"])}

    return oracle


def jordan(
    act: Activation = tanh, out: Activation = identity
) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        y, found = x["y0"], []
        for step in x["x"]:
            h = act(p["W"] @ step + p["R"] @ y + p["b"])
            y = out(p["V"] @ h + p["b_y"])
            found.append(y)
        return {"y": rows(found, n["Y"])}

    return oracle


def jordan_teacher_forced(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    fed = [x["y0"], *x["target"]]
    found = []
    for t, step in enumerate(x["x"]):
        h = np.tanh(p["W"] @ step + p["R"] @ fed[t] + p["b"])
        found.append(p["V"] @ h + p["b_y"])
    return {"y": rows(found, n["Y"])}


def jordan_context(mu: float) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        outputs, found = [x["y0"]], []
        for step in x["x"]:
            # The newest output counts fully, each older one less by mu.
            ages = range(len(outputs))
            s = sum((mu**k * outputs[-1 - k] for k in ages), start=np.zeros(n["Y"]))
            h = np.tanh(p["W"] @ step + p["R"] @ s + p["b"])
            outputs.append(p["V"] @ h + p["b_y"])
            found.append(outputs[-1])
        return {"y": rows(found, n["Y"])}

    return oracle


def norm_stabilizer(beta: float) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(_: Arrays, x: Arrays, n: Sizes) -> Outputs:
        norms = [np.sqrt(np.sum(h * h)) for h in x["h"]]
        steps = [(norms[t] - norms[t - 1]) ** 2 for t in range(1, len(norms))]
        return {"cost": np.array(beta * sum(steps) / n["T"])}

    return oracle


def many_to_one(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h = np.zeros(n["H"])
    for step in x["x"]:
        h = cells.elman(p.under("elman"), step, h)
    return {"y": p["V"] @ h + p["b_y"]}


def one_to_many(feedback: bool = True) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        h, fed, found = np.zeros(n["H"]), x["x"], []
        for _ in range(n["T"]):
            h = cells.elman(p.under("elman"), fed, h)
            found.append(p["V"] @ h + p["b_y"])
            fed = found[-1] if feedback else np.zeros(n["X"])
        return {"y": rows(found, n["X"])}

    return oracle


def many_to_many(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h, found = np.zeros(n["H"]), []
    for step in x["x"]:
        h = cells.elman(p.under("elman"), step, h)
        found.append(p["V"] @ h + p["b_y"])
    return {"y": rows(found, n["Y"])}


def taught(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h, found = x["h0"], []
    for word in [int(x.ints("bos")), *x.ints("target").tolist()][: n["T"]]:
        h = cells.elman(p.under("elman"), p["E"][word], h)
        found.append(p["W_y"] @ h + p["b_y"])
    return {"logits": rows(found, n["V"])}


def free_running(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h, word, found = x["h0"], int(x.ints("bos")), list[int]()
    for _ in range(n["T"]):
        h = cells.elman(p.under("elman"), p["E"][word], h)
        word = int(np.argmax(p["W_y"] @ h + p["b_y"]))
        found.append(word)
    return {"word": np.array(found, np.int64)}


def ar_fixed(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    found = []
    for t in range(n["T"]):
        a = p["b"]
        for k in range(min(n["K"], t + 1)):
            a = a + p[f"W[{k}]"] @ x["x"][t - k]
        found.append(np.tanh(a))
    return {"o": rows(found, n["H"])}


# ---- stacks (sections 10, 12) -----------------------------------------------------------------


def stacked_lstm(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    below, h_n, c_n = list(x["x"]), [], []
    for layer in range(n["L"]):
        start = (x["h0"][layer], x["c0"][layer])
        states = LSTM.layer(p.under(f"lstm[{layer}]"), below, start)
        h, c = states[-1] if states else start
        h_n.append(h)
        c_n.append(c)
        below = [state[0] for state in states]
    return {"y": rows(below, n["H"]), "h_n": rows(h_n, n["H"]), "c_n": rows(c_n, n["H"])}


def stacked(unit: Unit, starts: Sequence[str]) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    """`starts` names the inputs that hold the first states."""

    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        below = list(x["x"])
        for layer in range(n["L"]):
            start = tuple(x[name][layer] for name in starts)
            states = unit.layer(p.under(f"{unit.name}[{layer}]"), below, start)
            below = [state[0] for state in states]
        return {"y": rows(below, n["H"])}

    return oracle


def residual_stacked(unit: Unit) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        below = list(x["x"])
        for layer in range(n["L"]):
            states = unit.layer(p.under(f"{unit.name}[{layer}]"), below, unit.zero(n["H"]))
            below = [state[0] + under for state, under in zip(states, below, strict=True)]
        return {"y": rows(below, n["H"])}

    return oracle


# ---- directions (sections 11, 12) -------------------------------------------------------------


def both_ways(
    unit: Unit, forward: Arrays, backward: Arrays, x: Sequence[Floats], width: int
) -> list[Floats]:
    """Forward and backward hidden state of every step, one behind the other."""
    ahead = unit.layer(forward, x, unit.zero(width))
    back = unit.layer(backward, x[::-1], unit.zero(width))[::-1]
    return [np.concatenate([f[0], b[0]]) for f, b in zip(ahead, back, strict=True)]


def bidirectional(unit: Unit) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        y = both_ways(unit, p.under("fwd"), p.under("bwd"), list(x["x"]), n["H"])
        last = np.zeros(2 * n["H"])
        if y:
            last = np.concatenate([y[-1][: n["H"]], y[0][n["H"] :]])
        return {"y": rows(y, 2 * n["H"]), "last": last}

    return oracle


def deep_bidirectional(unit: Unit) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        below = list(x["x"])
        for layer in range(n["L"]):
            forward, backward = p.under(f"fwd[{layer}]"), p.under(f"bwd[{layer}]")
            below = both_ways(unit, forward, backward, below, n["H"])
        return {"y": rows(below, 2 * n["H"])}

    return oracle


def bidirectional_stacks(unit: Unit) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        found = []
        for name, below in (("fwd", list(x["x"])), ("bwd", list(x["x"][::-1]))):
            for layer in range(n["L"]):
                states = unit.layer(p.under(f"{name}[{layer}]"), below, unit.zero(n["H"]))
                below = [state[0] for state in states]
            found.append(rows(below, n["H"]))
        return {"y": np.concatenate([found[0], found[1][::-1]], axis=1)}

    return oracle


def gnmt_encoder(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    below = both_ways(LSTM, p.under("fwd"), p.under("bwd"), list(x["x"]), n["H"])
    for layer in range(1, n["L"]):
        states = LSTM.layer(p.under(f"lstm[{layer}]"), below, LSTM.zero(n["H"]))
        h = [state[0] for state in states]
        # The third layer from below is the first whose input is as wide as its output.
        below = h if layer == 1 else [a + b for a, b in zip(h, below, strict=True)]
    return {"y": rows(below, n["H"])}


# ---- time scales (sections 13, 14) ------------------------------------------------------------


def dilated(unit: Unit, base: int) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        below = list(x["x"])
        for layer in range(n["L"]):
            distance, states = base**layer, list[State]()
            for t, step in enumerate(below):
                before = states[t - distance] if t >= distance else unit.zero(n["H"])
                states.append(unit.step(p.under(f"{unit.name}[{layer}]"), step, before))
            below = [state[0] for state in states]
        return {"y": rows(below, n["H"])}

    return oracle


def dilated_fused(unit: Unit, first: int, base: int) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    """Layer by layer as chains that never meet: steps r, r + d, r + 2d, ... for every r < d."""

    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        below = list(x["x"])
        for layer in range(n["L"]):
            distance, above = first * base**layer, list(below)
            own = p.under(f"{unit.name}[{layer}]")
            for start in range(distance):
                states = unit.layer(own, below[start::distance], unit.zero(n["H"]))
                above[start::distance] = [state[0] for state in states]
            below = above
        found = []
        for t in range(n["T"]):
            y = p["b_y"]
            for k in range(min(first, t + 1)):
                y = y + p[f"W_y[{k}]"] @ below[t - k]
            found.append(y)
        return {"y": rows(found, n["Y"])}

    return oracle


def clockwork(period: Sequence[int]) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        h, found = [np.zeros(n["H"])] * n["G"], []
        for t, step in enumerate(x["x"]):
            new = []
            for g in range(n["G"]):
                a = p[f"W[{g}]"] @ step + p[f"b[{g}]"]
                for j in range(g, n["G"]):
                    a = a + p[f"U[{g},{j}]"] @ h[j]
                new.append(np.tanh(a) if t % period[g] == 0 else h[g])
            h = new
            found.append(np.concatenate(h))
        return {"y": rows(found, n["G"] * n["H"])}

    return oracle


# ---- gated feedback (section 41) --------------------------------------------------------------


def gfrnn(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h, found = [np.zeros(n["H"])] * n["L"], []
    for step in x["x"]:
        past, new, below = np.concatenate(h), list[Floats](), step
        for j in range(n["L"]):
            a = p[f"W[{j}]"] @ below
            for i in range(n["L"]):
                gate = sigmoid(p[f"w[{i},{j}]"] @ below + p[f"u[{i},{j}]"] @ past)
                a = a + gate * (p[f"U[{i},{j}]"] @ h[i])
            below = np.tanh(a)
            new.append(below)
        h = new
        found.append(np.concatenate(h))
    return {"y": rows(found, n["L"] * n["H"])}


def gflstm(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h, c, found = [np.zeros(n["H"])] * n["L"], [np.zeros(n["H"])] * n["L"], []
    for step in x["x"]:
        past, new, below = np.concatenate(h), list[Floats](), step
        for j in range(n["L"]):
            i, f, o, g = np.split(p[f"W[{j}]"] @ below + p[f"b[{j}]"], 4)
            own_i, own_f, own_o = np.split(p[f"U[{j}]"] @ h[j], 3)
            for k in range(n["L"]):
                gate = sigmoid(p[f"w[{k},{j}]"] @ below + p[f"u[{k},{j}]"] @ past)
                g = g + gate * (p[f"U_g[{k},{j}]"] @ h[k])
            c[j] = sigmoid(f + own_f) * c[j] + sigmoid(i + own_i) * np.tanh(g)
            below = sigmoid(o + own_o) * np.tanh(c[j])
            new.append(below)
        h = new
        found.append(below)
    return {"y": rows(found, n["H"])}
