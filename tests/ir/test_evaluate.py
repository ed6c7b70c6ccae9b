"""Every operation against its definition, written out element by element."""

from __future__ import annotations

import cmath
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnc.ir.evaluate import EVALUATORS, EvaluationError, Site, evaluate
from rnnc.ir.graph import Op
from rnnc.ir.ops import OPS, infer, op
from rnnc.ir.pointwise import POINTWISE, Array, Real, pointwise
from rnnc.ir.poly import Poly
from rnnc.ir.types import DType, TensorType
from tests.tolerance import assert_close

INTERPRETED = {"input", "param", "merge"}


def test_every_operation_has_a_meaning() -> None:
    assert set(EVALUATORS) | INTERPRETED == set(OPS)
    assert {name for name, row in OPS.items() if row.pointwise} == {
        *POINTWISE,
        "constant",
        "index",
        "merge",
    }


# ---- pointwise --------------------------------------------------------------------------------

SCALARS: dict[str, Callable[..., complex]] = {
    "exp": math.exp,
    "log": lambda x: math.log(x) if x > 0 else -math.inf if x == 0 else math.nan,
    "sqrt": lambda x: math.sqrt(x) if x >= 0 else math.nan,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "softplus": lambda x: math.log1p(math.exp(x)),
    "neg": lambda x: -x,
    "relu": lambda x: x if x > 0 else 0,
    "abs": abs,
    "floor": math.floor,
    "conj": lambda x: x,
    "re": lambda x: x,
    "im": lambda x: 0,
    "stop_gradient": lambda x: x,
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "min": min,
    "max": max,
    "floordiv": lambda x, y: x // y,
    "mod": lambda x, y: x % y,
    "div": lambda x, y: x / y,
    "logaddexp": lambda x, y: math.log(math.exp(x) + math.exp(y)),
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: x != y,
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
    "straight_through": lambda x, y: x,
}


@pytest.mark.parametrize("real", [np.float64, np.float32])
@pytest.mark.parametrize("kind", ["real", "int"])
@pytest.mark.parametrize("name", sorted(SCALARS))
def test_numbers(name: str, kind: DType, real: Real) -> None:
    rows: dict[DType, Array] = {
        "real": np.asarray([-2.5, -1.0, 0.0, 0.5, 1.0, 3.25], real),
        "int": np.asarray([-3, -1, 0, 1, 2, 7]),
    }
    values = rows[kind]
    arity = OPS[name].arity
    assert arity is not None
    picked = [c for c in itertools.product(values.tolist(), repeat=arity) if _is_defined(name, c)]
    columns = [np.asarray(column, values.dtype) for column in zip(*picked, strict=True)]
    found = pointwise(op(name), columns, real)
    expected = [SCALARS[name](*entry) for entry in picked]
    assert found.dtype == np.result_type(found.dtype) and found.dtype in (
        np.dtype(np.bool_),
        np.dtype(np.int64),
        np.dtype(real),
    )
    assert_close(found, np.asarray(expected), real)


def _is_defined(name: str, entry: tuple[float, ...]) -> bool:
    return not (name in ("div", "floordiv", "mod") and entry[1] == 0)


def test_integer_powers_are_integers() -> None:
    base, exponent = np.meshgrid(np.arange(-3, 4), np.arange(-3, 5))
    found = pointwise(op("pow"), [base, exponent])
    assert found.dtype == np.int64
    for x, n, value in zip(base.flat, exponent.flat, found.flat, strict=True):
        if n >= 0:
            assert value == int(x) ** int(n)
        elif x != 0:
            assert value == int(1 / int(x) ** -int(n))


def test_real_and_complex_powers() -> None:
    values = np.asarray([0.25, 1.5, 2.0])
    assert_close(pointwise(op("pow"), [values, np.asarray(-2)]), values**-2, np.float64)
    z = np.asarray([1 + 2j, -0.5j])
    assert_close(pointwise(op("pow"), [z, np.asarray(2)]), z * z, complex)


def test_logic() -> None:
    left, right = np.asarray([False, False, True, True]), np.asarray([False, True, False, True])
    assert pointwise(op("and"), [left, right]).tolist() == [False, False, False, True]
    assert pointwise(op("or"), [left, right]).tolist() == [False, True, True, True]
    assert pointwise(op("not"), [left]).tolist() == [True, True, False, False]
    chosen = pointwise(op("select"), [left, np.asarray(1), np.asarray([0.5, 1.5, 2.5, 3.5])])
    assert chosen.tolist() == [0.5, 1.5, 1.0, 1.0]


