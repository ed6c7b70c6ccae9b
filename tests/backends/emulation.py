"""What the CUDA backend emits, run on the CPU: compiled as C++ with tests/backends/emulator.h."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from rnnc.backends.cpu.clibrary import interface_source
from rnnc.backends.cpu.interface import compiling
from rnnc.backends.cpu.library import link
from rnnc.backends.cpu.manifest import manifest
from rnnc.backends.cpu.target import host
from rnnc.backends.cuda.layout import LANES
from rnnc.backends.cuda.program import cuda_source
from rnnc.backends.cuda.source import BLOCK

from rnnc.driver import Compilation
from rnnc.runtime.artifact import Artifact, Origin
from rnnc.runtime.manifest import Manifest
from rnnc.runtime.model import Model

EMULATOR = Path(__file__).parent / "emulator.h"
_DECLARED = """\
#include "stream.h"
int32_t rnnc_{0}(const rnnc_runtime *, int32_t, void *const *, const int64_t *);
int64_t rnnc_{0}_workspace(const int64_t *);
"""


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
    return Model(Artifact(described, library(source, described), compilation.source.text))


def library(source: str, about: Manifest) -> bytes:
    """The text as a library for this machine, which is called as those of the CPU are."""
    found = compiler()
    assert found is not None
    with TemporaryDirectory() as name:
        folder = Path(name)
        interface, text, emulated = (folder / n for n in ("interface.c", "model.cpp", "model.o"))
        entries = ("forward", "prepare")[: 1 if about.preparation is None else 2]
        declared = "".join(_DECLARED.format(entry) for entry in entries)
        interface.write_text(declared + interface_source(about, None, None))
        text.write_text(source)
        options = ["-O1", "-std=c++17", "-fPIC", "-c", "-w", "-include", str(EMULATOR)]
        defined = ["-DRNNC_EMULATED", f"-DRNNC_BLOCK={BLOCK}"]
        with compiling(interface, host(), folder) as compiled:
            command = [found, *options, *defined, str(text), "-o", str(emulated)]
            subprocess.run(command, check=True, env={**os.environ, "LC_ALL": "C"})
            whole = folder / "model.so"
            link([emulated, *compiled(), Path("-lstdc++")], host(), whole)
        return whole.read_bytes()
