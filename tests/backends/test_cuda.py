"""CUDA without a GPU: the emitted source on an emulator, against the oracles; machine code."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from rnnc.backends.cuda.backend import BACKEND
from rnnc.backends.cuda.capacity import CHIPS, Chip
from rnnc.backends.cuda.program import cuda_source

from rnnc.diagnostics import DiagnosticError
from rnnc.driver import Compilation, Request, standard_source
from rnnc.ir.signature import param_signature
from rnnc.runtime.cuda.model import CudaBoundModel
from rnnc.weights import MathType
from tests.backends.emulation import ONLY_CACHE, ONLY_SHARED, SMALL, compiler, emulated
from tests.cells.test_compiled import compare, compilation, single
from tests.oracles.arrays import Array
from tests.oracles.cases import CASES

# One of each kind of recurrence: all of the library takes a quarter of an hour.
_QUICK = "stacked_lstm stacked-gru dilated-gru grid_lstm_2d recursive_nn act_rnn-hasty"
_SLOW = "clockwork mdlstm_4way bidirectional-gru seq2seq_greedy ntm s4d urnn_network"
NAMED = {case.name: case for case in CASES}
# Two rows of lanes along each vector, and neither of them a multiple of anything.
NAMED["stacked-gru"] = replace(NAMED["stacked-gru"], sizes={"X": 3, "H": 37, "L": 2, "T": 3})
EMULATED = [
    *(pytest.param(name, id=name) for name in _QUICK.split()),
    *(pytest.param(name, id=name, marks=pytest.mark.slow) for name in _SLOW.split()),
]
needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C++ compiler to emulate with")
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")


@cache
def planned(name: str) -> Compilation:
    found = compilation(NAMED[name], target="cuda")
    assert found.plan
    return found


@cache
def built(name: str, chip: Chip = SMALL) -> tuple[CudaBoundModel, dict[str, Array]]:
    """A case on the emulator, with its parameters."""
    case, compiled = NAMED[name], planned(name)
    params = single(case.draw_params(param_signature(compiled.graph, case.sizes)))
    return emulated(compiled, chip=chip).bind(params), params


def check(name: str, chip: Chip = SMALL) -> None:
    """Whole arrays, and rows of different lengths."""
    case = NAMED[name]
    bound, params = built(name, chip)
    compare(case, bound, params, case.sizes)
    random = np.random.default_rng(3)
    lengths: dict[str, Array] = {
        name: random.permutation([case.sizes[name], case.least, case.sizes[name]])
        for name in case.extents
    }
    if lengths:
        compare(case, bound, params, case.sizes, lengths)


@needs_compiler
@pytest.mark.parametrize("name", EMULATED)
def test_equations(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order and shuffled."""
    check(name)
    monkeypatch.setenv("RNNC_EMULATOR_SEED", "5")
    check(name)


@needs_compiler
@pytest.mark.parametrize("name", ["stacked_lstm", "seq2seq_greedy"])
def test_launch_by_launch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices that launch no grid cooperatively run kernel after kernel."""
    monkeypatch.setenv("RNNC_EMULATOR_ALONE", "1")
    check(name)


@needs_compiler
@pytest.mark.parametrize("chip", [ONLY_SHARED, ONLY_CACHE], ids=["shared", "cache"])
def test_other_homes_of_weights(chip: Chip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNC_EMULATOR_SEED", "7")
    check("stacked-gru", chip)


@needs_compiler
def test_long_chains_are_cut_into_parts() -> None:
    """Where many steps are hinted at, processors would else have nothing to do."""
    case = NAMED["linear_recurrence"]
    request = Request(case.model, case.statics, {"T": 4096}, "cuda")
    compiled = Compilation(standard_source(case.file), request)
    assert any("summary" in kernel.name for kernel in compiled.plan.kernels)
    params = single(case.draw_params(param_signature(compiled.graph, case.sizes)))
    bound = emulated(compiled).bind(params)
    for steps in (0, 1, 33, 100):
        compare(case, bound, params, {**case.sizes, "T": steps})


@needs_nvcc
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("size", [1024, 1056], ids=["registers", "shared"])
def test_machine_code_spills_nothing(size: int, architecture: str, tmp_path: Path) -> None:
    """With as many weights in registers as the capacity model allows, and with a few more."""
    source = tmp_path / "model.cu"
    case = replace(NAMED["stacked_lstm"], sizes={"X": 16, "H": size, "L": 1, "T": 1})
    chip = replace(CHIPS[architecture], processors=132)
    source.write_text(cuda_source(compilation(case, target="cuda").plan, chip))
    command = ["nvcc", "-cubin", f"-arch={architecture}", "-O3", "-std=c++17", "-Xptxas", "-v"]
    command += ["-o", str(tmp_path / "model.cubin"), str(source)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    [persistent] = re.findall(r"function '\w*persistent'(.*?registers)", said, re.DOTALL)
    spilled = [int(n) for n in re.findall(r"(\d+) bytes spill", persistent)]
    assert spilled and not any(spilled)
    # The tiles of what is computed at once; they alone have as much shared memory.
    [tiled] = re.findall(
        r"(\d+) bytes spill stores, (\d+) bytes spill[^'}]*? \d{5} bytes smem", said
    )
    assert tiled == ("0", "0")
    [registers] = [int(n) for n in re.findall(r"Used (\d+) registers", persistent)]
    assert registers <= 255  # 256 threads share 65536


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


@pytest.mark.parametrize("math", ["float32", "bf16"])
def test_sizes_of_zero(math: MathType) -> None:
    for sizes in ({"X": 0, "H": 3, "L": 2}, {"X": 3, "H": 0, "L": 2}):
        request = Request("stacked_lstm", sizes, target="cuda", math=math)
        made = Compilation(standard_source("stacked"), request).code("cu")
        assert "rnnc_forward" in str(made)


def test_unknown_architecture() -> None:
    with pytest.raises(DiagnosticError, match="sm_12"):
        BACKEND.emit(compilation(NAMED["elman_network"]).plan, "sm_12", "cu")