def test_complex_numbers() -> None:
    z = np.asarray([0.5 + 1.5j, -1 - 0.25j])
    for name in ("exp", "sin", "cos", "tanh", "sqrt", "log"):
        expected = [getattr(cmath, name)(value) for value in z]
        assert_close(pointwise(op(name), [z]), expected, complex)
    sigmoid = [1 / (1 + cmath.exp(-value)) for value in z]
    assert_close(pointwise(op("sigmoid"), [z]), sigmoid, complex)
    assert pointwise(op("abs"), [z]).tolist() == [abs(value) for value in z]
    assert pointwise(op("conj"), [z]).tolist() == [value.conjugate() for value in z]
    assert pointwise(op("re"), [z]).tolist() == [0.5, -1]
    assert pointwise(op("im"), [z]).tolist() == [1.5, -0.25]
    infinite = pointwise(op("complex"), [np.asarray(np.inf), np.asarray(2)])
    assert infinite == complex(np.inf, 2)
    assert (
        pointwise(op("complex"), [np.asarray(1), np.asarray(2)], np.float32).dtype == np.complex64
    )


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("bool", [True, False]), ("int", [2, 0]), ("real", [2.75, 0.0]), ("complex", [2.75, 0j])],
)
def test_casts(dtype: DType, expected: list[complex]) -> None:
    found = pointwise(op("cast", dtype=dtype), [np.asarray([2.75, 0.0])])
    assert found.tolist() == expected


def test_tails_keep_their_accuracy() -> None:
    x = np.asarray([-700.0, -40.0, 40.0, 700.0])
    assert_close(pointwise(op("sigmoid"), [x])[:2], np.exp(x[:2]), np.float64)
    assert pointwise(op("sigmoid"), [x])[0] > 0
    assert pointwise(op("softplus"), [x])[:2].tolist() == [math.exp(-700), math.exp(-40)]


@pytest.mark.filterwarnings("error")
def test_nan_and_infinity_pass_silently() -> None:
    odd = np.asarray([np.nan, np.inf, -np.inf, 0.0])
    for name, row in OPS.items():
        if name in POINTWISE and row.arity == 1 and not row.attributes:
            pointwise(op(name), [odd])
    assert np.isnan(pointwise(op("relu"), [odd])[0])
    assert np.isnan(pointwise(op("max"), [odd, np.zeros(4)])[0])
    assert np.isnan(pointwise(op("div"), [np.asarray(0.0), np.asarray(0)]))


# ---- with a batch -----------------------------------------------------------------------------


def run(
    operation: Op, *operands: NDArray[np.generic], type: TensorType | None = None, **values: int
) -> NDArray[np.generic]:
    """The op on arrays with a batch axis."""
    dtypes: dict[str, DType] = {"b": "bool", "i": "int", "f": "real", "c": "complex"}
    types = [
        TensorType(dtypes[x.dtype.kind], tuple(Poly.of(size) for size in x.shape[1:]))
        for x in operands
    ]
    return evaluate(operation, operands, Site(type or infer(operation, types), values, np.float64))


RANDOM = np.random.default_rng(5)


