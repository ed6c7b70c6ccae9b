"""Products on tensor cores: within the error of their types, and tensor cores they are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rnnc.backends.cuda.capacity import CHIPS as LARGE
from rnnc.backends.cuda.capacity import Chip
from rnnc.backends.cuda.program import cuda_source

import rnnc
from rnnc.diagnostics import DiagnosticError, Source
from rnnc.driver import Compilation, Request, standard_source
from rnnc.ir.signature import param_signature
from rnnc.verification import compare as judged
from rnnc.verification import rounded
from rnnc.weights import MathType
from tests.backends.emulation import ONLY_CACHE, ONLY_SHARED, SMALL, compiler, emulated
from tests.cells.test_compiled import compare, single
from tests.oracles.cases import CASES
from tests.oracles.running_error import Bounded, Floats, product

# Odd sizes: neither rows nor columns nor k are whole tiles. Two tiles of rows in a wave, and inputs
# of several steps of k, whose rows are aligned or not. All steps at once are many rows.
STEPS, BATCH, H = 6, 19, 37
WIDTHS = {"lstm": 85, "gru": 84, "multiplicative": 21}
SPECS = {
    "lstm": """
from lstm import lstm
model net{X, H}:
    dim t in 0..T
    input x[t]: [X]
    h[t], c[t] = lstm{X, H}(x[t], h[t-1], c[t-1])
    h[-1] = 0
    c[-1] = 0
    output y[t] = h[t]
""",
    "gru": """
from gru import gru
model net{X, H}:
    dim t in 0..T
    input x[t]: [X]
    h[t] = gru{X, H, reset_after=false}(x[t], h[t-1])
    h[-1] = 0
    output y[t] = h[t]
""",
    "multiplicative": """
