"""What pyproject.toml lists is what is on disk: else only the wheel would show what is missing."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = CONFIG["tool"]["setuptools"]
# Where each top-level folder is installed.
HOMES = {"rnnc": "rnnc", "grammar": "rnnc.grammar", "backends": "rnnc.backends"}


def folder_of(package: str) -> Path:
    """The folder of an installed package name in the checkout."""
    for home, name in sorted(HOMES.items(), key=lambda item: -len(item[1])):
        if package == name or package.startswith(name + "."):
            return ROOT / home / package.removeprefix(name).strip(".").replace(".", "/")
    raise AssertionError(f"{package} is in none of {HOMES}")


def packages_on_disk() -> set[str]:
    found = set()
    for home, name in HOMES.items():
        for init in (ROOT / home).rglob("__init__.py"):
            inner = init.parent.relative_to(ROOT / home).parts
            found.add(".".join((name, *inner)))
    return found


def test_listed_packages_are_the_folders_with_an_init() -> None:
    assert set(SETUPTOOLS["packages"]) == packages_on_disk()
    assert len(SETUPTOOLS["packages"]) == len(set(SETUPTOOLS["packages"]))


def test_no_folder_with_modules_lacks_an_init() -> None:
    for home in HOMES:
        for module in (ROOT / home).rglob("*.py"):
            assert (module.parent / "__init__.py").is_file(), module.parent


def test_every_data_file_is_package_data() -> None:
    """All that is neither Python nor a cache is matched by a pattern of its package."""
    data = SETUPTOOLS["package-data"]
    for package in SETUPTOOLS["packages"]:
        folder = folder_of(package)
        patterns = data["*"] + data.get(package, [])
        for path in sorted(folder.rglob("*")):
            owner = next(p for p in path.parents if (p / "__init__.py").is_file())
            if path.is_dir() or path.suffix in (".py", ".pyc") or owner != folder:
                continue
            name = path.relative_to(folder).as_posix()
            assert any(fnmatch(name, pattern) for pattern in patterns), f"{package}: {name}"


def test_mapping_is_the_one_of_the_folders() -> None:
    assert SETUPTOOLS["package-dir"] == {name: home for home, name in HOMES.items() if home != name}
