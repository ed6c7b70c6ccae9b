"""A compiled library in this process, called through its C interface, and the one thread pool of
the process."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Any

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.runtime.manifest import Manifest
from rnnc.runtime.memory import Array, address

if TYPE_CHECKING:
    _Value = ctypes._SimpleCData[Any]

_pool_lock = Lock()
_pool: tuple[ctypes.CDLL, int] | None = None

# Of the statuses of the C interface, those that a caller of Python can be guilty of.
_CODES = {1: "RNN712", 3: "RNN725", 5: "RNN734", 6: "RNN733", 8: "RNN736", 9: "RNN738"}


class Handle:
    """A model with its weights, packed, in memory of the library's; given back with the last
    reference."""

    def __init__(self, library: Library, address: int) -> None:
        self.library, self.address = library, address
        weakref.finalize(self, library.free, address).atexit = False


@dataclass(frozen=True, slots=True)
class StreamFunctions:
    """As the header declares them, without the model's name."""

    size: ctypes._NamedFuncPointer
    init: ctypes._NamedFuncPointer
    reset: ctypes._NamedFuncPointer
    copy: ctypes._NamedFuncPointer
    step: ctypes._NamedFuncPointer


class Library:
    """The C functions of one model; never unloaded.

    Words are the arguments of a call as the header has them, each an int64. Raises RNN713 where the
    system's loader refuses the library.
    """

    def __init__(self, code: bytes, manifest: Manifest) -> None:
        self.manifest = manifest
        # The system loads libraries from files; once loaded, the file may go.
        try:
            with TemporaryDirectory(prefix="rnnc-") as folder:
                path = Path(folder) / "model.so"
                path.write_bytes(code)
                self.functions = ctypes.CDLL(str(path))
            pointer, size = ctypes.c_void_p, ctypes.c_int64
            self._error = self._function("error", ctypes.c_char_p)
            self._create = self._function(
                "create", ctypes.c_int, ctypes.c_uint64, ctypes.c_char_p, pointer
            )
            self._model_size = self._function("model_size", size)
            self.free = self._function("free", None, pointer)
            self._workspace_size = self._function("workspace_size", size, ctypes.c_char_p)
            self._forward = self._function("forward", ctypes.c_int, pointer, ctypes.c_char_p)
            self.pool = _process_pool(self.functions, self._function("pool", pointer))
        except (OSError, AttributeError) as error:
            raise _refused(error) from error

    def _function(
        self, name: str, result: type[_Value] | None, *arguments: type[_Value]
    ) -> ctypes._NamedFuncPointer:
        found = self.functions[f"{self.manifest.prefix}_{name}"]
        found.restype, found.argtypes = result, arguments
        return found

    def place(self, name: str) -> int:
        """The address of a function, for callers that are no Python."""
        found = ctypes.cast(self.functions[f"{self.manifest.prefix}_{name}"], ctypes.c_void_p)
        return found.value or 0

    def load_embedded(self) -> Handle:
        """A model from the weights that are in the library."""
        model = ctypes.c_void_p()
        load = self._function("load_embedded", ctypes.c_int, ctypes.c_uint64, ctypes.c_void_p)
        self.check(load(self.manifest.interface, ctypes.byref(model)))
        return Handle(self, model.value or 0)

    def create(self, parameters: Sequence[Array]) -> Handle:
        """A model from an array for each path, row-major, of the dtypes that kernels take.

        They are packed, and what they alone decide is computed, now; they are not kept.
        """
        pointers = (ctypes.c_int64 * len(parameters))(*map(address, parameters))
        model = ctypes.c_void_p()
        self.check(self._create(self.manifest.interface, bytes(pointers), ctypes.byref(model)))
        return Handle(self, model.value or 0)

    @property
    def model_size(self) -> int:
        """How many bytes a model needs in memory of the caller's."""
        found: int = self._model_size()
        return found

    def workspace_size(self, words: bytes) -> int:
        """How many bytes of workspace a call wants."""
        found: int = self._workspace_size(words)
        self.check(-min(found, 0))
        return found

    def forward(self, model: Handle, words: bytes) -> None:
        """Runs a call."""
        code = self._forward(model.address, words)
        if code:
            self.check(code)

    @cached_property
    def streams(self) -> StreamFunctions:
        """What a stream needs, of a library that has streams."""
        pointer, size, words = ctypes.c_void_p, ctypes.c_int64, ctypes.c_char_p
        made = (size, pointer)  # how much memory there is, and a place for the stream
        return StreamFunctions(
            self._function("stream_size", size, size),
            self._function("stream_init", ctypes.c_int, pointer, size, words, pointer, *made),
            self._function("stream_reset", ctypes.c_int, pointer, pointer, size, words),
            self._function("stream_copy", ctypes.c_int, pointer, pointer, *made),
            self._function("step", ctypes.c_int, pointer, pointer, words),
        )

    def check(self, code: int) -> None:
        """Raises what the library says of its last error, unless there was none."""
        if not code:
            return
        text = self._error().decode(errors="replace")
        if code not in _CODES:
            raise RuntimeError(f"the compiled library failed with code {code}: {text}")
        raise DiagnosticError([Diagnostic(_CODES[code], text)])


def _process_pool(library: ctypes.CDLL, own: ctypes._NamedFuncPointer) -> int:
    """The pool of the first library that was loaded; every later one borrows it."""
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = library, own()
        return _pool[1]


def _refused(error: Exception) -> DiagnosticError:
    message = f"the system cannot load the compiled library: {error}"
    hints = (
        "it may be older than the one that it was made on, or not allow to run what is in the"
        " folder for temporary files; TMPDIR names another",
    )
    return DiagnosticError([Diagnostic("RNN713", message, hints=hints)])
