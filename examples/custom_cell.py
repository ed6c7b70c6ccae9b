"""Compiles `custom_cell.rnn` and labels sequences of different lengths.

python examples/custom_cell.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import rnnc

SPEC = Path(__file__).with_suffix(".rnn")
SIZES = {"X": 8, "H": 16, "L": 2, "Y": 3}


def main() -> None:
    model = rnnc.compile(SPEC, sizes=SIZES)
    print(model)
    random = np.random.default_rng(0)
    weights = {path: random.normal(0, 0.3, shape) for path, (_, shape) in model.parameters.items()}
    tagger = model.bind(weights)
    # Two rows of 10 steps, of which the second has 6: its way back starts at its own end.
    x = random.normal(size=(10, 2, SIZES["X"]))
    label = tagger(x=x, lengths=[10, 6])["label"]
    print("label:", label.shape)
    for row in range(2):
        print(f"row {row}:", *np.argmax(label[:, row], axis=-1)[: (10, 6)[row]])


if __name__ == "__main__":
    main()
