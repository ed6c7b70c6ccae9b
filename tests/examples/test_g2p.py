"""Pretrained weights give the same phonemes compiled as in plain NumPy.

Skipped where the package that has the weights is not installed: pip install --no-deps g2p-en
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pytest

from rnnc.arrays import read_arrays
from tests.examples.loading import EXAMPLES, load_example
from tests.oracles.arrays import Array, Floats
from tests.tolerance import assert_close

_WORDS = """
    a i recurrent unrolled wave diagonal phoneme spelling activationist kubernetes tvm compiler
    hochreiter schmidhuber elman jordan zygote rhythm queue psychology knight o'clock naïve
    supercalifragilistic xylophone thorough though tough through bough cough mississippi
"""
WORDS = _WORDS.split()

example = load_example("g2p/g2p.py")


class Speller(Protocol):
    """The example's class of this name."""

    def __call__(self, words: Sequence[str]) -> list[list[str]]: ...

    def run(self, words: Sequence[str]) -> dict[str, Array]: ...


def weights() -> dict[str, Array]:
    path = example.find_weights()
    if path is None:
        pytest.skip("the package g2p-en is not installed: pip install --no-deps g2p-en")
    return read_arrays(path)


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, Array]:
    return weights()


@pytest.fixture(scope="module")
def speller(checkpoint: dict[str, Array]) -> Speller:
    made: Speller = example.Speller(example.find_weights())
    return made


# ---- the same in plain NumPy ------------------------------------------------------------------


def sigmoid(x: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-x))
    return found


def gru_step(checkpoint: dict[str, Array], part: str, x: Floats, h: Floats) -> Floats:
    """torch's GRU: rows r, z, n."""
    w_ih, w_hh, b_ih, b_hh = (
        checkpoint[f"{part}_{name}"].astype(np.float64) for name in ("w_ih", "w_hh", "b_ih", "b_hh")
    )
    of_input, of_state = np.split(w_ih @ x + b_ih, 3), np.split(w_hh @ h + b_hh, 3)
    r, z = (sigmoid(of_input[k] + of_state[k]) for k in (0, 1))
    n = np.tanh(of_input[2] + r * of_state[2])
    return (1 - z) * n + z * h


def spelled(checkpoint: dict[str, Array], word: str) -> tuple[list[str], list[Floats]]:
    """The phonemes of a word, and the scores from which each was chosen, its end included."""
    letters, sounds = (checkpoint[k].astype(np.float64) for k in ("enc_emb", "dec_emb"))
    h, names, scores = np.zeros(256), list[str](), list[Floats]()
    for letter in [*word, "</s>"]:
        known = letter if letter in example.LETTERS else "<unk>"
        h = gru_step(checkpoint, "enc", letters[example.LETTERS.index(known)], h)
    chosen = example.PHONEMES.index("<s>")
    while len(scores) < 20:
        h = gru_step(checkpoint, "dec", sounds[chosen], h)
        scores.append(
            checkpoint["fc_w"].astype(np.float64) @ h + checkpoint["fc_b"].astype(np.float64)
        )
        chosen = int(np.argmax(scores[-1]))
        if example.PHONEMES[chosen] == "</s>":
            break
        names.append(example.PHONEMES[chosen])
    return names, scores


# ---- compiled ---------------------------------------------------------------------------------


def test_phonemes(checkpoint: dict[str, Array], speller: Speller) -> None:
    """All words in one batch, each with its own length."""
    assert speller(WORDS) == [spelled(checkpoint, word)[0] for word in WORDS]


def test_scores(checkpoint: dict[str, Array], speller: Speller) -> None:
    found = speller.run(WORDS)["score"]
    for row, word in enumerate(WORDS):
        _, scores = spelled(checkpoint, word)
        steps = len(word) + len(scores)
        assert_close(found[: len(scores), row], np.array(scores), np.float32, steps)


def test_some_words_end_and_some_are_cut(checkpoint: dict[str, Array]) -> None:
    counts = [len(spelled(checkpoint, word)[0]) for word in WORDS]
    assert min(counts) < 3
    assert max(counts) > 10


def test_from_the_command_line(checkpoint: dict[str, Array]) -> None:
    command = [sys.executable, str(EXAMPLES / "g2p" / "g2p.py"), "Recurrent", "unrolled"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == [
        "recurrent    R IH0 K ER1 AH0 N T",
        "unrolled     AH0 N R OW1 L D",
    ]


def test_without_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(example, "find_spec", lambda _: None)
    assert example.main(["word"]) == 1
    assert "pip install" in capsys.readouterr().err
