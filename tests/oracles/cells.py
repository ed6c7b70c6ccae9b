"""One step of each cell, from the equations (sections 1 to 9, 18, 32, 34, 35, 37, 40).

`p` holds the cell's own parameters; vectors are of one row. States are returned in the order of
the cell's results.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.oracles.arrays import Arrays, Complexes, Floats
from tests.oracles.mathematics import identity, layer_norm, relu, sigmoid, softmax

Activation = Callable[[Floats], Floats]
Pair = tuple[Floats, Floats]


def tanh(x: Floats) -> Floats:
    return np.tanh(x)


def linear(p: Arrays, x: Floats) -> Floats:
    return p["W"] @ x + p["b"]


def elman(p: Arrays, x: Floats, h: Floats, act: Activation = tanh) -> Floats:
    return act(p["W"] @ x + p["U"] @ h + p["b"])


def indrnn(p: Arrays, x: Floats, h: Floats, act: Activation = relu) -> Floats:
    return act(p["W"] @ x + p["u"] * h + p["b"])


def sparse_rnn(p: Arrays, x: Floats, h: Floats) -> Floats:
    kept_W = p["W"] * p.bools("keep_W")
    kept_U = p["U"] * p.bools("keep_U")
    return np.tanh(kept_W @ x + kept_U @ h + p["b"])


def mrnn(p: Arrays, x: Floats, h: Floats) -> Floats:
    f = (p["W_fx"] @ x) * (p["W_fh"] @ h)
    return np.tanh(p["W_hf"] @ f + p["W_hx"] @ x + p["b"])


# ---- gated ------------------------------------------------------------------------------------


def lstm(p: Arrays, x: Floats, h: Floats, c: Floats) -> Pair:
    i = sigmoid(p["W_i"] @ x + p["U_i"] @ h + p["b_i"])
    f = sigmoid(p["W_f"] @ x + p["U_f"] @ h + p["b_f"])
    g = np.tanh(p["W_g"] @ x + p["U_g"] @ h + p["b_g"])
    o = sigmoid(p["W_o"] @ x + p["U_o"] @ h + p["b_o"])
    c = f * c + i * g
    return o * np.tanh(c), c


def lstm_1997(p: Arrays, x: Floats, h: Floats, c: Floats) -> Pair:
    i, g, o = np.split(p["W"] @ x + p["U"] @ h + p["b"], 3)
    c = c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def peephole_lstm(p: Arrays, x: Floats, h: Floats, c: Floats) -> Pair:
    i, f, g, o = np.split(p["W"] @ x + p["U"] @ h + p["b"], 4)
    new = sigmoid(f + p["p_f"] * c) * c + sigmoid(i + p["p_i"] * c) * np.tanh(g)
    return sigmoid(o + p["p_o"] * new) * np.tanh(new), new


def projected_lstm(p: Arrays, x: Floats, h: Floats, c: Floats) -> Pair:
    i, f, g, o = np.split(p["W"] @ x + p["U"] @ h + p["b"], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return p["W_r"] @ (sigmoid(o) * np.tanh(c)), c


def lnlstm(p: Arrays, x: Floats, h: Floats, c: Floats) -> Pair:
    def norm(name: str, v: Floats) -> Floats:
        own = p.under(name)
        return layer_norm(v, own["gain"], own["bias"])

    a = norm("norm_x", p["W"] @ x) + norm("norm_h", p["U"] @ h) + p["b"]
    i, f, g, o = np.split(a, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(norm("norm_c", c)), c


def gru(p: Arrays, x: Floats, h: Floats) -> Floats:
    """Reset after the product, as in cuDNN."""
    r = sigmoid(p["W_r"] @ x + p["U_r"] @ h + p["b_r"])
    z = sigmoid(p["W_z"] @ x + p["U_z"] @ h + p["b_z"])
    n = np.tanh(p["W_n"] @ x + p["b_n"] + r * (p["U_n"] @ h + p["c_n"]))
    return (1 - z) * n + z * h


def gru_reset_before(p: Arrays, x: Floats, h: Floats) -> Floats:
    r = sigmoid(p["W_r"] @ x + p["U_r"] @ h + p["b_r"])
    z = sigmoid(p["W_z"] @ x + p["U_z"] @ h + p["b_z"])
    n = np.tanh(p["W_n"] @ x + p["b_n"] + p["U_n"] @ (r * h) + p["c_n"])
    return (1 - z) * n + z * h


def mut1(p: Arrays, x: Floats, h: Floats) -> Floats:
    z = sigmoid(p["W_xz"] @ x + p["b_z"])
    r = sigmoid(p["W_xr"] @ x + p["W_hr"] @ h + p["b_r"])
    return np.tanh(p["W_hh"] @ (r * h) + np.tanh(x) + p["b_h"]) * z + h * (1 - z)


def mut2(p: Arrays, x: Floats, h: Floats) -> Floats:
    z = sigmoid(p["W_xz"] @ x + p["W_hz"] @ h + p["b_z"])
    r = sigmoid(x + p["W_hr"] @ h + p["b_r"])
    return np.tanh(p["W_hh"] @ (r * h) + p["W_xh"] @ x + p["b_h"]) * z + h * (1 - z)


def mut3(p: Arrays, x: Floats, h: Floats) -> Floats:
    z = sigmoid(p["W_xz"] @ x + p["W_hz"] @ np.tanh(h) + p["b_z"])
    r = sigmoid(p["W_xr"] @ x + p["W_hr"] @ h + p["b_r"])
    return np.tanh(p["W_hh"] @ (r * h) + p["W_xh"] @ x + p["b_h"]) * z + h * (1 - z)


def onlstm(p: Arrays, x: Floats, h: Floats, c: Floats, chunk: int) -> Pair:
    """Rows: master input, master forget, o, g, i, f, as in the authors' code."""
    units, chunks = len(h), len(h) // chunk
    a = p["W"] @ x + p["U"] @ h + p["b"]
    sizes = [chunks, chunks, units, units, units]
    mi, mf, o, g, i, f = np.split(a, np.cumsum(sizes))
    master_f = np.repeat(np.cumsum(softmax(mf)), chunk)
    master_i = np.repeat(1 - np.cumsum(softmax(mi)), chunk)
    both = master_f * master_i
    forget = sigmoid(f) * both + (master_f - both)
    write = sigmoid(i) * both + (master_i - both)
    c = forget * c + write * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


