"""The networks of peers.py, written for torch, JAX and ONNX alike (frameworks.py).

Each is written as somebody would who wants it fast there: input products hoisted, gates joined,
points that do not depend on each other in one product. Weights are transposed beforehand: `x @ W`.
The functions that end in `_weights` make them of rnnc's parameters.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from frameworks import Array, Arrays, Framework, Value

Values = Mapping[str, Value]
Weights = dict[str, Array]
State = tuple[Value, ...]


def joined(params: Arrays, names: list[str]) -> Array:
    """Weights of several gates, one beside the other, each transposed; biases in one row."""
    return np.concatenate([params[name].T for name in names], axis=-1)


# ---- stacks of LSTM and GRU ---------------------------------------------------------------------


def layer_weights(params: Arrays, prefix: str, gates: str) -> Weights:
    """W: [X, gates * H], U, b and, where there are biases of the state, c."""
    found = {}
    for kind in "WUbc":
        names = [f"{prefix}.{kind}_{gate}" for gate in gates]
        if kind == "c":
            zero = np.zeros_like(params[names[0].replace(".c_", ".b_")])
            found[kind] = np.concatenate([params.get(name, zero) for name in names])
        else:
            found[kind] = joined(params, names)
    return found


def lstm_weights(params: Arrays) -> Weights:
    layers = len({name.split(".")[0] for name in params})
    return {
        f"{kind}{layer}": array
        for layer in range(layers)
        for kind, array in layer_weights(params, f"lstm[{layer}]", "ifgo").items()
    }


def lstm_layer(f: Framework, w: Values, layer: int, x: Value, batch: int, hidden: int) -> Value:
    U = w[f"U{layer}"]

    def step(carry: State, now: State) -> tuple[State, State]:
        i, k, g, o = f.split(now[0] + carry[0] @ U, [hidden] * 4)
        c = f.sigmoid(k) * carry[1] + f.sigmoid(i) * f.tanh(g)
        h = f.sigmoid(o) * f.tanh(c)
        return (h, c), (h,)

    zero = f.zeros((batch, hidden))
    [y] = f.scan(step, (zero, zero), (x @ w[f"W{layer}"] + w[f"b{layer}"],))
    return y


def lstm(f: Framework, w: Values, given: Values) -> Value:
    y, layer = given["x"], 0
    batch, hidden = y.shape[1], w["U0"].shape[0]
    while f"U{layer}" in w:
        y = lstm_layer(f, w, layer, y, batch, hidden)
        layer += 1
    return y


def gru_weights(params: Arrays) -> Weights:
    layers = len({name.split(".")[0] for name in params})
    return {
        f"{kind}{layer}": array
        for layer in range(layers)
        for kind, array in layer_weights(params, f"gru[{layer}]", "rzn").items()
    }


def gru_layer(f: Framework, w: Values, key: str, x: Value, batch: int, hidden: int) -> Value:
    U, c = w[f"U{key}"], w[f"c{key}"]

    def step(carry: State, now: State) -> tuple[State, State]:
        h = carry[0]
        x_r, x_z, x_n = f.split(now[0], [hidden] * 3)
        h_r, h_z, h_n = f.split(h @ U + c, [hidden] * 3)
        r, z = f.sigmoid(x_r + h_r), f.sigmoid(x_z + h_z)
        n = f.tanh(x_n + r * h_n)
        new = n + z * (h - n)
        return (new,), (new,)

    [y] = f.scan(step, (f.zeros((batch, hidden)),), (x @ w[f"W{key}"] + w[f"b{key}"],))
    return y


def gru(f: Framework, w: Values, given: Values) -> Value:
    y, layer = given["x"], 0
    batch, hidden = y.shape[1], w["U0"].shape[0]
    while f"U{layer}" in w:
        y = gru_layer(f, w, str(layer), y, batch, hidden)
        layer += 1
    return y


def bidirectional_gru_weights(params: Arrays) -> Weights:
    layers = len({name.split(".")[0] for name in params}) // 2
    return {
        f"{kind}{way}{layer}": array
        for way in ("fwd", "bwd")
        for layer in range(layers)
        for kind, array in layer_weights(params, f"{way}[{layer}]", "rzn").items()
    }


def bidirectional_gru(f: Framework, w: Values, given: Values) -> Value:
    y, layer = given["x"], 0
    batch, hidden = y.shape[1], w["Ufwd0"].shape[0]
    while f"Ufwd{layer}" in w:
        forward = gru_layer(f, w, f"fwd{layer}", y, batch, hidden)
        backward = gru_layer(f, w, f"bwd{layer}", f.flip(y, 0), batch, hidden)
        y = f.concat((forward, f.flip(backward, 0)), 2)
        layer += 1
    return y


# ---- one layer of other cells -------------------------------------------------------------------


def plain_weights(params: Arrays) -> Weights:
    """Each parameter by the end of its path, transposed."""
    return {name.split(".", 1)[-1]: np.ascontiguousarray(value.T) for name, value in params.items()}


def layer_norm_lstm(f: Framework, w: Values, given: Values) -> Value:
    x, U = given["x"], w["U"]
    batch, hidden = x.shape[1], U.shape[0]
    inputs = f.layer_norm(x @ w["W"], w["norm_x.gain"], w["norm_x.bias"]) + w["b"]

    def step(carry: State, now: State) -> tuple[State, State]:
        past = f.layer_norm(carry[0] @ U, w["norm_h.gain"], w["norm_h.bias"])
        i, k, g, o = f.split(now[0] + past, [hidden] * 4)
        c = f.sigmoid(k) * carry[1] + f.sigmoid(i) * f.tanh(g)
        h = f.sigmoid(o) * f.tanh(f.layer_norm(c, w["norm_c.gain"], w["norm_c.bias"]))
        return (h, c), (h,)

    zero = f.zeros((batch, hidden))
    [y] = f.scan(step, (zero, zero), (inputs,))
    return y


def peephole(f: Framework, w: Values, given: Values) -> Value:
    x, U = given["x"], w["U"]
    batch, hidden = x.shape[1], U.shape[0]

    def step(carry: State, now: State) -> tuple[State, State]:
        h, c = carry
        i, k, g, o = f.split(now[0] + h @ U, [hidden] * 4)
        new = f.sigmoid(k + w["p_f"] * c) * c + f.sigmoid(i + w["p_i"] * c) * f.tanh(g)
        h = f.sigmoid(o + w["p_o"] * new) * f.tanh(new)
        return (h, new), (h,)

    zero = f.zeros((batch, hidden))
    [y] = f.scan(step, (zero, zero), (x @ w["W"] + w["b"],))
    return y


def mut1(f: Framework, w: Values, given: Values) -> Value:
    x = given["x"]
    batch, hidden = x.shape[1], w["W_hr"].shape[0]
    z = f.sigmoid(x @ w["W_xz"] + w["b_z"])
    r = x @ w["W_xr"] + w["b_r"]
    seen = f.tanh(x) + w["b_h"]

    def step(carry: State, now: State) -> tuple[State, State]:
        h, (z, r, seen) = carry[0], now
        r = f.sigmoid(r + h @ w["W_hr"])
        new = h + z * (f.tanh((r * h) @ w["W_hh"] + seen) - h)
        return (new,), (new,)

    [y] = f.scan(step, (f.zeros((batch, hidden)),), (z, r, seen))
    return y


def ordered_neurons_weights(params: Arrays) -> Weights:
    """The master gates' rows are repeated by a product, which every framework has."""
    found = plain_weights(params)
    hidden, rows = found["U"].shape
    chunks = (rows - 4 * hidden) // 2
    found["repeat"] = np.repeat(np.eye(chunks, dtype=np.float32), hidden // chunks, axis=1)
    return found


def ordered_neurons(f: Framework, w: Values, given: Values) -> Value:
    x, U = given["x"], w["U"]
    batch, (chunks, hidden) = x.shape[1], w["repeat"].shape
    sizes = [chunks, chunks, *[hidden] * 4]

    def step(carry: State, now: State) -> tuple[State, State]:
        mi, mf, o, g, i, k = f.split(now[0] + carry[0] @ U, sizes)
        master_f = f.cumulative_sum(f.softmax(mf, 1)) @ w["repeat"]
        master_i = (1 - f.cumulative_sum(f.softmax(mi, 1))) @ w["repeat"]
        both = master_f * master_i
        keep = f.sigmoid(k) * both + (master_f - both)
        c = keep * carry[1] + (f.sigmoid(i) * both + (master_i - both)) * f.tanh(g)
        h = f.sigmoid(o) * f.tanh(c)
        return (h, c), (h,)

    zero = f.zeros((batch, hidden))
    [y] = f.scan(step, (zero, zero), (x @ w["W"] + w["b"],))
    return y


# ---- several layers, groups ---------------------------------------------------------------------


def hierarchical_weights(params: Arrays) -> Weights:
    found = {
        name.replace("hmlstm", "").replace("[", "").replace("]", ""): np.ascontiguousarray(value.T)
        for name, value in params.items()
    }
    layers = sum(name.endswith(".U") for name in found)
    found["w"] = np.stack([found.pop(f"w{layer}") for layer in range(layers)], axis=1)
    return found


def hierarchical(f: Framework, w: Values, given: Values) -> Value:
    x = given["x"]
    batch, hidden = x.shape[1], w["0.U"].shape[0]
    layers = w["w"].shape[1]
    none = f.zeros((batch, hidden))

    def step(carry: State, now: State) -> tuple[State, State]:
        states: list[Value] = []
        below: Value = None
        z_below: Value = None
        for layer in range(layers):
            h, c, z = carry[3 * layer : 3 * layer + 3]
            sums = h @ w[f"{layer}.U"] + w[f"{layer}.b"]
            if layer + 1 < layers:
                sums = sums + z * (carry[3 * layer + 3] @ w[f"{layer}.V"])
            sums = sums + (now[0] if below is None else z_below * (below @ w[f"{layer}.W"]))
            k, i, o, g, d = f.split(sums, [hidden] * 4 + [1])
            new = f.sigmoid(i) * f.tanh(g)
            if below is None:  # the lowest layer always has something below
                c_new = (1 - z) * (f.sigmoid(k) * c) + new
                h_new = f.sigmoid(o) * f.tanh(c_new)
            else:
                updated = f.where(z_below > 0.5, f.sigmoid(k) * c + new, c)
                c_new = f.where(z > 0.5, new, updated)
                h_new = f.where(z + z_below > 0.5, f.sigmoid(o) * f.tanh(c_new), h)
            z_new = f.where(d > 0.0, none[:, 0:1] + 1.0, none[:, 0:1])
            if layer + 1 == layers:
                z_new = none[:, 0:1]
            states += [h_new, c_new, z_new]
            below, z_below = h_new, z_new
        return tuple(states), tuple(states[::3])

    start = (none, none, none[:, 0:1]) * layers
    found = f.scan(step, start, (x @ w["0.W"],))
    gates = f.sigmoid(f.concat(found, 2) @ w["w"])
    parts = [
        gates[:, :, layer : layer + 1] * (h @ w[f"W_e{layer}"]) for layer, h in enumerate(found)
    ]
    return f.relu(sum(parts[1:], parts[0]))


def clockwork_weights(params: Arrays) -> Weights:
    groups = sum(name.startswith("b[") for name in params)
    size = params["b[0]"].shape[0]
    U = np.zeros((groups * size, groups * size), np.float32)
    for group in range(groups):
        for read in range(group, groups):
            rows, columns = slice(read * size, (read + 1) * size), slice(group * size, None)
            U[rows, columns][:, :size] = params[f"U[{group},{read}]"].T
    W = np.concatenate([params[f"W[{group}]"] for group in range(groups)]).T
    b = np.concatenate([params[f"b[{group}]"] for group in range(groups)])
    return {"U": U, "W": np.ascontiguousarray(W), "b": b, "groups": np.zeros(groups, np.float32)}


def clockwork(f: Framework, w: Values, given: Values) -> Value:
    """Every group at every step, those that are not due masked; periods are powers of two."""
    x, U = given["x"], w["U"]
    (steps, batch, _), hidden, groups = x.shape, U.shape[0], w["groups"].shape[0]
    due = [[t % 2**group == 0 for group in range(groups)] for t in range(steps)]
    mask = np.repeat(np.array(due, np.float32)[:, None], hidden // groups, axis=2)

    def step(carry: State, now: State) -> tuple[State, State]:
        h = f.where(now[1] > 0.5, f.tanh(now[0] + carry[0] @ U), carry[0])
        return (h,), (h,)

    inputs = (x @ w["W"] + w["b"], f.constant(mask))
    [y] = f.scan(step, (f.zeros((batch, hidden)),), inputs)
    return y


def dilated(f: Framework, w: Values, given: Values) -> Value:
    """The chains of a layer as rows of a batch, as the authors have it; time is padded."""
    y, layer = given["x"], 0
    (steps, batch, size), hidden = y.shape, w["U0"].shape[0]
    while f"U{layer}" in w:
        chains = 2**layer
        waves = -(-steps // chains)
        if waves * chains > steps:
            y = f.concat((y, f.zeros((waves * chains - steps, batch, size))), 0)
        rows = f.reshape(y, (waves, chains * batch, size))
        made = lstm_layer(f, w, layer, rows, chains * batch, hidden)
        y = f.reshape(made, (waves * chains, batch, hidden))[0:steps]
        size, layer = hidden, layer + 1
    return y


# ---- images and grids ---------------------------------------------------------------------------


class Diagonals:
    """An image by its diagonals: wave i + j holds one point of each row, or nothing."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        wave, row = np.mgrid[0 : rows + columns - 1, 0:rows]
        column = wave - row
        self.inside = (column >= 0) & (column < columns)
        # Outside of the image stands one more point.
        self.of_image = np.where(self.inside, row * columns + column, rows * columns).ravel()
        i, j = np.mgrid[0:rows, 0:columns]
        self.of_waves = ((i + j) * rows + i).ravel()

    def skew(self, f: Framework, image: Value, width: int) -> Value:
        """[rows * columns, width] -> [waves, rows, width]."""
        padded = f.concat((image, f.zeros((1, width))), 0)
        shape = (self.rows + self.columns - 1, self.rows, width)
        return f.reshape(f.take(padded, self.of_image), shape)

    def straighten(self, f: Framework, waves: Value, width: int) -> Value:
        """[waves, rows, width] -> [rows * columns, width]."""
        count = (self.rows + self.columns - 1) * self.rows
        return f.take(f.reshape(waves, (count, width)), self.of_waves)

    def mask(self, f: Framework) -> Value:
        return f.constant(self.inside.astype(np.float32)[:, :, None, None])


def image_lstm_weights(params: Arrays) -> Weights:
    """Of one or four directions, stacked: W [D, X, 5H], U [D, 2H, 5H], b [D, 1, 5H]."""
    names = sorted({name.rsplit(".", 1)[0] for name in params})
    W = np.stack([params[f"{name}.W"].T for name in names])
    U = np.stack([np.concatenate([part.T for part in params[f"{name}.U"]]) for name in names])
    b = np.stack([params[f"{name}.b"][None] for name in names])
    return {"W": W, "U": U, "b": b}


def image_lstm(f: Framework, w: Values, given: Values) -> Value:
    """All directions at once, each on an image turned so that it begins at the top left."""
    x, U = given["x"], w["U"]
    (rows, columns, batch, size), ways, hidden = x.shape, U.shape[0], U.shape[2] // 5
    diagonals = Diagonals(rows, columns)
    turned = [turn(f, x, way) for way in range(ways)]
    inputs = []
    for way in range(ways):
        flat = f.reshape(turned[way], (rows * columns * batch, size))
        sums = f.reshape(flat @ w["W"][way], (rows * columns, batch * 5 * hidden))
        skewed = diagonals.skew(f, sums, batch * 5 * hidden)
        waves = rows + columns - 1
        inputs.append(f.reshape(skewed, (waves, 1, rows * batch, 5 * hidden)))
    mask = f.reshape(diagonals.mask(f), (-1, 1, rows, 1, 1))

    def up(state: Value) -> Value:
        """What the row above had a wave before."""
        grid = f.reshape(state, (ways, rows, batch * hidden))
        moved = f.concat((f.zeros((ways, 1, batch * hidden)), grid[:, 0 : rows - 1]), 1)
        return f.reshape(moved, (ways, rows * batch, hidden))

    def step(carry: State, now: State) -> tuple[State, State]:
        h, c = carry
        above = up(c)
        sums = now[0] + f.concat((up(h), h), 2) @ U + w["b"]
        i, down, right, g, o = f.split(sums, [hidden] * 5)
        new = f.sigmoid(i) * f.tanh(g) + f.sigmoid(down) * above + f.sigmoid(right) * c
        here = f.reshape(new, (ways, rows, batch, hidden)) * now[1]
        new = f.reshape(here, (ways, rows * batch, hidden))
        h = f.sigmoid(o) * f.tanh(new)
        return (h, new), (h,)

    zero = f.zeros((ways, rows * batch, hidden))
    joined_inputs = inputs[0] if ways == 1 else f.concat(inputs, 1)
    [found] = f.scan(step, (zero, zero), (joined_inputs, mask))
    outputs = []
    for way in range(ways):
        waves = f.reshape(found[:, way : way + 1], (-1, rows, batch * hidden))
        image = f.reshape(
            diagonals.straighten(f, waves, batch * hidden), (rows, columns, batch, hidden)
        )
        outputs.append(turn(f, image, way))
    return outputs[0] if ways == 1 else f.concat(outputs, 3)


def turn(f: Framework, image: Value, way: int) -> Value:
    """Direction 2u + v comes from below if u, and from the right if v."""
    if way & 2:
        image = f.flip(image, 0)
    return f.flip(image, 1) if way & 1 else image


def layered_weights(params: Arrays) -> Weights:
    return {
        name.replace("[", "").replace("]", ""): np.ascontiguousarray(value.T)
        for name, value in params.items()
    }


def grid_rnn(f: Framework, w: Values, given: Values) -> Value:
    """Layer by layer, each by its diagonals."""
    x = given["x"]
    (rows, columns, batch, hidden), layer = x.shape, 0
    diagonals = Diagonals(rows, columns)
    image = f.reshape(x, (rows * columns, batch * hidden))
    down = right = f.reshape(diagonals.skew(f, image, batch * hidden), (-1, rows * batch, hidden))
    mask = diagonals.mask(f)
    zero = f.zeros((rows * batch, hidden))

    def layer_of(number: int, down: Value, right: Value) -> Value:
        W, U_down, U_right = w[f"W{number}"], w[f"U_down{number}"], w[f"U_right{number}"]
        b = w[f"b{number}"]

        def cut(state: Value, inside: Value) -> Value:
            masked = f.reshape(state, (rows, batch, hidden)) * inside
            return f.reshape(masked, (rows * batch, hidden))

        def step(carry: State, now: State) -> tuple[State, State]:
            above = f.concat((zero[0:batch], carry[0][0 : (rows - 1) * batch]), 0)
            past = above @ U_down + carry[1] @ U_right
            made = (cut(f.tanh(now[0] + past), now[2]), cut(f.tanh(now[1] + past), now[2]))
            return made, made

        return f.scan(step, (zero, zero), (down @ W + b, right @ W + b, mask))

    while f"W{layer}" in w:
        down, right = layer_of(layer, down, right)
        layer += 1
    waves = f.reshape(down + right, (-1, rows, batch * hidden))
    straight = diagonals.straighten(f, waves, batch * hidden)
    return f.reshape(straight, (rows, columns, batch, hidden))


def grid_lstm(f: Framework, w: Values, given: Values) -> Value:
    """Layer by layer: what depth brings is multiplied for all steps at once."""
    x, hidden = given["x"], w["P"].shape[1]
    batch, layer = x.shape[1], 0
    hd, md = x @ w["P"], x @ w["P_m"]

    def transform(sums: Value, memory: Value) -> tuple[Value, Value]:
        i, k, g, o = f.split(sums, [hidden] * 4)
        new = f.sigmoid(k) * memory + f.sigmoid(i) * f.tanh(g)
        return f.sigmoid(o) * f.tanh(new), new

    def layer_of(number: int, hd: Value, md: Value) -> Value:
        past, depth = w[f"past{number}"], w[f"depth{number}"]

        def step(carry: State, now: State) -> tuple[State, State]:
            time, up = f.split(now[0] + carry[0] @ past, [4 * hidden] * 2)
            ht, mt = transform(time, carry[1])
            return (ht, mt), transform(up, now[1])

        zero = f.zeros((batch, hidden))
        return f.scan(step, (zero, zero), (hd @ depth + w[f"b{number}"], md))

    while f"past{layer}" in w:
        hd, md = layer_of(layer, hd, md)
        layer += 1
    return hd


def grid_lstm_weights(params: Arrays) -> Weights:
    """The rows that read time's hidden vector, and those that read depth's, of both transforms."""
    found = {name: np.ascontiguousarray(params[name].T) for name in ("P", "P_m")}
    hidden = found["P"].shape[1]
    for layer in range(sum(name.endswith(".W") for name in params) // 2):
        sides = [f"{side}[{layer}]" for side in ("along_time", "along_depth")]
        both = joined(params, [f"{side}.W" for side in sides])
        found[f"past{layer}"], found[f"depth{layer}"] = both[:hidden].copy(), both[hidden:].copy()
        found[f"b{layer}"] = joined(params, [f"{side}.b" for side in sides])
    return found


# ---- trees, attention, linear recurrences -------------------------------------------------------


def tree_weights(params: Arrays) -> Weights:
    """Rows of both children one above the other; W's for i, f, f, g, o."""
    found = plain_weights(params)
    i, k, g, o = np.split(found["W"], 4, axis=1)
    b_i, b_f, b_g, b_o = np.split(found["b"], 4)
    return {
        "W": np.concatenate([i, k, k, g, o], axis=1),
        "b": np.concatenate([b_i, b_f, b_f, b_g, b_o]),
        "U": np.concatenate([found["U_l"], found["U_r"]]),
    }


def tree(f: Framework, w: Values, given: Values) -> Value:
    """A complete binary tree, level by level from its leaves, all trees of the batch alike."""
    x = given["x"]
    (nodes, batch, _), hidden = x.shape, w["U"].shape[1] // 5
    inputs = x @ w["W"] + w["b"]
    size, first = (nodes + 1) // 2, 0
    h = c = None
    while size:
        sums = inputs[first : first + size]
        if h is None:
            i, _, _, g, o = f.split(sums, [hidden] * 5)
            c = f.sigmoid(i) * f.tanh(g)
        else:
            pair = f.swap(f.reshape(h, (size, 2, batch, hidden)), (0, 2, 1, 3))
            sums = sums + f.reshape(pair, (size, batch, 2 * hidden)) @ w["U"]
            i, left, right, g, o = f.split(sums, [hidden] * 5)
            pair = f.swap(f.reshape(c, (size, 2, batch, hidden)), (1, 0, 2, 3))
            c = f.sigmoid(i) * f.tanh(g) + f.sigmoid(left) * pair[0] + f.sigmoid(right) * pair[1]
        h = f.sigmoid(o) * f.tanh(c)
        first, size = first + size, size // 2
    return f.reshape(h, (batch, hidden))


def attention_weights(params: Arrays) -> Weights:
    return {
        "query": params["W_a"].T.copy(),
        "keys": params["U_a"].T.copy(),
        "score": params["v_a"][:, None].copy(),
        "W": joined(params, ["W_r", "W_z", "W"]),
        "U": joined(params, ["U_r", "U_z"]),
        "U_n": params["U"].T.copy(),
        "C": joined(params, ["C_r", "C_z", "C"]),
    }


def attention(f: Framework, w: Values, given: Values) -> Value:
    y, a = given["y"], given["a"]
    (_, batch, size), hidden = y.shape, w["U_n"].shape[0]
    keys = a @ w["keys"]
    before = f.concat((f.zeros((1, batch, size)), y[:-1]), 0) @ w["W"]

    def step(carry: State, now: State) -> tuple[State, State]:
        s = carry[0]
        weight = f.softmax(f.tanh(keys + s @ w["query"]) @ w["score"], 0)
        context = f.sum(weight * a, 0)
        r, z, n = f.split(now[0] + context @ w["C"], [hidden] * 3)
        past_r, past_z = f.split(s @ w["U"], [hidden] * 2)
        r, z = f.sigmoid(r + past_r), f.sigmoid(z + past_z)
        new = s + z * (f.tanh(n + (r * s) @ w["U_n"]) - s)
        return (new,), (new,)

    [states] = f.scan(step, (given["s0"],), (before,))
    return states


def mingru(f: Framework, w: Values, given: Values) -> Value:
    x = given["x"]
    z = f.sigmoid(x @ w["W_z"] + w["b_z"])
    return f.linear_scan(1 - z, z * (x @ w["W_h"] + w["b_h"]))


def diagonal_ssm(f: Framework, w: Values, given: Values) -> Value:
    x = given["x"]
    b = x @ w["B"]
    return f.linear_scan(b * 0.0 + f.sigmoid(w["decay"]), b) @ w["C"] + w["D"] * x
