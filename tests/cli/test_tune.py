"""`rnnc tune`: what it says, and that compilations see what it found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from rnnc.backends.cpu.backend import CpuBackend

from rnnc.registry import Trial
from rnnc.runtime.artifact import Artifact, read
from tests.cli.conftest import Rnnc
from tests.cli.specs import ELMAN

SIZES = ("-D", "X=3,H=64")


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "tilings.json"
    monkeypatch.setenv("RNNC_TILINGS", str(path))
    (tmp_path / "elman.rnn").write_text(ELMAN)
    return path


def test_searches_and_prints_a_table(rnnc: Rnnc) -> None:
    result = rnnc("tune", "elman.rnn", *SIZES, "--hint", "T=3", "--batch", "1,2", "--budget", "3s")
    assert result.code == 0, result.err
    head, *rows = result.out.splitlines()
    assert head.split() == ["SHAPE", "GAIN", "DEFAULT", "BEST"]
    assert any("-> 64 float32" in row for row in rows)


def test_compile_uses_what_was_found(
    rnnc: Rnnc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers = iter([(1.5, 1.0), (1.5, 1.0)])

    def faster_twice(self: object, old: Artifact, new: Artifact) -> Sequence[float]:
        for answer in answers:
            return answer
        raise KeyboardInterrupt

    monkeypatch.setattr("rnnc.comparison.Comparison.__call__", faster_twice)
    result = rnnc("tune", "elman.rnn", *SIZES)
    assert (result.code, result.err) == (0, "interrupted: what was found is kept\n")
    assert "1.50x" in result.out
    assert rnnc("compile", "elman.rnn", *SIZES).code == 0
    assert read(tmp_path / "elman.rnnlib").manifest.tuned
    assert rnnc("compile", "elman.rnn", *SIZES, "--no-tuned").code == 0
    assert not read(tmp_path / "elman.rnnlib").manifest.tuned


def test_a_damaged_file_is_a_warning(rnnc: Rnnc, database: Path) -> None:
    database.write_text("{")
    result = rnnc("compile", "elman.rnn", *SIZES, "--emit", "tir")
    assert result.code == 0
    assert result.err.startswith("warning: tuned tilings in ")
    assert "Traceback" not in result.err


def test_interrupting_keeps_what_was_found(rnnc: Rnnc, monkeypatch: pytest.MonkeyPatch) -> None:
    def tune(*arguments: object) -> Iterator[Trial]:
        yield Trial("a shape", "one", "another", 1.25, 0.5)
        raise KeyboardInterrupt

    monkeypatch.setattr(CpuBackend, "tune", tune)
    result = rnnc("tune", "elman.rnn", *SIZES)
    assert result.code == 0
    assert "kept" in result.err
    assert "1.25x" in result.out


def test_nothing_to_tune(rnnc: Rnnc, tmp_path: Path) -> None:
    (tmp_path / "sum.rnn").write_text(
        "model sums{N}:\n    dim t in 0..T\n    input x[t]: [N]\n"
        "    s[t] = s[t-1] + x[t]\n    output y[t] = s[t]\n"
    )
    result = rnnc("tune", "sum.rnn", "-D", "N=4", "--budget", "1s")
    assert result.code == 0
    assert "nothing to tune" in result.err


@pytest.mark.parametrize(
    "wrong", [("--budget", "soon"), ("--batch", "0"), ("--batch", "1,x"), ("--hint", "Q=3")]
)
def test_wrong_usage(rnnc: Rnnc, wrong: tuple[str, str]) -> None:
    assert rnnc("tune", "elman.rnn", *SIZES, *wrong).code == 2


def test_the_file_is_json_that_says_for_which_processor(rnnc: Rnnc, database: Path) -> None:
    from rnnc.backends.cpu.remembered import remember
    from rnnc.backends.tensorir.tiling import Shape, default_tiling

    shape = Shape((1,), ((3,),), 64, "float32", 16)
    remember(shape, default_tiling(shape))
    [entry] = json.loads(database.read_text())["tilings"]
    assert set(entry) == {"cpu", "rnnc", "tvm", "shape", "tiling"}
    assert entry["cpu"]
