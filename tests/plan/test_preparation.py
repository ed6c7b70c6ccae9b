"""What is computed once, when parameters are bound, and what a call is left with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnnc.diagnostics import Source
from rnnc.driver import Compilation, Request, StaticValue
from rnnc.plan.expression import Contract, Reduce, walk
from rnnc.plan.plan import Kernel, Phase, Plan, Step, Waves
from tests.runtime.networks import SPECS

# Run-time dims, an input and a state, for specs of one weight.
FRAME = """model m{{H}}:
    dim t in 0..T
    input x[t]: [H]
    param W, V: [H, H], a, b: [H]
    h[t] = tanh({weight} + x[t])
    output y[t] = h[t]
"""


def plan_of(text: str, sizes: dict[str, StaticValue]) -> Plan:
    return Compilation(Source("m.rnn", text), Request(None, sizes)).plan


def plan_with(weight: str, size: int = 4) -> Plan:
    return plan_of(FRAME.format(weight=weight), {"H": size})


def kernels(steps: Sequence[Step], inside: bool = False) -> Iterator[tuple[bool, Kernel]]:
    """Every kernel, and whether it runs in waves."""
    for step in steps:
        if isinstance(step, Waves):
            yield from kernels(step.body, True)
        else:
            assert isinstance(step, Phase)
            yield from ((inside, kernel) for kernel in step.kernels)


def products(plan: Plan, in_waves: bool) -> tuple[int, int]:
    """How many products with packed weights there are, and how many other sums."""
    found = [
        inner
        for inside, kernel in kernels(plan.steps)
        for define in kernel.defines
        for inner in walk(define.value)
        if inside == in_waves
    ]
    packed = sum(isinstance(inner, Contract) for inner in found)
    return packed, sum(isinstance(inner, Reduce) for inner in found)


def prepared_shapes(plan: Plan) -> list[tuple[int, ...]]:
    """Grid and value axes of every prepared parameter."""
    outputs = () if plan.preparation is None else plan.preparation.outputs
    buffers = [plan.buffer(output.name) for output in outputs]
    assert all(buffer.role == "param" and not buffer.batched for buffer in buffers)
    return [(*(dim.stored.offset for dim in b.dims), *b.shape) for b in buffers]


def test_householder() -> None:
    """Of all reflections the last product is left, of all steps one product a wave."""
    sizes, text = SPECS["householder"]
    plan = plan_of(text, sizes)
    assert prepared_shapes(plan) == [(5, 5)]
    assert products(plan, True) == (1, 0)
    assert products(plan, False) == (1, 0)  # W @ x[t]
    assert plan.preparation is not None
    assert not plan.preparation.inputs and not plan.preparation.extents


def test_what_the_user_gives() -> None:
    """The parameters of both, in the order of the spec."""
    sizes, text = SPECS["householder"]
    plan = plan_of(text, sizes)
    assert [parameter.path for parameter in plan.parameters] == ["v[k]", "W", "b"]
    names = {buffer.name for buffer in plan.buffers}
    assert [p.path for p in plan.parameters if p.buffer in names] == ["W", "b"]


def test_a_masked_weight_needs_no_time() -> None:
    sizes, text = SPECS["masked"]
    plan = plan_of(text, sizes)
    assert prepared_shapes(plan) == [(5, 5), (5, 3)]
    assert products(plan, True) == (1, 0)


def test_small_ones() -> None:
    for weight in ("(1 - sigmoid(a)) * h[t-1]", "(a + b) * h[t-1]", "exp(sum(a)) * h[t-1]"):
        assert len(prepared_shapes(plan_with(weight))) == 1


def test_matrices_are_made_whole() -> None:
    for weight in ("flip(W, axis=1) @ h[t-1]", "eye(H) @ h[t-1]", "outer(a, b) @ h[t-1]"):
        plan = plan_with(weight)
        assert prepared_shapes(plan) == [(4, 4)]
        assert products(plan, True) == (1, 0)


def test_one_matrix_of_two() -> None:
    plan = plan_with("(W @ V) @ h[t-1] + (W @ V) @ x[t]")
    assert prepared_shapes(plan) == [(4, 4)]
    assert products(plan, True) == (1, 0)
    assert products(plan, False) == (1, 0)


def test_only_what_is_read() -> None:
    """All layers where each is read, one where one is."""
    text = """model m{H, L}:
    dim l in 0..L, t in 0..T
    input x[t]: [H]
    param a[l]: [H]
    h[l, t] = tanh(h[l, t-1] * exp(a[l]) + h[l-1, t])
    h[-1, t] = x[t]
    output y[t] = h[L-1, t] * sigmoid(a[1])
"""
    assert sorted(prepared_shapes(plan_of(text, {"H": 4, "L": 3}))) == [(3, 4), (4,)]


def test_a_layer_of_its_own() -> None:
    """What is read in a dim of one point has that dim, or none."""
    text = """model m{H, L}:
    dim l in 0..L, t in 0..T
    input x[t]: [H]
    param a[l]: [H]
    r[l] = sigmoid(a[l])
    h[l, t] =
        tanh(r[l] * h[l, t-1] + x[t])        if l == 0
        tanh(r[l] * h[l, t-1] + h[l-1, t])   otherwise
    output y[t] = h[L-1, t]
"""
    for layers in (1, 2, 3):
        assert prepared_shapes(plan_of(text, {"H": 4, "L": layers}))


def test_variables_of_static_dims() -> None:
    """Zero beyond a side, as everywhere."""
    text = """model m{H, L}:
    dim l in 0..L, t in 0..T
    input x[t]: [H]
    param a[l]: [H]
    s[l] = s[l-1] + a[l] * a[l]
    h[l, t] = tanh(s[l-1] * h[l, t-1] + h[l-1, t])
    h[-1, t] = x[t]
    output y[t] = h[L-1, t]
"""
    plan = plan_of(text, {"H": 4, "L": 3})
    assert len(prepared_shapes(plan)) == 1
    assert plan.preparation is not None


def test_nothing_to_prepare() -> None:
    for weight in ("W @ h[t-1] + b", "W[0..H] @ h[t-1]", "h[t-1] * 2"):
        assert plan_with(weight).preparation is None


def test_what_depends_on_extents_stays() -> None:
    assert plan_with("(a * T) * h[t-1]").preparation is None
    assert plan_with("exp(a * t) * h[t-1]").preparation is None


def test_what_would_take_too_much_memory_stays() -> None:
    """a[i] + b[j] of all pairs of points; but their exponentials are prepared."""
    text = """model m{N}:
    dim i in 0..N, j in 0..N, t in 0..T
    input x[t]: real
    param a[i], b[i]: real
    s[i, j] = exp(a[i]) * exp(b[j])
    h[t] = h[t-1] + x[t] * max(i, j: s[i, j] * x[t])
    output y[t] = h[t]
"""
    assert prepared_shapes(plan_of(text, {"N": 64})) == [(64, 64)]
    assert prepared_shapes(plan_of(text, {"N": 2048})) == [(2048,), (2048,)]


def test_an_output_belongs_to_the_call() -> None:
    text = """model m{H}:
    dim t in 0..T
    input x[t]: [H]
    param a: [H]
    s = exp(a)
    output y[t] = s * x[t]
    output z = s
"""
    plan = plan_of(text, {"H": 4})
    assert [output.name for output in plan.outputs] == ["y", "z"]
    assert prepared_shapes(plan) == [(4,)]
