"""Networks over more than time: images, volumes, grids of LSTM blocks, HM-LSTM.

Sections 15 to 17 and 31. A grid's values stand in a dict by grid point; a point outside is zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np

from tests.oracles.arrays import Arrays, Floats
from tests.oracles.cells import Activation, tanh
from tests.oracles.layers import Outputs, Sizes
from tests.oracles.mathematics import identity, relu, rows, sigmoid

Point = tuple[int, ...]
Grid = dict[Point, Floats]


def grid(width: int) -> Grid:
    return defaultdict(lambda: np.zeros(width))


def filled(values: Mapping[Point, Floats], *extents: int, width: int) -> Floats:
    """All points of a box as one array [*extents, width]."""
    found = np.zeros((*extents, width))
    for point in product(*map(range, extents)):
        found[point] = values[point]
    return found


# ---- multi-dimensional RNN and LSTM (section 15) ----------------------------------------------


def mdrnn(p: Arrays, x: Floats, h: Sequence[Floats], act: Activation = tanh) -> Floats:
    a = p["W"] @ x + p["b"]
    for d, neighbour in enumerate(h):
        a = a + p["U"][d] @ neighbour
    return act(a)


def mdlstm(
    p: Arrays, x: Floats, h: Sequence[Floats], c: Sequence[Floats], peephole: bool = False
) -> tuple[Floats, Floats]:
    """Gates i, f of every neighbour, g, o."""
    dims = range(len(h))
    i, *f, g, o = np.split(mdrnn(p, x, h, identity), 3 + len(h))
    if peephole:
        for d in dims:
            i = i + p["p_i"][d] * c[d]
            f[d] = f[d] + p["p_f"][d] * c[d]
    new = sigmoid(i) * np.tanh(g)
    for d in dims:
        new = new + sigmoid(f[d]) * c[d]
    if peephole:
        o = o + p["p_o"] * new
    return sigmoid(o) * np.tanh(new), new


def mdrnn_2d(act: Activation = tanh) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        h = grid(n["H"])
        for i, j in product(range(n["R"]), range(n["C"])):
            h[i, j] = mdrnn(p.under("mdrnn"), x["x"][i, j], [h[i - 1, j], h[i, j - 1]], act)
        return {"y": filled(h, n["R"], n["C"], width=n["H"])}

    return oracle


def mdlstm_over(
    dims: str, peephole: bool = False, owner: str = "mdlstm"
) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    """Over a box whose extents are called `dims`; neighbours in the order of the dimensions."""

    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        h, c, extents = grid(n["H"]), grid(n["H"]), [n[dim] for dim in dims]
        for q in product(*map(range, extents)):
            near = [(*q[:d], q[d] - 1, *q[d + 1 :]) for d in range(len(q))]
            h[q], c[q] = mdlstm(
                p.under(owner), x["x"][q], [h[r] for r in near], [c[r] for r in near], peephole
            )
        return {"y": filled(h, *extents, width=n["H"])}

    return oracle


def mdlstm_4way(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    """Each direction flips the image, runs the plain network, and flips its output back."""
    found = []
    for u, v in product(range(2), range(2)):
        own = p.under(f"mdlstm[{u},{v}]")
        down, right = (-1) ** u, (-1) ** v
        image = x["x"][::down, ::right]
        h, c = grid(n["H"]), grid(n["H"])
        for i, j in product(range(n["R"]), range(n["C"])):
            h[i, j], c[i, j] = mdlstm(
                own, image[i, j], [h[i - 1, j], h[i, j - 1]], [c[i - 1, j], c[i, j - 1]]
            )
        found.append(filled(h, n["R"], n["C"], width=n["H"])[::down, ::right])
    return {"y": np.concatenate(found, axis=-1)}


def mdlstm_8way(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    extents, found = "RCD", []
    for corner in product((1, -1), repeat=3):
        flip = tuple(slice(None, None, way) for way in corner)
        owner = f"mdlstm[{','.join(str(int(way < 0)) for way in corner)}]"
        plain = mdlstm_over(extents, owner=owner)
        found.append(plain(p, Arrays({"x": x["x"][flip]}), n)["y"][flip])
    return {"y": np.concatenate(found, axis=-1)}


# ---- Grid LSTM (section 16) -------------------------------------------------------------------


def transform(p: Arrays, hidden: Floats, m: Floats, paper: bool) -> tuple[Floats, Floats]:
    return gated(p["W"] @ hidden + p["b"], m, paper)


def gated(a: Floats, m: Floats, paper: bool) -> tuple[Floats, Floats]:
    """The new hidden vector: tanh(o * m') in the paper, o * tanh(m') everywhere else."""
    i, f, g, o = np.split(a, 4)
    m = sigmoid(f) * m + sigmoid(i) * np.tanh(g)
    return (np.tanh(sigmoid(o) * m) if paper else sigmoid(o) * np.tanh(m)), m


def block(
    p: Arrays, h: Sequence[Floats], m: Sequence[Floats], paper: bool
) -> tuple[list[Floats], list[Floats]]:
    """All sides of a block, each from the hidden vectors of all."""
    hidden = np.concatenate(h)
    sides = [gated(p["W"][k] @ hidden + p["b"][k], m[k], paper) for k in range(len(h))]
    return [side[0] for side in sides], [side[1] for side in sides]


def grid_lstm_over(dims: str, paper: bool = False) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    """Whole blocks over the dimensions `dims` and, last, L layers."""

    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        extents = [n[dim] for dim in dims]
        h, m = [[grid(n["H"]) for _ in range(len(dims) + 1)] for _ in range(2)]
        for q in product(*map(range, extents)):
            h[-1][*q, -1] = p["P"] @ x["x"][q]
        for q in product(*map(range, [*extents, n["L"]])):
            near = [(*q[:d], q[d] - 1, *q[d + 1 :]) for d in range(len(q))]
            new_h, new_m = block(
                p.under(f"grid_lstm_block[{q[-1]}]"),
                [h[d][r] for d, r in enumerate(near)],
                [m[d][r] for d, r in enumerate(near)],
                paper,
            )
            for d in range(len(q)):
                h[d][q], m[d][q] = new_h[d], new_m[d]
        top = {q[:-1]: value for q, value in h[-1].items() if q[-1] == n["L"] - 1}
        return {"y": filled(top, *extents, width=n["H"])}

    return oracle


def grid_lstm_2d(paper: bool = False) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        ht, mt, hd, md = (grid(n["H"]) for _ in range(4))
        for t in range(n["T"]):
            hd[-1, t], md[-1, t] = p["P"] @ x["x"][t], p["P_m"] @ x["x"][t]
        for layer, t in product(range(n["L"]), range(n["T"])):
            time, depth = p.under(f"along_time[{layer}]"), p.under(f"along_depth[{layer}]")
            hidden = np.concatenate([ht[layer, t - 1], hd[layer - 1, t]])
            ht[layer, t], mt[layer, t] = transform(time, hidden, mt[layer, t - 1], paper)
            hd[layer, t], md[layer, t] = transform(depth, hidden, md[layer - 1, t], paper)
        return {"y": rows([hd[n["L"] - 1, t] for t in range(n["T"])], n["H"])}

    return oracle


def grid_lstm_2d_priority(
    act: Activation, paper: bool = False
) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    """Depth comes last, reads the new state of time, and keeps no memory."""

    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        ht, mt, hd = (grid(n["H"]) for _ in range(3))
        time, depth = p.under("along_time"), p.under("along_depth")
        for t in range(n["T"]):
            hd[-1, t] = p["P"] @ x["x"][t]
        for layer, t in product(range(n["L"]), range(n["T"])):
            hidden = np.concatenate([ht[layer, t - 1], hd[layer - 1, t]])
            ht[layer, t], mt[layer, t] = transform(time, hidden, mt[layer, t - 1], paper)
            hidden = np.concatenate([ht[layer, t], hd[layer - 1, t]])
            hd[layer, t] = act(depth["V"] @ hidden + depth["b"])
        return {"y": rows([hd[n["L"] - 1, t] for t in range(n["T"])], n["H"])}

    return oracle


def grid_lstm_3d(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    hs, ms, ht, mt, hd, md = (grid(n["H"]) for _ in range(6))
    for j in range(n["T"]):
        hs[-1, j, 0] = p["Q"] @ x["target"][j]
    for i in range(n["S"]):
        ht[i, -1, 0] = p["P"] @ x["source"][i]
    for q in product(range(n["S"]), range(n["T"]), range(n["L"])):
        i, j, k = q
        before_s, before_t, below = (i - 1, j, k), (i, j - 1, k), (i, j, k - 1)
        hidden = np.concatenate([hs[before_s], ht[before_t], hd[below]])
        sides = [p.under(f"{side}[{k}]") for side in ("from_source", "from_target", "from_below")]
        hs[q], ms[q] = transform(sides[0], hidden, ms[before_s], False)
        ht[q], mt[q] = transform(sides[1], hidden, mt[before_t], False)
        hd[q], md[q] = transform(sides[2], hidden, md[below], False)
    return {"y": rows([hd[n["S"] - 1, j, n["L"] - 1] for j in range(n["T"])], n["H"])}


def grid_lstm_3d_tied(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    hr, mr, hc, mc, hd = (grid(n["H"]) for _ in range(5))
    for i, j in product(range(n["R"]), range(n["C"])):
        hd[i, j, -1] = p["P"] @ x["x"][i, j]
    for q in product(range(n["R"]), range(n["C"]), range(n["L"])):
        i, j, k = q
        over, beside, below = (i - 1, j, k), (i, j - 1, k), (i, j, k - 1)
        hidden = np.concatenate([hr[over], hc[beside], hd[below]])
        hr[q], mr[q] = transform(p.under("down"), hidden, mr[over], False)
        hc[q], mc[q] = transform(p.under("right"), hidden, mc[beside], False)
        hidden = np.concatenate([hr[q], hc[q], hd[below]])
        hd[q] = relu(p["up.V"] @ hidden + p["up.b"])
    layers = product(range(n["R"]), range(n["C"]))
    top: Grid = {(i, j): hd[i, j, n["L"] - 1] for i, j in layers}
    return {"y": filled(top, n["R"], n["C"], width=n["H"])}


# ---- HM-LSTM (section 17) ---------------------------------------------------------------------


def hmlstm_states(
    p: Arrays, x: Arrays, n: Sizes, top_boundary: bool = False
) -> tuple[Grid, dict[Point, bool], list[str]]:
    """Hidden states and boundaries by (layer, step), and the operation at every point."""
    L, T, H = n["L"], n["T"], n["H"]
    h, c, z = grid(H), grid(H), defaultdict[Point, bool](bool)
    operations = []
    for t, layer in product(range(T), range(L)):
        own = p.under(f"hmlstm[{layer}]")
        below, z_below = (h[layer - 1, t], z[layer - 1, t]) if layer > 0 else (x["x"][t], True)
        above, before = h[layer + 1, t - 1], (layer, t - 1)
        a = own["U"] @ h[before] + own["b"]
        a = a + z[before] * (own["V"] @ above) + z_below * (own["W"] @ below)
        f, i, o, g, boundary = np.split(a, [H, 2 * H, 3 * H, 4 * H])
        written = sigmoid(i) * np.tanh(g)
        if z[before]:
            operations.append("flush")
            c[layer, t] = written
        elif z_below:
            operations.append("update")
            c[layer, t] = sigmoid(f) * c[before] + written
        else:
            operations.append("copy")
            c[layer, t] = c[before]
        copied = operations[-1] == "copy"
        h[layer, t] = h[before] if copied else sigmoid(o) * np.tanh(c[layer, t])
        z[layer, t] = float(np.clip((boundary[0] + 1) / 2, 0, 1)) > 0.5
        z[layer, t] = z[layer, t] and (top_boundary or layer < L - 1)
    return h, z, operations


def hmlstm_network(
    top_boundary: bool = False,
) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        h, _, _ = hmlstm_states(p, x, n, top_boundary)
        y = []
        for t in range(n["T"]):
            layers = [h[layer, t] for layer in range(n["L"])]
            total = np.zeros(n["H"])
            for layer, own in enumerate(layers):
                gate = sigmoid(p[f"w[{layer}]"] @ np.concatenate(layers))
                total = total + gate * (p[f"W_e[{layer}]"] @ own)
            y.append(relu(total))
        return {"y": rows(y, n["H"])}

    return oracle


# ---- PixelRNN (section 31) --------------------------------------------------------------------


def row_lstm(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h, c, pixel = grid(n["H"]), grid(n["H"]), grid(n["X"])
    for point in product(range(n["R"]), range(n["C"])):
        pixel[point] = x["x"][point]
    for i, j in product(range(n["R"]), range(n["C"])):
        a = p["b"] + p["K_is[-1]"] @ pixel[i, j - 1] + p["K_is[0]"] @ pixel[i, j]
        for k in (-1, 0, 1):
            # Column C is outside, but a key of the grid only if somebody has written it.
            a = a + p[f"K_ss[{k}]"] @ h[i - 1, j + k]
        gi, gf, gg, go = np.split(a, 4)
        c[i, j] = sigmoid(gf) * c[i - 1, j] + sigmoid(gi) * np.tanh(gg)
        h[i, j] = sigmoid(go) * np.tanh(c[i, j])
    return {"y": filled(h, n["R"], n["C"], width=n["H"])}


def diagonal(p: Arrays, image: Floats, width: int) -> Grid:
    """The map that looks to the left and up."""
    h, c = grid(width), grid(width)
    for i, j in product(range(image.shape[0]), range(image.shape[1])):
        a = p["W"] @ image[i, j] + p["U_side"] @ h[i, j - 1] + p["U_up"] @ h[i - 1, j] + p["b"]
        gi, gf, gg, go = np.split(a, 4)
        c[i, j] = sigmoid(gf) * c[i, j - 1] + sigmoid(gi) * np.tanh(gg)
        h[i, j] = sigmoid(go) * np.tanh(c[i, j])
    return h


def diagonal_bilstm(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    R, C, H = n["R"], n["C"], n["H"]
    left = filled(diagonal(p.under("from_left"), x["x"], H), R, C, width=H)
    mirrored = diagonal(p.under("from_right"), x["x"][:, ::-1], H)
    right = filled(mirrored, R, C, width=H)[:, ::-1]
    # One row down: a pixel must not see what is right of it in its own row.
    shifted = np.concatenate([np.zeros((min(R, 1), C, H)), right[:-1]])
    return {"y": left + shifted}
