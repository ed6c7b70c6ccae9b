"""What `rnnc compile` writes: library, manifest and source, as one `.rnnlib` file or a directory.

The file is a zip archive of what the directory holds. SHA256SUMS is as `sha256sum` writes it, so
`sha256sum -c SHA256SUMS` tells whether a directory is whole.
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
_SUMMED = (MANIFEST, LIBRARY, SOURCE)


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
    members = {
        MANIFEST: artifact.manifest.to_json().encode(),
        LIBRARY: artifact.library,
        SOURCE: artifact.source.encode(),
    }
    members[SUMS] = _sums(members).encode()
    if path.suffix == SUFFIX:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(_entry(name), data)
        write_bytes(path, buffer.getvalue())
        return
    with replacing_directory(path, MANIFEST) as folder:
        for name, data in members.items():
            (folder / name).write_bytes(data)


def read(path: Path) -> Artifact:
    """A whole artifact of this version; nothing of it has run yet.

    Raises RNN711 if it is missing or damaged, RNN712 if it was made by another version of rnnc.
    """
    members = _members(path)
    # Before anything else: another version may lay out all the rest differently.
    _check_version(path, members[MANIFEST])
    if members[SUMS].decode(errors="replace") != _sums(members):
        raise damaged(path, f"its files are not those that {SUMS} lists")
    try:
        manifest = Manifest.from_json(members[MANIFEST].decode())
        source = members[SOURCE].decode()
    except ValueError as error:
        raise damaged(path, f"its {MANIFEST} cannot be understood: {error}") from error
    return Artifact(manifest, members[LIBRARY], source)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # without the time: same input, same bytes
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _sums(members: Mapping[str, bytes]) -> str:
    return "".join(f"{hashlib.sha256(members[name]).hexdigest()}  {name}\n" for name in _SUMMED)


def _members(path: Path) -> dict[str, bytes]:
    names = (*_SUMMED, SUMS)
    if not path.exists():
        raise damaged(path, "there is no such file")
    try:
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
