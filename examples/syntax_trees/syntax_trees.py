"""Reads functions of Python's standard library as trees, with a Tree-LSTM of random weights.

    pip install matplotlib
    python examples/syntax_trees/syntax_trees.py FOLDER

Every function is a row of one batch, with as many nodes and children as it has. Draws into
FOLDER/syntax_trees.png one tree with the levels that run together, and where the functions' root
states lie.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

import rnnc
from rnnc.runtime.model import BoundModel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

SPEC = Path(__file__).with_name("syntax_trees.rnn")
MODULES = ("textwrap", "fractions", "heapq", "shlex")
KINDS = sorted(
    name for name, kind in vars(ast).items() if isinstance(kind, type) and issubclass(kind, ast.AST)
)
SIZES = {"V": len(KINDS), "X": 16, "H": 32}
MOST_NODES = 150


@dataclass(frozen=True, slots=True)
class Tree:
    """Nodes in an order in which children come first: their kinds, and whose children they are.

    `depth` is how far each is above its lowest leaf: nodes of equal depth run together.
    """

    name: str
    kinds: tuple[int, ...]
    children: tuple[tuple[int, ...], ...]

    @property
    def depths(self) -> list[int]:
        found: list[int] = []
        for children in self.children:
            found.append(1 + max((found[child] for child in children), default=-1))
        return found


def tree_of(function: ast.FunctionDef) -> Tree:
    kinds, children = list[int](), list[tuple[int, ...]]()

    def visit(node: ast.AST) -> int:
        below = tuple(visit(child) for child in ast.iter_child_nodes(node))
        kinds.append(KINDS.index(type(node).__name__))
        children.append(below)
        return len(kinds) - 1

    visit(function)
    return Tree(function.name, tuple(kinds), tuple(children))


def functions(module: str) -> Iterator[Tree]:
    """The functions of a module of the standard library that are not too long, as trees."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            tree = tree_of(node)
            if len(tree.kinds) <= MOST_NODES:
                yield tree


def batch(trees: Sequence[Tree]) -> tuple[Ints, Ints, Ints]:
    """Kinds [N, trees], children [N, K, trees] with -1 for none, and the trees' sizes [trees]."""
    lengths = np.array([len(tree.kinds) for tree in trees], np.int64)
    most = max(len(below) for tree in trees for below in tree.children)
    kind = np.zeros((max(lengths), len(trees)), np.int64)
    child = np.full((max(lengths), most, len(trees)), -1, np.int64)
    for row, tree in enumerate(trees):
        kind[: len(tree.kinds), row] = tree.kinds
        for node, below in enumerate(tree.children):
            child[node, : len(below), row] = below
    return kind, child, lengths


def reader() -> BoundModel:
    """The compiled network, with weights drawn as its spec says."""
    model = rnnc.compile(SPEC, sizes=SIZES)
    return model.bind(model.random_parameters(seed=0))


def draw_tree(place: object, tree: Tree) -> None:
    """Nodes of one level have one colour; leaves are at the bottom."""
    depths = tree.depths
    across = np.zeros(len(depths))
    leaves = 0
    for node, below in enumerate(tree.children):
        if below:
            across[node] = np.mean(across[list(below)])
        else:
            across[node] = leaves
            leaves += 1
    for node, below in enumerate(tree.children):
        for child in below:
            ends = [across[node], across[child]], [depths[node], depths[child]]
            place.plot(*ends, color="lightgray", linewidth=0.7, zorder=1)  # type: ignore[attr-defined]
    place.scatter(across, depths, c=depths, cmap="viridis", s=18, zorder=2)  # type: ignore[attr-defined]


def main(folder: Path) -> Floats:
    """Draws into the folder; the root states [functions, H]."""
    from matplotlib.figure import Figure

    named = [(module, tree) for module in MODULES for tree in functions(module)]
    trees = [tree for _, tree in named]
    kind, child, lengths = batch(trees)
    root = reader()(kind=kind, child=child, lengths={"N": lengths})["root"].astype(np.float32)
    deepest = max(max(tree.depths) for tree in trees) + 1
    print(f"{len(trees)} functions of {sum(lengths)} nodes, in {deepest} levels")

    shown = max(trees, key=lambda tree: (len(tree.kinds) <= 60, len(tree.kinds)))
    figure = Figure(figsize=(11, 5), layout="tight")
    left, right = figure.subplots(1, 2)
    draw_tree(left, shown)
    left.set(title=f"{shown.name}: nodes of one level run together", ylabel="level", xticks=[])
    centred = root - root.mean(axis=0)
    plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    for module in MODULES:
        rows = [row for row, (of, _) in enumerate(named) if of == module]
        right.scatter(*plane[rows].T, s=4 + lengths[rows] / 4, label=module, alpha=0.7)
    right.set(title="root states, two principal components; area: nodes", xticks=[], yticks=[])
    right.legend()
    figure.savefig(folder / "syntax_trees.png", dpi=100)
    return root


if __name__ == "__main__":
    main(Path(sys.argv[1]))
