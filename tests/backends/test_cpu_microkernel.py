"""Register tiles against NumPy: every height, rows anywhere, two factors summed."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rnnc.backends.cpu.integers import Dot, QuantizedMultiply
from rnnc.backends.cpu.library import assembly
from rnnc.backends.cpu.microkernel import (
    Factor,
    Multiply,
    Panels,
    Tile,
    call_multiply,
    rows_that_fit,
    steps_at_once,
)
from rnnc.backends.cpu.target import NAMED, CpuTarget, host
from rnnc.backends.tensorir.tir import (
    Builder,
    Function,
    first_lanes,
    int64,
    masked_load,
)
from rnnc.backends.tensorir.words import BF16

from tests.backends.native import build
from tests.tolerance import assert_close

DEPTHS = (7, 16)
MOST = 15
GLUE = """
#include "rnnc_runtime.h"
int32_t {name}(int64_t, void *, void *, void *, void *, int64_t, void *, void *, void *, int64_t);
RNNC_EXPORT void call(void *sums, void *a, void *b, void *v, void *w, void *where, int64_t rows) {{
  {name}(rows, sums, a, where, v, {depths[0]}, b, where, w, {depths[1]});
}}
"""


def product(target: CpuTarget, vectors: int, factors: int = 2) -> Multiply:
    """The highest tile of so many vectors."""
    tile = Tile(rows_that_fit(vectors, target), vectors, target.lanes("float32"))
    return Multiply(tile, (Panels(),) * factors, steps=steps_at_once(tile, target))


def packed(weights: NDArray[np.float32], panels: int) -> NDArray[np.float32]:
    """[depth, columns] -> [panel][depth][columns of the panel]"""
    depth = weights.shape[0]
    return np.ascontiguousarray(weights.reshape(depth, panels, -1).transpose(1, 0, 2))


@pytest.mark.parametrize("vectors", [1, 3, 4, 8])
def test_rows_anywhere(vectors: int, tmp_path: Path) -> None:
    multiply = product(host(), vectors)
    glue = GLUE.format(name=multiply.name, depths=DEPTHS)
    library = build(tmp_path, [multiply.function()], glue)
    random = np.random.default_rng(vectors)
    columns = multiply.tile.columns
    v, w = (random.standard_normal((depth, columns)).astype("f") for depth in DEPTHS)
    a, b = (random.standard_normal(500).astype("f") for _ in DEPTHS)
    for rows in range(multiply.tile.rows + 1):
        where = random.integers(0, 480, MOST)
        left = [
            np.stack([x[at : at + depth] for at in where])
            for x, depth in zip((a, b), DEPTHS, strict=True)
        ]
        expected = left[0].astype("d") @ v + left[1].astype("d") @ w
        result = np.full((rows + 1, columns), 7, "f")
        arrays = (result, a, b, v, w, where)
        library.call(*(ctypes.c_void_p(x.ctypes.data) for x in arrays), ctypes.c_int64(rows))
        assert_close(result[:rows], expected[:rows], np.float32)
        assert (result[rows] == 7).all()  # nothing is written beyond the rows


@pytest.mark.parametrize("prefetch", [0, 4])
def test_one_row_over_two_panels(prefetch: int, tmp_path: Path) -> None:
    lanes, depth = host().lanes("float32"), 19
    multiply = Multiply(Tile(1, 6, lanes), (Panels(2, prefetch),))
    b = Builder("row")
    result, left, weights = b.pointer("result"), b.pointer("left"), b.pointer("weights")
    offsets = b.local("offsets", 1, "int64")
    b.store(offsets, 0, int64(5))
    factor = Factor(left, offsets, weights, int64(0), depth, int64(depth))
    call_multiply(b, multiply.name, 1, result, [factor])
    glue = """
    #include "rnnc_runtime.h"
    int32_t row(void *, void *, void *);
    RNNC_EXPORT void call(void *r, void *a, void *w) { row(r, a, w); }
    """
    library = build(tmp_path, [b.finish(), multiply.function()], glue)
    random = np.random.default_rng(1)
    a, w = random.standard_normal(24).astype("f"), random.standard_normal((depth, 6 * lanes))
    actual = np.zeros(6 * lanes, "f")
    arrays = (actual, a, packed(w.astype("f"), 2))
    library.call(*(ctypes.c_void_p(x.ctypes.data) for x in arrays))
    assert_close(actual, a[5:].astype("d") @ w, np.float32)


MULTIPLICATION = re.compile(r"\sv?(fmadd|mulps|fmla|pmaddwd|pdpbusd)")


def inner_loop(function: Function, target: CpuTarget) -> list[str]:
    """The instructions of the loop with the most multiplications that jumps to its own start."""
    text = assembly([function], target)
    parts = re.split(r"^(\.LBB[\w]+):", text, flags=re.M)
    loops = []
    for label, body in zip(parts[1::2], parts[2::2], strict=True):
        lines = body.splitlines()
        jumps = [n for n, line in enumerate(lines) if re.search(rf"\s{re.escape(label)}$", line)]
        loops.append(lines[: jumps[0]] if jumps else [])
    return max(loops, key=lambda lines: sum(bool(MULTIPLICATION.search(x)) for x in lines))


def on_stack(loop: list[str]) -> list[str]:
    """The instructions that take a vector to the stack or from it."""
    found = [line for line in loop if re.search(r"\(%[re]sp|\[sp", line)]
    return [line for line in found if re.search(r"mm\d|\bq\d|\bv\d", line)]


@pytest.mark.parametrize("vectors", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("name", NAMED)
def test_accumulators_stay_in_registers(name: str, vectors: int) -> None:
    """No vector goes to the stack or comes from it in the inner loop of the highest tile."""
    loop = inner_loop(product(NAMED[name], vectors, 1).function(), NAMED[name])
    multiplications = [line for line in loop if MULTIPLICATION.search(line)]
    assert len(multiplications) >= vectors * rows_that_fit(vectors, NAMED[name])
    assert on_stack(loop) == []


@pytest.mark.parametrize("vectors", [1, 3, 4])
@pytest.mark.parametrize("name", ["x86-64-v3", "x86-64-v3-vnni", "x86-64-v4", "x86-64-v4-vnni"])
@pytest.mark.parametrize("weights", ["bf16", "int8"])
def test_narrow_weights_need_no_stack(name: str, vectors: int, weights: str) -> None:
    target = NAMED[name]
    dot = Dot.of(target)
    parts = BF16.group if weights == "bf16" else dot.parts
    rows = min(6, rows_that_fit(vectors, target, parts))
    tile = Tile(rows, vectors, target.lanes("float32"))
    function = (
        Multiply(tile, (Panels(),), BF16).function()
        if weights == "bf16"
        else QuantizedMultiply(tile, (Panels(),), dot).function()
    )
    loop = inner_loop(function, target)
    assert sum(bool(MULTIPLICATION.search(x)) for x in loop) >= rows * vectors * parts
    assert on_stack(loop) == []


def test_masked_vectors_touch_only_their_lanes(tmp_path: Path) -> None:
    lanes = host().lanes("float32")
    b = Builder("copy")
    result, source, count = b.pointer("result"), b.pointer("source"), b.scalar("count")
    mask = first_lanes(count, lanes)
    b.masked_store(result, 0, masked_load(source, 0, mask), mask)
    glue = """
    #include "rnnc_runtime.h"
    int32_t copy(void *, void *, int64_t);
    RNNC_EXPORT void call(void *r, void *s, int64_t n) { copy(r, s, n); }
    """
    library = build(tmp_path, [b.finish()], glue)
    source_array = np.arange(1, lanes + 1, dtype="f")
    for n in range(lanes + 1):
        array = np.full(lanes, -1, "f")
        pointers = (ctypes.c_void_p(x.ctypes.data) for x in (array, source_array))
        library.call(*pointers, ctypes.c_int64(n))
        assert array.tolist() == [*source_array[:n].tolist(), *[-1.0] * (lanes - n)]
