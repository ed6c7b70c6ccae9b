"""What the CUDA backend emits, run on the CPU: compiled as C++ with tests/backends/emulator.h."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from rnnc.backends.cpu.manifest import manifest
from rnnc.backends.cpu.target import host
from rnnc.backends.cuda.layout import LANES
from rnnc.backends.cuda.program import cuda_source
from rnnc.backends.cuda.source import BLOCK

from rnnc.driver import Compilation
from rnnc.runtime.artifact import Artifact, Origin
from rnnc.runtime.model import Model

EMULATOR = Path(__file__).parent / "emulator.h"


@cache
def compiler() -> str | None:
    return shutil.which("g++") or shutil.which("clang++")


def emulated(compilation: Compilation, change: tuple[str, str] | None = None) -> Model:
    """The model, on the emulator; `change` replaces a part of the emitted text."""
    source = cuda_source(compilation.plan)
    if change is not None:
        assert change[0] in source
        source = source.replace(*change)
    target = replace(host(), vector_bytes=4 * LANES)
    origin = Origin(compilation.source.text, compilation.graph.values)
    described = manifest(compilation.plan, target, origin)
    return Model(Artifact(described, library(source), compilation.source.text))


def library(source: str) -> bytes:
    """The text as a library for this machine."""
    found = compiler()
    assert found is not None
    with TemporaryDirectory() as name:
        text, output = Path(name) / "model.cpp", Path(name) / "model.so"
        text.write_text(source)
        options = ["-O1", "-std=c++17", "-fPIC", "-shared", "-w", "-include", str(EMULATOR)]
        defined = ["-DRNNC_EMULATED", f"-DRNNC_BLOCK={BLOCK}"]
        command = [found, *options, *defined, str(text), "-o", str(output)]
        subprocess.run(command, check=True, env={**os.environ, "LC_ALL": "C"})
        return output.read_bytes()
