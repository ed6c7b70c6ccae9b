"""A file -> its text, or a diagnostic that says why there is none."""

from __future__ import annotations

import sys
from pathlib import Path

from rnnc.diagnostics import Diagnostic, DiagnosticError, Source

STDIN = "-"


def read_source(name: str) -> Source:
    """The text of file `name`, or of stdin for '-'. Raises RNN791 if it cannot be read."""
    try:
        data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
        return Source("<stdin>" if name == STDIN else name, data.decode())
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8"
    except OSError as error:
        text = error.strerror or str(error)
        reason = text[:1].lower() + text[1:]
    except ValueError:
        reason = "a file name has no NUL in it"
    raise DiagnosticError([Diagnostic("RNN791", f"cannot read '{name}': {reason}")])
