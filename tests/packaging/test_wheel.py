"""The wheel works outside the checkout."""

from __future__ import annotations

import shutil
import site
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What the build reads; caches and stale build folders of the checkout stay out.
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "rnnc", "grammar", "backends")

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    for name in BUILT_FROM:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(source, folder / "source" / name, ignore=ignored)
        else:
            (folder / "source").mkdir(exist_ok=True)
            shutil.copy(source, folder / "source" / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(folder / "source")]
    subprocess.run(command, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Runs a command of a fresh environment in which the wheel is installed, in an empty folder."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    scripts = folder / "venv" / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(scripts / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", str(wheel)], check=True)
    # The dependencies come from the environment of the tests: TVM alone takes longer to install
    # than all tests to run. A folder named in a .pth file does not have its own .pth files read,
    # so the editable installation of the checkout is out of sight.
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    (folder / "work").mkdir()

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(scripts / command[0]), *command[1:]],
            cwd=folder / "work",
            capture_output=True,
            text=True,
            check=False,
        )

    return run


pytestmark = pytest.mark.slow


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    homes = {"rnnc": "rnnc", "grammar": "rnnc/grammar", "backends": "rnnc/backends"}
    expected = {
        f"{home}/{path.relative_to(ROOT / name).as_posix()}"
        for name, home in homes.items()
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == expected


def test_the_installed_package_is_the_one_that_runs(installed: Command) -> None:
    result = installed("python", "-c", "import rnnc; print(rnnc.__file__)")
    assert "elsewhere" in result.stdout, result


def test_a_model_is_compiled_and_verified_elsewhere(installed: Command) -> None:
    for command in (
        ("rnnc", "--version"),
        ("rnnc", "targets"),
        ("rnnc", "cells"),
        ("rnnc", "explain", "RNN301"),
        ("rnnc", "demo", "--quick"),
    ):
        result = installed(*command)
        assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
