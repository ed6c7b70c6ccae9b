"""The C library of a model, called from C's point of view, against the interpreter."""

from __future__ import annotations

import re
import subprocess

import numpy as np
import pytest

from rnnc.ir.interpreter import interpret
from rnnc.sampling import random_inputs, random_parameters
from rnnc.weights import WeightType
from tests.runtime.clibrary import c_library, called
from tests.runtime.networks import SIZES, SPECS, assert_outputs, compilation

NAMES = (*SIZES, *SPECS)
STEPS, BATCH = 5, 3
# libc, libm and pthread of any version; names of the dynamic linker's own.
ALLOWED = re.compile(r"(\w+@GLIBC[\w.]*)|(_ITM_\w+)|(__gmon_start__)|(__cxa_finalize.*)")


@pytest.mark.parametrize("name", NAMES)
def test_forward(name: str) -> None:
    graph, library = compilation(name).graph, c_library(name)
    params = random_parameters(graph, 0)
    model = library.create(params)
    names = [size.name for size in graph.sizes if size.kind == "extent"]
    for steps in (STEPS, 1, 0):
        extents = dict.fromkeys(names, steps)
        inputs = random_inputs(graph, extents, BATCH, 1)
        own = {n: np.array([max(steps - row, 0) for row in range(BATCH)]) for n in names}
        for lengths in (None, own):
            if lengths is not None and "k" in inputs:
                inputs["k"] = np.minimum(inputs["k"], np.maximum(own["T"] - 1, 0))
                inputs["k"][np.arange(steps)[:, None] >= own["T"]] = 99  # says nothing
            for threads in (1, 2):
                expected = interpret(graph, extents, inputs, params, lengths=lengths)
                found = called(library, model, inputs, extents, expected, BATCH, lengths, threads)
                assert_outputs(found, expected, max(steps, 1))


@pytest.mark.parametrize("weights", ["bf16", "int8"])
def test_narrow_weights(weights: WeightType) -> None:
    """Packed in C as in Python: not a bit differs."""
    compiled, library = compilation("stacked_lstm", weights), c_library("stacked_lstm", weights)
    params = random_parameters(compiled.graph, 0)
    inputs = random_inputs(compiled.graph, {"T": STEPS}, BATCH, 1)
    expected = compiled.load().bind(params).run(inputs, threads=1)
    extents = {"T": STEPS}
    found = called(library, library.create(params), inputs, extents, expected, BATCH)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_nothing_else_is_needed() -> None:
    """Only functions of libc, libm and pthread are undefined, none of TVM."""
    library = c_library("stacked_lstm").folder / "lib" / "libstacked_lstm.so"
    text = subprocess.run(
        ["nm", "-D", "-u", str(library)], capture_output=True, text=True, check=True
    ).stdout
    names = [line.split()[-1] for line in text.splitlines()]
    assert names and all(ALLOWED.fullmatch(name) for name in names), names
    text = subprocess.run(["ldd", str(library)], capture_output=True, text=True, check=True).stdout
    assert all(re.search(r"linux-vdso|libc\.|libm\.|ld-linux", line) for line in text.splitlines())


def test_only_the_header_is_exported() -> None:
    folder = c_library("stacked_lstm").folder
    header = (folder / "include" / "stacked_lstm.h").read_text()
    for tool, path in (("-D", "libstacked_lstm.so"), ("-g", "libstacked_lstm.a")):
        command = ["nm", tool, "--defined-only", str(folder / "lib" / path)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        names = [line.split()[-1] for line in text.splitlines() if " T " in line or " D " in line]
        assert names and all(re.search(rf"\b{name}\(", header) for name in names), names


def test_library_is_small() -> None:
    library = c_library("stacked_lstm").folder / "lib" / "libstacked_lstm.so"
    assert library.stat().st_size < 200 * 1024
