"""How torch, ONNX, Keras and cuDNN store LSTMs, GRUs and RNNs: from one to another.

    state = to_torch({"W_l0": ..., "R_l0": ..., "B_l0": ...}, "onnx")
    arrays = from_torch(state, "keras")

A torch state_dict stands in the middle: it has a name for every array, and all others can be said
in its terms. X and H are the widths, G the gates (rnnc/importers/gates.py has their order).

| | input | recurrent | biases | names |
|---|---|---|---|---|
| torch | weight_ih [G H, X] | weight_hh [G H, H] | bias_ih, bias_hh [G H] | weight_ih_l0_reverse |
| cuDNN | W [G H, X] | R [G H, H] | bW, bR [G H] | W_l0_reverse |
| ONNX | W [D, G H, X] | R [D, G H, H] | B [D, 2 G H] | W_l0; W where one layer is all |
| Keras | kernel [X, G H] | recurrent_kernel [H, G H] | bias [G H] | layer0/backward/kernel |

cuDNN addresses its matrices by number (linLayerID): those of a layer and direction, one below the
other, are W and R. D is one or two directions. A Keras GRU with reset_after=True has bias [2, G H];
any path may stand before `kernel`, in which `backward` marks a direction. Biases may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.importers.gates import GATE_ORDERS, Array, Framework, split_gates

_CUDNN = {"W": "weight_ih", "R": "weight_hh", "bW": "bias_ih", "bR": "bias_hh"}
_NAME = re.compile(r"(\w+?)_l(\d+)((?:_reverse)?)")
_KERAS = re.compile(r"(?:(.*)/)?(kernel|recurrent_kernel|bias)(?::0)?")

Arrays = dict[str, Array]


def to_torch(arrays: Mapping[str, Array], framework: Framework) -> Arrays:
    """The state_dict of a torch module that computes the same. Raises RNN601."""
    read: dict[Framework, Callable[[Mapping[str, Array]], Arrays]] = {
        "torch": dict,
        "cudnn": lambda given: _renamed(given, _CUDNN),
        "onnx": _from_onnx,
        "keras": _from_keras,
    }
    return read[framework](arrays)


def from_torch(state: Mapping[str, Array], framework: Framework) -> Arrays:
    """A state_dict as another framework has it. Raises RNN601."""
    if any("weight_hr" in name for name in state) and framework != "torch":
        raise _error(f"{framework} has no projections: weight_hr")
    write: dict[Framework, Callable[[Mapping[str, Array]], Arrays]] = {
        "torch": dict,
        "cudnn": lambda given: _renamed(given, {new: old for old, new in _CUDNN.items()}),
        "onnx": _to_onnx,
        "keras": _to_keras,
    }
    return write[framework](state)


def _renamed(arrays: Mapping[str, Array], names: Mapping[str, str]) -> Arrays:
    found: Arrays = {}
    for name, array in arrays.items():
        own, place = _parts(name)
        if own not in names:
            raise _error(f"'{name}' is none of {', '.join(f'{known}{place}' for known in names)}")
        found[names[own] + place] = array
    return found


# ---- ONNX -------------------------------------------------------------------------------------


def _from_onnx(arrays: Mapping[str, Array]) -> Arrays:
    found: Arrays = {}
    layers = _grouped({name if "_l" in name else f"{name}_l0": a for name, a in arrays.items()})
    for place, own in layers.items():
        kernel, recurrent = _needed(own, "W", place, 3), _needed(own, "R", place, 3)
        directions = {len(kernel), len(recurrent)}
        if directions not in ({1}, {2}):
            raise _error(f"W{place} and R{place} have not both one or two directions")
        for way, suffix in zip(range(len(kernel)), ("", "_reverse"), strict=False):
            biases: list[Array] = []
            if "B" in own:
                bias = _shaped(own["B"], (len(kernel), 2 * kernel.shape[1]), f"B{place}")
                biases = np.split(bias[way], 2)
            made = {"weight_ih": kernel[way], "weight_hh": recurrent[way]}
            made |= dict(zip(("bias_ih", "bias_hh"), biases, strict=False))
            for name, array in made.items():
                hidden = recurrent.shape[2]
                found[f"{name}{place}{suffix}"] = _reordered(array, hidden, "onnx", "torch")
    return found


def _to_onnx(state: Mapping[str, Array]) -> Arrays:
    found: Arrays = {}
    layers = _grouped(state)
    for place in [place for place in layers if not place.endswith("_reverse")]:
        ways = [layers[way] for way in (place, f"{place}_reverse") if way in layers]
        stacks: dict[str, list[Array]] = {"W": [], "R": [], "B": []}
        for own in ways:
            recurrent = _needed(own, "weight_hh", place, 2)
            parts = [_needed(own, "weight_ih", place, 2), recurrent, *_biases(own, recurrent)]
            made = [_reordered(a, recurrent.shape[1], "torch", "onnx") for a in parts]
            stacks["W"].append(made[0])
            stacks["R"].append(made[1])
            stacks["B"].append(np.concatenate(made[2:]))
        found |= {f"{name}{place}": np.stack(parts) for name, parts in stacks.items()}
    return found


# ---- Keras ------------------------------------------------------------------------------------


def _from_keras(arrays: Mapping[str, Array]) -> Arrays:
    cells: dict[str, Arrays] = {}
    for name, array in arrays.items():
        match = _KERAS.fullmatch(name)
        if match is None:
            raise _error(f"'{name}' is no kernel, recurrent_kernel or bias of Keras")
        cells.setdefault(match[1] or "", {})[match[2]] = array
    # lstm_10 comes behind lstm_9, and forward and backward are of one layer.
    layers: dict[str, dict[str, Arrays]] = {}
    for path in sorted(cells, key=_natural):
        layer = path.replace("backward", "forward")
        layers.setdefault(layer, {})["_reverse" if layer != path else ""] = cells[path]
    found: Arrays = {}
    for number, ways in enumerate(layers.values()):
        for suffix, own in ways.items():
            place = f"_l{number}{suffix}"
            recurrent = _needed(own, "recurrent_kernel", place, 2)
            made = {"weight_ih": _needed(own, "kernel", place, 2).T, "weight_hh": recurrent.T}
            if "bias" in own:
                rows = np.atleast_2d(own["bias"])
                made |= dict(zip(("bias_ih", "bias_hh"), rows, strict=False))
            for name, array in made.items():
                found[name + place] = _reordered(array, len(recurrent), "keras", "torch")
    return found


def _to_keras(state: Mapping[str, Array]) -> Arrays:
    found: Arrays = {}
    layers = _grouped(state)
    two_ways = any(place.endswith("_reverse") for place in layers)
    for place, own in layers.items():
        number = int(place.removesuffix("_reverse").removeprefix("_l"))
        way = ("backward/" if place.endswith("_reverse") else "forward/") if two_ways else ""
        recurrent = _needed(own, "weight_hh", place, 2)
        hidden = recurrent.shape[1]
        biases = [_reordered(b, hidden, "torch", "keras") for b in _biases(own, recurrent)]
        has_two = _gates(recurrent, hidden) == 3
        made = {
            "kernel": _reordered(_needed(own, "weight_ih", place, 2), hidden, "torch", "keras").T,
            "recurrent_kernel": _reordered(recurrent, hidden, "torch", "keras").T,
            "bias": np.stack(biases) if has_two else np.add(*biases),
        }
        found |= {f"layer{number}/{way}{name}": array for name, array in made.items()}
    return found


def _natural(path: str) -> list[tuple[int, str]]:
    """Sorts numbers in names by their value, and backward behind forward."""
    parts = re.split(r"(\d+)", path.replace("backward", "forward~"))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


# ---- what they have in common ------------------------------------------------------------------


def _grouped(arrays: Mapping[str, Array]) -> dict[str, Arrays]:
    """By `_l0`, `_l0_reverse`, ..., in that order."""
    found: dict[str, Arrays] = {}
    for name, array in arrays.items():
        own, place = _parts(name)
        found.setdefault(place, {})[own] = array
    return dict(sorted(found.items(), key=lambda entry: _natural(entry[0])))


def _parts(name: str) -> tuple[str, str]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise _error(f"'{name}' has no layer: a name is like W_l0 or W_l0_reverse")
    return match[1], f"_l{int(match[2])}{match[3]}"


def _needed(own: Arrays, name: str, place: str, axes: int) -> Array:
    if name not in own:
        raise _error(f"{name}{place} is missing")
    if own[name].ndim != axes:
        raise _error(f"{name}{place} has {own[name].ndim} axes, not {axes}")
    return own[name]


def _shaped(array: Array, shape: tuple[int, ...], name: str) -> Array:
    if array.shape != shape:
        raise _error(f"{name} is {list(array.shape)} but must be {list(shape)}")
    return array


def _biases(own: Arrays, recurrent: Array) -> tuple[Array, Array]:
    """Of input and state; zero where there is none."""
    zero = np.zeros(len(recurrent), recurrent.dtype)
    return own.get("bias_ih", zero), own.get("bias_hh", zero)


def _gates(array: Array, hidden: int) -> int:
    return len(array) // hidden if hidden and len(array) % hidden == 0 else 0


def _reordered(array: Array, hidden: int, source: Framework, target: Framework) -> Array:
    """The rows of an array that stacks gates, in another framework's order."""
    cells: dict[int, Literal["lstm", "gru"]] = {4: "lstm", 3: "gru"}
    count = _gates(array, hidden)
    if count == 1:
        return array
    if count not in cells:
        raise _error(f"an array of {len(array)} rows has no gates of {hidden} units")
    parts = split_gates(array, source, cells[count])
    return np.concatenate([parts[gate] for gate in GATE_ORDERS[target, cells[count]]])


def _error(message: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic("RNN601", message)])