@pytest.mark.parametrize("shapes", [((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((3,), (3,))])
@pytest.mark.parametrize("batches", [(1, 1), (1, 4), (4, 1), (4, 4)])
def test_matmul(shapes: tuple[tuple[int, ...], ...], batches: tuple[int, int]) -> None:
    left = RANDOM.normal(size=(batches[0], *shapes[0]))
    right = RANDOM.normal(size=(batches[1], *shapes[1]))
    found = run(op("matmul"), left, right)
    for row in range(max(batches)):
        expected = left[row % batches[0]] @ right[row % batches[1]]
        assert_close(found[row], expected, np.float64)


def test_short_shapes_are_suffixes_and_never_batches() -> None:
    wide, narrow = RANDOM.normal(size=(3, 2, 3)), RANDOM.normal(size=(3, 3))
    found = run(op("add"), wide, narrow)
    for row, i, j in itertools.product(range(3), range(2), range(3)):
        assert found[row, i, j] == wide[row, i, j] + narrow[row, j]
    scalar = RANDOM.normal(size=3)
    assert run(op("mul"), wide, scalar).tolist() == (wide * scalar[:, None, None]).tolist()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", ["sum", "prod", "max", "min", "argmax"])
def test_reductions_of_an_axis(kind: str, axis: int) -> None:
    value = RANDOM.normal(size=(2, 3, 4))
    found = run(op("reduce_axis", kind=kind, axis=axis), value)
    functions: dict[str, Callable[[list[float]], float]] = {
        "sum": sum,
        "prod": math.prod,
        "max": max,
        "min": min,
        "argmax": lambda entries: entries.index(max(entries)),
    }
    for row, place in itertools.product(range(2), range((4, 3)[axis])):
        entries = value[row, :, place] if axis == 0 else value[row, place]
        assert found[row, place] == pytest.approx(functions[kind](entries.tolist()))


def test_reductions_of_bools() -> None:
    value = np.asarray([[[True, False], [False, False]]])
    assert run(op("reduce_axis", kind="any", axis=1), value).tolist() == [[True, False]]
    assert run(op("reduce_axis", kind="all", axis=0), value).tolist() == [[False, False]]
    assert run(op("reduce_axis", kind="sum", axis=0), value).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("kind", "nothing"),
    [("sum", 0), ("prod", 1), ("max", -math.inf), ("min", math.inf), ("argmax", 0)],
)
def test_nothing_to_reduce_gives_the_neutral_element(kind: str, nothing: float) -> None:
    operation = op("reduce", kind=kind)
    type = infer(operation, [TensorType("real", (Poly.of(2),))])
    assert run(operation, type=type).tolist() == [[nothing, nothing]]


def test_reductions_over_points() -> None:
    values = [RANDOM.normal(size=(batch, 2)) for batch in (1, 3, 1)]
    points = [{"s": 4}, {"s": 5}, {"s": 7}]
    for kind in ("sum", "max", "argmax"):
        operation = op("reduce", kind=kind)
        type = infer(operation, [TensorType("real", (Poly.of(2),))])
        found = evaluate(operation, values, Site(type, {}, np.float64, points))
        for row, element in itertools.product(range(3), range(2)):
            entries = [float(value[row % len(value), element]) for value in values]
            best = points[entries.index(max(entries))]["s"]
            expected = {"sum": sum(entries), "max": max(entries), "argmax": best}[kind]
            assert found[row, element] == pytest.approx(expected)


def test_rearrangements() -> None:
    value = RANDOM.normal(size=(2, 3, 4))
    other = RANDOM.normal(size=(1, 3, 2))
    both = run(op("concat", axis=1), value, other)
    assert both.shape == (2, 3, 6)
    assert both[1, 2].tolist() == [*value[1, 2], *other[0, 2]]
    stacked = run(op("stack"), value, RANDOM.normal(size=(1, 3, 4)))
    assert stacked[:, 0].tolist() == value.tolist()
    assert run(op("flip", axis=0), value)[1].tolist() == value[1, ::-1].tolist()
    assert run(op("reshape", shape=(Poly.of(12),)), value)[0].tolist() == [*value[0].flat]
    cut = op("slice", axis=1, start=Poly.of("k"), stop=Poly.of("k") + 2)
    type = TensorType("real", (Poly.of(3), Poly.of(2)))
    assert run(cut, value, type=type, k=1)[1].tolist() == value[1, :, 1:3].tolist()
    assert run(op("pick", axis=0, at=Poly.of("k")), value, k=2).tolist() == value[:, 2].tolist()
    wide = run(op("broadcast", shape=(Poly.of(4), Poly.of(5), Poly.of(3)), axes=(2, 0)), value)
    for i, j, k in itertools.product(range(4), range(5), range(3)):
        assert wide[1, i, j, k] == value[1, k, i]
    sums = run(op("cumsum", axis=1), value)
    assert_close(sums[0, 1, 2], sum(value[0, 1, :3]), np.float64)


def test_stacks_and_concatenations_of_points() -> None:
    values = [RANDOM.normal(size=(batch, 2)) for batch in (1, 3, 1, 3)]
    grid = TensorType("real", (Poly.of(2), Poly.of(2), Poly.of(2)))
    stacked = run(op("stack_points"), *values, type=grid)
    assert stacked[2, 1, 0].tolist() == values[2][0].tolist()
    flat = run(op("concat_points"), *values, type=TensorType("real", (Poly.of(8),)))
    assert flat.tolist() == stacked.reshape(3, 8).tolist()


@pytest.mark.parametrize("axis", [0, 1])
def test_gather(axis: int) -> None:
    table = RANDOM.normal(size=(1, 3, 4))
    single = run(op("gather", axis=axis), table, np.asarray([2, 0]))
    several = run(op("gather", axis=axis), table, np.asarray([[2, 0, 1], [1, 1, 0]]))
    for row, index in enumerate((2, 0)):
        assert single[row].tolist() == np.take(table[0], index, axis).tolist()
    assert several[1].tolist() == np.take(table[0], [1, 1, 0], axis).tolist()


@pytest.mark.parametrize("index", [-1, 3])
def test_indices_are_checked(index: int) -> None:
    table = np.zeros((1, 3))
    with pytest.raises(EvaluationError, match=rf"{index} is outside 0\.\.3"):
        run(op("gather", axis=0), table, np.asarray([1, index]))
    with pytest.raises(EvaluationError):
        run(op("pick", axis=0, at=Poly.of("k")), table, k=index)


def test_fourier_transforms_are_unitary() -> None:
    z = RANDOM.normal(size=(1, 5)) + 1j * RANDOM.normal(size=(1, 5))
    found = run(op("fft"), z)
    for k in range(5):
        terms = [z[0, n] * cmath.exp(-2j * math.pi * k * n / 5) for n in range(5)]
        assert_close(found[0, k], sum(terms) / math.sqrt(5), complex)
    assert_close(run(op("ifft"), found), z, complex)


def test_leaves() -> None:
    assert run(op("constant", value=2.5)).tolist() == [2.5]
    assert run(op("constant", value=True)).dtype == np.bool_
    assert run(op("index", value=Poly.of("t") * 2 - "T"), t=3, T=5).tolist() == [1]
    assert run(op("eye", size=Poly.of("H")), H=2).tolist() == [[[1, 0], [0, 1]]]
