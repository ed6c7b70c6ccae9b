"""The handler through which XLA calls compiled libraries: compiled and registered when first used.

It is a page of C on the header that comes with JAX, so that it always fits the JAX that is there;
compiling takes a tenth of a second.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import subprocess
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory

import jax

from rnnc.diagnostics import Diagnostic, DiagnosticError

TARGET = "rnnc_call"


@cache
def registered() -> int:
    """Registers the handler under TARGET, once; returns what the handler knows this process by.

    Raises RNN702 without a C compiler.
    """
    process = secrets.randbits(62)
    # The system loads libraries from files; once loaded, the file may go.
    with TemporaryDirectory(prefix="rnnc-") as folder:
        path = Path(folder) / "handler.so"
        _compile(path)
        try:
            library = ctypes.CDLL(str(path))
        except OSError as error:
            raise _failed(
                "RNN713", f"the system cannot load the handler for XLA: {error}"
            ) from error
    ctypes.c_int64.in_dll(library, "rnnc_process").value = process
    jax.ffi.register_ffi_target(TARGET, jax.ffi.pycapsule(library.rnnc_call), platform="cpu")
    return process


def _compile(output: Path) -> None:
    with as_file(files(__package__) / "handler.c") as source:
        command = [*_compiler(), "-std=gnu11", "-O2", "-fPIC", "-fvisibility=hidden", "-shared"]
        command += ["-I", jax.ffi.include_dir(), str(source), "-o", str(output)]
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            code, said = result.returncode, result.stderr.strip().splitlines()
        except OSError as error:
            code, said = 1, [error.strerror or str(error)]
    if code != 0:
        text = (
            f"the C compiler {command[0]} failed on the handler for XLA: {(said or ['nothing'])[0]}"
        )
        raise _failed("RNN702", text, *said[1:6])


def _compiler() -> list[str]:
    chosen = os.environ.get("CC", "").split()
    for command in (chosen, ["cc"], ["gcc"], ["clang"]):
        if command and shutil.which(command[0]):
            return command
    hint = "install gcc or clang, or name a compiler in the environment variable CC"
    raise _failed("RNN702", "no C compiler: it makes the handler through which XLA calls", hint)


def _failed(code: str, message: str, *hints: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic(code, message, hints=hints)])
