"""Spells words out as phonemes, with the pretrained weights of the PyPI package g2p-en.

    pip install --no-deps g2p-en
    python examples/g2p/g2p.py recurrent unrolled

The weights (Park, Kim 2019, Apache-2.0) are two GRUs of 256 units in the layout of torch. The
package is looked up and never imported: importing it starts downloads.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

import rnnc
from rnnc.arrays import read_arrays
from rnnc.importers.torch_state import torch_parameters

Array = npt.NDArray[np.generic]

SPEC = Path(__file__).with_name("g2p.rnn")
WORD_END = "</s>"
LETTERS = ("<pad>", "<unk>", WORD_END, *"abcdefghijklmnopqrstuvwxyz")
START, STOP = "<s>", "</s>"
_VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
_CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
# Vowels with the stress 0, 1 or 2; the vocabulary has one UW more, without.
_SOUNDS = sorted([f"{v}{stress}" for v in _VOWELS.split() for stress in range(3)] + ["UW"])
PHONEMES = ("<pad>", "<unk>", START, STOP, *sorted([*_SOUNDS, *_CONSONANTS.split()]))
MOST_PHONEMES = 20


def find_weights() -> Path | None:
    """The checkpoint of the installed package, if it is installed."""
    package = find_spec("g2p_en")
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).with_name("checkpoint20.npz")
    return path if path.is_file() else None


def parameters(checkpoint: Mapping[str, Array]) -> dict[str, Array]:
    """The checkpoint's arrays by the parameter paths of `g2p.rnn`."""

    def gru(part: str, owner: str) -> dict[str, Array]:
        names = {"w_ih": "weight_ih", "w_hh": "weight_hh", "b_ih": "bias_ih", "b_hh": "bias_hh"}
        state = {f"{name}_l0": checkpoint[f"{part}_{own}"] for own, name in names.items()}
        return torch_parameters(state, forward=owner)

    return {
        **gru("enc", "encoder"),
        **gru("dec", "decoder"),
        "letters": checkpoint["enc_emb"],
        "phonemes": checkpoint["dec_emb"],
        "W": checkpoint["fc_w"],
        "b": checkpoint["fc_b"],
    }


def encoded(words: Sequence[str]) -> tuple[Array, Array]:
    """Letters as numbers, [letters, words], and how many each word has, with its end."""
    unknown = LETTERS.index("<unk>")
    spelled = [[*word, WORD_END] for word in words]
    lengths = np.array([len(letters) for letters in spelled], np.int64)
    numbers = np.zeros((max(lengths, default=0), len(words)), np.int64)
    for row, letters in enumerate(spelled):
        known = [LETTERS.index(x) if x in LETTERS else unknown for x in letters]
        numbers[: len(known), row] = known
    return numbers, lengths


def phoneme_names(numbers: Sequence[int]) -> list[str]:
    """The names up to the end of the word."""
    names = [PHONEMES[number] for number in numbers]
    return names[: names.index(STOP)] if STOP in names else names


class Speller:
    """The compiled model with the pretrained weights."""

    def __init__(self, weights: Path) -> None:
        params = parameters(read_arrays(weights))
        units, width = params["encoder.W_r"].shape
        sizes = {"G": len(LETTERS), "P": len(PHONEMES), "D": width, "H": units}
        self.network = rnnc.compile(SPEC, sizes=sizes).bind(params)

    def run(self, words: Sequence[str]) -> dict[str, Array]:
        """The scores [T, words, phonemes] and the phonemes' numbers [T, words]."""
        letters, lengths = encoded(words)
        return self.network(
            letter=letters, lengths={"S": lengths}, extents={"T": MOST_PHONEMES}, threads=1
        )

    def __call__(self, words: Sequence[str]) -> list[list[str]]:
        """The phonemes of every word (lower-case letters)."""
        found = self.run(words)["phoneme"]
        return [phoneme_names(found[:, row].tolist()) for row in range(len(words))]


def main(words: Sequence[str]) -> int:
    weights = find_weights()
    if weights is None:
        print("The weights are not here:  pip install --no-deps g2p-en", file=sys.stderr)
        return 1
    chosen = [word.lower() for word in words] or ["recurrent", "unrolled", "phoneme"]
    for word, sounds in zip(chosen, Speller(weights)(chosen), strict=True):
        print(f"{word:12} {' '.join(sounds)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
