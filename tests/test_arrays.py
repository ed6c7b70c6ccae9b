"""Named arrays in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from rnnc.arrays import read_arrays, write_arrays
from rnnc.diagnostics import DiagnosticError


def test_what_is_written_is_what_numpy_reads(tmp_path: Path) -> None:
    # 'file' and 'allow_pickle' are parameters of numpy.savez: ordinary names here.
    arrays = {"lstm[0].W_i": np.eye(2), "file": np.zeros((0, 3), "f4"), "allow_pickle": np.ones(())}
    write_arrays(tmp_path / "a.npz", arrays)
    with np.load(tmp_path / "a.npz") as archive:
        assert archive.files == list(arrays)
        for name, array in arrays.items():
            assert archive[name].dtype == array.dtype
            np.testing.assert_array_equal(archive[name], array)
    assert list(read_arrays(tmp_path / "a.npz")) == list(arrays)


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file({"w": np.arange(6, dtype="f4").reshape(2, 3)}, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(
        read_arrays(tmp_path / "a.safetensors")["w"], np.arange(6).reshape(2, 3)
    )


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.npz", None, "no such file"),
        ("a.txt", b"", "neither .npz nor .safetensors"),
        ("a.npz", b"not a zip", "damaged, or no .npz file"),
        ("a.npz", b"", "damaged, or no .npz file"),
        ("a.safetensors", b"\xff" * 40, "damaged"),
    ],
)
def test_unreadable_files(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DiagnosticError, match=reason) as caught:
        read_arrays(tmp_path / name)
    assert [d.code for d in caught.value.diagnostics] == ["RNN791"]


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_arrays(path, {"w": np.ones(100)})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DiagnosticError, match="damaged"):
        read_arrays(path)


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.array([{"code": 1}], dtype=object))
    with pytest.raises(DiagnosticError, match="RNN791"):
        read_arrays(tmp_path / "a.npz")
