"""`rnnc cells` and `rnnc targets`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from rnnc.registry import find_backend
from rnnc.runtime.cuda.gpus import capabilities
from tests.cli.conftest import Rnnc

CELLS = Path(str(files("rnnc.cells")))


def test_every_file_is_listed(rnnc: Rnnc) -> None:
    result = rnnc("cells")
    listed = {line.split()[0] for line in result.out.splitlines()[1:]}
    assert (result.code, listed) == (0, {path.stem for path in CELLS.glob("*.rnn")})


def test_a_line_says_what_it_runs_over_and_where_it_comes_from(rnnc: Rnnc) -> None:
    lines = rnnc("cells").out.splitlines()
    [line] = [line for line in lines if line.split()[1:2] == ["gnmt_encoder"]]
    assert " ".join(line.split()).startswith("gnmt gnmt_encoder l t 2*T + L - 2 2016 Wu et al.")
    assert "Wu et al., arXiv 1609.08144" in line


@pytest.mark.parametrize("name", ["stacked", "stacked_lstm"])
def test_a_file_is_shown_by_its_name_or_by_what_it_defines(rnnc: Rnnc, name: str) -> None:
    result = rnnc("cells", name)
    assert (result.code, result.out) == (0, (CELLS / "stacked.rnn").read_text())


def test_an_unknown_name_is_wrong_usage(rnnc: Rnnc) -> None:
    result = rnnc("cells", "nonsense")
    assert (result.code, result.out) == (2, "")
    assert "the standard library has no 'nonsense'" in result.err


def test_targets_are_those_of_the_backends(rnnc: Rnnc) -> None:
    backends = [find_backend(name)[0] for name in ("cpu", "cuda")]
    result = rnnc("targets")
    listed = [line.split()[0] for line in result.out.splitlines()[1:]]
    known = [target.name for backend in backends for target in backend.targets()]
    assert (result.code, listed) == (0, known)
    assert listed[0] == "cpu"


def test_what_can_be_built_may_not_run(rnnc: Rnnc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnc.runtime.cuda.gpus.capabilities", lambda: [(8, 6)])
    rows = {line.split()[0]: line for line in rnnc("targets").out.splitlines()}
    assert "its GPU is sm_86" in rows["cuda:sm_90"]
    assert "its GPU" not in rows["cuda"] and "its GPU" not in rows["cuda:sm_80"]


def test_a_machine_without_a_driver() -> None:
    assert capabilities("libno-such-driver.so") == "no NVIDIA driver"
