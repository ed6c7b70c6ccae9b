"""What specs mean, by running their recurrence IR: each construct against plain NumPy."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnc import driver
from rnnc.diagnostics import DiagnosticError, DiagnosticSink, Source
from rnnc.frontend import ast
from rnnc.frontend.cell_graph import elaborate_cell
from rnnc.frontend.check import check, check_module
from rnnc.frontend.elaborate import elaborate
from rnnc.frontend.modules import Library
from rnnc.frontend.statics import StaticValue
from rnnc.ir.graph import Graph
from rnnc.ir.interpreter import interpret
from rnnc.ir.verifier import verify
from tests.tolerance import tolerance

Array = NDArray[Any]
RNG = np.random.default_rng(0)
STEPS = 5


def graph(text: str, **given: StaticValue) -> Graph:
    """The graph of the last model of a text, which has no mistakes."""
    source = Source("<test>", text)
    assert [d.message for d in check(source) if d.severity == "error"] == []
    names = [line.split()[1].partition("{")[0] for line in text.splitlines() if line[:5] == "model"]
    found = elaborate(source, names[-1].rstrip(":"), given)
    verify(found)
    return found


def run(
    text: str,
    inputs: dict[str, Array],
    params: dict[str, Array] | None = None,
    extents: dict[str, int] | None = None,
    **given: StaticValue,
) -> dict[str, Array]:
    """The outputs for one batch row; inputs without static dims, their first axis is time."""
    found = graph(text, **given)
    ranks = {node.op["name"]: len(node.domain.dims) for node in found.inputs()}
    batch = {name: np.expand_dims(array, ranks[name]) for name, array in inputs.items()}
    outputs = interpret(found, extents or {"T": STEPS}, batch, params or {})
    return {
        output.name: outputs[output.name].squeeze(len(output.domain.dims))
        for output in found.outputs
    }


def close(actual: Array, expected: Array) -> None:
    np.testing.assert_allclose(actual, expected, **tolerance("float64", STEPS))


# ---- the standard library ---------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(driver.standard_library()))
def test_every_definition_of_the_library_elaborates_without_sizes(name: str) -> None:
    sink = DiagnosticSink()
    library = Library(sink)
    module = library.load(driver.standard_source(name))
    graphs = check_module(module, library, sink)
    assert sink.found == []
    assert list(graphs) == [definition.name for definition in module.tree.definitions]
    for found in graphs.values():
        verify(found)


SIZES = {"C": 2, "X": 4, "H": 4, "Y": 2, "A": 5, "V": 6, "D": 3, "I": 5, "F": 3, "B": 3, "P": 2}
SIZES |= {"R": 3, "K": 2, "N": 5, "L": 3, "G": 4, "Q": 3, "J": 2, "M": 2}
SIZES |= {"start": 1, "ramp": 3, "end": 6, "every": 2}


@pytest.mark.parametrize("name", sorted(driver.standard_library()))
def test_every_definition_of_the_library_elaborates_with_sizes(name: str) -> None:
    sink = DiagnosticSink()
    library = Library(sink)
    module = library.load(driver.standard_source(name))
    for definition in module.tree.definitions:
        given = {s.name: SIZES[s.name] for s in definition.statics if s.default is None}
        if isinstance(definition, ast.Cell):
            found = elaborate_cell(definition, module, library, given, sink)
        else:
            found = elaborate(driver.standard_source(name), definition.name, given)
        assert sink.found == []
        assert found is not None
        verify(found)
        assert {size.name for size in found.sizes if size.kind == "static"} >= set(given)
        assert all(size.value is not None for size in found.sizes if size.kind == "static")


def test_a_graph_does_not_depend_on_the_run() -> None:
    text = driver.standard_source("seq2seq")
    assert elaborate(text, "seq2seq") == elaborate(text, "seq2seq")


# ---- boundaries -------------------------------------------------------------------------------


def test_a_side_without_equation_reads_zero() -> None:
    text = """
model m{X}:
    dim t in 0..T
    input x[t]: [X]
    output y[t] = x[t-1] + 2 * x[t+1]
"""
    x = RNG.normal(size=(STEPS, 3))
    padded = np.pad(x, ((1, 1), (0, 0)))
    close(run(text, {"x": x}, X=3)["y"], padded[:-2] + 2 * padded[2:])


def test_inputs_have_boundaries_like_any_variable() -> None:
    text = """
