"""Parameters by path -> the state_dict of `torch.nn.LSTM`, `GRU` or `RNN`.

The inverse of rnnc/importers/torch_state.py. Where torch has two biases the second is zero, but for
the candidate of a GRU: there both count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.importers.gates import GATE_ORDERS, Array

_OWNER = re.compile(r"(.*?)(?:\[(\d+)\])?")


def torch_state(
    params: Mapping[str, Array], *, forward: str | None = None, backward: str | None = None
) -> dict[str, Array]:
    """The state_dict of the module that computes what these cells do.

    `forward` and `backward` are the paths of the cells without their number, `encoder` for
    `encoder[0].W_i`; without them all cells are of one name, or of `fwd` and `bwd`. Raises RNN601.
    """
    cells: dict[str, dict[str, Array]] = {}
    for path, array in params.items():
        owner, _, name = path.rpartition(".")
        cells.setdefault(owner, {})[name] = array
    if not cells:
        raise _error("there are no arrays")
    places = _places(list(cells), forward, backward)
    found: dict[str, Array] = {}
    for owner, (layer, suffix) in sorted(places.items(), key=lambda entry: entry[1]):
        for name, array in _arrays(owner, cells[owner]).items():
            found[f"{name}_l{layer}{suffix}"] = array
    return found


def _places(
    owners: list[str], forward: str | None, backward: str | None
) -> dict[str, tuple[int, str]]:
    """Layer and suffix of each cell."""
    parts = {owner: _OWNER.fullmatch(owner) for owner in owners}
    names = {owner: match[1] for owner, match in parts.items() if match is not None}
    first, second = forward, backward
    if first is None and second is None:
        distinct = sorted(set(names.values()))
        first, second = ("fwd", "bwd") if "bwd" in distinct else (distinct[0], None)
    found: dict[str, tuple[int, str]] = {}
    for owner, name in names.items():
        match = parts[owner]
        if name not in (first, second) or match is None:
            known = " and ".join(repr(known) for known in (first, second) if known is not None)
            raise _error(f"'{owner}' is no layer of {known}: say which cells are the module's")
        found[owner] = int(match[2] or 0), "_reverse" if name == second else ""
    return found


def _arrays(owner: str, own: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of one cell, under torch's names without their suffix."""
    if "W_i" in own:
        gates = GATE_ORDERS["torch", "lstm"]
    elif "W_z" in own:
        gates = GATE_ORDERS["torch", "gru"]
    else:
        gates = ()

    def stacked(name: str) -> Array:
        names = [f"{name}_{gate}" for gate in gates] or [name]
        missing = [one for one in names if one not in own]
        if missing:
            raise _error(f"'{owner}.{missing[0]}' is missing")
        return np.concatenate([own[one] for one in names])

    bias = stacked("b")
    second = np.zeros_like(bias)
    if "c_n" in own:
        second[-len(own["c_n"]) :] = own["c_n"]
    projection = {"weight_hr": own["W_r"]} if not gates and "W_r" in own else {}
    known = {"W", "U", "b", "W_r"} if not gates else {f"{n}_{g}" for n in "WUb" for g in gates}
    unknown = sorted(own.keys() - known - {"c_n"})
    if unknown:
        raise _error(f"'{owner}.{unknown[0]}' is no parameter of an LSTM, GRU or RNN")
    return {
        "weight_ih": stacked("W"),
        "weight_hh": stacked("U"),
        "bias_ih": bias,
        "bias_hh": second,
        **projection,
    }


def _error(message: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic("RNN601", message)])