# ---- made for speed ---------------------------------------------------------------------------


def sru(p: Arrays, x: Floats, c: Floats, act: Activation = identity, scale: float = 1.0) -> Pair:
    skip = p["W_x"] @ x if f"{p.prefix}W_x" in p.values else x
    f = sigmoid(p["W_f"] @ x + p["v_f"] * c + p["b_f"])
    r = sigmoid(p["W_r"] @ x + p["v_r"] * c + p["b_r"])
    c = f * c + (1 - f) * (p["W"] @ x)
    return r * act(c) + (1 - r) * skip * scale, c


def sru_v1(p: Arrays, x: Floats, c: Floats, act: Activation = tanh) -> Pair:
    f, r = (sigmoid(p[f"W_{gate}"] @ x + p[f"b_{gate}"]) for gate in "fr")
    c = f * c + (1 - f) * (p["W"] @ x)
    return r * act(c) + (1 - r) * x, c


def mingru(p: Arrays, x: Floats, h: Floats, act: Activation = identity) -> Floats:
    z = sigmoid(p["W_z"] @ x + p["b_z"])
    return (1 - z) * h + z * act(p["W_h"] @ x + p["b_h"])


def minlstm(p: Arrays, x: Floats, h: Floats, act: Activation = identity) -> Floats:
    f = sigmoid(p["W_f"] @ x + p["b_f"])
    i = sigmoid(p["W_i"] @ x + p["b_i"])
    return (f * h + i * act(p["W_h"] @ x + p["b_h"])) / (f + i)


def lru(p: Arrays, x: Floats, h: Complexes) -> tuple[Floats, Complexes]:
    decay = np.exp(-np.exp(p["nu"]) + 1j * np.exp(p["theta"]))
    h = decay * h + np.exp(p["gamma"]) * (p.complexes("B") @ x)
    return np.real(p.complexes("C") @ h) + p["D"] * x, h


def slstm_head(
    p: Arrays, x: Floats, h: Floats, c: Floats, n: Floats, m: Floats, exponential: bool = False
) -> tuple[Floats, Floats, Floats, Floats]:
    i, f, z, o = np.split(p["W"] @ x + p["U"] @ h + p["b"], 4)
    log_f = f if exponential else np.log(sigmoid(f))
    new = np.maximum(log_f + m, i)
    write, keep = np.exp(i - new), np.exp(log_f + m - new)
    c = keep * c + write * np.tanh(z)
    n = keep * n + write
    return sigmoid(o) * c / n, c, n, new