model m{X}:
    dim t in 0..T
    input x[t]: [X], x0: [X]
    x[-1] = x0
    output y[t] = x[t-1]
"""
    x, x0 = RNG.normal(size=(STEPS, 3)), RNG.normal(size=3)
    close(run(text, {"x": x, "x0": x0}, X=3)["y"], np.vstack([x0, x[:-1]]))


def test_a_scalar_equation_fills_records_and_shapes() -> None:
    text = """
cell c{H}(h, g: [H]) -> (h', g'):
    h' = h + g
    g' = 2 * g
model m{H}:
    dim t in 0..T
    s[t] = c{H}(*s[t-1])
    s[-1] = 1
    output y[t] = s[t].h
    output last = s[T-1]
"""
    found = run(text, {}, H=2)
    expected = np.cumsum([1.0, *2.0 ** np.arange(STEPS)])[1:]
    close(found["y"], np.repeat(expected[:, None], 2, axis=1))
    assert set(found) == {"y", "last.h", "last.g"}


def test_static_dims_are_cut_where_shapes_differ() -> None:
    text = """
model m{X, H}:
    dim l in 0..3, t in 0..T
    input x[t]: [X]
    param W[0]: [H, X], W[l > 0]: [H, H]
    h[l, t] = W[l] @ h[l-1, t]
    h[-1, t] = x[t]
    output y[t] = h[2, t]
"""
    x = RNG.normal(size=(STEPS, 3))
    weights = [RNG.normal(size=shape) for shape in ((2, 3), (2, 2), (2, 2))]
    params = {f"W[{layer}]": weight for layer, weight in enumerate(weights)}
    expected = x @ (weights[2] @ weights[1] @ weights[0]).T
    close(run(text, {"x": x}, params, X=3, H=2)["y"], expected)


# ---- conditions -------------------------------------------------------------------------------


def test_an_if_on_the_grid_cuts_and_is_required_only_where_taken() -> None:
    text = """
model m{X}:
    dim t in 0..T
    input x[t]: [X]
    x[-1] = 7
    output y[t] = x[t] if t == 0 or t == T - 1 else x[t-1] * t
    output z[t] = 1 + (2 if t < 2 else x[t][0])
"""
    x = RNG.normal(size=(STEPS, 3))
    steps = np.arange(STEPS)
    expected = np.vstack([x[:1], (x[:-2].T * steps[1:-1]).T, x[-1:]])
    found = run(text, {"x": x}, X=3)
    close(found["y"], expected)
    close(found["z"], 1 + np.where(steps < 2, 2, x[:, 0]))


def test_an_if_on_values_selects_element_by_element() -> None:
    text = """
model m{X}:
    dim t in 0..T
    input x[t]: [X]
    output y[t] =
        x[t]     if x[t] > 0.5
        -1       if x[t] < -0.5 and t > 0
        0        otherwise
"""
    x = RNG.normal(size=(STEPS, 4))
    later = np.arange(STEPS)[:, None] > 0
    expected = np.where(x > 0.5, x, np.where((x < -0.5) & later, -1, 0))
    close(run(text, {"x": x}, X=4)["y"], expected)


def test_a_branch_that_statics_rule_out_has_no_weights() -> None:
    text = """
cell c{X, H, deep = false}(x: [X]) -> (y: [H]):
    param W: [H, X], V: [H, H]
    y = V @ (W @ x) if deep else W @ x
model m{X, H, deep = false, L = 1}:
    dim t in 0..T
    input x[t]: [X]
    param U: [X, X]
    output y[t] = c{H, deep}(U @ x[t] if L > 1 else x[t])
"""
    assert [node.op["path"] for node in graph(text).params()] == ["c.W"]
    deep = graph(text, deep=True, L=2).params()
    assert sorted(str(node.op["path"]) for node in deep) == ["U", "c.V", "c.W"]


def test_conditions_pass_into_cells_and_still_cut() -> None:
    text = """
cell c{X}(x: [X], first: bool, n: int) -> (y: [X]):
    y =
        x        if first
        n * x    otherwise
