"""First values of parameters: what an initializer's text means.

The text is that of the source: a number, or a call such as `normal(0.01)`, `eye(H)`. A parameter
without one gets values that keep activations in range, or any bool, or any int of its range.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np

from rnnc.ir.evaluate import EvaluationError
from rnnc.ir.graph import Graph
from rnnc.ir.pointwise import Array, convert
from rnnc.ir.signature import int_range, param_points, shape_of
from rnnc.ir.types import DType

Scalar = int | float | complex
Shape = tuple[int, ...]
Generator = np.random.Generator


def random_params(graph: Graph, sizes: Mapping[str, int], generator: Generator) -> dict[str, Array]:
    """A value for every parameter by concrete path, drawn as its initializer says; float64."""
    sizes = {**graph.values, **sizes}
    found: dict[str, Array] = {}
    for path, (node, point) in param_points(graph, sizes).items():
        values = {**sizes, **point}
        shape, dtype = shape_of(node.type, values), node.type.dtype
        text = cast(str, node.op["initial"])
        if text:
            found[path] = initial_array(text, dtype, shape, values, generator)
        else:
            found[path] = unspecified(dtype, shape, int_range(node.type, values), generator)
    return found


def initial_array(
    text: str, dtype: DType, shape: Shape, values: Mapping[str, int], generator: Generator
) -> Array:
    """The array that an initializer means; names in it are sizes, grid indices, `pi`, `inf`.

    `parts(...)` holds the initializer of a complex parameter, which is stored by its parts along
    the first axis. Raises EvaluationError for a text that is no initializer.
    """
    if text.startswith("parts("):
        inner = text.removeprefix("parts(").removesuffix(")")
        whole = (
            initial_array(inner, "complex", shape[1:], values, generator)
            if inner
            else unspecified("complex", shape[1:], None, generator)
        )
        return np.stack([whole.real, whole.imag])
    if 0 in shape:  # widths may be one over such a size
        return convert(np.zeros(shape), dtype)
    try:
        tree = ast.parse(text.replace("^", "**").strip(), mode="eval").body
        if isinstance(tree, ast.Name) and tree.id in _DRAWS:
            tree = ast.Call(tree, [], [])
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
            name = tree.func.id
            if name in _DRAWS:
                given = [] if name in _SHAPED else tree.args
                arguments = [_scalar(argument, values) for argument in given]
                return convert(_DRAWS[name](shape, dtype, arguments, generator), dtype)
        if isinstance(tree, ast.List):
            items = np.asarray([_scalar(item, values) for item in tree.elts])
            return convert(np.broadcast_to(items, shape), dtype)
        return convert(np.full(shape, _scalar(tree, values)), dtype)
    except (SyntaxError, KeyError, ValueError, IndexError, TypeError) as error:
        raise EvaluationError(f"cannot evaluate the initializer '{text}': {error}") from error


def unspecified(
    dtype: DType, shape: Shape, limits: tuple[int, int] | None, generator: Generator
) -> Array:
    if dtype == "bool":
        return generator.random(shape) < 0.5
    if dtype == "int":
        return generator.integers(*(limits or (0, 2)), shape)
    # So wide that a product with a vector of numbers of size one is again of size one.
    width = 1 / math.sqrt(max(shape[-1], 1)) if len(shape) > 1 else 0.5
    return _uniform(shape, dtype, [-width, width], generator)


# ---- distributions ----------------------------------------------------------------------------


def _uniform(shape: Shape, dtype: DType, arguments: Sequence[Scalar], draw: Generator) -> Array:
    low, high = (float(cast(float, argument)) for argument in arguments)
    if dtype == "complex":
        return np.asarray(draw.uniform(low, high, shape) + 1j * draw.uniform(low, high, shape))
    return np.asarray(draw.uniform(low, high, shape))


def _normal(shape: Shape, dtype: DType, arguments: Sequence[Scalar], draw: Generator) -> Array:
    """`normal()`, `normal(deviation)` or `normal(mean, deviation)`."""
    deviation = arguments[-1] if arguments else 1.0
    mean = arguments[0] if len(arguments) == 2 else 0.0
    noise = draw.standard_normal(shape)
    if dtype == "complex":
        return np.asarray(mean + deviation * (noise + 1j * draw.standard_normal(shape)))
    return np.asarray(mean + deviation * noise)


def _orthogonal(shape: Shape, _: DType, arguments: Sequence[Scalar], draw: Generator) -> Array:
    """Orthonormal rows or columns, whichever are fewer, over the last two axes."""
    *outer, rows, columns = shape
    long, short = max(rows, columns), min(rows, columns)
    basis, triangle = np.linalg.qr(draw.standard_normal((*outer, long, short)))
    # The signs make the distribution uniform (Mezzadri 2007, section 5).
    basis = basis * np.sign(np.diagonal(triangle, axis1=-2, axis2=-1))[..., None, :]
    scale = arguments[0] if arguments else 1.0
    return np.asarray(scale * (basis if rows >= columns else np.swapaxes(basis, -1, -2)))


def _eye(shape: Shape, _: DType, __: Sequence[Scalar], ___: Generator) -> Array:
    return np.asarray(np.broadcast_to(np.eye(shape[-2], shape[-1]), shape))


def _permutation(shape: Shape, _: DType, __: Sequence[Scalar], draw: Generator) -> Array:
    return draw.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)


def _zeros(shape: Shape, _: DType, __: Sequence[Scalar], ___: Generator) -> Array:
    return np.zeros(shape)


def _ones(shape: Shape, _: DType, __: Sequence[Scalar], ___: Generator) -> Array:
    return np.ones(shape)


_DRAWS: dict[str, Callable[[Shape, DType, Sequence[Scalar], Generator], Array]] = {
    "uniform": _uniform,
    "normal": _normal,
    "orthogonal": _orthogonal,
    "eye": _eye,
    "permutation": _permutation,
    "zeros": _zeros,
    "ones": _ones,
}

_SHAPED = frozenset(("eye", "permutation", "zeros", "ones"))  # arguments say the shape once more


# ---- scalars ----------------------------------------------------------------------------------

_NAMES: dict[str, Scalar] = {"true": True, "false": False, "pi": math.pi, "inf": math.inf}
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "abs": abs,
    "sin": math.sin,
    "cos": math.cos,
}
_BINARY: dict[type[ast.operator], Callable[..., Scalar]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


def _scalar(tree: ast.expr, values: Mapping[str, int]) -> Scalar:
    match tree:
        case ast.Constant(value=int() | float() | complex() as number):
            return number
        case ast.Name(id=name):
            return values[name] if name in values else _NAMES[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_scalar(operand, values)
        case ast.BinOp(left=left, op=operation, right=right):
            return _BINARY[type(operation)](_scalar(left, values), _scalar(right, values))
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            return _FUNCTIONS[name](cast(float, _scalar(argument, values)))
    raise ValueError(f"'{ast.unparse(tree)}' is no number")
