"""Builds small libraries for the tests of the CPU backend and calls them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

from rnnc.backends.cpu.library import emit_objects, link
from rnnc.backends.cpu.target import CpuTarget, host
from rnnc.backends.cpu.tir import Function


def build(
    directory: Path, functions: Sequence[Function], glue: str, target: CpuTarget | None = None
) -> ctypes.CDLL:
    """A library of `functions` and the C text `glue`, loaded.

    The loader knows libraries by their path: every library needs a directory of its own.
    """
    target = target or host()
    objects = emit_objects(functions, target, directory)
    source = directory / "glue.c"
    source.write_text(glue)
    link(objects, source, target, directory / "test.so")
    return ctypes.CDLL(str(directory / "test.so"))
