"""A library of kernels for GPUs in this process: its entry points, which launch them.

    int64_t rnnc_flags(void);
    int32_t rnnc_forward(cudaStream_t stream, int32_t, void *const *pointers, const int64_t *sizes);
    int64_t rnnc_forward_workspace(const int64_t *sizes);

and `rnnc_prepare` likewise (backends/cuda/program.py).
"""

from __future__ import annotations

import ctypes
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.runtime.cuda.cudart import Cuda

_LOG = logging.getLogger("rnnc")


class Library:
    """Never unloaded; `name` is the model's. Raises RNN713 where the system's loader refuses it.

    With `together` 0, loops are launched kernel by kernel, from then on: to compare with.
    """

    def __init__(self, code: bytes, name: str, has_preparation: bool) -> None:
        # The system loads libraries from files; once loaded, the file may go.
        try:
            with TemporaryDirectory(prefix="rnnc-") as folder:
                path = Path(folder) / "model.so"
                path.write_bytes(code)
                self.functions = loaded(path)
            self.cuda = Cuda(self.functions)
            self._name, self._said = name, False
            self._apart = ctypes.c_int32.in_dll(self.functions, "rnnc_apart")
            flags = self.functions["rnnc_flags"]
            flags.restype = ctypes.c_int64
            self.flags: int = flags()  # how many bytes of them launches want
            self.together = ctypes.c_int32.in_dll(self.functions, "rnnc_together")
            self.forward = Entry(self, "forward")
            self.prepare = Entry(self, "prepare") if has_preparation else None
        except (OSError, AttributeError, ValueError) as error:
            raise _refused(error) from error

    def say_apart(self) -> None:
        """Says in the log, once, that a loop had to be launched kernel by kernel, and why."""
        was_apart, self._apart.value = self._apart.value, 0
        if was_apart and self.together.value and not self._said:
            self._said = True
            together = self.cuda.launches_together(self.cuda.current_device())
            why = (
                "has no room for all blocks of a loop at once"
                if together
                else "launches no blocks that wait for each other"
            )
            message = "'%s' is launched kernel by kernel, which is slower: this GPU %s"
            _LOG.warning(message, self._name, why)


class Entry:
    """An entry point of a model: `rnnc_NAME` and `rnnc_NAME_workspace` of its library."""

    def __init__(self, library: Library, name: str) -> None:
        self._library = library
        self._run = library.functions[f"rnnc_{name}"]
        self._run.restype = ctypes.c_int32
        self._run.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p]
        self._workspace = library.functions[f"rnnc_{name}_workspace"]
        self._workspace.restype = ctypes.c_int64
        self._workspace.argtypes = [ctypes.c_void_p]

    def workspace(self, sizes: ctypes.Array[ctypes.c_int64]) -> int:
        """How many bytes of workspace a call of these sizes wants."""
        found: int = self._workspace(sizes)
        return found

    def __call__(
        self, stream: int, pointers: Sequence[int], sizes: ctypes.Array[ctypes.c_int64]
    ) -> int:
        """Launches it, on the current device; returns CUDA's error or 0."""
        given = (ctypes.c_void_p * len(pointers))(*pointers)
        code: int = self._run(stream, 0, given, sizes)
        self._library.say_apart()
        return code


def loaded(path: Path) -> ctypes.CDLL:
    """The library; CUDA's runtime, where the system's loader does not find it, is looked for where
    Python packages and CUDA itself put it."""
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        name = re.match(r"libcudart\.so\.\d+", str(error))
        for place in [] if name is None else _places(name[0]):
            try:
                ctypes.CDLL(str(place), ctypes.RTLD_GLOBAL)
            except OSError:
                continue
            return ctypes.CDLL(str(path))
        raise


def _places(name: str) -> list[Path]:
    """Where a library of CUDA's may be: of NVIDIA's packages, then of the toolkit."""
    folders = [Path(folder) / "nvidia" for folder in sys.path]
    found = [path for folder in folders for path in sorted(folder.glob(f"*/lib/{name}"))]
    return [*found, *sorted(Path("/usr/local").glob(f"cuda*/lib*/{name}"))]


def _refused(error: Exception) -> DiagnosticError:
    message = f"the system cannot load the compiled library: {error}"
    hints = (
        "it needs CUDA's runtime, libcudart, of the version that it was made with: import torch"
        " first, which brings one along, or name its folder in LD_LIBRARY_PATH",
    )
    return DiagnosticError([Diagnostic("RNN713", message, hints=hints)])
