"""Every stage of the compiler, one function a stage, in order: this file is the architecture.

    text -> parse -> check -> lower -> optimize -> schedule -> plan -> emit | build

Stages are imported when they are called, so that `check` never pays for numpy or TVM. All raise
`DiagnosticError` for mistakes in what they are given, and nothing else.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rnnc.diagnostics import Diagnostic, DiagnosticError, Source

if TYPE_CHECKING:
    from rnnc.frontend import ast

# What -D can give a static: a size, a switch, a list, or the name of a cell or function.
StaticValue = int | float | bool | str | tuple["StaticValue", ...]


def read_source(name: str) -> Source:
    """The text of file `name`, or of stdin for '-'. Raises RNN791 if it cannot be read."""
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return Source("<stdin>" if name == "-" else name, data.decode())
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8"
    except OSError as error:
        text = error.strerror or str(error)
        reason = text[:1].lower() + text[1:]
    raise DiagnosticError([Diagnostic("RNN791", f"cannot read '{name}': {reason}")])


def parse(source: Source) -> ast.Module:
    """The syntax tree. Raises all syntax errors of the file."""
    from rnnc.frontend.parser import parse

    return parse(source)
