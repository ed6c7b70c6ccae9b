"""The file that `rnnc compile` writes: one `.rnnlib`, or a directory, with library and manifest."""

from __future__ import annotations

import hashlib
import io
import platform
import zipfile
from pathlib import Path

from rnnc.atomic import replacing_directory, write_bytes
from rnnc.diagnostics import Diagnostic, DiagnosticError
from rnnc.runtime.manifest import ABI, Manifest

SUFFIX = ".rnnlib"
MANIFEST, LIBRARY = "manifest.json", "model.so"


def write(path: Path, manifest: Manifest, library: bytes) -> None:
    """Makes `path` the artifact, whole or not at all: a file if it ends in .rnnlib."""
    members = {MANIFEST: manifest.to_json().encode(), LIBRARY: library}
    if path.suffix == SUFFIX:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(zipfile.ZipInfo(name), data)  # no time: same input, same bytes
        write_bytes(path, buffer.getvalue())
        return
    with replacing_directory(path, MANIFEST) as folder:
        for name, data in members.items():
            (folder / name).write_bytes(data)


def read(path: Path) -> tuple[Manifest, bytes]:
    """Manifest and library of an artifact that can run here.

    Raises RNN711 if it is missing or damaged, RNN712 if it was made for another rnnc or processor.
    """
    members = _members(path)
    try:
        manifest = Manifest.from_json(members[MANIFEST].decode())
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise damaged(path, f"its {MANIFEST} cannot be understood ({error})") from error
    check_fit(path, manifest)
    if hashlib.sha256(members[LIBRARY]).hexdigest() != manifest.library_sha256:
        raise damaged(path, f"its {LIBRARY} is not the one that was written")
    return manifest, members[LIBRARY]


def _members(path: Path) -> dict[str, bytes]:
    if not path.exists():
        raise damaged(path, "there is no such file")
    try:
        if path.is_dir():
            return {name: (path / name).read_bytes() for name in (MANIFEST, LIBRARY)}
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in (MANIFEST, LIBRARY)}
    except FileNotFoundError as error:
        raise damaged(path, f"it has no {Path(error.filename).name}") from error
    except KeyError as error:
        raise damaged(path, f"it lacks a member: {error.args[0]}") from error
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise damaged(path, str(error)) from error
    except Exception as error:  # zlib.error has no public base
        raise damaged(path, str(error)) from error


def check_fit(path: Path, manifest: Manifest) -> None:
    """Raises RNN712 where the library cannot run in this process."""
    if manifest.abi != ABI:
        found = f"interface {manifest.abi}, this rnnc speaks {ABI}"
        raise unfit(path, found, "compile it again with this version of rnnc")
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine(), platform.machine())
    made_for = manifest.target.triple.partition("-")[0]
    if made_for != machine:
        raise unfit(path, f"a {made_for} processor, this is {machine}", "compile it here")
    missing = [name for name in manifest.target.features if not _has(name)]
    if missing:
        hint = "compile it here, or for an older processor:  --target cpu:x86-64-v3"
        raise unfit(path, f"a processor with {', '.join(missing)}", hint)


def _has(feature: str) -> bool:
    """Whether the processor has a feature in the kernel's spelling; unknown ones count."""
    flags = _flags()
    return not flags or feature.removeprefix("+") in flags


def _flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    for line in text.splitlines():
        if line.startswith(("flags", "Features")):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def damaged(path: Path, why: str) -> DiagnosticError:
    return DiagnosticError([Diagnostic("RNN711", f"cannot load '{path}': {why}")])


def unfit(path: Path, made_for: str, hint: str) -> DiagnosticError:
    message = f"'{path}' was made for {made_for}"
    return DiagnosticError([Diagnostic("RNN712", message, hints=(hint,))])
