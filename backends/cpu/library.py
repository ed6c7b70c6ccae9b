"""Functions in TensorIR -> object file (LLVM) -> shared library (the system's C compiler)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import tvm
from tvm import tirx

from rnnc.diagnostics import Diagnostic, DiagnosticError

from ..tensorir.tir import Function
from .processes import side_by_side
from .target import CpuTarget


def emit_objects(functions: Sequence[Function], target: CpuTarget, folder: Path) -> list[Path]:
    """Write an object file for each function into `folder`.

    Undefined in them are `rnnc_barrier`, functions of libm, and what they call of each other.
    """
    paths = [folder / f"{function.attrs['global_symbol']}.o" for function in functions]

    def emit(number: int) -> None:
        compiled(functions[number], target).write_to_file(str(paths[number]))

    side_by_side(emit, len(functions))
    return paths


def assembly(functions: Sequence[Function], target: CpuTarget, form: str = "asm") -> str:
    """What LLVM makes of `functions`, as text: form "asm" or "ll"."""
    return "\n".join(str(compiled(f, target).inspect_source(form)) for f in functions)


def compiled(function: Function, target: CpuTarget) -> tvm.runtime.Module:
    """A module of one function.

    It is alone so that LLVM cannot inline one function into another: what TVM says of aliases, by
    the names of buffers, holds inside one function. It needs few of TVM's passes, as it holds flat
    buffers and explicit vectors already.
    """
    llvm = tvm.target.Target(target.options())
    name = str(function.attrs["global_symbol"])
    module = tvm.IRModule({name: function.with_attr("target", llvm)})
    module = tirx.transform.LowerIntrin()(module)
    return tvm.get_global_func("target.build.llvm")(module, llvm)


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


def link(objects: Sequence[Path], target: CpuTarget, output: Path) -> None:
    """`objects`, also of what is C -> the shared library `output`. Raises RNN702."""
    _run(
        *find_compiler(target.architecture),
        *("-shared", "-s"),
        "-Wl,-Bsymbolic",  # another model's functions have the same names
        *("-o", output),
        *objects,
        *("-lpthread", "-lm"),
    )


def join(objects: Sequence[Path], kept: Sequence[str], target: CpuTarget, whole: Path) -> None:
    """Makes one object of several, in which all symbols but `kept` are local. Raises RNN702."""
    run_tool(target, "cc", "-r", "-nostdlib", "-o", whole, *objects)
    run_tool(target, "objcopy", "-g", *(f"--keep-global-symbol={name}" for name in kept), whole)


def link_whole(whole: Path, target: CpuTarget, shared: Path) -> None:
    """What `join` made -> a shared library of its own name. Raises RNN702."""
    run_tool(
        target, "cc", "-shared", "-s", "-Wl,-z,noexecstack", f"-Wl,-soname,{shared.name}",
        "-o", shared, whole, "-lpthread", "-lm",
    )  # fmt: skip


def run_tool(target: CpuTarget, tool: str, *arguments: str | Path) -> None:
    """The C compiler ("cc") or a tool that belongs to it (ar, objcopy). Raises RNN702."""
    command = find_compiler(target.architecture)
    if tool != "cc":
        asked = subprocess.run(
            [*command, f"-print-prog-name={tool}"], capture_output=True, text=True, check=False
        )
        command = [asked.stdout.strip() or tool]
    _run(*command, *arguments)


def _run(*command: str | Path) -> None:
    arguments = [str(part) for part in command]
    try:
        result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    except OSError as error:
        raise failure(arguments[0], error.strerror) from error
    if result.returncode != 0:
        raise failure(arguments[0], result.stderr)


def failure(compiler: str, output: str | None) -> DiagnosticError:
    """RNN702, with what a compiler said."""
    said = ((output or "").strip() or "nothing").splitlines()
    message = f"the C compiler {compiler} failed: {said[0]}"
    return DiagnosticError([Diagnostic("RNN702", message, hints=tuple(said[1:6]))])
