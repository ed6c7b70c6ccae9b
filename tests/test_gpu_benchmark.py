"""benchmarks/gpu.py without a GPU: what it prepares is checked by the emulator."""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnnc.driver import Compilation
from rnnc.runtime.artifact import Artifact
from tests.backends.emulation import SMALL, compiler, emulated, let_torch_stand_for_a_gpu

ROOT = Path(__file__).parents[1]


def run(place: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What runs the benchmark on a GPU's machine has numpy alone of what rnnc needs."""
    blocked = place / "blocked"
    blocked.mkdir(exist_ok=True)
    for name in ("tvm", "lark", "networkx", "islpy", "click", "rich", "safetensors"):
        (blocked / f"{name}.py").write_text("raise ImportError('the compiler is not here')")
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "run", str(place), *options]
    path = f"{blocked}{os.pathsep}{ROOT}"
    environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, compiled for the emulator."""
    if compiler() is None:
        pytest.skip("no C++ compiler to emulate with")

    def build(compilation: Compilation) -> Artifact:
        return emulated(compilation).artifact

    folder = tmp_path_factory.mktemp("gpu")
    numerics = folder / "numerics"
    numerics.mkdir()
    module = benchmark()
    for name in ("elman_network", "lru"):  # real and complex
        module.prepare(name, numerics, build)
    return folder


def benchmark(name: str = "gpu_numerics") -> Any:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


def test_right_numbers_pass(prepared: Path) -> None:
    found = run(prepared, "--host-only")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "2 models of the library, 0 ways" in found.stdout


def test_wrong_numbers_fail(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "numerics").mkdir()
    for path in (prepared / "numerics").glob("elman*"):
        (tmp_path / "numerics" / path.name).write_bytes(path.read_bytes())
    with np.load(tmp_path / "numerics" / "elman_network.npz") as file:
        arrays: dict[str, Any] = dict(file)
    arrays["output y"] = arrays["output y"] * 1.001
    np.savez(tmp_path / "numerics" / "elman_network.npz", **arrays)
    found = run(tmp_path, "--host-only")
    assert found.returncode == 1
    assert "WRONG elman_network (arrays): y differs by" in found.stdout


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert found.returncode == 4
    assert "no GPU" in found.stderr


def test_what_hangs_or_breaks_takes_nobody_along(tmp_path: Path) -> None:
    script = tmp_path / "items.py"
    script.write_text(
        f"""
import os, sys, time
sys.path.insert(0, {str(ROOT / "benchmarks")!r})
from gpu_workers import Workers

def work(item):
    if item == "hangs":
        time.sleep(1000)
    if item == "dies":
        os._exit(9)
    return f"{{item}} by {{os.getpid()}}", item != "breaks"

if __name__ == "__main__":
    for item, result in Workers(work, 5.0).each(["a", "hangs", "dies", "breaks", "b", "c"]):
        print(f"{{item}}: {{result}}")
"""
    )
    command = [sys.executable, str(script)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.partition(":")[0] for line in found] == ["a", "hangs", "dies", "breaks", "b", "c"]
    assert "5 s" in found[1] and "with 9" in found[2]
    breaks, b, c = (line.split()[-1] for line in found[3:])
    assert breaks != b == c


class Cuda:
    """torch.cuda, as far as the table needs it, where host memory stands for that of a GPU."""

    current_stream = Stream = Event = CUDAGraph = lambda *_, **__: Cuda()

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: contextlib.nullcontext()

    def elapsed_time(self, other: object) -> float:
        return 1.0


def table() -> list[Any]:
    rows = benchmark("gpu_rows")
    grid = {"sizes": {"H": 6, "L": 2}, "extents": {"R": 3, "C": 2}, "batch": 2}
    return [
        replace(rows.stack("lstm", 8, 1, 4, 3), maths=("float32", "bf16")),
        *(
            replace(row, maths=("float32",))
            for row in (
                rows.stack("gru", 8, 2, 4, 3),
                rows.stack("layer_norm", 8, 1, 4, 3),
                replace(rows.grid(6, 1), **grid),
                rows.scan(3, 5, 4, 1),
            )
        ),
    ]


def test_contenders_of_the_table_compute_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row, small: rnnc by the emulator, its peers on the CPU."""
    if compiler() is None:
        pytest.skip("no C++ compiler to emulate with")
    monkeypatch.setenv("RNNC_BENCHMARK_DEVICE", "cpu")
    for name in [name for name in sys.modules if name.startswith("gpu")]:
        monkeypatch.delitem(sys.modules, name)
    gpu, chip = benchmark("gpu"), replace(SMALL, threads=128)
    let_torch_stand_for_a_gpu(monkeypatch)
    monkeypatch.setattr(gpu, "artifact", lambda found, _: emulated(found, chip=chip).artifact)
    monkeypatch.setattr(gpu, "no_longer_than", contextlib.nullcontext)
    monkeypatch.setattr(gpu, "ROUNDS", 1)
    monkeypatch.setattr(gpu, "COLD_ROUNDS", 1)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(torch, "cuda", Cuda())
    for row in table():
        for math in row.maths:
            gpu.build_row(row, math, tmp_path, "cuda")
        lines = {line["who"]: line for line in gpu.timed_row(torch, tmp_path, row, 1e12)}
        assert lines.keys() >= {"rnnc float32"}
        for who, line in lines.items():
            expected = {"FlashRNN bf16": "installed", "Triton scan": "no triton"}.get(who, "")
            assert expected in line["problem"] and bool(expected) == bool(line["problem"]), line
            assert line["agrees"], line
            assert gpu.text_of(line).startswith(row.name)
