"""A compiled library in this process, and the one thread pool of the process."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from rnnc.diagnostics import Diagnostic, DiagnosticError

_pool_lock = Lock()
_pool: tuple[ctypes.CDLL, ctypes.c_void_p] | None = None


class Library:
    """The entry points of one model; never unloaded.

    Raises RNN713 where the system's loader refuses the library.
    """

    def __init__(self, code: bytes, has_preparation: bool) -> None:
        # The system loads libraries from files; once loaded, the file may go.
        try:
            with TemporaryDirectory(prefix="rnnc-") as folder:
                path = Path(folder) / "model.so"
                path.write_bytes(code)
                self._library = ctypes.CDLL(str(path))
            pool = _process_pool(self._library)
            self.forward = Entry(self._library, "rnnc_forward", pool)
            self.prepare = Entry(self._library, "rnnc_prepare", pool) if has_preparation else None
        except (OSError, AttributeError) as error:
            raise _refused(error) from error


class Entry:
    """An entry point: `rnnc_NAME` and `rnnc_NAME_workspace` of a library."""

    def __init__(self, library: ctypes.CDLL, name: str, pool: ctypes.c_void_p) -> None:
        self._pool = pool
        self._run = getattr(library, name)
        self._run.restype = ctypes.c_int32
        self._run.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p]
        self._workspace = getattr(library, f"{name}_workspace")
        self._workspace.restype = ctypes.c_int64
        self._workspace.argtypes = [ctypes.c_void_p]

    @property
    def address(self) -> int:
        """Of the function itself, for callers that are no Python."""
        return ctypes.cast(self._run, ctypes.c_void_p).value or 0

    def pool(self, threads: int) -> int:
        """The address of the thread pool for a call with so many threads, or 0."""
        return (self._pool.value or 0) if threads > 1 else 0

    def workspace(self, sizes: ctypes.Array[ctypes.c_int64]) -> int:
        """How many bytes of workspace a call of these sizes wants."""
        found: int = self._workspace(sizes)
        return found

    def __call__(
        self, threads: int, addresses: Sequence[int], sizes: ctypes.Array[ctypes.c_int64]
    ) -> None:
        """Runs it; the manifest says what stands where."""
        pointers = (ctypes.c_void_p * len(addresses))(*addresses)
        code = self._run(self._pool if threads > 1 else None, threads, pointers, sizes)
        if code != 0:
            raise RuntimeError(f"the compiled library failed with code {code}")


def _process_pool(library: ctypes.CDLL) -> ctypes.c_void_p:
    """The pool of the first library that was loaded; every later one borrows it."""
    global _pool
    with _pool_lock:
        if _pool is None:
            default = library.rnnc_runtime_default
            default.restype = ctypes.c_void_p
            _pool = (library, ctypes.c_void_p(default()))
        return _pool[1]


def _refused(error: Exception) -> DiagnosticError:
    message = f"the system cannot load the compiled library: {error}"
    hints = (
        "it may be older than the one that it was made on, or not allow to run what is in the"
        " folder for temporary files; TMPDIR names another",
    )
    return DiagnosticError([Diagnostic("RNN713", message, hints=hints)])
