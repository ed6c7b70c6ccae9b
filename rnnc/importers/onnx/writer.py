"""The spec that is being written: names, cells, lines, and the arrays of its parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from .graph import Array

_TAKEN = """
cell model dim param input output from import if else otherwise and or not in true false real
complex int bool sigmoid tanh relu softplus identity exp log sqrt abs sin cos floor min max
logaddexp concat stack split repeat reshape outer flip fft ifft re im conj zeros ones eye pi inf
normal uniform orthogonal permutation sum prod mean any all argmax logsumexp softmax cumsum norm
stop_gradient straight_through dropout state t T lstm gru elman
"""


@dataclass(slots=True)
class Writer:
    """Everything of a spec, in order of its places."""

    imports: dict[str, set[str]] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    params: list[str] = field(default_factory=list)
    equations: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)
    timed: bool = False
    names: set[str] = field(default_factory=lambda: set(_TAKEN.split()))

    def name(self, wanted: str) -> str:
        """A name like `wanted` that nothing else has."""
        plain = re.sub(r"\W+", "_", wanted, flags=re.ASCII).strip("_") or "v"
        if plain[0].isdigit():
            plain = f"v{plain}"
        found, number = plain, 2
        while found in self.names:
            found, number = f"{plain}_{number}", number + 1
        self.names.add(found)
        return found

    def constant(self, array: Array, wanted: str) -> str:
        """A number as text, or a parameter of its own with the array's values."""
        if array.ndim == 0:
            return number(float(array))
        name = self.name(wanted)
        self.params.append(f"{name}: [{', '.join(map(str, array.shape))}]")
        self.weights[name] = np.ascontiguousarray(array, np.float32)
        return name

    def function(self, name: str, text: str) -> str:
        """A function of the file, once."""
        self.cells.setdefault(name, text)
        self.names.add(name)
        return name

    def text(self, model: str, about: str) -> str:
        """The whole file; not yet in the canonical format."""
        lines = [
            f"from {file} import {', '.join(sorted(names))}"
            for file, names in sorted(self.imports.items())
        ]
        for cell in self.cells.values():
            lines += ["", cell]
        lines += ["", f"model {model}:", f"    {quoted(about)}"]
        body = ["dim t in 0..T"] if self.timed else []
        body += [f"input {entry}" for entry in self.inputs]
        body += [f"param {entry}" for entry in self.params]
        body += self.equations
        body += [f"output {entry}" for entry in self.outputs]
        return "\n".join([*lines, *(f"    {line}" for line in body), ""]).lstrip("\n")


def number(value: float) -> str:
    """A number as the language writes it."""
    if value != value:
        return "(inf - inf)"
    if value in (float("inf"), float("-inf")):
        return "inf" if value > 0 else "(-inf)"
    text = repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
    return text if value >= 0 else f"({text})"


def quoted(text: str) -> str:
    plain = text.replace("\\", "/").replace('"', "'").replace("\n", " ")
    return f'"{plain}"'
