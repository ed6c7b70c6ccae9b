"""What the exit code of `rnnc` says."""

from __future__ import annotations

from collections.abc import Iterable

from rnnc.diagnostics import Diagnostic

OK = 0
DIAGNOSTICS = 1
USAGE = 2
MISMATCH = 3
MISSING_TOOL = 4
INTERNAL = 70

# A target, backend or C compiler that this machine does not have: the source is not to blame.
MISSING_TOOL_CODES = ("RNN603", "RNN701", "RNN702")


def of_diagnostics(diagnostics: Iterable[Diagnostic]) -> int:
    """`MISSING_TOOL` if nothing else is wrong, `DIAGNOSTICS` if there is an error, else `OK`."""
    errors = [diagnostic.code for diagnostic in diagnostics if diagnostic.severity == "error"]
    if not errors:
        return OK
    return MISSING_TOOL if all(code in MISSING_TOOL_CODES for code in errors) else DIAGNOSTICS
