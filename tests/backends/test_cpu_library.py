"""Objects and libraries: what they need from outside, which processors, what goes wrong."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from rnnc.backends.cpu.interface import compiling
from rnnc.backends.cpu.library import emit_objects, link
from rnnc.backends.cpu.target import NAMED, CpuTarget, find_target, host

from rnnc.diagnostics import DiagnosticError
from tests.backends.test_cpu_activations import function
from tests.backends.test_cpu_microkernel import product

MACHINES = {"x86_64": b"\x3e\x00", "aarch64": b"\xb7\x00"}  # e_machine of an ELF header


@pytest.mark.parametrize("name", NAMED)
def test_every_named_target_gets_an_object(name: str, tmp_path: Path) -> None:
    target = find_target(name)
    [path] = emit_objects([product(target, 4).function()], target, tmp_path)
    header = path.read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    assert header[18:20] == MACHINES[target.architecture]


def test_object_needs_only_libm(tmp_path: Path) -> None:
    functions = [function(name, 1, "float32") for name in ("tanh", "sigmoid", "exp", "sin")]
    paths = emit_objects([*functions, product(host(), 4).function()], host(), tmp_path)
    command = ["nm", "-u", *map(str, paths)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    symbols = [word for line in text.splitlines() if ":" not in line for word in line.split()]
    assert set(symbols) <= {"U", "sinf"}


def test_unknown_target() -> None:
    with pytest.raises(DiagnosticError) as caught:
        find_target("pdp11")
    assert [d.code for d in caught.value.diagnostics] == ["RNN701"]


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(DiagnosticError) as caught:
        link([], host(), tmp_path / "x.so")
    assert [d.code for d in caught.value.diagnostics] == ["RNN702"]


def test_compiler_that_fails(tmp_path: Path) -> None:
    (tmp_path / "glue.c").write_text("this is no C\n")
    with (
        pytest.raises(DiagnosticError) as caught,
        compiling(tmp_path / "glue.c", host(), tmp_path) as compiled,
    ):
        compiled()
    assert [d.code for d in caught.value.diagnostics] == ["RNN702"]
    assert "glue.c" in str(caught.value)


def test_lanes() -> None:
    wide = CpuTarget("x86_64-linux-gnu", "x86-64-v4", (), 64, 32)
    assert (wide.lanes("float32"), wide.lanes("float64")) == (16, 8)
