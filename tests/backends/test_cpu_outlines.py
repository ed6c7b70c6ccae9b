"""Kernels that differ in names and numbers alone are compiled once, and compute what each would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from rnnc.backends.cpu import program
from rnnc.backends.cpu.forms import member
from rnnc.backends.cpu.outlines import groups, placed_kernels
from rnnc.backends.cpu.target import find_target

from rnnc import driver
from rnnc.analysis.wave import Polynomial, WaveLoop
from rnnc.ir.domain import Constraint
from rnnc.ir.poly import Poly
from rnnc.ir.signature import param_signature
from rnnc.plan import expression as ex
from rnnc.plan.plan import Buffer, BufferDim, Define, Kernel, Store
from tests.cells.test_compiled import compilation, single
from tests.oracles.case import Case
from tests.oracles.cases import CASES

# Layers that are written out: each reads another one, or has a distance of its own.
DEEP = ("gfrnn", "gflstm", "mdlstm_4way")


@pytest.mark.parametrize("case", [c for c in CASES if c.name in DEEP], ids=lambda case: case.name)
def test_sharing_changes_no_bit(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    if "L" in case.sizes:
        case = replace(case, sizes={**case.sizes, "L": 3})  # what is shared has three members
    shared = compilation(case)
    assert groups(shared.plan)
    params = single(case.draw_params(param_signature(shared.graph, case.sizes)))
    inputs = {batch: single(case.draw_inputs(case.sizes, batch, seed=1)) for batch in (1, 3)}
    extents = {name: case.sizes[name] for name in case.extents}

    def computed(model: driver.Compilation) -> list[Mapping[str, np.ndarray]]:
        bound = model.load().bind(params)
        return [bound.run(given, extents=extents) for given in inputs.values()]

    found = computed(shared)
    monkeypatch.setattr(program, "groups", lambda plan: ())
    for one, other in zip(found, computed(compilation(case)), strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name])


@pytest.mark.parametrize("model", ["gfrnn", "gflstm"])
def test_more_layers_are_no_more_functions(model: str) -> None:
    source = driver.standard_source("gfrnn")
    counts: list[int] = []
    for layers in (5, 7):
        request = driver.Request(model, {"X": 4, "H": 4, "L": layers})
        plan = driver.Compilation(source, request).plan
        counts.append(len(program.functions(plan, find_target("host"))))
    assert counts[0] == counts[1]


def test_input_products_of_a_layer_are_left_to_their_own() -> None:
    """Between two layers' input products stand all steps of one: no cache keeps anything."""
    request = driver.Request("stacked_lstm", {"X": 4, "H": 4, "L": 3})
    plan = driver.Compilation(driver.standard_source("stacked"), request).plan
    turning = [
        {load.buffer for load in loads(kernel)} >= {"c"}
        for kernel, alternates in placed_kernels(plan.steps, False)
        if alternates
    ]
    assert turning == [True, True]  # the steps of the first layer, and of the others


def loads(kernel: Kernel) -> list[ex.Load]:
    parts = [part for value in kernel.expressions for part in ex.walk(value)]
    return [part for part in parts if isinstance(part, ex.Load)]


# ---- forms ------------------------------------------------------------------------------------


def vector(name: str, size: int = 8) -> Buffer:
    dims = (BufferDim("t", Poly.of(-1), Poly.of("T"), "T"),)
    return Buffer(name, "state", "real", dims, True, (size,))


def shifted(name: str, target: str, source: str, distance: int) -> Kernel:
    """target[t] = source[t - distance]"""
    t, axis = Poly.of("t"), Poly.of("e0")
    load = ex.Load(source, (t - distance,), (axis,), "real")
    loop = WaveLoop("t", Polynomial(Poly()), Polynomial(Poly.of("T")))
    store = Store("x", target, (t,), (axis,))
    return Kernel(name, (loop,), (), True, (8,), (Define("x", load, "real"),), (store,))


BUFFERS = {name: vector(name) for name in ("a", "b", "c")}


def form(kernel: Kernel) -> object:
    return member(kernel, BUFFERS, ("T",), {}).form


def test_names_and_distances_do_not_count() -> None:
    assert form(shifted("p", "b", "a", 1)) == form(shifted("q", "c", "b", 2))


def test_what_is_one_buffer_counts() -> None:
    """Code for different buffers may not be used where they are one: they would not overlap."""
    assert form(shifted("p", "b", "a", 1)) != form(shifted("q", "b", "b", 2))


def test_limits_of_lanes_count() -> None:
    """A limit between two vectors is cheaper than one inside."""
    kernels = []
    for limit in (4, 5):
        kernel = shifted("p", "b", "a", 1)
        inside = Constraint(Poly.of("e0") - limit, ">=")
        [define] = kernel.defines
        zero = ex.Constant(0.0, "real")
        branch = ex.Branch((inside,), define.value, zero, "real")
        kernels.append(replace(kernel, defines=(replace(define, value=branch),)))
    assert form(kernels[0]) != form(kernels[1])


def test_known_numbers_stay() -> None:
    kernel = shifted("p", "b", "a", 3)
    numbers = member(kernel, BUFFERS, ("T",), {}).numbers
    [name] = [name for name, number in numbers.items() if number == Poly.of(-3)]
    known = member(kernel, BUFFERS, ("T",), {name: Poly.of(-3)})
    assert name not in known.numbers
    [define] = known.form.kernel.defines
    assert isinstance(define.value, ex.Load)
    [index] = define.value.index
    assert isinstance(index, Poly) and index.offset == -3
