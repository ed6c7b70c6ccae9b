"""Plans of the whole standard library, executed step by step, against the interpreter."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnc.analysis.orders import Order
from rnnc.driver import Compilation, Request, StaticValue, standard_library, standard_source
from rnnc.frontend import ast
from rnnc.ir.interpreter import interpret
from rnnc.ir.pointwise import pointwise
from rnnc.ir.signature import extent_names
from rnnc.passes.bind_sizes import BindSizes
from rnnc.plan.fusing import fused
from rnnc.plan.plan import Plan
from rnnc.plan.rows import with_rows
from rnnc.sampling import random_inputs, random_parameters
from tests.plan.simulate import Array, Simulator
from tests.tolerance import assert_close

SIZES = {"A": 5, "B": 3, "C": 2, "D": 7, "F": 3, "G": 4, "H": 4, "I": 5, "K": 2}
SIZES |= {"L": 3, "N": 5, "P": 2, "R": 3, "V": 6, "X": 3, "Y": 2, "J": 2, "M": 2}
SIZES |= {"start": 1, "ramp": 3, "end": 6, "every": 2}
BATCH = 2


@cache
def models() -> tuple[tuple[str, str], ...]:
    return tuple(
        (file, definition.name)
        for file, module in standard_library().items()
        for definition in module.definitions
        if isinstance(definition, ast.Model)
    )


def compilation(file: str, model: str, order: Order = "auto") -> Compilation:
    definitions = standard_library()[file].definitions
    [spec] = [definition for definition in definitions if definition.name == model]
    sizes: dict[str, StaticValue] = {
        static.name: SIZES[static.name] for static in spec.statics if static.default is None
    }
    return Compilation(standard_source(file), Request(model, sizes, order=order))


def simulated(
    found: Compilation,
    extents: dict[str, int],
    inputs: dict[str, Array],
    params: dict[str, Array],
    lengths: dict[str, NDArray[np.int64]] | None,
    batch: int = BATCH,
    arranged: Callable[[Plan], Plan] = lambda plan: plan,
) -> dict[str, Array]:
    plan = arranged(found.plan)
    simulator = Simulator(plan, pointwise, batch, extents, lengths)
    for argument in plan.inputs:
        simulator.memory[argument.buffer][...] = inputs[argument.name]
    fill_parameters(simulator, plan, params)
    if plan.preparation is not None:
        first = Simulator(plan.preparation, pointwise, 1, {})
        fill_parameters(first, plan, params)
        first.run()
        for output in plan.preparation.outputs:
            row = len(plan.preparation.buffer(output.buffer).dims)
            simulator.memory[output.name][...] = first.memory[output.buffer].take(0, axis=row)
    simulator.run()
    return {output.name: simulator.memory[output.buffer] for output in plan.outputs}


def fill_parameters(simulator: Simulator, plan: Plan, params: dict[str, Array]) -> None:
    for parameter in plan.parameters:
        if parameter.buffer not in simulator.buffers:
            continue
        buffer = simulator.buffers[parameter.buffer]
        names = [dim.name for dim in buffer.dims]
        for point in parameter.domain.points({}):
            place = tuple(point[dim.name] - dim.lower.evaluate({}) for dim in buffer.dims)
            path = parameter.path
            for name in names:
                path = path.replace(f"[{name}]", f"[{point[name]}]")
            if path not in params:
                indices = ",".join(str(point[name]) for name in names)
                path = parameter.path.partition("[")[0] + f"[{indices}]" + path.rpartition("]")[2]
            value = params[path]
            if np.iscomplexobj(value):
                value = np.stack([value.real, value.imag])
            simulator.memory[parameter.buffer][place] = value


def in_both_orders(file: str, model: str) -> list[Compilation]:
    """A compilation for each order that makes a plan of its own; what is before it is shared."""
    layered = compilation(file, model, "layered")
    wavefront = compilation(file, model, "wavefront")
    vars(wavefront).update(graph=layered.graph, divided=layered.divided)
    vars(wavefront).update(optimized=layered.optimized, completed=layered.completed)
    return [layered] if layered.plan == wavefront.plan else [layered, wavefront]


@pytest.mark.parametrize(("file", "model"), models())
def test_plan_computes_what_the_spec_says(file: str, model: str) -> None:
    orders = in_both_orders(file, model)
    graph = BindSizes().run(orders[0].graph)
    names = extent_names(graph)
    params = random_parameters(graph, 0)
    most = (5, 4) if len(names) <= 2 else (3, 2, 2, 2)
    for values, ragged in itertools.product((most, (1, 1, 1, 1)), (False, True)):
        extents = dict(zip(names, values, strict=False))
        lengths = {
            name: np.array([size, max(1, size - 2)]) for name, size in extents.items()
        } if ragged and names else None  # fmt: skip
        inputs = random_inputs(graph, extents, BATCH, 1)
        expected = interpret(graph, extents, inputs, params, lengths=lengths)
        for found in orders:
            got = simulated(found, extents, inputs, params, lengths)
            results = [got]
            if values == most and by_rows(found.plan) != found.plan:
                results.append(simulated(found, extents, inputs, params, lengths, BATCH, by_rows))
            for (name, array), got in itertools.product(expected.items(), results):
                if lengths is not None:
                    clear_beyond(got[name], array)
                assert_close(got[name], array, np.float64, sum(values) * 10)


def by_rows(plan: Plan) -> Plan:
    """The plan as a backend has it whose threads keep to rows of their own."""
    return with_rows(fused(plan))


def clear_beyond(computed: Array, expected: Array) -> None:
    """Zero where the interpreter has zero for want of a step: that is the runtime's to clear."""
    computed[expected == 0] = 0
