"""Learns to spell with torch, and draws what the gates do over the text.

    pip install torch matplotlib
    python examples/gates/gates.py FOLDER

The text is a module of Python's standard library. torch fits the weights for some seconds; the
compiled model, whose gates are outputs, reads a piece of the text with them. FOLDER/gates.png shows
some memory cells over the characters, and how often each unit's gates are nearly open or closed, as
Karpathy, Johnson, Li 2015 (arXiv 1506.02078) do.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

import rnnc
from rnnc.importers.torch_state import torch_parameters

Array = npt.NDArray[np.generic]

SPEC = Path(__file__).with_name("gates.rnn")
LETTERS = "\n" + "".join(map(chr, range(32, 127)))
SIZES = {"V": len(LETTERS), "X": 24, "H": 64}
SEED = 0
ROWS, STEPS = 16, 48  # of a batch that torch learns from
WIDTH, LINES = 72, 6  # of the text that is drawn


def text() -> Array:
    """The module `textwrap` as numbers of LETTERS."""
    spec = find_spec("textwrap")
    assert spec is not None
    assert spec.origin is not None
    letters = Path(spec.origin).read_text(encoding="utf-8")
    return np.array([LETTERS.index(x) for x in letters if x in LETTERS], np.int64)


def fit(letters: Array, updates: int) -> tuple[dict[str, Array], float]:
    """Weights by the paths of `gates.rnn`, and the last loss in nats a character."""
    import torch

    torch.manual_seed(SEED)
    embedding = torch.nn.Embedding(SIZES["V"], SIZES["X"])
    lstm = torch.nn.LSTM(SIZES["X"], SIZES["H"])
    linear = torch.nn.Linear(SIZES["H"], SIZES["V"])
    together = torch.nn.ModuleList([embedding, lstm, linear])
    optimizer = torch.optim.Adam(together.parameters(), lr=0.01)
    random, loss = np.random.default_rng(SEED), 0.0
    for _ in range(updates):
        starts = random.integers(0, len(letters) - STEPS - 1, ROWS)
        piece = torch.from_numpy(letters[starts + np.arange(STEPS + 1)[:, None]])
        score = linear(lstm(embedding(piece[:-1]))[0])
        cost = torch.nn.functional.cross_entropy(score.flatten(0, 1), piece[1:].flatten())
        optimizer.zero_grad()
        torch.autograd.backward([cost])
        optimizer.step()
        loss = float(cost.detach())
    state = {name: value.numpy() for name, value in lstm.state_dict().items()}
    learned = {
        **torch_parameters(state, forward="open_lstm"),
        "letters": embedding.weight.detach().numpy(),
        "W": linear.weight.detach().numpy(),
        "b": linear.bias.detach().numpy(),
    }
    return learned, loss


def read(weights: dict[str, Array], letters: Array) -> dict[str, Array]:
    """All outputs of the compiled model, [letters, ...]."""
    found = rnnc.compile(SPEC, sizes=SIZES).bind(weights)(letter=letters[:, None])
    return {name: value[:, 0] for name, value in found.items()}


def draw(path: Path, letters: Array, found: dict[str, Array]) -> None:
    """Above, the text once for each of three memory cells; below, the gates' saturation."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    memory = np.tanh(found["memory"].astype(np.float64))
    # The cells that are decided for longest, and decided both ways.
    decided = np.minimum(np.mean(memory > 0.5, axis=0), np.mean(memory < -0.5, axis=0))
    figure = Figure(figsize=(12, 9), layout="tight")
    grid = figure.add_gridspec(4, 3, height_ratios=(1, 1, 1, 1.6))
    for row, unit in enumerate(np.argsort(-decided)[:3]):
        place = figure.add_subplot(grid[row, :])
        place.set(title=f"memory cell {unit}", xlim=(0, WIDTH), ylim=(LINES, 0))
        place.set_axis_off()
        for number, letter in enumerate(letters[: WIDTH * LINES]):
            line, column = divmod(number, WIDTH)
            colour = colormaps["RdBu"](0.5 + memory[number, unit] / 2)
            box = {"facecolor": colour, "edgecolor": "none", "pad": 1.5}
            shown = LETTERS[letter] if LETTERS[letter] > " " else "·"
            place.text(column, line + 0.8, shown, family="monospace", fontsize=8, bbox=box)
    for column, (gate, title) in enumerate(
        (("written", "input gates"), ("kept", "forget gates"), ("shown", "output gates"))
    ):
        place = figure.add_subplot(grid[3, column])
        values = found[gate].astype(np.float64)
        opened, closed = np.mean(values > 0.9, axis=0), np.mean(values < 0.1, axis=0)
        place.scatter(opened, closed, s=12)
        place.plot([0, 1], [1, 0], color="lightgray", zorder=0)
        place.set(title=title, xlabel="share of steps > 0.9", ylabel="share of steps < 0.1")
    figure.savefig(path, dpi=90)


def main(folder: Path, updates: int = 400) -> float:
    """Draws into the folder; the loss, in nats a character, with which torch ended."""
    letters = text()
    weights, loss = fit(letters, updates)
    piece = letters[4000 : 4000 + WIDTH * LINES]
    draw(folder / "gates.png", piece, read(weights, piece))
    print(f"{loss:.2f} nats a character after {updates} updates")
    return loss


if __name__ == "__main__":
    main(Path(sys.argv[1]))
