"""CUDA C++ to PTX, machine code or a shared library, by NVIDIA's compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from rnnc.diagnostics import Diagnostic, DiagnosticError

# What libraries hold machine code for; the PTX of the last one serves later ones.
ARCHITECTURES = {"sm_80": "Ampere: A100", "sm_90": "Hopper: H100, H200"}


def code_features(architectures: tuple[str, ...]) -> tuple[str, ...]:
    """What a library holds: machine code for each (`sm_80`), PTX of the last (`compute_80`)."""
    return (*architectures, architectures[-1].replace("sm_", "compute_"))


def find_nvcc() -> str:
    """NVIDIA's compiler. Raises RNN702."""
    found = shutil.which("nvcc")
    if found is None:
        message = "no nvcc: it makes machine code of CUDA C++"
        hint = "install NVIDIA's CUDA toolkit, or take the source:  --emit cu"
        raise DiagnosticError([Diagnostic("RNN702", message, hints=(hint,))])
    return found


def compile_cuda(source: str, form: str, architectures: tuple[str, ...]) -> bytes:
    """The bytes of "ptx" or "cubin" for the last of the architectures, or of a "so" for all.

    Raises RNN702 with what nvcc said if it fails.
    """
    numbers = [name.removeprefix("sm_") for name in architectures]
    if form == "so":
        flags = ["-shared", "-Xcompiler", "-fPIC", "-lcudart"]
        flags += [f"-gencode=arch=compute_{n},code=sm_{n}" for n in numbers]
        flags.append(f"-gencode=arch=compute_{numbers[-1]},code=compute_{numbers[-1]}")
    else:
        flags = [f"-{form}", f"-arch=sm_{numbers[-1]}"]
    with TemporaryDirectory(prefix="rnnc-") as name:
        folder = Path(name)
        (folder / "model.cu").write_text(source)
        output = folder / f"model.{form}"
        command = [find_nvcc(), "-O3", "-std=c++17", *flags]
        command += ["-o", str(output), str(folder / "model.cu")]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode == 0:
            return output.read_bytes()
    said = (result.stderr.strip() or result.stdout.strip() or "nothing").splitlines()
    message = f"nvcc failed: {said[0]}"
    raise DiagnosticError([Diagnostic("RNN702", message, hints=tuple(said[1:6]))])
