"""Every code that the compiler can say has a text, and the texts' examples do what they claim."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rnnc import driver
from rnnc.diagnostics import Source
from rnnc.explanations import explained_codes, explanation, title
from tests.docs.pages import ROOT, Block, blocks

# A code in a string is reported; one in prose is merely mentioned.
_REPORTED = re.compile(r"""["'](RNN\d{3})["']""")


def reported_codes() -> set[str]:
    sources = [p for home in ("rnnc", "grammar", "backends") for p in (ROOT / home).rglob("*.py")]
    return {code for path in sources for code in _REPORTED.findall(path.read_text())}


def test_every_reported_code_is_explained() -> None:
    assert sorted(reported_codes() - set(explained_codes())) == []


def test_every_explained_code_is_reported() -> None:
    assert sorted(set(explained_codes()) - reported_codes()) == []


@pytest.mark.parametrize("code", explained_codes())
def test_a_text_has_a_title_and_a_body_that_fits_a_terminal(code: str) -> None:
    text = explanation(code)
    assert text is not None
    lines = text.splitlines()
    assert re.fullmatch(rf"# {code}: \S.*", lines[0])
    assert not title(code).endswith(".")
    assert lines[1] == ""
    assert len(lines) >= 3
    assert max(map(len, lines)) <= 100


def examples(section: str) -> list[tuple[str, Block]]:
    return [
        (code, block)
        for code in explained_codes()
        for block in blocks(explanation(code) or "")
        if block.language == "rnn" and block.section == section
    ]


def codes_of(block: Block, folder: Path) -> list[str]:
    path = folder / "example.rnn"
    path.write_text(block.text)
    return [d.code for d in driver.diagnose(Source(str(path), block.text))]


@pytest.mark.parametrize(("code", "block"), examples("Wrong"))
def test_what_is_wrong_is_reported_as_this_and_nothing_else(
    code: str, block: Block, tmp_path: Path
) -> None:
    assert set(codes_of(block, tmp_path)) == {code}


@pytest.mark.parametrize(("code", "block"), examples("Right"))
def test_what_is_right_has_no_mistakes(code: str, block: Block, tmp_path: Path) -> None:
    assert codes_of(block, tmp_path) == []


# Codes below 600 that no spec of a few lines shows: RNN108 needs an expression a hundred operations
# deep, RNN11x are about `.rir` files, RNN304 is only said when compiling.
WITHOUT_EXAMPLE = ("RNN108", "RNN110", "RNN111", "RNN112", "RNN113", "RNN114", "RNN304")


def test_language_codes_have_both_examples() -> None:
    """1xx to 5xx are about the text of a spec: there is something to show."""
    about_text = [code for code in explained_codes() if code < "RNN600"]
    for section in ("Wrong", "Right"):
        shown = {code for code, _ in examples(section)}
        assert [code for code in about_text if code not in shown] == list(WITHOUT_EXAMPLE)


def test_the_page_lists_all_codes_with_their_titles() -> None:
    page = (ROOT / "docs" / "diagnostics.md").read_text()
    rows = re.findall(r"^\| \[(RNN\d{3})\]\((\S+)\) \| (.*) \|$", page, re.MULTILINE)
    assert rows == [
        (code, f"../rnnc/explanations/{code}.md", title(code)) for code in explained_codes()
    ]
