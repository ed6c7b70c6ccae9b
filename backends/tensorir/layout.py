"""Where the elements of a plan's buffers stand in memory, and the parameters of its functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tvm import tirx

from rnnc.analysis.wave import Bound, CeilDiv, FloorDiv, Increment, Maximum, Minimum, Polynomial
from rnnc.ir.poly import Floor, Poly
from rnnc.plan.expression import Load, walk
from rnnc.plan.plan import Buffer as PlanBuffer
from rnnc.plan.plan import Plan

from .tir import Buffer, Expr, int64
from .words import Word

MEMORY = {"real": "float32", "int": "int32", "bool": "uint8"}
BYTES = {"real": 4, "int": 4, "bool": 1}
Environment = Mapping[str, Expr]


def padded(size: int, lanes: int) -> int:
    """Elements of an internal row: whole vectors."""
    return -(-size // lanes) * lanes


def inner_shape(buffer: PlanBuffer, lanes: int) -> tuple[int, ...]:
    """The value axes as stored: internal buffers pad the last one to whole vectors."""
    if not buffer.shape or buffer.role in ("input", "output"):
        return buffer.shape
    return (*buffer.shape[:-1], padded(buffer.shape[-1], lanes))


def volume(shape: tuple[int, ...]) -> int:
    result = 1
    for size in shape:
        result *= size
    return result


@dataclass(frozen=True, slots=True)
class Place:
    """A buffer in memory: its pointer and the strides of every axis, in elements."""

    plan: PlanBuffer
    memory: Buffer
    dims: tuple[Expr, ...]
    batch: Expr
    inner: tuple[int, ...]

    @property
    def is_external(self) -> bool:
        """Whether the caller owns the memory: nothing may be touched beyond the last element."""
        return self.plan.role != "state"


def polynomial(poly: Poly, env: Environment) -> Expr:
    """A polynomial as an int64 expression."""
    total: Expr | None = None
    for monomial, coefficient in poly.terms:
        product = int64(coefficient) if coefficient != 1 or not monomial else None
        for atom, power in monomial:
            factor = env[atom] if isinstance(atom, str) else floor(atom, env)
            for _ in range(power):
                product = factor if product is None else product * factor
        assert product is not None
        total = product if total is None else total + product
    return int64(0) if total is None else total


def floor(atom: Floor, env: Environment) -> Expr:
    return tirx.FloorDiv(polynomial(atom.numerator, env), int64(atom.denominator))


def bound(value: Bound, env: Environment) -> Expr:
    """A loop bound as an int64 expression."""
    match value:
        case Polynomial(poly):
            return polynomial(poly, env)
        case FloorDiv(numerator, denominator):
            return tirx.FloorDiv(polynomial(numerator, env), int64(denominator))
        case CeilDiv(numerator, denominator):
            negated = polynomial(-numerator, env)
            return int64(0) - tirx.FloorDiv(negated, int64(denominator))
        case Increment(argument, amount):
            return bound(argument, env) + int64(amount)
        case Minimum(arguments) | Maximum(arguments):
            choose = tirx.Min if isinstance(value, Minimum) else tirx.Max
            result = bound(arguments[0], env)
            for argument in arguments[1:]:
                result = choose(result, bound(argument, env))
            return result


@dataclass(frozen=True, slots=True)
class Layout:
    """All memory of one function, declared as its parameters, and the sizes it was given.

    `buffers` are all of the plan; `places` those whose elements the function reads or writes;
    `packs` hold a `word` in each element. A vector has `lanes` reals.
    """

    buffers: Mapping[str, PlanBuffer]
    places: Mapping[str, Place]
    packs: Mapping[str, Buffer]
    word: Word
    lengths: Mapping[str, Buffer]
    extents: Mapping[str, Expr]
    batch: Expr
    lanes: int = 1


def passed(plan: Plan) -> tuple[PlanBuffer, ...]:
    """The buffers that functions take: all but parameters of which they only read packs."""
    read = {
        found.buffer
        for kernel in plan.kernels
        for expression in kernel.expressions
        for found in walk(expression)
        if isinstance(found, Load)
    }
    return tuple(b for b in plan.buffers if b.role != "param" or b.name in read)
