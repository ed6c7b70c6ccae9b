"""What is said about names and types: code, place, words, notes, hints."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest
from pytest import MonkeyPatch

from rnnc.diagnostics import DiagnosticError, Source, render
from rnnc.frontend.check import check
from rnnc.frontend.elaborate import elaborate
from tests.docs.pages import blocks


def golden(page: Path) -> list[tuple[str, str, str]]:
    """Title, text, and what is said about it."""
    found = [
        block for block in blocks(page.read_text("utf-8")) if block.language in ("rnn", "text")
    ]
    found = [block for block in found if block.language == "rnn" or "RNN" in block.text]
    return [
        (spec.section, spec.text, said.text)
        for spec, said in zip(found[::2], found[1::2], strict=True)
    ]


HERE = Path(__file__).parent
MISTAKES = [*golden(HERE / "promised.md"), *golden(HERE / "mistakes.md")]
LIBRARY = f"{files('rnnc.cells')}/"


@pytest.mark.parametrize(("text", "said"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_what_is_said(text: str, said: str, tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where no other file is beside
    name = re.findall(r"^(\S+\.rnn):\d+:\d+: (?:error|warning)", said, re.MULTILINE)[0]
    found = "".join(f"{render(d)}\n" for d in check(Source(name, text)))
    assert found.replace(LIBRARY, "") == said


SYMBOLIC = """
model m{X, H}:
    dim t in 0..T
    input x[t]: [X]
    param W: [H, X], U: [H, X]
    h[t] = tanh(W @ x[t] + U @ h[t-1])
    output y[t] = h[t]
"""


def test_sizes_are_compared_as_symbols_whatever_their_numbers() -> None:

    with pytest.raises(DiagnosticError) as caught:
        elaborate(Source("a.rnn", SYMBOLIC), given={"X": 4, "H": 4})
    assert [d.code for d in caught.value.diagnostics] == ["RNN301"]


def test_mistakes_of_an_imported_file_are_told_there(tmp_path: Path) -> None:
    (tmp_path / "own.rnn").write_text("cell c{H}(h: [H]) -> (h'):\n    h' = h + other\n")
    main = tmp_path / "main.rnn"
    text = "from own import c\nmodel m{H}:\n    input x: [H]\n    output y = c{H}(x)\n"
    main.write_text(text)
    [found] = check(Source(str(main), text))
    assert (found.code, str(found.span)) == ("RNN201", f"{tmp_path / 'own.rnn'}:2:14")


def test_a_file_beside_comes_before_the_standard_library(tmp_path: Path) -> None:
    (tmp_path / "lstm.rnn").write_text("cell lstm{H}(h: [H]) -> (h'):\n    h' = 2 * h\n")
    main = tmp_path / "main.rnn"
    text = "from lstm import lstm\nmodel m{H}:\n    input x: [H]\n    output y = lstm{H}(x)\n"
    assert check(Source(str(main), text)) == ()


def test_files_that_import_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.rnn").write_text("from b import g\ncell f(x) = x\ncell h(x) = g(x)\n")
    text = "from a import f\ncell g(x) = f(x)\n"
    (tmp_path / "b.rnn").write_text(text)
    assert check(Source(str(tmp_path / "b.rnn"), text)) == ()


def test_a_broken_definition_is_one_mistake() -> None:
    text = "cell f(x) = (x\n\ncell g(x) = f(x) + f(x)\n"
    assert [d.code for d in check(Source("a.rnn", text))] == ["RNN103"]
