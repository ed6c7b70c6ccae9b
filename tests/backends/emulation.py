"""What the CUDA backend emits, run on the CPU: compiled as C++ with tests/backends/emulator.h."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from rnnc.backends.cuda.capacity import Chip
from rnnc.backends.cuda.manifest import manifest
from rnnc.backends.cuda.nvcc import ARCHITECTURES
from rnnc.backends.cuda.program import cuda_source
from rnnc.backends.cuda.tiles import BLOCK

from rnnc.driver import Compilation
from rnnc.runtime.artifact import Artifact
from rnnc.runtime.cuda import calls, model, setting
from rnnc.runtime.cuda.frameworks import Torch
from rnnc.runtime.cuda.model import CudaModel

# Half as many processors as the emulator has room for blocks: two groups of blocks then share rows.
SMALL = Chip("small", 3, 48 << 10, 1 << 20, threads=64, weights=64)
NARROW = replace(SMALL, processors=6, threads=32)  # few columns a block
ONLY_SHARED = replace(SMALL, weights=0)
ONLY_CACHE = replace(SMALL, weights=0, shared=0)
HEADERS = [Path(__file__).parent / name for name in ("emulator.h", "cudart.h")]


@cache
def compiler() -> str | None:
    return shutil.which("g++") or shutil.which("clang++")


def emulated(
    compilation: Compilation, changes: Sequence[tuple[str, str]] = (), chip: Chip = SMALL
) -> CudaModel:
    """The model, on the emulator; `changes` replace patterns of the emitted text."""
    source = cuda_source(compilation.plan, chip)
    for pattern, replacement in changes:
        source, count = re.subn(pattern, replacement, source, flags=re.MULTILINE)
        assert count, pattern
    described = manifest(compilation.plan, tuple(ARCHITECTURES), compilation.origin)
    return CudaModel(Artifact(described, library(source), compilation.source.text))


def let_torch_stand_for_a_gpu(monkeypatch: pytest.MonkeyPatch, stream: int = 0) -> None:
    """Its tensors, which are in host memory, are those of the emulated GPU."""
    import torch

    class OnHost(Torch):
        def stream(self, device: int) -> int:
            return stream

    def gpu_of(value: object) -> int | None:
        return 0 if isinstance(value, torch.Tensor) else None

    for module in (setting, model):
        monkeypatch.setattr(module, "gpu_of", gpu_of)
    monkeypatch.setattr(calls, "held_by", lambda value, cuda: gpu_of(value))
    monkeypatch.setattr(calls, "framework_of", lambda values: OnHost("cpu"))


def library(source: str) -> bytes:
    """The text as a library for this machine."""
    found = compiler()
    assert found is not None
    with TemporaryDirectory() as name:
        text, output = Path(name) / "model.cpp", Path(name) / "model.so"
        text.write_text(source)
        options = ["-O0", "-std=gnu++14", "-U_FORTIFY_SOURCE", "-fPIC", "-shared", "-w"]
        options += [option for header in HEADERS for option in ("-include", str(header))]
        defined = ["-DRNNC_EMULATED", f"-DRNNC_BLOCK={BLOCK}"]
        command = [found, *options, *defined, str(text), "-o", str(output)]
        subprocess.run(command, check=True, env={**os.environ, "LC_ALL": "C"})
        return output.read_bytes()
