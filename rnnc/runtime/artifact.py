"""What `rnnc compile` writes: library, manifest and source, as one `.rnnlib` file or a directory.

The file is a zip archive of what the directory holds. SHA256SUMS is as `sha256sum` writes it, so
`sha256sum -c SHA256SUMS` tells whether a directory is whole. A C library has all but the library
itself in its share/rnnc/<model>.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rnnc.atomic import replacing_directory, write_bytes
from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.runtime import processor
from rnnc.runtime.manifest import ABI, Manifest
from rnnc.version import VERSION

SUFFIX = ".rnnlib"
MANIFEST, LIBRARY, SOURCE, SUMS = "manifest.json", "model.so", "source.rnn", "SHA256SUMS"
CUDA = "nvptx64-nvidia-cuda"  # LLVM's triple of what runs on NVIDIA's GPUs
_SHARE = Path("share") / "rnnc"


@dataclass(frozen=True, slots=True)
class Origin:
    """What a library is made from: the text of the spec, and the statics that it was bound to."""

    source: str
    sizes: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished model: `library` is the shared library, `source` the text that it came from."""

    manifest: Manifest
    library: bytes
    source: str


def write(path: Path, artifact: Artifact) -> None:
    """Makes `path` the artifact, whole or not at all: a file if it ends in .rnnlib."""
    made = members(artifact, LIBRARY)
    if path.suffix == SUFFIX:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in made.items():
                archive.writestr(_entry(name), data)
        write_bytes(path, buffer.getvalue())
        return
    with replacing_directory(path, MANIFEST) as folder:
        for name, data in made.items():
            (folder / name).write_bytes(data)


def read(path: Path) -> Artifact:
    """A whole artifact of this version; nothing of it has run yet.

    Raises RNN711 if it is missing or damaged, RNN712 if it was made by another version of rnnc.
    """
    found = _read(path)
    # Before anything else: another version may lay out all the rest differently.
    _check_version(path, found[MANIFEST])
    sums = found.pop(SUMS)
    if sums.decode(errors="replace") != _sums(found):
        raise damaged(path, f"its files are not those that {SUMS} lists")
    text, library, source = found.values()
    try:
        return Artifact(Manifest.from_json(text.decode()), library, source.decode())
    except ValueError as error:
        raise damaged(path, f"its {MANIFEST} cannot be understood: {error}") from error


def members(artifact: Artifact, library: str) -> dict[str, bytes]:
    """The files of an artifact by name, the library under that of `library`."""
    found = {
        MANIFEST: artifact.manifest.to_json().encode(),
        library: artifact.library,
        SOURCE: artifact.source.encode(),
    }
    return {**found, SUMS: _sums(found).encode()}


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # without the time: same input, same bytes
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _sums(files: Mapping[str, bytes]) -> str:
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())


def _read(path: Path) -> dict[str, bytes]:
    """Manifest, library, source and sums, by the names of the sums."""
    names = (MANIFEST, LIBRARY, SOURCE, SUMS)
    if not path.exists():
        raise damaged(path, "there is no such file")
    try:
        if path.suffix == ".so":
            folder = path.parent.parent / _SHARE / path.stem.removeprefix("lib")
            return _read_c_library(folder)
        if path.is_dir() and (path / _SHARE).is_dir():
            return _read_c_library(_only_model(path))
        if path.is_dir():
            return {name: (path / name).read_bytes() for name in names}
        if not zipfile.is_zipfile(path):
            raise damaged(path, "it is damaged, or no library of rnnc")
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in names}
    except FileNotFoundError as error:
        raise damaged(path, f"it has no {Path(error.filename).name}") from error
    except KeyError as error:
        raise damaged(path, f"it is damaged: {error.args[0]}") from error
    except OSError as error:
        raise damaged(path, error.strerror or str(error)) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        # NotImplementedError (an odd compression) and what passwords raise are RuntimeErrors.
        raise damaged(path, f"it is damaged: {error}") from error


def _read_c_library(folder: Path) -> dict[str, bytes]:
    names = (MANIFEST, f"../../../lib/lib{folder.name}.so", SOURCE, SUMS)
    return {name: (folder / name).read_bytes() for name in names}


def _only_model(path: Path) -> Path:
    """The folder of the one model of which a C library is installed in `path`."""
    found = sorted((path / _SHARE).iterdir())
    if not found:
        raise damaged(path, "there is no library in it")
    if len(found) > 1:
        named = ", ".join(f"lib/lib{folder.name}.so" for folder in found)
        raise damaged(path, f"it has several libraries, name one: {named}")
    return found[0]


def _check_version(path: Path, text: bytes) -> None:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"its {MANIFEST} is damaged: {error}") from error
    abi = data.get("abi") if isinstance(data, dict) else None
    if type(abi) is not int:
        raise damaged(path, f"its {MANIFEST} names no interface")
    if abi != ABI:
        made_by = f"rnnc {data.get('rnnc')} with interface {abi}"
        hint = "compile it again with this version of rnnc"
        raise unfit(str(path), f"by {made_by}; this is rnnc {VERSION} with interface {ABI}", hint)


def check_processor(manifest: Manifest) -> None:
    """Raises RNN712 where the library cannot run in this process."""
    name, target = manifest.model, manifest.target
    made_for = processor.architecture(target.triple)
    if made_for != processor.machine():
        here = processor.machine()
        raise unfit(name, f"for the processor {made_for}, this is {here}", "compile it here")
    missing = processor.lacking(target.features)
    if missing:
        hint = "compile it here, or for an older processor:  --target cpu:x86-64-v3"
        named = ", ".join(missing)
        raise unfit(name, f"for {target.cpu}: this processor lacks {named}", hint)


def damaged(path: Path, why: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic("RNN711", f"cannot load '{path}': {why}")])


def unfit(name: str, made: str, hint: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic("RNN712", f"'{name}' was made {made}", hints=(hint,))])
