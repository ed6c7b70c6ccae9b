"""Outputs appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnc import atomic
from rnnc.diagnostics import DiagnosticError


def everything_in(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    atomic.write_text(path, "one")
    atomic.write_text(path, "two ħ")
    assert everything_in(tmp_path) == {"a.txt": "two ħ"}


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic.replacing_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert everything_in(tmp_path) == {"a.txt": "old"}


def test_what_a_symbolic_link_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    atomic.write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_the_temporary_keeps_the_suffix_and_stands_beside(tmp_path: Path) -> None:
    with atomic.replacing_file(tmp_path / "weights.npz") as temporary:
        assert (temporary.suffix, temporary.parent) == (".npz", tmp_path)


def test_a_written_file_has_ordinary_permissions(tmp_path: Path) -> None:
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    plain.write_text("")
    atomic.write_text(ours, "")
    assert ours.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("missing/a.txt", "no such file or directory"),
        ("file/a.txt", "not a directory"),
        ("folder", "it is a directory"),
    ],
)
def test_an_unwritable_path_is_one_diagnostic(tmp_path: Path, where: str, reason: str) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DiagnosticError) as caught:
        atomic.write_text(tmp_path / where, "x")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "RNN792"
    assert diagnostic.message == f"cannot write '{tmp_path / where}': {reason}"
    assert everything_in(tmp_path) == {"file": "kept"}


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for content in ("one", "two"):
        with atomic.replacing_directory(tmp_path / "out", "mark") as temporary:
            (temporary / content).write_text(content)
            (temporary / "mark").write_text("ours")
    assert everything_in(tmp_path) == {"out/two": "two", "out/mark": "ours"}


def test_a_folder_that_is_not_ours_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("kept")
    refused = pytest.raises(DiagnosticError, match="which is not replaced")
    with refused, atomic.replacing_directory(tmp_path / "out", "mark"):
        pass
    assert everything_in(tmp_path) == {"out/a": "kept"}


def test_a_failing_folder_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("old")
    failing = atomic.replacing_directory(tmp_path / "out", "a")
    with pytest.raises(RuntimeError), failing as temporary:
        (temporary / "a").write_text("half")
        raise RuntimeError
    assert everything_in(tmp_path) == {"out/a": "old"}


def test_a_folder_does_not_replace_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("kept")
    refused = pytest.raises(DiagnosticError, match="it is a file")
    with refused, atomic.replacing_directory(tmp_path / "out", "mark"):
        pass
    assert everything_in(tmp_path) == {"out": "kept"}
