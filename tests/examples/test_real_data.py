"""The examples on real data: they draw, find what is in the data, and compute what the oracles do.

Each is skipped where a package is missing that it needs: see `pip install '.[examples]'` and
docs/examples.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnnc
from tests.examples.loading import EXAMPLES, load_example
from tests.oracles import grids, trees
from tests.oracles.arrays import Array, Arrays
from tests.tolerance import assert_close


def drawn(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG")


# ---- digits -----------------------------------------------------------------------------------


def test_digits_are_recognized(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the pictures need matplotlib")
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    assert load_example("digits/digits.py").main(tmp_path) > 0.9
    assert drawn(tmp_path / "digits.png")


def test_the_state_of_an_image() -> None:
    example = load_example("digits/digits.py")
    sizes = {"X": 2, "H": 5}
    model = rnnc.compile(example.SPEC, sizes=sizes)
    params = model.random_parameters(seed=1)
    x = np.random.default_rng(2).normal(size=(3, 4, 2, 2)).astype(np.float32)
    found = model.bind(params)(x=x, threads=1)
    oracle = grids.mdlstm_over("RC", owner="mdlstm_2d.mdlstm")
    for row in range(2):
        inputs = Arrays({"x": x[:, :, row]})
        y = oracle(Arrays(params), inputs, {**sizes, "R": 3, "C": 4})["y"]
        assert_close(found["state"][:, :, row], y, np.float32, 6)
        assert_close(
            found["summary"][row], np.asarray(y, np.float64).mean(axis=(0, 1)), np.float32, 6
        )


# ---- syntax trees -----------------------------------------------------------------------------


def test_syntax_trees(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the pictures need matplotlib")
    root = load_example("syntax_trees/syntax_trees.py").main(tmp_path)
    assert drawn(tmp_path / "syntax_trees.png")
    # Different functions are told apart.
    assert len(np.unique(root.round(4), axis=0)) > len(root) / 2


def test_the_root_of_a_tree() -> None:
    """A batch of the trees of different functions, and each by itself."""
    example = load_example("syntax_trees/syntax_trees.py")
    chosen = [tree for tree in example.functions("shlex") if len(tree.kinds) < 60]
    assert len({len(tree.kinds) for tree in chosen}) > 2
    network = example.reader()
    params = network.model.random_parameters(seed=0)
    kind, child, lengths = example.batch(chosen)
    found = network(kind=kind, child=child, lengths={"N": lengths}, threads=1)["root"]
    own, embedded = Arrays(params).under("treelstm_childsum"), params["kinds"]
    for row, tree in enumerate(chosen):
        nodes = len(tree.kinds)
        inputs: dict[str, Array] = {
            "x": embedded[list(tree.kinds)],
            "child": child[:nodes, :, row],
        }
        sizes = {**example.SIZES, "N": nodes}
        expected = trees.treelstm_childsum(own, Arrays(inputs), sizes)["root"]
        assert_close(found[row], expected, np.float32, max(tree.depths) + 1)


def test_children_come_before_their_parents() -> None:
    example = load_example("syntax_trees/syntax_trees.py")
    for tree in example.functions("heapq"):
        assert all(child < node for node, below in enumerate(tree.children) for child in below)
        assert sorted(child for below in tree.children for child in below) == [
            *range(len(tree.kinds) - 1)
        ]


# ---- vowels -----------------------------------------------------------------------------------


def test_speakers_are_recognized(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the pictures need matplotlib")
    example = load_example("vowels/vowels.py")
    if example.find_data() is None:
        pytest.skip("the package aeon is not installed: pip install --no-deps aeon")
    assert example.main(tmp_path) > 0.9  # by chance 0.11; 0.24 for the most frequent speaker
    assert drawn(tmp_path / "vowels.png")


def test_recordings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "few.ts"
    dimensions = ["1,2,3", *["0,0,0.5"] * 11], ["4,5", *["0,0"] * 11]
    rows = [":".join([*given, label]) for given, label in zip(dimensions, "29", strict=True)]
    path.write_text("\n".join(["#of the speakers", "@dimensions 12", "@data", *rows]) + "\n")
    found = load_example("vowels/vowels.py").read(path)
    assert found.x.shape == (3, 2, 12)
    assert found.lengths.tolist() == [3, 2]
    assert found.speakers.tolist() == [1, 8]
    assert found.x[:, :, 0].tolist() == [[1, 4], [2, 5], [3, 0]]
    assert found.x[2, 0, 11] == 0.5


def test_the_last_state_is_each_recordings_own() -> None:
    example = load_example("vowels/vowels.py")
    x = np.random.default_rng(1).normal(size=(6, 3, 12)).astype(np.float32)
    lengths = np.array([6, 1, 4])
    given = example.Recordings(x, lengths, np.zeros(3, np.int64))
    state, last = example.states(example.listener(), given)
    assert np.array_equal(last, state[lengths - 1, np.arange(3)])


# ---- gates ------------------------------------------------------------------------------------


def test_gates(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the pictures need matplotlib")
    pytest.importorskip("torch", reason="torch fits the weights")
    example = load_example("gates/gates.py")
    # What a model that knows nothing but how frequent characters are would have.
    _, counts = np.unique(example.text(), return_counts=True)
    share = counts / counts.sum()
    assert example.main(tmp_path, updates=40) < -np.sum(share * np.log(share))
    assert drawn(tmp_path / "gates.png")


def test_gates_are_those_of_torch() -> None:
    """Scores as torch's own LSTM has them; the gates explain how the memory changes."""
    torch = pytest.importorskip("torch", reason="torch is what is compared with")
    example = load_example("gates/gates.py")
    letters = example.text()[:40]
    weights, _ = example.fit(letters.repeat(4), updates=1)
    found = example.read(weights, letters)

    torch.manual_seed(0)
    lstm = torch.nn.LSTM(example.SIZES["X"], example.SIZES["H"])
    gates = "ifgo"
    with torch.no_grad():
        for own, name in (("weight_ih_l0", "W"), ("weight_hh_l0", "U"), ("bias_ih_l0", "b")):
            rows = np.concatenate([weights[f"open_lstm.{name}_{gate}"] for gate in gates])
            getattr(lstm, own).copy_(torch.from_numpy(rows))
        lstm.bias_hh_l0.zero_()
        h = lstm(torch.from_numpy(weights["letters"][letters]))[0].numpy()
    assert_close(found["score"], h @ weights["W"].T + weights["b"], np.float32, len(letters))
    memory, kept, written = (found[name] for name in ("memory", "kept", "written"))
    assert_close(h, found["shown"] * np.tanh(memory), np.float32, len(letters))
    # What the forget gate keeps, and of a candidate between -1 and 1 what the input gate lets in.
    change = memory[1:] - kept[1:] * memory[:-1]
    assert np.all(np.abs(change) <= written[1:] + np.finfo(np.float32).eps * 4)


def test_every_example_with_data_is_run_here() -> None:
    folders = {path.parent.name for path in EXAMPLES.glob("*/*.rnn")}
    assert folders == {"digits", "syntax_trees", "vowels", "gates", "g2p"}
