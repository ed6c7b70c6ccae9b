"""The C side of every library, as object files: the runtime, and text that is generated.

The runtime is the same in all of them. It is compiled once for each compiler and kept in the user's
cache; where that cannot be written to, it is compiled again.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryFile

from rnnc.atomic import make_folder, write_bytes
from rnnc.diagnostics import DiagnosticError

from .cache import cache_folder
from .library import failure, find_compiler, run_tool
from .target import CpuTarget

# Words of a call are read as pointers.
_OPTIONS = ("-std=gnu11", "-O2", "-fPIC", "-fvisibility=hidden", "-fno-strict-aliasing")


@contextmanager
def compiling(source: Path, target: CpuTarget, folder: Path) -> Iterator[Callable[[], list[Path]]]:
    """A C source, and the runtime that it is linked with, on their way to object files in `folder`.

    The compiler works while the body does; what is yielded waits for it, returns the objects and
    raises RNN702 with what it said if it fails.
    """
    kept = _kept(target)
    with as_file(files(__package__) / "runtime") as runtime:
        sources = [source.resolve()]
        if kept is None or not kept.is_file():
            sources += sorted(runtime.glob("*.c"))
        with _running(sources, runtime, target, folder / "c") as finish:

            def objects() -> list[Path]:
                made, *parts = finish()
                if not parts:
                    return [made, *([kept] if kept is not None else [])]
                whole = folder / "c" / "runtime-whole.o"
                run_tool(target, "cc", "-r", "-nostdlib", "-o", whole, *parts)
                _keep(kept, whole)
                return [made, whole]

            yield objects


@contextmanager
def _running(
    sources: Sequence[Path], runtime: Path, target: CpuTarget, place: Path
) -> Iterator[Callable[[], list[Path]]]:
    """The compiler at work on `sources`; what is yielded waits for the objects."""
    command = [*find_compiler(target.architecture), *_OPTIONS, "-I", str(runtime), "-c"]
    place.mkdir()
    with TemporaryFile("w+") as said:
        try:
            process = subprocess.Popen(
                [*command, *map(str, sources)], cwd=place, stdout=said, stderr=said
            )
        except OSError as error:
            raise failure(command[0], error.strerror) from error

        def finish() -> list[Path]:
            if process.wait() != 0:
                said.seek(0)
                raise failure(command[0], said.read())
            return [place / f"{path.stem}.o" for path in sources]

        try:
            yield finish
        finally:
            process.kill()  # it has ended, or nobody wants its work
            process.wait()


def _kept(target: CpuTarget) -> Path | None:
    """Where the runtime is kept as this compiler makes it; None if there is no cache."""
    command = find_compiler(target.architecture)
    program = Path(shutil.which(command[0]) or command[0]).resolve()
    try:
        state = program.stat()
        folder = cache_folder()
    except (OSError, RuntimeError):
        return None
    what = [str(program), state.st_size, state.st_mtime_ns, *command[1:], *_OPTIONS, _contents()]
    return folder / f"runtime-{hashlib.sha256(repr(what).encode()).hexdigest()[:16]}.o"


def _keep(place: Path | None, made: Path) -> None:
    if place is None:
        return
    try:
        make_folder(place.parent)
        write_bytes(place, made.read_bytes())
    except DiagnosticError:  # a cache that cannot be written to never stops a compilation
        pass


@cache
def _contents() -> str:
    """A hash of the runtime's files."""
    found = hashlib.sha256()
    for entry in sorted((files(__package__) / "runtime").iterdir(), key=lambda entry: entry.name):
        found.update(entry.name.encode() + entry.read_bytes())
    return found.hexdigest()
