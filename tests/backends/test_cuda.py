"""CUDA without a GPU: the emitted source on an emulator, against the oracles; machine code."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rnnc.backends.cuda.backend import BACKEND
from rnnc.backends.cuda.program import cuda_source

from rnnc.diagnostics import DiagnosticError
from rnnc.ir.signature import param_signature
from rnnc.runtime.cuda.memory import Arena
from tests.backends.emulation import compiler, emulated
from tests.cells.test_compiled import compare, compilation, single
from tests.oracles.arrays import Array
from tests.oracles.case import Case
from tests.oracles.cases import CASES

# One of each kind of recurrence: all of the library takes a quarter of an hour.
_QUICK = "stacked_lstm stacked-gru grid_lstm_2d recursive_nn act_rnn-hasty"
_SLOW = "dilated-gru clockwork mdlstm_4way bidirectional-gru seq2seq_greedy ntm s4d urnn_network"
NAMED = {case.name: case for case in CASES}
EMULATED = [
    *(pytest.param(NAMED[name], id=name) for name in _QUICK.split()),
    *(pytest.param(NAMED[name], id=name, marks=pytest.mark.slow) for name in _SLOW.split()),
]
needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C++ compiler to emulate with")
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")


class Poisoned(Arena):
    """Workspaces full of NaN: what was computed before is not there by chance."""

    def get(self, size: int) -> int:
        start = super().get(size)
        ctypes.memset(start, 0xFF, size)
        return start


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnc.runtime.cuda.model.Arena", Poisoned)


def check(case: Case, change: tuple[str, str] | None = None) -> None:
    """Whole arrays, and rows of different lengths."""
    compiled = compilation(case)
    params = single(case.draw_params(param_signature(compiled.graph, case.sizes)))
    bound = emulated(compiled, change).bind(params)
    compare(case, bound, params, case.sizes)
    random = np.random.default_rng(3)
    lengths: dict[str, Array] = {
        name: random.permutation([case.sizes[name], case.least, case.sizes[name]])
        for name in case.extents
    }
    if lengths:
        compare(case, bound, params, case.sizes, lengths)


@needs_compiler
@pytest.mark.parametrize("case", EMULATED)
def test_equations(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNC_EMULATOR_SEED", "5")
    check(case)


@needs_compiler
@pytest.mark.parametrize("name", ["stacked_lstm", "seq2seq_greedy"])
def test_in_order_and_launch_by_launch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices that launch no grid cooperatively run kernel after kernel."""
    check(NAMED[name])
    monkeypatch.setenv("RNNC_EMULATOR_ALONE", "1")
    check(NAMED[name])


@needs_compiler
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("(rnnc_acquire(flags + other) - rnnc_next < 0)", "(0)"), id="no flags"),
        pytest.param(("rnnc_meet(&flags[(int64_t)0], blocks);", ";"), id="no meeting"),
    ],
)
def test_a_meeting_that_is_left_out_is_noticed(
    change: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator would see a race."""
    monkeypatch.setenv("RNNC_EMULATOR_SEED", "11")
    wide = replace(NAMED["stacked_lstm"], sizes={"X": 3, "H": 192, "L": 1, "T": 5})
    check(wide)  # six warps, which are two blocks
    with pytest.raises(AssertionError):
        check(wide, change)


@needs_nvcc
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_machine_code_spills_nothing(architecture: str, tmp_path: Path) -> None:
    source = tmp_path / "model.cu"
    source.write_text(cuda_source(compilation(NAMED["stacked_lstm"]).plan))
    command = ["nvcc", "-cubin", f"-arch={architecture}", "-O3", "-std=c++17", "-Xptxas", "-v"]
    command += ["-o", str(tmp_path / "model.cubin"), str(source)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    [persistent] = re.findall(r"function '\w*persistent'(.*?)registers", said, re.DOTALL)
    spilled = [int(n) for n in re.findall(r"(\d+) bytes spill", persistent)]
    assert spilled and not any(spilled)
    registers = [int(n) for n in re.findall(r"Used (\d+) registers", said)]
    assert registers and max(registers) <= 128


@needs_nvcc
@pytest.mark.slow
def test_library_needs_nothing_but_cuda(tmp_path: Path) -> None:
    made = BACKEND.emit(compilation(NAMED["elman_network"]).plan, "sm_90", "so")
    assert isinstance(made, bytes)
    (tmp_path / "model.so").write_bytes(made)
    command = ["nm", "-D", "--undefined-only", str(tmp_path / "model.so")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "rnnc" not in said and "TVM" not in said and "tvm" not in said


def test_source_needs_no_nvcc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    plan = compilation(NAMED["elman_network"]).plan
    assert "rnnc_forward" in str(BACKEND.emit(plan, None, "cu"))
    with pytest.raises(DiagnosticError, match="nvcc"):
        BACKEND.emit(plan, None, "cubin")
    assert "nvcc" in str(BACKEND.targets()[0].problem)


def test_unknown_architecture() -> None:
    with pytest.raises(DiagnosticError, match="sm_12"):
        BACKEND.emit(compilation(NAMED["elman_network"]).plan, "sm_12", "cu")
