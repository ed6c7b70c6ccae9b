"""benchmarks/peers.py, on the smallest rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*arguments: str, first: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "peers.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{first}{os.pathsep}{ROOT}"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_rows_have_names_of_their_own() -> None:
    names = run("--list").stdout.splitlines()
    assert len(names) == len(set(names))
    assert "lstm:1,256,1,100" in names


def test_unknown_row_is_refused() -> None:
    found = run("--only", "nobody's network")
    assert found.returncode == 2
    assert "--list" in found.stderr


@pytest.mark.slow
def test_peers_without_a_time_are_cells_that_say_so(tmp_path: Path) -> None:
    """One that is missing, and one that takes its process along."""
    (tmp_path / "torch.py").write_text("raise ImportError('gone', name='torch')")
    (tmp_path / "openvino.py").write_text("import os; os._exit(7)")
    output = tmp_path / "rows.json"
    row = ("--only", "gru:2,5,1,3", "--threads", "1", "--peer", "torch", "--peer", "openvino")
    found = run(*row, "--output", str(output), first=tmp_path)
    assert found.returncode == 0, found.stderr
    [written] = json.loads(output.read_text())["rows"]
    assert written["failures"] == {
        "torch": "not installed (torch)",
        "openvino": "ended its process with 7",
    }
    assert written["ratio"] is None
    assert written["ms"]["rnnc"] > 0
    assert "torch: not installed" in found.stdout
    before = output.read_text()
    found = run(*row, "--output", str(output), "--resume", first=tmp_path)
    assert "0 rows left" in found.stdout
    assert output.read_text() == before


def test_rows_without_time_are_named(tmp_path: Path) -> None:
    output = tmp_path / "rows.json"
    row = ("--only", "gru:2,5,1,3", "--threads", "1", "--peer", "torch", "--budget", "1e-9")
    found = run(*row, "--output", str(output))
    assert found.returncode == 0, found.stderr
    written = json.loads(output.read_text())
    assert written["rows"] == []
    assert written["left_out"] == [
        {"case": "gru:2,5,1,3", "threads": 1, "reason": "the time is over"}
    ]
    assert "not measured: the time is over" in found.stdout


def test_floor_of_what_was_measured() -> None:
    """Two threads, 2 MB of weights, read ten times: half of a share lies in a core's own cache."""
    program = """
from measuring import Peaks
peaks = Peaks(2, 100.0, {2**19: 400.0, 2**20: 100.0})
print(peaks.floor_ms(1e9, 20 * 2**20, 2 * 2**20), peaks.floor_ms(1e6, 20 * 2**20, 2 * 2**20))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks")}
    text = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)
    by_flops, by_bytes = map(float, text.split())
    assert by_flops == pytest.approx(10.0)
    assert by_bytes == pytest.approx((10 * 2**20 / 400 + 10 * 2**20 / 100) / 1e6)
