"""Which processor the kernels are made for: what LLVM is told, and what shapes the tiles."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.runtime.processor import architecture, code_features, lacking

_SCALAR_BYTES = {"bool": 1, "int8": 1, "int32": 4, "int64": 8, "float32": 4, "float64": 8}


@dataclass(frozen=True, slots=True)
class CpuTarget:
    """A processor as LLVM names it, and its vector unit.

    `vector_bytes` is the width of a vector register, `vector_registers` how many there are: the
    register tile of a matmul is the largest one that they hold.
    """

    triple: str
    cpu: str
    features: tuple[str, ...]
    vector_bytes: int
    vector_registers: int

    def lanes(self, dtype: str) -> int:
        """How many values of `dtype` a vector register holds."""
        return self.vector_bytes // _SCALAR_BYTES[dtype]

    @property
    def architecture(self) -> str:
        """The first part of the triple, in one spelling: x86_64, aarch64, riscv64, ..."""
        return architecture(self.triple)

    def options(self) -> dict[str, object]:
        """What `tvm.target.Target` is built from."""
        options: dict[str, object] = {"kind": "llvm", "mtriple": self.triple}
        if self.cpu:
            options["mcpu"] = self.cpu
        if self.features:
            options["mattr"] = list(self.features)
        return options

    def __str__(self) -> str:
        return " ".join([self.triple, self.cpu, *self.features]).strip()


# What `--target` takes besides "host": one row a name. The levels are those of the x86-64 psABI.
NAMED = {
    target[0]: CpuTarget(*target[1:])
    for target in (
        ("x86-64", "x86_64-linux-gnu", "x86-64", (), 16, 16),
        ("x86-64-v3", "x86_64-linux-gnu", "x86-64-v3", (), 32, 16),
        ("x86-64-v4", "x86_64-linux-gnu", "x86-64-v4", (), 64, 32),
        ("aarch64", "aarch64-linux-gnu", "generic", ("+neon",), 16, 32),
    )
}


def find_target(name: str) -> CpuTarget:
    """The target that `--target` names: "host" or a key of NAMED. Raises RNN701."""
    if name == "host":
        return host()
    if name not in NAMED:
        known = ", ".join(["host", *NAMED])
        message = f"unknown CPU target '{name}'"
        raise DiagnosticError([Diagnostic("RNN701", message, hints=(f"known: {known}",))])
    return NAMED[name]


@cache
def host() -> CpuTarget:
    """The processor that this runs on, as LLVM sees it."""
    from tvm.target import codegen

    # LLVM was configured with a vendor of its own; linkers and the manifest want the plain form.
    triple = re.sub(r"^(\w+)-conda-", r"\1-", str(codegen.llvm_get_system_triple()))
    cpu = str(codegen.llvm_get_system_cpu())
    model = CpuTarget(triple, cpu, (), 16, 32)
    # LLVM goes by the model; a virtual machine may hide some of what the model has.
    hidden = lacking(code_features(triple, llvm_features(model)))
    found = replace(model, features=tuple(f"-{name}" for name in hidden))
    if found.architecture != "x86_64":
        return found
    features = llvm_features(found)
    if "avx512f" in features:
        return replace(found, vector_bytes=64)
    return replace(found, vector_bytes=32 if "avx2" in features else 16, vector_registers=16)


def llvm_features(target: CpuTarget) -> tuple[str, ...]:
    """What LLVM may use for a target, in its own names, sorted."""
    from tvm.target import Target, codegen

    found = codegen.llvm_get_cpu_features(Target(target.options()))
    return tuple(sorted(str(name) for name in found))