model m{X}:
    dim t in 0..T
    input x[t]: [X]
    output y[t] = c(x[t], t == 0, t)
"""
    found = graph(text, X=2)
    assert not any(node.op.name == "select" for node in found.nodes)
    x = RNG.normal(size=(STEPS, 2))
    factors = np.array([1, 1, 2, 3, 4])[:, None]
    close(run(text, {"x": x}, X=2)["y"], x * factors)


# ---- indices ----------------------------------------------------------------------------------


def test_static_expressions_that_are_not_affine_are_taken_point_by_point() -> None:
    text = """
model m{X, L, step = [1, 3, 2]}:
    dim l in 0..L, t in 0..T
    input x[t]: [X]
    h[l, t] = x[t - 2^l] + x[t - step[l]] * l
    output y[t] = stack(l: h[l, t])
"""
    x = RNG.normal(size=(STEPS, 2))

    def back(steps: int) -> Array:
        return np.vstack([np.zeros((steps, 2)), x])[:STEPS]

    expected = np.stack([back(2**n) + back([1, 3, 2][n]) * n for n in range(3)], axis=1)
    close(run(text, {"x": x}, X=2, L=3)["y"], expected)


def test_floor_and_rest_by_a_static() -> None:
    text = """
model m{K = 3}:
    dim t in 0..T
    input x[t]: real
    h[t] = x[t] + h[K * (t // K) - 1] if t % K == 0 else h[t-1]
    output y[t] = h[t]
"""
    x = RNG.normal(size=STEPS)
    close(run(text, {"x": x})["y"], np.array([x[0]] * 3 + [x[0] + x[3]] * 2))


def test_data_dependent_indices_of_points_and_axes() -> None:
    text = """
model m{X}:
    dim t in 0..T
    input x[t]: [X], back[t]: int in -1..t, place[t]: int in 0..X
    h[t] = x[t] + h[back[t]]
    output y[t] = h[t]
    output z[t] = h[back[t]][place[t]]
"""
    x = RNG.normal(size=(STEPS, 3))
    back, place = np.array([-1, 0, -1, 1, 0]), np.array([0, 2, 1, 1, 2])
    h = np.zeros((STEPS + 1, 3))
    for step in range(STEPS):
        h[step] = x[step] + h[back[step]]  # the last row, number -1, stays zero
    found = run(text, {"x": x, "back": back, "place": place}, X=3)
    close(found["y"], h[:-1])
    close(found["z"], h[back, place])


def test_the_best_point_is_an_index() -> None:
    text = """
model m{X}:
    dim t in 0..T, s in 0..T
    input x[t]: [X]
    best[t] = argmax(s: x[t] @ x[s])
    output y[t] = x[best[t]]
"""
    x = RNG.normal(size=(STEPS, 3))
    close(run(text, {"x": x}, X=3)["y"], x[np.argmax(x @ x.T, axis=1)])


# ---- reductions -------------------------------------------------------------------------------


def test_reductions_over_the_grid() -> None:
    text = """
model m{X}:
    dim t in 0..T, s in 0..T
    input x[t]: [X]
    output total[t] = sum(s <= t: x[s])
    output product = prod(t: x[t])
    output average[t] = mean(s > t: x[s]) if t < T - 1 else 0
    output soft = logsumexp(t: x[t])
    output weights[t, s] = softmax(s: x[t] @ x[s])
    output causal[t, s <= t] = softmax(s <= t: x[t] @ x[s])
    causal[t, s > t] = 0
    output running[t] = cumsum(t: x[t] + 1)
    output some = any(t: x[t] > 1)
    output every = all(t: x[t] > -9)
"""
    x = RNG.normal(size=(STEPS, 3))
    found = run(text, {"x": x}, X=3)
    close(found["total"], np.cumsum(x, axis=0))
    close(found["product"], np.prod(x, axis=0))
    later = [x[step + 1 :].mean(axis=0) for step in range(STEPS - 1)]
    close(found["average"], np.vstack([*later, np.zeros(3)]))
    close(found["soft"], np.log(np.exp(x).sum(axis=0)))
    powers = np.exp(x @ x.T)
    close(found["weights"], powers / powers.sum(axis=1, keepdims=True))
    below = np.tril(powers)
    close(found["causal"], below / below.sum(axis=1, keepdims=True))
    close(found["running"], np.cumsum(x + 1, axis=0))
    assert (found["some"] == (x > 1).any(axis=0)).all()
    assert found["every"].all()


def test_points_become_axes_and_axes_points() -> None:
    text = """
model m{X}:
    dim t in 0..T, l in 0..3
    input x[t]: [X]
    a[l, t] = cumsum(l: x[t] * l)
    output b[t] = stack(l: a[l, t])
    output c[t] = concat(l > 0: a[l, t])
    output d[t] = stack(i in 0..X: sum(j in 0..X: x[t][(i - j) % X] * j))
"""
    x = RNG.normal(size=(STEPS, 3))
    found = run(text, {"x": x}, X=3)
    close(found["b"], np.stack([0 * x, x, 3 * x], axis=1))
    close(found["c"], np.concatenate([x, 3 * x], axis=1))
    circle = np.array([[(i - j) % 3 for j in range(3)] for i in range(3)])
    close(found["d"], (x[:, circle] * np.arange(3)).sum(axis=2))


def test_functions_along_axes() -> None:
    text = """
model m{N, D}:
    input M: [N, D], w: [N]
    output a = softmax(M)
    output b = softmax(M, axis=0)
    output c = norm(M, axis=0)
    output d = mean(M, axis=1)
    output e = logsumexp(M)
    output f = outer(w, w)
    output g = repeat(w, 2)
    output h = flip(M, axis=0)
    output i = max(M)
    output j = M[1..N, 0]
    output k = re(ifft(fft(w)))
"""
    M, w = RNG.normal(size=(3, 4)), RNG.normal(size=3)
    found = run(text, {"M": M, "w": w}, N=3, D=4)
    close(found["a"], np.exp(M) / np.exp(M).sum(axis=1, keepdims=True))
    close(found["b"], np.exp(M) / np.exp(M).sum(axis=0))
    close(found["c"], np.sqrt((M**2).sum(axis=0)))
    close(found["d"], M.mean(axis=1))
    close(found["e"], np.log(np.exp(M).sum()))
    close(found["f"], np.outer(w, w))
    close(found["g"], np.repeat(w, 2))
    close(found["h"], M[::-1])
    close(found["i"], M.max())
    close(found["j"], M[1:, 0])
    close(found["k"], w)


# ---- calls ------------------------------------------------------------------------------------

MEMORY = """
model memory{D, K = 2}:
    dim k in 0..K, n in 0..N
    input q, x[n]: [D]
    param A: [D, D]
    p[k, n] = softmax(n: u[k-1] @ A @ x[n])
    u[k] = u[k-1] + sum(n: p[k, n] * x[n])
    u[-1] = q
    output answer = u[K-1]
"""


def remember(q: Array, x: Array, A: Array) -> Array:
    for _ in range(2):
        weights = np.exp(x @ (q @ A))
        q = q + weights / weights.sum() @ x
    return q


def test_a_model_with_an_argument_at_a_point_runs_once_per_point() -> None:
    text = f"""{MEMORY}
model m{{D}}:
    dim t in 0..T, n in 0..N
    input q[t], x[n]: [D]
    r[t] = memory(q[t], x)
    output y[t] = r[t].answer + r[t-1].answer
"""
    q, x, A = RNG.normal(size=(STEPS, 3)), RNG.normal(size=(4, 3)), RNG.normal(size=(3, 3))
    found = run(text, {"q": q, "x": x}, {"memory.A": A}, {"T": STEPS, "N": 4}, D=3)
    answers = np.array([remember(row, x, A) for row in q])
    close(found["y"], answers + np.vstack([np.zeros(3), answers[:-1]]))


def test_a_model_with_whole_variables_runs_once() -> None:
    text = f"""{MEMORY}
model m{{D}}:
    dim t in 0..T
    input x[t]: [D]
    found = memory(x[0], x)
    output y[t] = x[t] + found.answer
"""
    x, A = RNG.normal(size=(STEPS, 3)), RNG.normal(size=(3, 3))
    merged = [node for node in graph(text, D=3).nodes if node.id == "found.u"]
    assert [node.domain.names for node in merged] == [("k",)]
    found = run(text, {"x": x}, {"memory.A": A}, D=3)
    close(found["y"], x + remember(x[0], x, A))


def test_what_a_model_gives_is_what_the_next_one_takes() -> None:
    """However many rounds it takes to know its type."""
    text = """
    model grow{X, L}:
        dim l in 0..L, t in 0..T
        input x[t]: [X]
        y[l, t] = 2 * y[l-1, t]
        y[-1, t] = x[t]
        output top[t] = y[L-1, t]

    model twice{X, L = 3}:
        dim t in 0..T
        input x[t]: [X]
        first = grow{X, L}(x)
        between[t] = first.top[t]
        second = grow{X, L}(between)
        output y[t] = second.top[t]
    """
    x = RNG.normal(size=(STEPS, 4))
    close(run(textwrap.dedent(text), {"x": x}, X=4)["y"], 64 * x)


def test_params_can_be_models_and_keep_their_names() -> None:
    text = """
from stacked import stacked_lstm
model m{X, H, L}:
    dim t in 0..T
    input x[t], z[t]: [X]
    param first, second: stacked_lstm{H, L}
    a = first(x)
    b = second(z)
    output y[t] = a.y[t] + b.y[t] + first(z).y[t]
"""
    paths = {str(node.op["path"]).partition(".")[0] for node in graph(text).params()}
    assert paths == {"first", "second"}


def test_a_static_cell_is_given_by_name() -> None:
    source = driver.standard_source("stacked")
    paths = {
        str(node.op["path"]) for node in elaborate(source, "stacked", {"unit": "gru"}).params()
    }
    assert "gru[l].W_r" in paths
    dotted = elaborate(source, "stacked", {"unit": "lstm.peephole_lstm"}).params()
    assert "peephole_lstm[l].p_i" in {str(node.op["path"]) for node in dotted}


def test_weights_of_calls_at_several_points_are_one_parameter_where_they_can() -> None:
    rows = graph(driver.standard_source("stacked").text.partition("\nmodel stacked{")[0]).params()
    domains: dict[str, list[str]] = {}
    for node in rows:
        domains.setdefault(str(node.op["path"]), []).append(str(node.domain))
    assert domains["lstm[l].U_i"] == ["{static l in 0..L}"]
    assert sorted(domains["lstm[l].W_i"]) == [
        "{static l in 0..L : l - 1 >= 0}",
        "{static l in 0..L : l == 0}",
    ]


# ---- sizes ------------------------------------------------------------------------------------


def test_a_size_by_division_is_exact() -> None:
    text = """
model m{H, C, N = H // C}:
    input x: [H], w: [N]
    output y = x * repeat(w, C)
"""
    x, w = RNG.normal(size=6), RNG.normal(size=3)
    close(run(text, {"x": x, "w": w}, H=6, C=2)["y"], x * np.repeat(w, 2))


def test_a_division_with_a_rest_is_an_error() -> None:
    text = "model m{H, C, N = H // C}:\n    input x: [N]\n    output y = x\n"
    with pytest.raises(DiagnosticError) as caught:
        elaborate(Source("a.rnn", text), given={"H": 7, "C": 2})
    [found] = caught.value.diagnostics
    assert found.code == "RNN308"
    assert found.message == "N = H // C is not exact: 7 is no multiple of 2"


def test_a_size_that_must_be_a_number_is_asked_for() -> None:
    with pytest.raises(DiagnosticError) as caught:
        elaborate(driver.standard_source("dilated"), "dilated", given={"X": 3, "H": 4})
    [found] = caught.value.diagnostics
    assert (found.code, found.hints) == ("RNN304", ("give it:  -D L=...",))


def test_the_sizes_of_a_state_are_those_of_its_use() -> None:
    source = driver.standard_source("stacked")
    [h0] = [n for n in elaborate(source, "stacked").inputs() if n.op["name"] == "s0.h"]
    assert str(h0.type) == "real[H]"


def test_run_time_extents_are_values() -> None:
    text = """
model m:
    dim t in 0..T
    input x[t]: real
    output y[t] = x[t] * t / T + 2^t
"""
    x = RNG.normal(size=STEPS)
    steps = np.arange(STEPS)
    close(run(text, {"x": x})["y"], x * steps / STEPS + 2.0**steps)
