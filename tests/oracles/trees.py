"""Recursive networks and Tree-LSTM (section 19). Child -1 is no child: its states are zero."""

from __future__ import annotations

import numpy as np

from tests.oracles.arrays import Arrays, Floats
from tests.oracles.layers import Outputs, Sizes
from tests.oracles.mathematics import sigmoid


def root(h: list[Floats], width: int) -> Floats:
    return h[-1] if h else np.zeros(width)


def recursive_nn(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h = list[Floats]()
    left, right = x.ints("left"), x.ints("right")
    zero = np.zeros(n["H"])
    for node in range(n["N"]):
        if left[node] < 0:
            h.append(p["E"] @ x["x"][node])
        else:
            second = h[right[node]] if right[node] >= 0 else zero
            h.append(np.tanh(p["U"] @ h[left[node]] + p["W"] @ second + p["b"]))
    return {"root": root(h, n["H"])}


def treelstm_nary(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    """Two children; they share the forget gate's input weights and bias, as in equation 10."""
    own = p.under("treelstm_binary")
    zero = np.zeros(n["H"])
    h, c = list[Floats](), list[Floats]()
    left, right = x.ints("left"), x.ints("right")
    for node in range(n["N"]):
        (h_l, c_l), (h_r, c_r) = (
            (h[child], c[child]) if child >= 0 else (zero, zero)
            for child in (left[node], right[node])
        )
        i, f, g, o = np.split(own["W"] @ x["x"][node] + own["b"], 4)
        u_i, u_left, u_right, u_g, u_o = np.split(own["U_l"] @ h_l + own["U_r"] @ h_r, 5)
        memory = sigmoid(i + u_i) * np.tanh(g + u_g)
        memory = memory + sigmoid(f + u_left) * c_l + sigmoid(f + u_right) * c_r
        c.append(memory)
        h.append(sigmoid(o + u_o) * np.tanh(memory))
    return {"root": root(h, n["H"])}


def treelstm_childsum(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h, c = list[Floats](), list[Floats]()
    child = x.ints("child")
    for node in range(n["N"]):
        children = [int(k) for k in child[node] if k >= 0]
        total = sum((h[k] for k in children), start=np.zeros(n["H"]))
        i, g, o = np.split(p["W"] @ x["x"][node] + p["U"] @ total + p["b"], 3)
        memory = sigmoid(i) * np.tanh(g)
        for k in children:
            f = sigmoid(p["W_f"] @ x["x"][node] + p["U_f"] @ h[k] + p["b_f"])
            memory = memory + f * c[k]
        c.append(memory)
        h.append(sigmoid(o) * np.tanh(memory))
    return {"root": root(h, n["H"])}


def treelstm_kary(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h, c = list[Floats](), list[Floats]()
    child, places = x.ints("child"), range(n["K"])
    for node in range(n["N"]):
        given = [(k, int(child[k, node])) for k in places if child[k, node] >= 0]
        a = p["W"] @ x["x"][node] + p["b"]
        for k, own in given:
            a = a + p[f"U[{k}]"] @ h[own]
        i, g, o = np.split(a, 3)
        memory = sigmoid(i) * np.tanh(g)
        for k, own in given:
            f = p["W_f"] @ x["x"][node] + p["b_f"]
            for place, other in given:
                f = f + p[f"U_f[{k},{place}]"] @ h[other]
            memory = memory + sigmoid(f) * c[own]
        c.append(memory)
        h.append(sigmoid(o) * np.tanh(memory))
    return {"root": root(h, n["H"])}


def treelstm_constituency(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    """A leaf module and a composer; a node without a left child is a leaf."""
    h, c = list[Floats](), list[Floats]()
    zero = np.zeros(n["H"])
    for node, (left, right) in enumerate(zip(x.ints("left"), x.ints("right"), strict=True)):
        if left < 0:
            c.append(p["W"] @ x["x"][node] + p["b"])
            h.append(sigmoid(p["W_o"] @ x["x"][node] + p["b_o"]) * np.tanh(c[-1]))
            continue
        h_r, c_r = (h[right], c[right]) if right >= 0 else (zero, zero)
        a = p["U_l"] @ h[left] + p["U_r"] @ h_r + p["b_u"]
        i, fl, fr, g, o = np.split(a, 5)
        c.append(sigmoid(i) * np.tanh(g) + sigmoid(fl) * c[left] + sigmoid(fr) * c_r)
        h.append(sigmoid(o) * np.tanh(c[-1]))
    return {"root": root(h, n["H"])}
