"""Builds small libraries for the tests of the CPU backend and calls them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

from rnnc.backends.cpu.interface import compiling
from rnnc.backends.cpu.library import emit_objects, link
from rnnc.backends.cpu.target import CpuTarget, host
from rnnc.backends.tensorir.tir import Function


def build(
    directory: Path, functions: Sequence[Function], glue: str, target: CpuTarget | None = None
) -> ctypes.CDLL:
    """A library of `functions` and the C text `glue`, loaded.

    The loader knows libraries by their path: every library needs a directory of its own.
    """
    target = target or host()
    source = directory / "glue.c"
    source.write_text(glue)
    with compiling(source, target, directory) as compiled:
        objects = emit_objects(functions, target, directory)
        link([*objects, *compiled()], target, directory / "test.so")
    return ctypes.CDLL(str(directory / "test.so"))
