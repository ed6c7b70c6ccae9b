"""Which processor the kernels are made for: what LLVM is told, and what shapes the tiles."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.runtime.processor import architecture, code_features, lacking
from rnnc.weights import WeightType

from ..tensorir.tiling import Shape, Tiling

_SCALAR_BYTES = {"bool": 1, "int8": 1, "int32": 4, "int64": 8, "float32": 4, "float64": 8}

_VNNI = frozenset({"+avx512vnni", "+avxvnni"})

# What pays is in vectors already and unrolled where that pays: LLVM shall not look for more, which
# takes longer than all else that it does.
_LLVM = [
    "-vectorize-loops:bool=false",
    "-vectorize-slp:bool=false",
    "-unroll-threshold-aggressive:uint=60",
]


@dataclass(frozen=True, slots=True)
class CpuTarget:
    """A processor as LLVM names it, and its vector unit.

    `vector_bytes` is the width of a vector register, `vector_registers` how many there are: the
    register tile of a matmul is the largest one that they hold. `tilings` are those that were
    measured to be better than the default.
    """

    triple: str
    cpu: str
    features: tuple[str, ...]
    vector_bytes: int
    vector_registers: int
    tilings: tuple[tuple[Shape, Tiling], ...] = ()

    def lanes(self, dtype: str) -> int:
        """How many values of `dtype` a vector register holds."""
        return self.vector_bytes // _SCALAR_BYTES[dtype]

    @property
    def byte_products(self) -> str:
        """The instruction that multiplies int8 weights."""
        if self.architecture != "x86_64":
            return "mla"
        return "pmaddwd" if _VNNI.isdisjoint(self.features) else "vpdpbusd"

    @property
    def architecture(self) -> str:
        """The first part of the triple, in one spelling: x86_64, aarch64, riscv64, ..."""
        return architecture(self.triple)

    def options(self) -> dict[str, object]:
        """What `tvm.target.Target` is built from."""
        options: dict[str, object] = {"kind": "llvm", "mtriple": self.triple, "cl-opt": _LLVM}
        if self.cpu:
            options["mcpu"] = self.cpu
        if self.features:
            options["mattr"] = list(self.features)
        return options

    def __str__(self) -> str:
        return " ".join([self.triple, self.cpu, *self.features]).strip()


# What `--target` takes besides "host": one row a name. The levels are those of the x86-64 psABI;
# VNNI multiplies bytes.
NAMED = {
    target[0]: CpuTarget(*target[1:])
    for target in (
        ("x86-64", "x86_64-linux-gnu", "x86-64", (), 16, 16),
        ("x86-64-v3", "x86_64-linux-gnu", "x86-64-v3", (), 32, 16),
        ("x86-64-v3-vnni", "x86_64-linux-gnu", "x86-64-v3", ("+avxvnni",), 32, 16),
        ("x86-64-v4", "x86_64-linux-gnu", "x86-64-v4", (), 64, 32),
        ("x86-64-v4-vnni", "x86_64-linux-gnu", "x86-64-v4", ("+avx512vnni",), 64, 32),
        ("aarch64", "aarch64-linux-gnu", "generic", ("+neon",), 16, 32),
    )
}


def find_target(name: str, weights: WeightType = "float32") -> CpuTarget:
    """The target that `--target` names: "host" or a key of NAMED. Raises RNN701."""
    if name == "host":
        return host(weights)
    if name not in NAMED:
        known = ", ".join(["host", *NAMED])
        message = f"unknown CPU target '{name}'"
        raise DiagnosticError([Diagnostic("RNN701", message, hints=(f"known: {known}",))])
    return NAMED[name]


@cache
def host(weights: WeightType = "float32") -> CpuTarget:
    """The processor that this runs on.

    On x86 it is the highest level of NAMED that it reaches: kernels in float32 gain nothing from
    what newer models add, and LLVM's tables of some models say that loops should be unrolled until
    they fill a cache of thousands of operations, which doubles the code and gains nothing either.
    VNNI is only asked for where weights are bytes.
    """
    from tvm.target import codegen

    # LLVM was configured with a vendor of its own; linkers and the manifest want the plain form.
    triple = re.sub(r"^(\w+)-conda-", r"\1-", str(codegen.llvm_get_system_triple()))
    model = CpuTarget(triple, str(codegen.llvm_get_system_cpu()), (), 16, 32)
    # LLVM goes by the model; a virtual machine may hide some of what the model has.
    usable = code_features(triple, llvm_features(model))
    hidden = lacking(usable)
    levels = ("x86-64-v4", "x86-64-v3", "x86-64")
    multiplying_bytes = ("x86-64-v4-vnni", "x86-64-v4", "x86-64-v3-vnni", *levels[1:])
    for name in multiplying_bytes if weights == "int8" else levels:
        level = replace(NAMED[name], triple=triple)
        needed = code_features(triple, llvm_features(level))
        if level.architecture == model.architecture and set(needed) <= {*usable} - {*hidden}:
            return level
    return replace(model, features=tuple(f"-{name}" for name in hidden))


def llvm_features(target: CpuTarget) -> tuple[str, ...]:
    """What LLVM may use for a target, in its own names, sorted."""
    from tvm.target import Target, codegen

    found = codegen.llvm_get_cpu_features(Target(target.options()))
    return tuple(sorted(str(name) for name in found))
