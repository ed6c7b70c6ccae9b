"""Tells nine speakers apart by how they say /ae/, with an echo state network.

    pip install --no-deps aeon
    pip install matplotlib
    python examples/vowels/vowels.py FOLDER

The recordings (Kudo, Toyama, Shimbo 1999: 12 coefficients a step, 7 to 29 steps) come with the
package aeon, which is looked up and never imported. One call takes all of them, each with its own
length. Only the readout is learned, by ridge regression. Draws into FOLDER/vowels.png.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

import rnnc
from rnnc.runtime.model import BoundModel

Floats = npt.NDArray[np.float32]

SPEC = Path(__file__).with_name("vowels.rnn")
SIZES = {"X": 12, "H": 200}
SPEAKERS = 9
RIDGE = 0.1


@dataclass(frozen=True, slots=True)
class Recordings:
    """x: [T, recordings, 12], of which each has its own `lengths`; `speakers` from 0."""

    x: Floats
    lengths: npt.NDArray[np.int64]
    speakers: npt.NDArray[np.int64]


def find_data() -> Path | None:
    """The folder of the data in the installed package, if it is installed."""
    package = find_spec("aeon")
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent / "datasets" / "data" / "JapaneseVowels"
    return folder if folder.is_dir() else None


def read(path: Path) -> Recordings:
    """A .ts file: after @data a line for each; dimensions, then the class, between colons."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = lines[lines.index("@data") + 1 :]
    series: list[Floats] = []
    speakers: list[int] = []
    for row in rows:
        *dimensions, speaker = row.split(":")
        series.append(np.array([d.split(",") for d in dimensions], np.float32).T)
        speakers.append(int(speaker) - 1)
    lengths = np.array([len(steps) for steps in series], np.int64)
    x = np.zeros((max(lengths), len(series), SIZES["X"]), np.float32)
    for number, steps in enumerate(series):
        x[: len(steps), number] = steps
    return Recordings(x, lengths, np.array(speakers, np.int64))


def listener() -> BoundModel:
    """The compiled network, with random weights: units of many paces, the longest path < 1."""
    model = rnnc.compile(SPEC, sizes=SIZES)
    random, H = np.random.default_rng(0), SIZES["H"]
    weights = {
        "echo.W": random.normal(0, 0.5, (H, SIZES["X"])),
        "echo.U": random.normal(0, 0.7 / H**0.5, (H, H)),
        "echo.b": random.normal(0, 0.2, H),
        "echo.rate": random.uniform(0.05, 0.5, H),
    }
    return model.bind(weights)


def states(network: BoundModel, given: Recordings) -> tuple[Floats, Floats]:
    """At every step [T, recordings, H], and at the last one of each [recordings, H]."""
    found = network(x=given.x, lengths={"T": given.lengths})
    return found["state"].astype(np.float32), found["last"].astype(np.float32)


def readout(last: Floats, speakers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Ridge regression of who speaks, [H + 1, speakers]."""
    features = with_one(last)
    gram = features.T @ features + RIDGE * np.eye(features.shape[1])
    solved = np.linalg.solve(gram, features.T @ np.eye(SPEAKERS)[speakers])
    return np.asarray(solved, np.float64)


def with_one(last: Floats) -> npt.NDArray[np.float64]:
    return np.concatenate([last, np.ones_like(last[:, :1])], axis=1).astype(np.float64)


def draw(path: Path, given: Recordings, state: Floats, table: npt.NDArray[np.int64]) -> None:
    """Some units while two speakers speak, and who was taken for whom."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="tight")
    *spoken, confusion = figure.subplots(1, 3)
    for place, speaker in zip(spoken, (0, 3), strict=True):
        row = int(np.argmax(given.speakers == speaker))
        place.plot(state[: given.lengths[row], row, :12])
        place.set(title=f"twelve units, speaker {speaker + 1}", xlabel="step", ylim=(-1, 1))
    confusion.imshow(table, cmap="Blues")
    confusion.set(title="speaker (row) taken for (column)", xticks=[], yticks=[])
    for (row, column), count in np.ndenumerate(table):
        if count:
            confusion.text(column, row, count, ha="center", va="center", fontsize=7)
    figure.savefig(path, dpi=100)


def main(folder: Path) -> float:
    """Draws into the folder; the share of test recordings whose speaker is recognized."""
    data = find_data()
    if data is None:
        raise SystemExit("The recordings are not here:  pip install --no-deps aeon")
    learned, heard = (read(data / f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST"))
    network = listener()
    weights = readout(states(network, learned)[1], learned.speakers)
    state, last = states(network, heard)
    guesses = np.argmax(with_one(last) @ weights, axis=1)
    right = float(np.mean(guesses == heard.speakers))
    table = np.zeros((SPEAKERS, SPEAKERS), np.int64)
    np.add.at(table, (heard.speakers, guesses), 1)
    draw(folder / "vowels.png", heard, state, table)
    print(f"{right:.0%} of {len(guesses)} speakers are recognized")
    return right


if __name__ == "__main__":
    main(Path(sys.argv[1]))
