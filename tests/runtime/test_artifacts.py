"""Artifacts: written whole, read back equal, and refused when they are not what was written."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import rnnc
from rnnc import driver
from rnnc.diagnostics import DiagnosticError, Source
from rnnc.runtime import artifact, processor
from rnnc.runtime.manifest import ABI, Manifest
from tests.runtime.networks import SIZES, Network, network


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
            manifest = artifact.read(file).manifest
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
    [b"", b"{", b"[]", b"null", b"3", b"{}", b'{"abi": %d}' % ABI, b"\xff\xfe", b'"' + b"[" * 9],
)
def test_manifest_that_is_none(file: Path, text: bytes) -> None:
    rewrite(file, artifact.MANIFEST, lambda _: text)
    assert refused(file) == ("RNN711",)


def places(value: object, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Every place of a JSON value, itself included."""
    yield path
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from places(entry, *path, key)
    if isinstance(value, list):
        for number, entry in enumerate(value):
            yield from places(entry, *path, number)


@pytest.mark.parametrize("name", ["elman_network", "householder"])
def test_manifest_edited(name: str) -> None:
    """An entry of another kind anywhere is refused, and the place named."""
    text = network(name).model.manifest.to_json()
    found = [path for path in places(json.loads(text)) if path]
    assert len(found) > 100
    for path in found:
        data = json.loads(text)
        parent = functools.reduce(lambda value, key: value[key], path[:-1], data)
        old = parent[path[-1]]
        parent[path[-1]] = [None] if isinstance(old, str | int | float | None) else 0.5
        with pytest.raises(ValueError, match=re.escape(str(path[-1]))):
            Manifest.from_json(json.dumps(data))


@pytest.mark.parametrize("change", [{"another": 1}, {"packs": None}], ids=str)
def test_manifest_with_other_entries(elman: Network, change: dict[str, object]) -> None:
    data = json.loads(elman.model.manifest.to_json())
    with pytest.raises(ValueError, match=next(iter(change))):
        Manifest.from_json(json.dumps({**data, **change}))
    del data["packs"]
    with pytest.raises(ValueError, match="packs is missing"):
        Manifest.from_json(json.dumps(data))


def test_manifest_round_trip(elman: Network) -> None:
    manifest = elman.model.manifest
    assert Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize("member", [artifact.MANIFEST, artifact.LIBRARY, artifact.SOURCE])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.8])
def test_flipped_bit_in_a_directory(
    elman: Network, tmp_path: Path, member: str, place: float
) -> None:
    elman.model.save(tmp_path / "model")
    file = tmp_path / "model" / member
    data = bytearray(file.read_bytes())
    data[int(len(data) * place)] ^= 1
    file.write_bytes(data)
    assert refused(tmp_path / "model") == ("RNN711",)


def test_sums_are_those_of_sha256sum(elman: Network, tmp_path: Path) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("there is no sha256sum here")
    elman.model.save(tmp_path / "model")
    command = ["sha256sum", "--check", "--strict", artifact.SUMS]
    subprocess.run(command, cwd=tmp_path / "model", check=True, stdout=subprocess.DEVNULL)


def test_what_is_in_it(elman: Network, file: Path) -> None:
    loaded = rnnc.load(file)
    sizes = SIZES["elman_network"][1]
    assert {name: loaded.manifest.sizes[name] for name in sizes} == sizes
    source = driver.standard_source("elman")
    assert loaded.source == driver.format_source(source)
    assert loaded.manifest.source_sha256 == hashlib.sha256(loaded.source.encode()).hexdigest()
    again = driver.Compilation(
        Source("again.rnn", loaded.source), driver.Request("elman_network", sizes)
    )
    assert again.graph == elman.graph


def changed(elman: Network, path: Path, manifest: Manifest) -> Path:
    artifact.write(path, dataclasses.replace(elman.model.artifact, manifest=manifest))
    return path


def test_other_abi(elman: Network, tmp_path: Path) -> None:
    manifest = dataclasses.replace(elman.model.manifest, abi=elman.model.manifest.abi + 1)
    assert refused(changed(elman, tmp_path / "m.rnnlib", manifest)) == ("RNN712",)


@pytest.mark.parametrize(
    "change", [{"features": ("warp9",)}, {"triple": "pdp11-unknown-none"}], ids=str
)
def test_other_processor(elman: Network, tmp_path: Path, change: dict[str, str]) -> None:
    target = dataclasses.replace(elman.model.manifest.target, **change)  # type: ignore[arg-type]
    manifest = dataclasses.replace(elman.model.manifest, target=target)
    assert refused(changed(elman, tmp_path / "m.rnnlib", manifest)) == ("RNN712",)


def test_library_that_the_system_refuses(elman: Network, tmp_path: Path) -> None:
    """Whole, and made for this machine, but no library."""
    path = tmp_path / "m.rnnlib"
    artifact.write(path, dataclasses.replace(elman.model.artifact, library=b"no library"))
    assert refused(path) == ("RNN713",)


def test_library_of_something_else(elman: Network, tmp_path: Path) -> None:
    """A library, but without our functions."""
    code = Path(np.linalg._umath_linalg.__file__).read_bytes()
    path = tmp_path / "m.rnnlib"
    artifact.write(path, dataclasses.replace(elman.model.artifact, library=code))
    assert refused(path) == ("RNN713",)


def test_the_processor_is_looked_at_before_anything_runs(elman: Network, tmp_path: Path) -> None:
    target = dataclasses.replace(elman.model.manifest.target, features=("warp9",))
    manifest = dataclasses.replace(elman.model.manifest, target=target)
    path = tmp_path / "m.rnnlib"
    other = dataclasses.replace(elman.model.artifact, manifest=manifest, library=b"no library")
    artifact.write(path, other)
    assert refused(path) == ("RNN712",)


def test_features_of_the_processor() -> None:
    """What the host's libraries ask for, this processor has; what the oldest lacks, is lacking."""
    host = network("elman_network").model.manifest.target
    assert processor.lacking(host.features) == []
    if processor.machine() == "x86_64":
        assert {"sse3", "popcnt"} <= set(host.features)
        made_up = processor.code_features("x86_64-linux-gnu", ["avx2", "slow-incdec", "aes"])
        assert made_up == ("avx2",)


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
    with pytest.raises(DiagnosticError, match="RNN792"):
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
