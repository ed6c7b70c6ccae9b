"""Reads scikit-learn's handwritten digits with a two-dimensional LSTM of random weights.

    pip install scikit-learn matplotlib
    python examples/digits/digits.py FOLDER

Draws what single units say at every pixel into FOLDER/digits.png. Of the summaries of half of the
images a linear classifier learns the digits, by least squares; the other half is classified.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

import rnnc
from rnnc.runtime.model import BoundModel

Floats = npt.NDArray[np.float32]

SPEC = Path(__file__).with_name("digits.rnn")
SIZES = {"X": 1, "H": 48}
DRAWN = 6  # images, and units of each


def images() -> tuple[Floats, npt.NDArray[np.int64]]:
    """The images [8, 8, images, 1], between -1 and 1, and which digits they show."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = found.images.astype(np.float32) / 8 - 1
    return np.moveaxis(pixels, 0, 2)[..., None], found.target.astype(np.int64)


def reader() -> BoundModel:
    """The compiled network, with weights that keep states small: c can grow along every path."""
    model = rnnc.compile(SPEC, sizes=SIZES)
    random = np.random.default_rng(0)
    scale = {"W": 1.0, "U": 1 / SIZES["H"] ** 0.5, "b": 0.5}
    weights = {
        path: random.normal(0, scale[path[-1]], shape).astype(np.float32)
        for path, (_, shape) in model.parameters.items()
    }
    for path, bias in weights.items():
        if path.endswith("b"):  # rows i, f of the pixel above, f of the one to the left, g, o
            bias.reshape(5, -1)[1:3] -= 0.5
    return model.bind(weights)


def accuracy(summary: Floats, digits: npt.NDArray[np.int64]) -> float:
    """Of a linear classifier that is fitted to the first half, on the second half."""
    features = np.concatenate([summary, np.ones_like(summary[:, :1])], axis=1).astype(np.float64)
    half = len(digits) // 2
    readout = np.linalg.lstsq(features[:half], np.eye(10)[digits[:half]], rcond=None)[0]
    return float(np.mean(np.argmax(features[half:] @ readout, axis=1) == digits[half:]))


def draw(path: Path, x: Floats, state: Floats) -> None:
    """A column for every image: the image, then single units at every pixel."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(DRAWN, DRAWN + 1), layout="tight")
    places = figure.subplots(DRAWN + 1, DRAWN)
    for column in range(DRAWN):
        places[0, column].imshow(x[:, :, column, 0], cmap="gray_r")
        for unit in range(DRAWN):
            shown = state[:, :, column, unit]
            places[unit + 1, column].imshow(shown, cmap="RdBu", vmin=-1, vmax=1)
    for place in places.flat:
        place.set_axis_off()
    figure.savefig(path, dpi=100)


def main(folder: Path) -> float:
    """Draws into the folder; the share of digits that are recognized."""
    x, digits = images()
    found = reader()(x=x)
    draw(folder / "digits.png", x, found["state"].astype(np.float32))
    right = accuracy(found["summary"].astype(np.float32), digits)
    print(f"{right:.0%} of {len(digits) - len(digits) // 2} digits are recognized")
    return right


if __name__ == "__main__":
    main(Path(sys.argv[1]))
