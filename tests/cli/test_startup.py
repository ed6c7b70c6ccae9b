"""Start-up is part of the product: `rnnc check` answers at once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "examples" / "stacked_lstm.rnn"
BUDGET_SECONDS = 0.5
# The machine that runs the tests may be slower, or busy with something else.
SLOWER = 1.5

# What costs more than it is worth on the way of `check`: TVM alone takes a second.
HEAVY = ("tvm", "tvm_ffi", "numpy", "rich", "safetensors", "torch")

PROBE = """
import sys
from rnnc.cli.guard import run_guarded
assert run_guarded(sys.argv[1:]) == 0
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def imported_by(*arguments: str) -> set[str]:
    command = [sys.executable, "-c", PROBE, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return set(result.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", str(SPEC)),
        ("fmt", "--diff", str(SPEC)),
        ("explain", "RNN301"),
        ("--version",),
    ],
    ids=" ".join,
)
def test_light_commands_import_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert imported_by(*arguments).isdisjoint(HEAVY)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_model_is_explained_without_a_backend(form: str) -> None:
    sizes = ("-D", "X=4,H=4,L=3", "--hint", "T=9", "--format", form)
    assert imported_by("explain", str(SPEC), *sizes).isdisjoint({"tvm", "tvm_ffi", "torch"})


def test_where_a_gpu_keeps_weights_is_explained_without_tvm() -> None:
    sizes = ("-D", "X=4,H=4,L=3", "--target", "cuda:sm_90", "--math", "bf16")
    assert imported_by("explain", str(SPEC), *sizes).isdisjoint({"tvm", "tvm_ffi", "torch"})


def test_importing_rnnc_imports_nothing_heavy() -> None:
    probe = "import rnnc, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    result = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    assert set(result.stdout.split()).isdisjoint({*HEAVY, "islpy", "lark", "networkx", "click"})


def test_check_answers_within_half_a_second() -> None:
    """The best of five runs."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "rnnc", "-q", "check", str(SPEC)], check=True)
        times.append(time.perf_counter() - start)
    assert min(times) < SLOWER * BUDGET_SECONDS
