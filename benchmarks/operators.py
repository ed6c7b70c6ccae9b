"""LSTM and GRU as the peers' own operators have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from frameworks import Array, Arrays, Call

Layers = Sequence[Sequence[Mapping[str, Array]]]
_GATES = {"LSTM": "ifgo", "GRU": "rzn"}


def operator_layers(op: str, params: Arrays) -> Layers:
    """W: [gates * H, X], U, b and c (zero where there are none) of every layer and direction."""
    prefixes = {name.split("[")[0] for name in params}
    ways = ("fwd", "bwd") if "fwd" in prefixes else sorted(prefixes)
    count = len({name.split(".")[0] for name in params}) // len(ways)

    def direction(prefix: str) -> Mapping[str, Array]:
        found = {}
        for kind in "WUbc":
            parts = [f"{prefix}.{kind}_{gate}" for gate in _GATES[op]]
            biases = [part.replace(".c_", ".b_") for part in parts]
            found[kind] = np.concatenate(
                [
                    params[part] if part in params else np.zeros_like(params[bias])
                    for part, bias in zip(parts, biases, strict=True)
                ]
            )
        return found

    return [[direction(f"{way}[{layer}]") for way in ways] for layer in range(count)]


def torch_operator_call(op: str, layers: Layers, x: Array, threads: int) -> Call:
    import torch

    torch.set_num_threads(threads)
    hidden, ways = layers[0][0]["U"].shape[1], len(layers[0])
    make = torch.nn.LSTM if op == "LSTM" else torch.nn.GRU
    network = make(x.shape[-1], hidden, len(layers), bidirectional=ways == 2).eval()
    state = {}
    for number, directions in enumerate(layers):
        for suffix, part in zip(("", "_reverse"), directions, strict=False):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            for name, kind in zip(names, "WUbc", strict=True):
                state[f"{name}_l{number}{suffix}"] = torch.from_numpy(part[kind])
    network.load_state_dict(state)
    tensor = torch.from_numpy(x)

    def call() -> Array:
        with torch.inference_mode():
            return np.asarray(network(tensor)[0].numpy())

    return call
