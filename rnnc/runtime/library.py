"""A compiled library in this process, and the one thread pool of the process."""

from __future__ import annotations

import ctypes
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from rnnc.diagnostics import Diagnostic, DiagnosticError

_pool_lock = Lock()
_pool: tuple[ctypes.CDLL, ctypes.c_void_p] | None = None


class Library:
    """`rnnc_forward` and `rnnc_workspace_bytes` of one model; never unloaded.

    Raises RNN713 where the system's loader refuses the library.
    """

    def __init__(self, code: bytes) -> None:
        # The system loads libraries from files; once loaded, the file may go.
        try:
            with TemporaryDirectory(prefix="rnnc-") as folder:
                path = Path(folder) / "model.so"
                path.write_bytes(code)
                self._library = ctypes.CDLL(str(path))
            self.forward = self._library.rnnc_forward
            self.workspace_bytes = self._library.rnnc_workspace_bytes
            self.pool = _process_pool(self._library)
        except (OSError, AttributeError) as error:
            raise _refused(error) from error
        self.forward.restype = ctypes.c_int32
        self.forward.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p]
        self.workspace_bytes.restype = ctypes.c_int64
        self.workspace_bytes.argtypes = [ctypes.c_void_p]


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
