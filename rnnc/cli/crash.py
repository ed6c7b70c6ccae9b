"""The file that a user sends after an internal error."""

from __future__ import annotations

import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from rnnc.version import VERSION

# Longer inputs are cut: a report is for sending.
_MAX_SOURCE_CHARACTERS = 100_000


def write_crash_report(error: Exception, arguments: Sequence[str]) -> Path:
    """Writes what is needed to reproduce the error: here, or where that is not allowed, in /tmp."""
    now = datetime.now(UTC)
    name = f"rnnc-crash-{now:%Y%m%d-%H%M%S}-{now.microsecond:06d}.txt"
    text = _report(error, arguments)
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        path = folder / name
        try:
            path.write_text(text, encoding="utf-8")
        except OSError:
            continue
        return path
    sys.stderr.write(text)
    return Path("the text above")


def _report(error: Exception, arguments: Sequence[str]) -> str:
    parts = [
        f"rnnc {VERSION}, Python {platform.python_version()}, {platform.platform()}",
        "packages: " + ", ".join(_versions()),
        "command: rnnc " + " ".join(arguments),
        "".join(traceback.format_exception(error)),
    ]
    for argument in arguments:
        path = Path(argument)
        if path.suffix in (".rnn", ".rir") and path.is_file():
            content = path.read_text(encoding="utf-8", errors="replace")
            parts.append(f"---- {argument}\n{content[:_MAX_SOURCE_CHARACTERS]}")
    return "\n".join(parts)


def _versions() -> list[str]:
    names = ("apache-tvm", "apache-tvm-ffi", "islpy", "lark", "networkx", "numpy")
    found = []
    for name in names:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name} missing")
    return found
