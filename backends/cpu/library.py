"""Functions in TensorIR -> object file (LLVM) -> shared library (the system's C compiler)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

import tvm
from tvm import tirx

from rnnc.diagnostics import Diagnostic, DiagnosticError

from .target import CpuTarget
from .tir import Function

# Compiled into every library; the generated glue includes rnnc_runtime.h.
RUNTIME_SOURCES = ("barrier.c", "pool.c")


def emit_object(functions: Sequence[Function], target: CpuTarget, path: Path) -> None:
    """Write the object file with `functions`.

    They need few of TVM's passes: they hold flat buffers and explicit vectors already. Undefined
    in the object are `rnnc_barrier` and functions of libm.
    """
    llvm = tvm.target.Target(target.options())
    module = tvm.IRModule(
        {str(f.attrs["global_symbol"]): f.with_attr("target", llvm) for f in functions}
    )
    module = tirx.transform.LowerIntrin()(module)
    tvm.get_global_func("target.build.llvm")(module, llvm).write_to_file(str(path))


def assembly(functions: Sequence[Function], target: CpuTarget, form: str = "asm") -> str:
    """What LLVM makes of `functions`, as text: form "asm" or "ll"."""
    llvm = tvm.target.Target(target.options())
    module = tvm.IRModule(
        {str(f.attrs["global_symbol"]): f.with_attr("target", llvm) for f in functions}
    )
    module = tirx.transform.LowerIntrin()(module)
    return str(tvm.get_global_func("target.build.llvm")(module, llvm).inspect_source(form))


def find_compiler(architecture: str) -> list[str]:
    """The C compiler: $CC, or what the system has for `architecture`. Raises RNN702."""
    chosen = os.environ.get("CC", "").split()
    if chosen and shutil.which(chosen[0]):
        return chosen
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(os.uname().machine, os.uname().machine)
    native = ("cc", "gcc", "clang") if machine == architecture else ()
    for name in (*native, f"{architecture}-linux-gnu-gcc"):
        if shutil.which(name):
            return [name]
    message = f"no C compiler for {architecture}: it links the kernels into a shared library"
    hints = ("install gcc or clang, or name a compiler in the environment variable CC",)
    raise DiagnosticError([Diagnostic("RNN702", message, hints=hints)])


def link(objects: Sequence[Path], glue: Path, target: CpuTarget, output: Path) -> None:
    """`objects`, the C source `glue` and the runtime -> the shared library `output`.

    Raises RNN702 with what the compiler said if it fails.
    """
    with as_file(files(__package__) / "runtime") as runtime:
        sources = [glue, *(runtime / name for name in RUNTIME_SOURCES)]
        command = [
            *find_compiler(target.architecture),
            *("-std=gnu11", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-s"),
            *("-I", str(runtime), "-o", str(output)),
            *(str(path) for path in (*objects, *sources)),
            *("-lpthread", "-lm"),
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = (result.stderr.strip() or "nothing").splitlines()
        message = f"the C compiler {command[0]} failed: {said[0]}"
        raise DiagnosticError([Diagnostic("RNN702", message, hints=tuple(said[1:6]))])
