"""Compares what a compiled model computes with the interpreter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnnc.driver import Compilation
from rnnc.ir.graph import Graph
from rnnc.ir.interpreter import interpret
from rnnc.ir.signature import param_points, stacked_path
from rnnc.plan import expression as ex
from rnnc.weights import WeightType

Array = npt.NDArray[np.generic]

# Kernels may round in another order than the interpreter and approximate tanh and exp to a few
# units in the last place: this much more than the interpreter's own rounding is no mistake.
_ROUNDING_FACTOR = 8.0
_LAST_PLACES = 64.0
# So many times what rounding the weights costs the interpreter, which rounds what kernels round. In
# int8 what they are multiplied with is rounded, too, and single precision takes some of that to the
# other side of a tie.
_TYPE_FACTORS: dict[WeightType, float] = {"bf16": 1.0, "int8": 2.0}
_MATH_FACTOR = 2.0  # so it is where both operands are rounded for tensor cores


@dataclass(frozen=True, slots=True)
class Comparison:
    """The largest difference of one output to the interpreter, and what rounding can explain.

    `relative` is the difference over the largest magnitude of the reference.
    """

    output: str
    shape: tuple[int, ...]
    difference: float
    relative: float
    allowed: float

    @property
    def agrees(self) -> bool:
        # Written so that a NaN does not agree.
        return self.difference <= self.allowed


@dataclass(frozen=True, slots=True)
class Narrow:
    """What the interpreter computes in double precision with operands of products in a narrow type.
    Compiled, it may cost `factor` times as much."""

    factor: float
    outputs: Mapping[str, Array]


def compare(
    graph: Graph,
    extents: Mapping[str, int],
    inputs: Mapping[str, Array],
    params: Mapping[str, Array],
    computed: Mapping[str, Array],
    lengths: Mapping[str, Array] | None = None,
    narrow: Narrow | None = None,
) -> tuple[Comparison, ...]:
    """One comparison for each output of the graph, in its order.

    The reference is the interpreter in double precision. How far its own single precision strays
    from that says how much this model magnifies rounding. What narrow operands cost comes on top.
    """
    exact = interpret(graph, extents, inputs, params, np.float64, lengths)
    rounded = interpret(graph, extents, inputs, params, np.float32, lengths)
    strayed = max((_largest(rounded[name], exact[name]) for name in exact), default=0.0)
    costs = {
        name: narrow.factor * _largest(narrow.outputs[name], reference)
        for name, reference in exact.items()
        if narrow is not None
    }
    axes = {output.name: len(output.domain.dims) + 1 for output in graph.outputs}
    return tuple(
        _comparison(
            name,
            computed[name],
            _by_parts(reference, axes[name]),
            _ROUNDING_FACTOR * strayed + costs.get(name, 0.0),
        )
        for name, reference in exact.items()
    )


def rounded(
    compilation: Compilation,
    extents: Mapping[str, int],
    inputs: Mapping[str, Array],
    params: Mapping[str, Array],
    lengths: Mapping[str, Array] | None = None,
) -> Narrow | None:
    """The outputs of the graph that was planned, with weights rounded where kernels have them
    packed, or for tensor cores both operands; None where the types round nothing."""
    plan, preparation = compilation.plan, compilation.divided.preparation
    factor = _TYPE_FACTORS.get(plan.weights) if plan.math == "float32" else _MATH_FACTOR
    if factor is None:
        return None
    given = dict(params)
    if preparation is not None:
        made = interpret(preparation, {}, {}, _own(preparation, params), np.float32)
        for output in preparation.outputs:  # of one row
            given[output.name] = made[output.name].squeeze(len(output.domain.dims))
    known = _own(compilation.completed, given)
    packed = {
        define.name
        for kernel in plan.kernels
        for define in kernel.defines
        if isinstance(define.value, ex.Contract)
    }
    outputs = interpret(
        compilation.completed,
        extents,
        inputs,
        known,
        np.float64,
        lengths,
        weights=plan.weights,
        packed=packed,
        math=plan.math,
    )
    return Narrow(factor, outputs)


def costs(
    graph: Graph,
    extents: Mapping[str, int],
    inputs: Mapping[str, Array],
    params: Mapping[str, Array],
    narrow: Narrow,
) -> tuple[Comparison, ...]:
    """As `compare`, of nothing that was compiled: what a narrow type costs the interpreter."""
    axes = {output.name: len(output.domain.dims) + 1 for output in graph.outputs}
    made = {name: _by_parts(array, axes[name]) for name, array in narrow.outputs.items()}
    return compare(graph, extents, inputs, params, made, narrow=narrow)


def _own(graph: Graph, params: Mapping[str, Array]) -> dict[str, Array]:
    """Those that the graph has, by the paths of points or of all of them; complex ones by parts
    where it has them so."""
    found: dict[str, Array] = {}
    for path, (node, _) in param_points(graph, {}).items():
        for name, axis in ((path, 0), (stacked_path(node), len(node.domain.dims))):
            if name in params:
                whole = node.type.dtype == "complex"
                found[name] = params[name] if whole else _by_parts(params[name], axis)
    return found


def _by_parts(array: Array, axis: int) -> Array:
    """A complex output as compiled models have it: both parts along the first axis of a value."""
    return np.stack([array.real, array.imag], axis) if np.iscomplexobj(array) else array


def _comparison(name: str, computed: Array, reference: Array, rounding: float) -> Comparison:
    if computed.shape != reference.shape:
        return Comparison(name, computed.shape, float("inf"), float("inf"), 0.0)
    difference, scale = _largest(computed, reference), _magnitude(reference)
    relative = difference / scale if scale else float("inf") if difference else 0.0
    allowed = rounding + difference_allowed(reference)
    return Comparison(name, computed.shape, difference, relative, allowed)


def difference_allowed(reference: Array) -> float:
    """What two right single-precision computations of `reference` may differ by."""
    return _LAST_PLACES * float(np.finfo(np.float32).eps) * max(1.0, _magnitude(reference))


def _magnitude(reference: Array) -> float:
    """The largest one that is finite."""
    return float(np.abs(reference[np.isfinite(reference)]).max(initial=0.0))


def _largest(one: Array, other: Array) -> float:
    """The largest absolute difference; equal infinities and two NaNs do not differ."""
    if one.size == 0:
        return 0.0
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        difference = np.abs(np.subtract(one, other, dtype=np.result_type(other, np.float64)))
    return float(np.where(same, 0.0, difference).max())
