"""Artifacts: written whole, read back equal, and refused when they are not what was written."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rnnc
from rnnc.diagnostics import DiagnosticError
from rnnc.runtime import artifact
from rnnc.runtime.manifest import Manifest
from tests.runtime.networks import Network, network


@pytest.fixture(scope="module")
def elman() -> Network:
    return network("elman_network")


def refused(path: Path) -> tuple[str, ...]:
    with pytest.raises(DiagnosticError) as caught:
        rnnc.load(path)
    return tuple(diagnostic.code for diagnostic in caught.value.diagnostics)


def rewrite(path: Path, member: str, change: Callable[[bytes], bytes]) -> None:
    """A well-formed archive again, with one member changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[member] = change(members[member])
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.fixture
def file(elman: Network, tmp_path: Path) -> Path:
    path = tmp_path / "model.rnnlib"
    elman.model.save(path)
    return path


@pytest.mark.parametrize("name", ["model.rnnlib", "folder"])
def test_round_trip(elman: Network, tmp_path: Path, name: str) -> None:
    elman.model.save(tmp_path / name)
    assert (tmp_path / name).is_dir() == (name == "folder")
    loaded = rnnc.load(tmp_path / name)
    assert loaded.manifest == elman.model.manifest
    inputs = elman.inputs(4, 2)
    expected = elman.bound.run(inputs, threads=1)
    for output, value in loaded.bind(elman.params).run(inputs, threads=1).items():
        np.testing.assert_array_equal(value, expected[output])


def test_same_input_same_bytes(elman: Network, file: Path, tmp_path: Path) -> None:
    elman.model.save(tmp_path / "again.rnnlib")
    assert (tmp_path / "again.rnnlib").read_bytes() == file.read_bytes()


def test_overwrites(elman: Network, file: Path) -> None:
    file.write_bytes(b"something else")
    elman.model.save(file)
    rnnc.load(file)


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
def test_truncated(file: Path, kept: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * kept)])
    assert refused(file) == ("RNN711",)


def test_flipped_bytes_of_the_file(file: Path) -> None:
    """A flipped byte is refused, or it was one that nothing is read from (a date, say)."""
    data = file.read_bytes()
    whole = rnnc.load(file).manifest
    for place in range(0, len(data), len(data) // 40):
        file.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            manifest, _ = artifact.read(file)
        except DiagnosticError as error:
            assert [d.code for d in error.diagnostics] == ["RNN711"]
        else:
            assert manifest == whole


def test_flipped_byte_in_the_library(file: Path) -> None:
    def flip(code: bytes) -> bytes:
        middle = len(code) // 2
        return code[:middle] + bytes([code[middle] ^ 1]) + code[middle + 1 :]

    rewrite(file, artifact.LIBRARY, flip)
    assert refused(file) == ("RNN711",)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b"3", b"{}", b'{"abi": 1}', b"\xff\xfe", b'"' + b"[" * 9],
)
def test_manifest_that_is_none(file: Path, text: bytes) -> None:
    rewrite(file, artifact.MANIFEST, lambda _: text)
    assert refused(file) == ("RNN711",)


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(Manifest)])
@pytest.mark.parametrize("value", [None, 7, "text", [3]])
def test_manifest_edited(file: Path, key: str, value: object) -> None:
    """A manifest with one entry of another kind is damaged (or of another version)."""
    data = json.loads(rnnc.load(file).manifest.to_json())
    data[key] = {} if type(value) is type(data[key]) is not list else value
    rewrite(file, artifact.MANIFEST, lambda _: json.dumps(data).encode())
    [code] = refused(file)
    assert code in ("RNN711", "RNN712")


def changed(elman: Network, path: Path, manifest: Manifest) -> Path:
    artifact.write(path, manifest, elman.model._code)
    return path


def test_other_abi(elman: Network, tmp_path: Path) -> None:
    manifest = dataclasses.replace(elman.model.manifest, abi=elman.model.manifest.abi + 1)
    assert refused(changed(elman, tmp_path / "m.rnnlib", manifest)) == ("RNN712",)


@pytest.mark.parametrize(
    "change", [{"features": ("+warp9",)}, {"triple": "pdp11-unknown-none"}], ids=str
)
def test_other_processor(elman: Network, tmp_path: Path, change: dict[str, str]) -> None:
    target = dataclasses.replace(elman.model.manifest.target, **change)  # type: ignore[arg-type]
    manifest = dataclasses.replace(elman.model.manifest, target=target)
    assert refused(changed(elman, tmp_path / "m.rnnlib", manifest)) == ("RNN712",)


def test_missing(tmp_path: Path) -> None:
    assert refused(tmp_path / "nothing.rnnlib") == ("RNN711",)
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty") == ("RNN711",)


def test_missing_member(file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "less.rnnlib", "w") as archive:
        archive.writestr(artifact.MANIFEST, "{}")
    assert refused(tmp_path / "less.rnnlib") == ("RNN711",)


@pytest.mark.parametrize("name", ["model.rnnlib", "folder"])
def test_unwritable_place_is_left_as_it_was(elman: Network, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises((DiagnosticError, OSError)):
        elman.model.save(tmp_path / "file" / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "in the way"


RUN = """
import sys, numpy, rnnc
model = rnnc.load(sys.argv[1])
params = {path: numpy.zeros(shape) for path, (_, shape) in model.parameters.items()}
model.bind(params)(x=numpy.zeros((2, 1, 3)), threads=2)
heavy = {"tvm", "lark", "networkx", "islpy"} & set(sys.modules)
assert not heavy, heavy
"""

FORK = """
import os, sys, numpy, rnnc
model = rnnc.load(sys.argv[1])
bound = model.bind({path: numpy.ones(shape) for path, (_, shape) in model.parameters.items()})
x = numpy.ones((5, 4, 3))
before = bound(x=x, threads=2)["y"]
child = os.fork()
if child == 0:
    same = numpy.array_equal(bound(x=x, threads=2)["y"], before)
    os._exit(0 if same else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert numpy.array_equal(bound(x=x, threads=2)["y"], before)
"""


@pytest.mark.parametrize("script", [RUN, FORK], ids=["imports no compiler", "survives a fork"])
def test_in_a_process_of_its_own(file: Path, script: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", script, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
