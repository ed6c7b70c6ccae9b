"""Linear-time recurrences (sections 33, 36 to 39)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.oracles import cells
from tests.oracles.arrays import Arrays, Floats
from tests.oracles.layers import Outputs, Sizes
from tests.oracles.mathematics import half_linear, rows, sigmoid, silu, softplus


def causal(p: Arrays, x: Floats, t: int, taps: int) -> Floats:
    """`b + sum_k W[k] x[t-k]`, x being zero before the first step."""
    found = p["b"]
    for k in range(min(taps, t + 1)):
        found = found + p[f"W[{k}]"] @ x[t - k]
    return found


def qrnn_f(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h, found = np.zeros(n["H"]), []
    for t in range(n["T"]):
        z, f = np.split(causal(p, x["x"], t, n["K"]), 2)
        h = sigmoid(f) * h + (1 - sigmoid(f)) * np.tanh(z)
        found.append(h)
    return {"h": rows(found, n["H"])}


def qrnn(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    c, found = np.zeros(n["H"]), []
    for t in range(n["T"]):
        z, f, o = np.split(causal(p, x["x"], t, n["K"]), 3)
        c = sigmoid(f) * c + (1 - sigmoid(f)) * np.tanh(z)
        found.append(sigmoid(o) * c)
    return {"h": rows(found, n["H"])}


def qrnn_ifo(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    c, found = np.zeros(n["H"]), []
    for t in range(n["T"]):
        z, f, o, i = np.split(causal(p, x["x"], t, n["K"]), 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(z)
        found.append(sigmoid(o) * c)
    return {"h": rows(found, n["H"])}


def linear_recurrence(_: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h, found = x["h0"], []
    for a, b in zip(x["a"], x["b"], strict=True):
        h = a * h + b
        found.append(h)
    return {"h": rows(found, n["H"])}


def s4d(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    """As a convolution, which is how the authors train it: y = sum_j K[j] u[t-j] + D u[t]."""
    steps, channels = n["T"], n["D"]
    out = np.zeros((steps, channels))
    for d in range(channels):
        dt = np.exp(p[f"log_dt[{d}]"])
        kernel = np.zeros(steps)
        for i in range(n["N"]):
            A = -np.exp(p[f"log_re[{d},{i}]"]) + 1j * p[f"A_im[{d},{i}]"]
            dA = np.exp(dt * A)
            for j in range(steps):
                kernel[j] += 2 * np.real(p.complexes(f"C[{d},{i}]") * (dA - 1) / A * dA**j)
        for t in range(steps):
            out[t, d] = p[f"skip[{d}]"] * x["u"][t, d]
            for j in range(t + 1):
                out[t, d] += kernel[j] * x["u"][t - j, d]
    return {"out": out}


def scanned(
    p: Arrays, u: Floats, delta: Floats, B: Floats, C: Floats, exact: bool = False
) -> Floats:
    """Mamba's selective scan [T, D], with Euler's B or an exact zero-order hold."""
    steps, channels = u.shape
    out = np.zeros((steps, channels))
    for d in range(channels):
        h = np.zeros(B.shape[1])
        A = np.array([-np.exp(p[f"A_log[{d},{i}]"]) for i in range(B.shape[1])])
        for t in range(steps):
            held = (np.exp(delta[t, d] * A) - 1) / A if exact else delta[t, d]
            h = np.exp(delta[t, d] * A) * h + held * B[t] * u[t, d]
            out[t, d] = C[t] @ h + p[f"skip[{d}]"] * u[t, d]
    return out


def selective_scan(exact: bool = False) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        return {"out": scanned(p, x["u"], x["delta"], x["B"], x["C"], exact)}

    return oracle


def mamba(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    D, N, R, T = n["D"], n["N"], n["R"], n["T"]
    projected = x["x"] @ p["W_in"].T
    v, z = projected[:, :D], projected[:, D:]
    u = np.zeros((T, D))
    for t in range(T):
        a = p["b_conv"]
        for k in range(min(n["K"], t + 1)):
            a = a + p[f"conv[{k}]"] * v[t - k]
        u[t] = silu(a)
    selected = u @ p["W_x"].T
    dt, B, C = selected[:, :R], selected[:, R : R + N], selected[:, R + N :]
    delta = softplus(dt @ p["W_dt"].T + p["b_dt"])
    out = scanned(p.under("selective_scan"), u, delta, B, C)
    return {"y": (out * silu(z)) @ p["W_out"].T}


def slstm(exponential: bool) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    """With a forget gate that is an exponential, or a sigmoid."""

    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        zero = np.zeros(n["D"])
        states, found = [(zero, zero, zero, np.full(n["D"], -np.inf))] * n["K"], []
        for step in x["x"]:
            states = [
                cells.slstm_head(p.under(f"slstm_head[{k}]"), step, *state, exponential)
                for k, state in enumerate(states)
            ]
            found.append(np.concatenate([state[0] for state in states]))
        return {"y": rows(found, n["K"] * n["D"])}

    return oracle


def mingru_log(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    """In linear space: h = (1 - z) h + z g, from g(h0)."""
    h, found = half_linear(x["h0"]), []
    for step in x["x"]:
        z = sigmoid(p["W_z"] @ step + p["b_z"])
        h = (1 - z) * h + z * half_linear(p["W_h"] @ step + p["b_h"])
        found.append(h)
    return {"h": rows(found, n["H"])}


def minlstm_log(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h, found = half_linear(x["h0"]), []
    for step in x["x"]:
        f, i = (sigmoid(p[f"W_{gate}"] @ step + p[f"b_{gate}"]) for gate in "fi")
        h = (f * h + i * half_linear(p["W_h"] @ step + p["b_h"])) / (f + i)
        found.append(h)
    return {"h": rows(found, n["H"])}


def gradual_pruning(
    start: int, ramp: int, end: int, every: int
) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(_: Arrays, x: Arrays, n: Sizes) -> Outputs:
        theta = 2 * x["q"] * every / (2 * (ramp - start) + 3 * (end - ramp))
        threshold, kept = 0.0, np.full(n["N"], True)
        thresholds, masks = [], []
        for iteration, weights in enumerate(x["w"]):
            if start < iteration < end and iteration % every == 0:
                slow = min(iteration, ramp) - start + 1
                fast = iteration - ramp + 1 if iteration >= ramp else 0
                threshold = float(theta * slow / every + 1.5 * theta * fast / every)
            kept = kept & (np.abs(weights) >= threshold)
            thresholds.append(threshold)
            masks.append(kept)
        mask = np.array(masks, np.bool_).reshape(len(masks), n["N"])
        return {"threshold": np.array(thresholds, np.float64), "kept": mask}

    return oracle
