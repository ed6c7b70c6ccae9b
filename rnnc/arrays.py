"""Named arrays in files: `.npz` and `.safetensors`.

Raises RNN791 for a file that cannot be read, RNN792 for one that cannot be written. Nothing in a
file is ever executed: pickled objects are refused.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rnnc.atomic import replacing_file, write_bytes
from rnnc.diagnostics import Diagnostic, DiagnosticError

Array = npt.NDArray[np.generic]


def read_arrays(path: Path) -> dict[str, Array]:
    """All arrays of the file by name, in the order of the file."""
    if path.suffix not in _READERS:
        raise _unreadable(path, "it is neither .npz nor .safetensors")
    if not path.is_file():
        raise _unreadable(path, "there is no such file")
    return _READERS[path.suffix](path)


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Makes `path` a `.safetensors` file, if it is called so, else an uncompressed `.npz`; whole or
    not at all."""
    if path.suffix == ".safetensors":
        from safetensors.numpy import save

        # It writes the memory of arrays as it lies.
        rows = {name: np.array(array, order="C") for name, array in arrays.items()}
        write_bytes(path, save(rows))
        return
    # Not numpy.savez: names that are its own parameters ('file') are good names for outputs.
    with replacing_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def _read_npz(path: Path) -> dict[str, Array]:
    try:
        if not zipfile.is_zipfile(path):
            raise _unreadable(path, "it is damaged, or no .npz file")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(path, f"it is damaged: {error}") from error


def _read_safetensors(path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return {name: np.asarray(array) for name, array in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, f"it is damaged: {error}") from error
    except (KeyError, TypeError) as error:
        reason = f"it holds a type that NumPy does not have ({error}); convert it to float32"
        raise _unreadable(path, reason) from error


_READERS = {".npz": _read_npz, ".safetensors": _read_safetensors}


def _unreadable(path: Path, reason: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic("RNN791", f"cannot read '{path}': {reason}")])
