"""`torch.nn.LSTM`, `GRU` and `RNN`: from their state_dict to parameters by path.

    params = torch_parameters({name: value.numpy() for name, value in lstm.state_dict().items()})
    rnnc.compile("stacked.rnn", model="stacked_lstm", sizes=...).bind(params)

Arrays are cut, never changed, with one exception: torch adds two biases to every gate where rnnc
has one, and they are summed here. (The candidate of a GRU keeps both, `b_n` and `c_n`: the reset
gate multiplies one of them.) torch itself is not needed.

| torch.nn | rnnc |
|---|---|
| LSTM | stacked_lstm |
| GRU, RNN | stacked{unit=gru}, stacked{unit=elman}, and act=relu for nonlinearity="relu" |
| ... with bidirectional=True | deep_bidirectional{unit=...}, or bidirectional for one layer |
| LSTM with proj_size | a stack of projected_lstm |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.importers.gates import split_gates

Array = npt.NDArray[np.generic]
Kind = Literal["lstm", "gru", "elman", "projected_lstm"]

_KEY = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)_l(\d+)(_reverse)?")
_KINDS: Mapping[int, Kind] = {4: "lstm", 3: "gru", 1: "elman"}  # by the number of gates


@dataclass(frozen=True, slots=True)
class _Layer:
    """The arrays of one layer in one direction, under torch's names without their suffix."""

    name: str
    arrays: Mapping[str, Array]

    def weight(self, name: str) -> Array:
        if name not in self.arrays:
            raise _error(f"{name}_{self.name} is missing")
        return self.arrays[name]

    @property
    def kind(self) -> Kind:
        """The cell that has arrays of these shapes."""
        rows, columns = _matrix(self.weight("weight_hh"), f"weight_hh_{self.name}")
        if "weight_hr" in self.arrays:
            if self.arrays["weight_hr"].shape != (columns, rows // 4):
                raise _error(f"weight_hr_{self.name} does not project to weight_hh_{self.name}")
            return "projected_lstm"
        kind = _KINDS.get(rows // columns) if columns and rows % columns == 0 else None
        if kind is None:
            raise _error(f"weight_hh_{self.name} is {rows} x {columns}: no LSTM, GRU or RNN")
        return kind

    def checked(self) -> _Layer:
        """This layer, if all its arrays have as many rows as weight_hh."""
        rows = len(self.weight("weight_hh"))
        _matrix(self.weight("weight_ih"), f"weight_ih_{self.name}")
        for name in ("weight_ih", "bias_ih", "bias_hh"):
            if name in self.arrays and self.arrays[name].shape[:1] != (rows,):
                shape = self.arrays[name].shape
                raise _error(f"{name}_{self.name} has shape {shape}, weight_hh {rows} rows")
        return self

    def bias(self, name: str) -> Array:
        """One of the two biases; zeros if the module was made with bias=False."""
        hidden = self.weight("weight_hh")
        return self.arrays.get(name, np.zeros(len(hidden), hidden.dtype))

    @property
    def summed_bias(self) -> Array:
        return np.add(self.bias("bias_ih"), self.bias("bias_hh"))


def torch_parameters(
    state: Mapping[str, Array],
    *,
    prefix: str = "",
    forward: str | None = None,
    backward: str | None = None,
) -> dict[str, Array]:
    """The parameters by path of the model in the table above that computes what the module does.

    `state` is a state_dict as NumPy arrays; only names that start with `prefix` ("encoder.") are
    read. Which module it was is seen from names and shapes. `forward` and `backward` are the paths
    of the cells, in which `{layer}` stands for a layer's number; as they are in the library:
    `lstm[{layer}]` (or `gru`, `elman`, `projected_lstm`), and for two directions `fwd[{layer}]`
    and `bwd[{layer}]`. A model with a single layer may need `fwd` and `bwd`.

    Raises DiagnosticError (RNN601) for names and shapes that no such module has.
    """
    own = {name.removeprefix(prefix): a for name, a in state.items() if name.startswith(prefix)}
    layers = _layers(own, prefix)
    two_ways = any(reverse for _, reverse in layers)
    count = len(layers) // 2 if two_ways else len(layers)
    wanted = [
        (number, reverse) for number in range(count) for reverse in (False, True)[: 1 + two_ways]
    ]
    if sorted(layers) != wanted:
        raise _error("layers or directions are missing: there are " + ", ".join(own))
    found: dict[str, Array] = {}
    for (number, reverse), layer in sorted(layers.items()):
        kind = layer.kind
        if reverse:
            owner = backward or "bwd[{layer}]"
        else:
            owner = forward or ("fwd[{layer}]" if two_ways else f"{kind}[{{layer}}]")
        if count > 1 and "{layer}" not in owner:
            raise _error(f"'{owner}' names one layer, but there are {count}")
        path = owner.replace("{layer}", str(number))
        parts = _parameters(layer.checked(), kind)
        found |= {f"{path}.{name}": part for name, part in parts.items()}
    return found


def _layers(state: Mapping[str, Array], prefix: str) -> dict[tuple[int, bool], _Layer]:
    """The arrays by layer and whether they belong to the reverse direction."""
    arrays: dict[tuple[int, bool], dict[str, Array]] = {}
    for name, array in state.items():
        match = _KEY.fullmatch(name)
        if match is None:
            raise _error(f"'{prefix}{name}' is no name of torch.nn.LSTM, GRU or RNN")
        arrays.setdefault((int(match[2]), match[3] is not None), {})[match[1]] = array
    if not arrays:
        raise _error(f"no name starts with '{prefix}'" if prefix else "there are no arrays")
    return {
        (number, reverse): _Layer(f"l{number}{'_reverse' if reverse else ''}", own)
        for (number, reverse), own in arrays.items()
    }


def _parameters(layer: _Layer, kind: Kind) -> dict[str, Array]:
    """The parameters of one cell, without its path."""
    inputs, hidden = layer.weight("weight_ih"), layer.weight("weight_hh")
    match kind:
        case "elman":
            return {"W": inputs, "U": hidden, "b": layer.summed_bias}
        case "projected_lstm":
            # Its matrices are stacked in torch's order.
            projection = layer.weight("weight_hr")
            return {"W": inputs, "U": hidden, "b": layer.summed_bias, "W_r": projection}
        case "lstm":
            stacks = {"W": inputs, "U": hidden, "b": layer.summed_bias}
            return _by_gate(stacks, "lstm")
        case "gru":
            found = _by_gate({"W": inputs, "U": hidden, "b": layer.summed_bias}, "gru")
            found["b_n"] = split_gates(layer.bias("bias_ih"), "torch", "gru")["n"]
            found["c_n"] = split_gates(layer.bias("bias_hh"), "torch", "gru")["n"]
            return found


def _by_gate(stacks: Mapping[str, Array], cell: Literal["lstm", "gru"]) -> dict[str, Array]:
    return {
        f"{name}_{gate}": part
        for name, stacked in stacks.items()
        for gate, part in split_gates(stacked, "torch", cell).items()
    }


def _matrix(array: Array, name: str) -> tuple[int, int]:
    if array.ndim != 2:
        raise _error(f"{name} has {array.ndim} axes, not 2")
    return array.shape[0], array.shape[1]


def _error(message: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic("RNN601", message)])
