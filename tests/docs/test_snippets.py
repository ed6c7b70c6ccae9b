"""Every `rnn`, `python` and `console` block of the documentation does what it shows.

The blocks of a page run in order in one empty folder. An `rnn` block whose first line is a comment
with a file name is saved under it; all are checked. In a `console` block the lines that start with
`$ ` are run; what stands below one must be its output, where `...` stands for anything.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rnnc import driver
from rnnc.diagnostics import Source, render
from tests.docs.pages import ROOT, Block, blocks

PAGES = sorted(p.relative_to(ROOT) for p in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
# What a reader does once to set up; .ci/run and tests/packaging do it.
_SETUP = re.compile(r"git clone |cd |make |pip install |python -m venv |source ")

NEEDS = {"docs/jax.md": "jax"}  # the package of a page; without it the page is skipped


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if str(page) in NEEDS:
        pytest.importorskip(NEEDS[str(page)])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    variables: dict[str, object] = {}
    for block in blocks((ROOT / page).read_text()):
        where = f"{page}:{block.line}"
        if block.language == "rnn":
            check_spec(block, where)
        elif block.language == "python":
            # Compiled under the page's name and line, so that a failure points into the page.
            code = compile("\n" * block.line + block.text, str(page), "exec")
            with contextlib.redirect_stdout(io.StringIO()):
                exec(code, variables)
        elif block.language == "console":
            run_commands(block, where)


def check_spec(block: Block, where: str) -> None:
    named = re.match(r"# (\S+\.rnn)\n", block.text)
    path = Path(named[1] if named else "snippet.rnn")
    path.write_text(block.text)
    found = driver.diagnose(Source(str(path), block.text))
    assert not found, where + "\n" + "\n".join(render(diagnostic) for diagnostic in found)


def run_commands(block: Block, where: str) -> None:
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        if _SETUP.match(command):
            continue
        result = subprocess.run(
            ["bash", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PATH": scripts},
            check=False,
        )
        if expected.strip():
            pieces = expected.strip().split("...")
            pattern = ".*".join(re.escape(piece) for piece in pieces)
            shown = "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())
            assert re.fullmatch(pattern, shown, re.DOTALL), f"{where}: $ {command}\n{shown}"
        else:
            assert result.returncode == 0, f"{where}: $ {command}\n{result.stdout}"
