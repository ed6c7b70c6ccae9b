"""Instruction sets: which of them a library uses and this processor has."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from functools import cache
from pathlib import Path

# What compiled code may use, by LLVM's name, and the flag under which Linux reports it. Features
# that only the kernel or hand-written assembly uses (aes, sha, invpcid, ...) do not matter.
_FLAGS: dict[str, dict[str, str]] = {
    "x86_64": {
        "cx16": "cx16",
        "sse3": "pni",
        "ssse3": "ssse3",
        "sse4.1": "sse4_1",
        "sse4.2": "sse4_2",
        "sse4a": "sse4a",
        "popcnt": "popcnt",
        "movbe": "movbe",
        "avx": "avx",
        "avx2": "avx2",
        "fma": "fma",
        "f16c": "f16c",
        "bmi": "bmi1",
        "bmi2": "bmi2",
        "lzcnt": "abm",
        "adx": "adx",
        "gfni": "gfni",
        "avxvnni": "avx_vnni",
        "avx512f": "avx512f",
        "avx512bw": "avx512bw",
        "avx512cd": "avx512cd",
        "avx512dq": "avx512dq",
        "avx512vl": "avx512vl",
        "avx512ifma": "avx512ifma",
        "avx512vbmi": "avx512vbmi",
        "avx512vbmi2": "avx512_vbmi2",
        "avx512vnni": "avx512_vnni",
        "avx512bf16": "avx512_bf16",
        "avx512fp16": "avx512_fp16",
        "avx512bitalg": "avx512_bitalg",
        "avx512vpopcntdq": "avx512_vpopcntdq",
        "avx512vp2intersect": "avx512_vp2intersect",
        "amx-tile": "amx_tile",
        "amx-int8": "amx_int8",
        "amx-bf16": "amx_bf16",
    },
    "aarch64": {
        "neon": "asimd",
        "fp-armv8": "fp",
        "fullfp16": "asimdhp",
        "fp16fml": "asimdfhm",
        "dotprod": "asimddp",
        "rdm": "asimdrdm",
        "complxnum": "fcma",
        "jsconv": "jscvt",
        "lse": "atomics",
        "rcpc": "lrcpc",
        "crc": "crc32",
        "bf16": "bf16",
        "i8mm": "i8mm",
        "sve": "sve",
        "sve2": "sve2",
    },
}


def architecture(triple: str) -> str:
    """The first part of a triple, in one spelling: x86_64, aarch64, riscv64, ..."""
    name = triple.partition("-")[0]
    return {"arm64": "aarch64", "amd64": "x86_64"}.get(name, name)


def machine() -> str:
    """The architecture that this process runs on."""
    return architecture(platform.machine().lower())


def code_features(triple: str, features: Iterable[str]) -> tuple[str, ...]:
    """Those of LLVM's features that compiled code may use, sorted."""
    known = _FLAGS.get(architecture(triple), {})
    return tuple(sorted(name for name in features if name in known))


def lacking(features: Iterable[str]) -> list[str]:
    """Those of the features that this processor does not have, or that are not known.

    Nothing is lacking where the system does not tell what the processor has.
    """
    present = _processor_flags()
    known = _FLAGS.get(machine(), {})
    return [name for name in features if known.get(name) not in present] if present else []


@cache
def model() -> str:
    """What tells this model of processor from others; its architecture where nothing does."""
    known = (
        *("vendor_id", "model name", "cpu family", "model", "stepping"),
        *("CPU implementer", "CPU architecture", "CPU variant", "CPU part"),
    )
    try:
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    except OSError:
        return machine()
    fields = {name.strip(): value.strip() for name, _, value in (n.partition(":") for n in lines)}
    return " ".join([machine(), *(fields[name] for name in known if name in fields)])


@cache
def _processor_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    for line in text.splitlines():
        if line.startswith(("flags", "Features")):
            return frozenset(line.partition(":")[2].split())
    return frozenset()
