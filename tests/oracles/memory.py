"""Adaptive computation and external memory (sections 25 to 28)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.oracles import cells
from tests.oracles.arrays import Arrays, Floats
from tests.oracles.layers import Outputs, Sizes
from tests.oracles.mathematics import rows, sigmoid, softmax, softplus


def act_thoughts(
    most: int, eps: float, p: Arrays, x: Floats, s: Floats, strict: bool = False
) -> list[tuple[float, Floats]]:
    """Weight and state of every thought of one step: at most `most`."""
    thoughts, total = list[tuple[float, Floats]](), 0.0
    for count in range(most):
        flag = 1.0 if count == 0 else 0.0
        s = cells.elman(p.under("elman"), np.append(x, flag), s)
        halting = float(sigmoid(p["w"] @ s + p["b"]))
        after = total + halting
        halts = after > 1 - eps if strict else after >= 1 - eps
        if halts or count == most - 1:
            return [*thoughts, (1 - total, s)]
        thoughts.append((halting, s))
        total += halting
    return thoughts


def act_rnn(
    most: int, eps: float, strict: bool = False, steps: bool = True
) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    """`steps` says whether they are part of the cost, besides the remainder."""

    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        state, y, ponder = np.zeros(n["H"]), [], 0.0
        for step in x["x"]:
            thoughts = act_thoughts(most, eps, p, step, state, strict)
            readout = p.under("readout")
            said, state = np.zeros(n["Y"]), np.zeros(n["H"])
            for weight, s in thoughts:
                said = said + weight * cells.linear(readout, s)
                state = state + weight * s
            y.append(said)
            ponder += (len(thoughts) if steps else 0) + thoughts[-1][0]
        return {"y": rows(y, n["Y"]), "ponder": np.array(ponder)}

    return oracle


# ---- Neural Turing machine (section 26) -------------------------------------------------------


def ntm_simple(literal: bool) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    """Slot i keeps 1 - alpha of itself (`literal`), or 1 - alpha b_i."""

    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        M, d, found = x["M0"], np.zeros(n["H"]), []
        alpha = float(x["alpha"])
        for step in x["x"]:
            b, written = softmax(M @ (p["W_k"] @ d)), p["W_v"] @ d
            decay = alpha * (np.ones(n["N"]) if literal else b)
            M = np.array([(1 - decay[i]) * M[i] + alpha * b[i] * written for i in range(n["N"])])
            read = sum((b[i] * M[i] for i in range(n["N"])), start=np.zeros(n["D"]))
            d = np.tanh(p["W"] @ step + p["R"] @ read + p["U"] @ d + p["b_d"])
            found.append(d)
        return {"y": rows(found, n["H"])}

    return oracle


def ntm_address(p: Arrays, h: Floats, M: Floats, w: Floats) -> Floats:
    """Section 3.3: content, interpolation, circular shift by -1, 0, 1, sharpening."""
    slots = len(M)
    k = p["W_k"] @ h + p["b_k"]
    beta = softplus(p["w_beta"] @ h + p["b_beta"])
    g = sigmoid(p["w_g"] @ h + p["b_g"])
    s = softmax(p["W_s"] @ h + p["b_s"])
    gamma = 1 + softplus(p["w_gamma"] @ h + p["b_gamma"])

    def cosine(one: Floats, other: Floats) -> float:
        lengths = np.sqrt(one @ one) * np.sqrt(other @ other)
        return float(one @ other / (lengths + 1e-16))

    content = softmax(beta * np.array([cosine(row, k) for row in M]))
    gated = g * content + (1 - g) * w
    shifted = np.zeros(slots)
    for i in range(slots):
        for shift in (-1, 0, 1):
            shifted[i] += gated[(i - shift) % slots] * s[shift + 1]
    powers: Floats = shifted**gamma
    return powers / np.sum(powers)


def ntm(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    N, D, H = n["N"], n["D"], n["H"]
    h, c, r, M = np.zeros(H), np.zeros(H), np.zeros(D), x["M0"]
    w_r, w_w, found = np.zeros(N), np.zeros(N), []
    for step in x["x"]:
        h, c = cells.lstm(p.under("lstm"), np.concatenate([step, r]), h, c)
        w_r = ntm_address(p.under("read"), h, M, w_r)
        w_w = ntm_address(p.under("write"), h, M, w_w)
        r = w_r @ M
        e, a = sigmoid(p["W_e"] @ h + p["b_e"]), p["W_a"] @ h + p["b_a"]
        M = np.array([M[i] * (1 - w_w[i] * e) + w_w[i] * a for i in range(N)])
        found.append(sigmoid(p["V"] @ np.concatenate([h, r]) + p["b_y"]))
    return {"y": rows(found, n["Y"])}


# ---- stacks and queues (sections 27, 28) ------------------------------------------------------


def stack_rnn(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h, s, found = np.zeros(n["H"]), np.full(n["D"] + 1, -1.0), []
    for step in x["x"]:
        h = sigmoid(p["U"] @ step + p["R"] @ h + p["P"] @ s[: n["K"]])
        push, pop, keep = softmax(p["A"] @ h)
        new = np.full(n["D"] + 1, -1.0)  # the last entry is below the floor
        for i in range(n["D"]):
            above = sigmoid(p["D_top"] @ h) if i == 0 else s[i - 1]
            new[i] = push * above + pop * s[i + 1] + keep * s[i]
        s = new
        found.append(h)
    return {"y": rows(found, n["H"])}


class Strengths:
    """How much is left of every row that was pushed; `order` serves the newest or oldest first."""

    def __init__(self, queue: bool) -> None:
        self.values: list[Floats] = []
        self.left: list[float] = []
        self.queue = queue

    def order(self) -> list[int]:
        places = list(range(len(self.left)))
        return places if self.queue else places[::-1]

    def step(self, value: Floats, pop: float, push: float) -> Floats:
        """Takes `pop` away, adds `value` with strength `push`, and reads a total of one."""
        for i in self.order():
            taken = min(self.left[i], max(0.0, pop))
            self.left[i] -= taken
            pop -= taken
        self.values.append(value)
        self.left.append(push)
        read, wanted = np.zeros(len(value)), 1.0
        for i in self.order():
            amount = min(self.left[i], max(0.0, wanted))
            read = read + amount * self.values[i]
            wanted -= self.left[i]
        return read


def neural_memory(queue: bool) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(_: Arrays, x: Arrays, n: Sizes) -> Outputs:
        memory, found = Strengths(queue), []
        for t in range(n["T"]):
            found.append(memory.step(x["v"][t], float(x["u"][t]), float(x["d"][t])))
        return {"r": rows(found, n["D"])}

    return oracle


def neural_memory_rnn(queue: bool) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        h, c, r, found = np.zeros(n["H"]), np.zeros(n["H"]), np.zeros(n["D"]), []
        memory = Strengths(queue)
        for step in x["x"]:
            h, c = cells.lstm(p.under("lstm"), np.concatenate([step, r]), h, c)
            pop, push = (float(sigmoid(p[f"w_{k}"] @ h + p[f"b_{k}"])) for k in "ud")
            r = memory.step(np.tanh(p["W_v"] @ h + p["b_v"]), pop, push)
            found.append(h)
        return {"y": rows(found, n["H"])}

    return oracle


class Ends:
    """Rows from the bottom to the top, as equations 6 to 9 number them, served from both ends."""

    def __init__(self) -> None:
        self.values: list[Floats] = []
        self.s: list[float] = []

    def push(
        self, values: tuple[Floats, Floats], pops: tuple[float, float], pushes: tuple[float, float]
    ) -> None:
        """Each for the top and for the bottom."""
        s = self.s
        s = [max(0.0, s[i] - max(0.0, pops[0] - sum(s[i + 1 :]))) for i in range(len(s))]
        s = [max(0.0, s[i] - max(0.0, pops[1] - sum(s[:i]))) for i in range(len(s))]
        self.s = [pushes[1], *s, pushes[0]]
        self.values = [values[1], *self.values, values[0]]

    def read(self) -> tuple[Floats, Floats]:
        top, bottom = np.zeros_like(self.values[0]), np.zeros_like(self.values[0])
        for i, value in enumerate(self.values):
            top = top + min(self.s[i], max(0.0, 1 - sum(self.s[i + 1 :]))) * value
            bottom = bottom + min(self.s[i], max(0.0, 1 - sum(self.s[:i]))) * value
        return top, bottom


def neural_deque(_: Arrays, x: Arrays, n: Sizes) -> Outputs:
    memory, top, bottom = Ends(), list[Floats](), list[Floats]()
    for t in range(n["T"]):
        pops, pushes = (
            (float(x[f"{name}_top"][t]), float(x[f"{name}_bot"][t])) for name in ("u", "d")
        )
        memory.push((x["v_top"][t], x["v_bot"][t]), pops, pushes)
        for found, read in zip((top, bottom), memory.read(), strict=True):
            found.append(read)
    return {"r_top": rows(top, n["D"]), "r_bot": rows(bottom, n["D"])}


def neural_deque_rnn(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h, c, found = np.zeros(n["H"]), np.zeros(n["H"]), []
    memory, read = Ends(), (np.zeros(n["D"]), np.zeros(n["D"]))
    for step in x["x"]:
        h, c = cells.lstm(p.under("lstm"), np.concatenate([step, *read]), h, c)
        v_top, v_bottom = np.split(np.tanh(p["W_v"] @ h + p["b_v"]), 2)
        pops, pushes = (sigmoid(p[f"W_{k}"] @ h + p[f"b_{k}"]).tolist() for k in "ud")
        memory.push((v_top, v_bottom), (pops[0], pops[1]), (pushes[0], pushes[1]))
        read = memory.read()
        found.append(h)
    return {"y": rows(found, n["H"])}
