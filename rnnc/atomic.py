"""Files and folders that appear whole or not at all.

What is written goes beside its destination first and takes its name only when it is complete, so
an interrupted or failed command leaves the old file, or none. Every failure is RNN792.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rnnc.diagnostics import Diagnostic, DiagnosticError


def write_bytes(path: Path, data: bytes) -> None:
    """Makes `path` a file of exactly `data`."""
    with replacing_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Makes `path` a UTF-8 file of exactly `text`."""
    write_bytes(path, text.encode())


def make_folder(path: Path) -> None:
    """Makes a folder and those above it, unless they are there."""
    with _reported(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path to write to; on success it becomes `path`, else it is removed.

    The temporary keeps the suffix of `path`: some libraries go by it.
    """
    with _reported(path):
        if path.is_dir():
            raise IsADirectoryError("it is a directory")
        temporary = _beside(path)
    try:
        yield temporary
        with _reported(path):
            _flush(temporary)
            temporary.chmod(0o666 & ~_umask())
            # What is behind a symbolic link is replaced, not the link.
            temporary.replace(path.resolve())
            _flush(path.resolve().parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_directory(path: Path, mark: str) -> Iterator[Path]:
    """Gives an empty temporary folder to fill; on success it becomes `path`, else it is removed.

    An old folder of that name is replaced as a whole if it holds `mark`; any other, and a file, is
    refused, and so is a path whose folder does not exist.
    """
    with _reported(path):
        if path.exists() and not path.is_dir():
            raise NotADirectoryError("it is a file")
        if path.exists() and not (path / mark).exists():
            raise IsADirectoryError(f"it is a folder without {mark}, which is not replaced")
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        with _reported(path):
            temporary.chmod(0o777 & ~_umask())
            if path.exists():
                # A folder cannot be renamed over a full one: the old one steps aside first.
                old = temporary.with_name(temporary.name + ".old")
                path.rename(old)
                temporary.rename(path)
                shutil.rmtree(old)
            else:
                temporary.rename(path)
            _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"cannot write '{path}': {reason[:1].lower() + reason[1:]}"
        raise DiagnosticError([Diagnostic("RNN792", message)]) from error


def _beside(path: Path) -> Path:
    target = path.resolve()
    descriptor, name = tempfile.mkstemp(
        prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent
    )
    os.close(descriptor)
    return Path(name)


def _flush(path: Path) -> None:
    """To the disk, so that not even a power failure shows an empty file under the final name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """The mask can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