cell multiplied{X, H}(x: [X], h: [H]) -> (h'):
    param W, V: [H, X], U, R: [H, H], b: [H]
    m = (V @ x) * (R @ h) + 0.5 * h
    h' = tanh(W @ x + U @ m + b)
model net{X, H}:
    dim t in 0..T
    input x[t]: [X]
    h[t] = multiplied{X, H}(x[t], h[t-1])
    h[-1] = 1
    output y[t] = h[t]
""",
}
Params = Mapping[str, Floats]
Product = Callable[[str, Bounded], Bounded]


def lstm(x: Bounded, state: Bounded, memory: Bounded, p: Params, by: Product) -> list[Bounded]:
    gates = {g: by(f"W_{g}", x) + by(f"U_{g}", state) + bias(p, f"b_{g}") for g in "ifgo"}
    new = gates["f"].sigmoid() * memory + gates["i"].sigmoid() * gates["g"].tanh()
    return [gates["o"].sigmoid() * new.tanh(), new]


def gru(x: Bounded, state: Bounded, memory: Bounded, p: Params, by: Product) -> list[Bounded]:
    r, z = ((by(f"W_{g}", x) + by(f"U_{g}", state) + bias(p, f"b_{g}")).sigmoid() for g in "rz")
    n = by("W_n", x) + bias(p, "b_n") + by("U_n", r * state) + bias(p, "c_n")
    return [(Bounded.exact(1) - z) * n.tanh() + z * state, memory]


def multiplicative(
    x: Bounded, state: Bounded, memory: Bounded, p: Params, by: Product
) -> list[Bounded]:
    m = by("V", x) * by("R", state) + Bounded.exact(0.5) * state
    return [(by("W", x) + by("U", m) + bias(p, "b")).tanh(), memory]


CELLS = {"lstm": lstm, "gru": gru, "multiplicative": multiplicative}
FIRST = {"lstm": 0.0, "gru": 0.0, "multiplicative": 1.0}


def bias(p: Params, name: str) -> Bounded:
    return Bounded.exact(p[name])


def compiled(name: str, math: MathType, **sizes: int) -> Compilation:
    request = Request(None, sizes or {"X": WIDTHS[name], "H": H}, target="cuda", math=math)
    return Compilation(Source(f"{name}.rnn", SPECS[name].lstrip()), request)


# Weights in registers, in shared memory, and in neither.
CHIPS = {
    math: replace(chip, threads=128)
    for math, chip in {
        "bf16": SMALL,
        "3xtf32": SMALL,
        "fp16": ONLY_SHARED,
        "tf32": ONLY_CACHE,
        "float32": ONLY_CACHE,
    }.items()
}
needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C++ compiler to emulate with")
PAIRS = [
    ("lstm", "bf16"),
    ("gru", "fp16"),
    ("multiplicative", "3xtf32"),
    ("lstm", "tf32"),
]
OTHER_KINDS = "recursive_nn dilated-gru clockwork ntm mdlstm_4way seq2seq_greedy"
OTHERS = [(name, math) for name in CELLS for math in ("tf32", "3xtf32", "bf16", "fp16")]


@needs_compiler
@pytest.mark.parametrize(
    "name, math",
    [
        *PAIRS,
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in OTHERS if pair not in PAIRS),
    ],
)
def test_errors_are_those_of_the_type(
    name: str, math: MathType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never more than the type's own bound, and more than float32 would be wrong by."""
    monkeypatch.setenv("RNNC_EMULATOR_SEED", "7")
    check(name, math)


def check(name: str, math: MathType, *changes: tuple[str, str]) -> None:
    compilation = compiled(name, math)
    model = emulated(compilation, changes, CHIPS[math])
    random = np.random.default_rng(5)
    arrays = {
        path: (random.normal(size=spec.shape) / np.sqrt(spec.shape[-1])).astype("f")
        for spec in model.manifest.parameters
        for path in spec.paths
    }
    x = random.normal(size=(STEPS, BATCH, WIDTHS[name])).astype("f")
    found = model.bind(arrays).run({"x": x})["y"]
    params = {path.rpartition(".")[2]: array.astype(float) for path, array in arrays.items()}
    largest, exact = 0.0, run(name, "float32", params, x)
    for step, expected in enumerate(run(name, math, params, x)):
        off = np.abs(found[step] - expected.value)
        assert np.all(off <= expected.error), f"step {step}"
        largest = max(largest, float((off / exact[step].error).max()))
    if math == "float32":
        return
    assert math == "3xtf32" or largest > 2, "nothing was rounded"
    judge(compilation, arrays, {"x": x}, {"y": found})


def judge(compilation: Compilation, arrays: Params, inputs: Params, found: Params) -> None:
    """`rnnc verify` explains what tensor cores cost, and nothing else does."""
    given = (compilation.graph, {"T": STEPS}, inputs, arrays, found)
    narrow = rounded(compilation, {"T": STEPS}, inputs, arrays)
    assert narrow is not None
    [explained], [exact] = judged(*given, narrow=narrow), judged(*given)
    assert explained.agrees
    assert exact.agrees == (compilation.request.math == "3xtf32")


# Everything in the tiles of many rows.
MANY = ("const bool are_many = ", "const bool are_many = 16384 * ")
COPIED = "    rnnc_await<tile::stages - 2>();"


@needs_compiler
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("    __syncthreads();", "    ;"), id="of all threads"),
        pytest.param((f"{COPIED}\n    __syncthreads();", COPIED), id="behind copies"),
        pytest.param((COPIED, "    ;"), id="for copies"),
    ],
)
def test_a_barrier_that_is_left_out_is_noticed(
    change: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums are collected by other threads than those that multiply, weights copied by others."""
    monkeypatch.setenv("RNNC_EMULATOR_SEED", "7")
    with pytest.raises(AssertionError, match="step"):
        check("lstm", "bf16", (re.escape(change[0]), change[1]), MANY)


@needs_compiler
@pytest.mark.parametrize(
    "name, math", [("multiplicative", "tf32"), ("lstm", "bf16"), ("lstm", "float32")]
)
def test_loops_of_many_rows(name: str, math: MathType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two phases, of three products; the tiles are as right as what few rows get."""
    monkeypatch.setenv("RNNC_EMULATOR_SEED", "7")
    check(name, math, MANY)


@needs_compiler
@pytest.mark.parametrize(
    "name", ["grid_lstm_2d", pytest.param("mdlstm_4way", marks=pytest.mark.slow)]
)
def test_points_with_weights_of_their_own_in_tiles(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNC_EMULATOR_SEED", "5")
    compare_case(name, ONLY_CACHE, MANY)


@needs_compiler
@pytest.mark.parametrize(
    "name",
    ["grid_lstm_2d", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHER_KINDS.split())],
)
def test_every_kind_of_recurrence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """3xtf32 is as exact as the tests of float32 ask for."""
    monkeypatch.setenv("RNNC_EMULATOR_SEED", "5")
    compare_case(name, CHIPS["3xtf32"])


def compare_case(name: str, chip: Chip, *changes: tuple[str, str]) -> None:
    [case] = [case for case in CASES if case.name == name]
    text = case.text or standard_source(case.file).text
    request = Request(case.model, case.statics, target="cuda", math="3xtf32")
    found = Compilation(Source(f"{case.file}.rnn", text), request)
    params = single(case.draw_params(param_signature(found.graph, case.sizes)))
    compare(case, emulated(found, changes, chip).bind(params), params, case.sizes)


def run(name: str, math: str, params: Params, x: Floats) -> list[Bounded]:
    def by(weights: str, vectors: Bounded) -> Bounded:
        return product(params[weights], vectors, math)

    state = Bounded.exact(np.full((BATCH, H), FIRST[name]))
    memory = Bounded.exact(np.zeros((BATCH, H)))
    states = []
    for step in range(STEPS):
        state, memory = CELLS[name](Bounded.exact(x[step]), state, memory, params, by)
        states.append(state)
    return states


# ---- machine code -----------------------------------------------------------------------------

HMMA = {
    "bf16": "HMMA.16816.F32.BF16",
    "fp16": "HMMA.16816.F32",
    "tf32": "HMMA.1688.F32.TF32",
    "3xtf32": "HMMA.1688.F32.TF32",
}
MOST_REGISTERS = 255  # of a thread: one block of 256 stays on a processor


def disassembler() -> str | None:
    """nvdisasm: of the toolkit, or of the package nvidia-cuda-nvdisasm."""
    packaged = Path(sysconfig.get_path("purelib")) / "nvidia"
    path = os.pathsep.join([os.environ["PATH"], *map(str, packaged.glob("*/bin"))])
    return shutil.which("nvdisasm", path=path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
@pytest.mark.skipif(disassembler() is None, reason="no nvdisasm: pip install nvidia-cuda-nvdisasm")
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("math", HMMA)
def test_machine_code_has_tensor_cores(math: MathType, architecture: str, tmp_path: Path) -> None:
    """In the hoisted product and in the persistent kernel, which spills nothing."""
    source, made = tmp_path / "model.cu", tmp_path / "model.cubin"
    source.write_text(cuda_source(compiled("lstm", math, X=64, H=512).plan, LARGE[architecture]))
    command = ["nvcc", "-cubin", f"-arch={architecture}", "-O3", "-std=c++17", "-Xptxas", "-v"]
    said = subprocess.run(
        [*command, "-o", made, source], capture_output=True, text=True, check=True
    ).stderr
    spilled = {name: sum(map(int, sizes)) for name, *sizes in re.findall(
        r"Compiling entry function '(\w+)'[\s\S]*?(\d+) bytes spill stores, (\d+) bytes spill", said
    )}  # fmt: skip
    registers = {name: int(count) for name, count in re.findall(
        r"Compiling entry function '(\w+)'[\s\S]*?Used (\d+) registers", said
    )}  # fmt: skip
    code = subprocess.run(
        [str(disassembler()), made], capture_output=True, text=True, check=True
    ).stdout
    functions = dict(re.findall(r"\.text\.(\w+):([\s\S]*?)(?=\n\.text\.|\Z)", code))
    assert spilled.keys() == registers.keys() == functions.keys()
    multiplying = [name for name, text in functions.items() if f"{HMMA[math]} " in text]
    persistent = [name for name in functions if name.endswith("persistent")]
    hoisted = [name for name in multiplying if "LDSM.16" in functions[name]]
    assert hoisted and all("LDGSTS.E.BYPASS.128" in functions[name] for name in hoisted)
    assert persistent and set(persistent) <= set(multiplying)
    for name in multiplying:
        assert not spilled[name], name
    for name in persistent:
        assert registers[name] <= MOST_REGISTERS, name


def test_a_type_that_is_none() -> None:
    with pytest.raises(DiagnosticError, match="fp8") as caught:
        rnnc.compile(SPECS["lstm"], target="cuda", math="fp8")  # type: ignore[arg-type]
    assert caught.value.diagnostics[0].code == "RNN705"


def test_only_gpus_have_tensor_cores() -> None:
    """And only CPUs store weights alone in other types: nothing is scheduled, either."""
    asked = Request(None, {"X": 3, "H": 5})
    for request in (
        replace(asked, math="bf16"),
        replace(asked, target="cuda", weights="int8"),
    ):
        with pytest.raises(DiagnosticError, match=r"tensor cores|store weights") as caught:
            _ = Compilation(Source("net.rnn", SPECS["lstm"]), request).schedule
        assert caught.value.diagnostics[0].code == "RNN705"
