"""C and C++ programs on a model's library: compilers' warnings, CMake, pkg-config, sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from rnnc.driver import Compilation, Request, standard_source
from rnnc.frontend.reading import read_source
from rnnc.sampling import random_parameters

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "c"
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def needs(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool}")


def run(*command: str | Path, **environment: str) -> str:
    result = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def built(folder: Path, target: str) -> Path:
    """The library of the example's model, and its weights."""
    request = Request(None, {"X": 8, "H": 8, "L": 2}, {}, target)
    compiled = Compilation(read_source(str(ROOT / "examples" / "stacked_lstm.rnn")), request)
    compiled.build_c_library(folder, None)
    save_file(dict(random_parameters(compiled.graph, 0)), folder / "weights.safetensors")
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("installed"), "cpu")


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library with sanitizers in all that is C."""
    needs("cc")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CC", " ".join(["cc", *SANITIZED]))
        return built(tmp_path_factory.mktemp("sanitized"), "cpu")


@pytest.mark.parametrize("compiler", ["cc -std=c99 -xc", "c++ -std=c++17 -xc++"])
def test_header_has_no_warnings(installed: Path, compiler: str) -> None:
    tool, *options = compiler.split()
    needs(tool)
    run(tool, *options, *STRICT, "-fsyntax-only", installed / "include" / "stacked_lstm.h")


def test_header_is_readable(installed: Path) -> None:
    lines = (installed / "include" / "stacked_lstm.h").read_text().splitlines()
    assert max(map(len, lines)) <= 100


def test_cmake(installed: Path, tmp_path: Path) -> None:
    needs("cmake")
    run("cmake", "-S", EXAMPLE, "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={installed}")
    run("cmake", "--build", tmp_path)
    assert "100 steps" in run(tmp_path / "streaming", installed / "weights.safetensors")


def test_pkg_config(installed: Path, tmp_path: Path) -> None:
    needs("pkg-config", "cc")
    where = str(installed / "lib" / "pkgconfig")
    flags = run("pkg-config", "--cflags", "--libs", "stacked_lstm", PKG_CONFIG_PATH=where).split()
    program = tmp_path / "streaming"
    run("cc", "-std=c99", *STRICT, EXAMPLE / "streaming.c", "-o", program, *flags, "-lm")
    library = str(installed / "lib")
    found = run(program, installed / "weights.safetensors", "7", LD_LIBRARY_PATH=library)
    assert "7 steps" in found


def test_static_library_under_sanitizers(sanitized: Path, tmp_path: Path) -> None:
    program = linked(EXAMPLE / "streaming.c", sanitized, tmp_path)
    assert "100 steps" in run(program, sanitized / "weights.safetensors")


def test_damaged_files_are_refused(sanitized: Path, tmp_path: Path) -> None:
    program = linked(Path(__file__).with_name("bad_files.c"), sanitized, tmp_path)
    words = run(program, sanitized / "weights.safetensors").split()
    assert int(words[0]) > 0.9 * int(words[2])


def linked(source: Path, library: Path, folder: Path) -> Path:
    program = folder / source.stem
    static = library / "lib" / "libstacked_lstm.a"
    options = [*STRICT, *SANITIZED, "-I", str(library / "include")]
    run("cc", *options, source, "-o", program, static, "-lpthread", "-lm")
    return program


def test_valgrind(tmp_path: Path) -> None:
    needs("valgrind")
    folder = built(tmp_path / "installed", "cpu:x86-64-v3")  # valgrind knows no AVX-512
    program = tmp_path / "streaming"
    run(
        *("cc", "-I", folder / "include", EXAMPLE / "streaming.c", "-o", program),
        *(folder / "lib" / "libstacked_lstm.a", "-lpthread", "-lm"),
    )
    found = run(
        *("valgrind", "--error-exitcode=9", "--leak-check=full", "-q"),
        *(program, folder / "weights.safetensors", "9"),
    )
    assert "9 steps" in found


def test_two_models_in_one_program(installed: Path, tmp_path: Path) -> None:
    """Symbols of two libraries do not meet, and nothing but the headers' is exported."""
    request = Request("elman_network", {"X": 3, "H": 5, "Y": 2})
    Compilation(standard_source("elman"), request).build_c_library(tmp_path / "other", None)
    source = tmp_path / "both.c"
    source.write_text(
        '#include "elman_network.h"\n#include "stacked_lstm.h"\n'
        "int main(void) { return elman_network_model_size() > 0 && stacked_lstm_model_size() > 0"
        " && elman_network_abi() == stacked_lstm_abi() ? 0 : 1; }\n"
    )
    program = tmp_path / "both"
    folders = (installed, tmp_path / "other")
    headers = [f"-I{folder / 'include'}" for folder in folders]
    libraries = [next((folder / "lib").glob("*.a")) for folder in folders]
    run("cc", *STRICT, source, "-o", program, *headers, *libraries, "-lpthread", "-lm")
    run(program)
