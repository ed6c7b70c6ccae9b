"""Small compiled models for the tests of the runtime, each compiled once, with their oracle."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request, StaticValue, standard_source
from rnnc.ir.graph import Graph
from rnnc.ir.interpreter import interpret
from rnnc.ir.pointwise import Array
from rnnc.runtime.model import BoundModel, Model
from rnnc.sampling import random_inputs, random_parameters
from rnnc.weights import WeightType
from tests.threads import share_everything
from tests.tolerance import assert_close

SIZES: dict[str, tuple[str, dict[str, StaticValue]]] = {
    "elman_network": ("elman", {"X": 3, "H": 5, "Y": 2}),
    "stacked_lstm": ("stacked", {"X": 3, "H": 5, "L": 2}),
    "bidirectional": ("bidirectional", {"X": 3, "H": 5}),
}

# What the library has no small model for.
SPECS: dict[str, tuple[dict[str, StaticValue], str]] = {
    "pairs": (
        {"H": 3},
        """model pairs{H}:
    "An input with two axes of one extent."
    dim s in 0..T, t in 0..T
    input a[s, t]: [H]
    h[t] = tanh(sum(s: a[s, t]) + h[t-1])
    output y[t] = h[t]
""",
    ),
    "pick": (
        {"H": 3},
        """model pick{H}:
    "Ints whose range is the row's own length."
    dim t in 0..T
    input k[t]: int in 0..T, x[t]: [H]
    h[t] = tanh(x[k[t]] + h[t-1])
    output y[t] = h[t]
    output last = h[T-1]
""",
    ),
    "generate": (
        {"H": 3},
        """model generate{H}:
    "No input tells how many steps there are."
    dim t in 0..T
    input h0: [H]
    param U: [H, H]
    h[t] = tanh(U @ h[t-1])
    h[-1] = h0
    output y[t] = h[t]
""",
    ),
    "two": (
        {"H": 3},
        """model two{H}:
    "Two extents."
    dim s in 0..S, t in 0..T
    input a[s]: [H], b[t]: [H]
    u[s] = tanh(a[s] + u[s-1])
    h[t] = tanh(b[t] + u[S-1] + h[t-1])
    output y[t] = h[t]
    output z[s] = u[s]
""",
    ),
    "ages": (
        {"H": 3},
        """model ages{H}:
    "What depends on nothing of a row but its length."
    dim t in 0..T
    input x[t]: [H]
    param w: real
    age[t] = (t + 1) / T
    left[t] = left[t+1] + w
    behind[t] = left[0] + t
    total = sum(t: w * t)
    output y[t] = stack(age[t], left[t], behind[t], total) + x[t][0]
""",
    ),
    "householder": (
        {"X": 3, "H": 5, "K": 4},
        """model householder{X, H, K}:
    "An orthogonal matrix that the parameters alone decide."
    dim k in 0..K, t in 0..T
    input x[t]: [X]
    param v[k]: [H], W: [H, X], b: [H]
    Q[k] = Q[k-1] - 2 * outer(Q[k-1] @ v[k], v[k]) / (v[k] @ v[k])
    Q[-1] = eye(H)
    h[t] = tanh(Q[K-1] @ h[t-1] + W @ x[t] + b)
    output y[t] = h[t]
""",
    ),
    "masked": (
        {"X": 3, "H": 5},
        """model masked{X, H}:
    "Weights of which some do not count."
    dim t in 0..T
    input x[t]: [X]
    param M, U: [H, H], W: [H, X], keep: bool[H, X] = true
    h[t] = tanh((M * U) @ h[t-1] + (W if keep else 0) @ x[t])
    output y[t] = h[t]
""",
    ),
    "decaying": (
        {"D": 3, "N": 2},
        """model decaying{D, N}:
    "Scalars at grid points, of which one point is read alone."
    dim d in 1..D, n in 0..N, t in 0..T
    input x[t]: [2]
    param log_rate[d, n], scale[d, n]: real
    rate[d, n] = exp(-exp(log_rate[d, n]))
    s[d, n, t] = rate[d, n] * s[d, n, t-1] + x[t]
    output y[t] = sum(d, n: scale[d, n] * s[d, n, t]) + rate[1, 1] * x[t]
""",
    ),
    "permuted": (
        {"H": 3, "L": 2},
        """model permuted{H, L}:
    "An int parameter whose range depends on its grid point."
    dim l in 0..L, t in 0..T
    input x[t]: [H]
    param P[l]: int[H] in 0..H, K[l]: int in 0..l+1, b[l]: [H]
    v[l] = b[K[l]]
    h[l, t] = tanh(h[l-1, t][P[l]] + v[l] + h[l, t-1])
    h[-1, t] = x[t]
    output y[t] = h[L-1, t]
""",
    ),
}


@dataclass(frozen=True, slots=True)
class Network:
    graph: Graph
    model: Model
    params: dict[str, Array]
    bound: BoundModel

    def inputs(self, steps: int, batch: int, seed: int = 1) -> dict[str, Array]:
        """Random inputs; every extent is `steps`."""
        return random_inputs(self.graph, self.extents(steps), batch, seed)

    def extents(self, steps: int) -> dict[str, int]:
        return dict.fromkeys(self.model.manifest.extents, steps)

    def expected(
        self,
        inputs: Mapping[str, Array],
        steps: int,
        lengths: Mapping[str, Array] | None = None,
        resets: Array | None = None,
    ) -> dict[str, Array]:
        sizes = self.extents(steps)
        return interpret(self.graph, sizes, inputs, self.params, lengths=lengths, resets=resets)


@functools.cache
def compilation(name: str, weights: WeightType = "float32") -> Compilation:
    if name in SPECS:
        sizes, text = SPECS[name]
        source = Source(f"{name}.rnn", text)
    else:
        file, sizes = SIZES[name]
        source = standard_source(file)
    return Compilation(source, Request(name, sizes, weights=weights))


@functools.cache
def network(name: str) -> Network:
    compiled = compilation(name)
    model = share_everything(compiled.load())
    params = random_parameters(compiled.graph, 0)
    return Network(compiled.graph, model, params, model.bind(params))


def assert_outputs(actual: Mapping[str, Array], expected: Mapping[str, Array], steps: int) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert_close(actual[name], value, np.float32, steps)
