"""Vectors as sums of products, in a form that is the same however the equation was written.

    (1 - z) * n + z * h,   n + z * (h - n)      are both      n - z*n + z*h

A term is a weight times factors. Factors multiply element by element; the weight is a number, a
vector or a matrix that multiplies all of that, and is known: an array. So `U @ (r * h) + b` is
`U (r h) + b`, and a block of a stacked product is the product with a block of the matrix.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Named:
    """A value that is not looked into: a state (`h`), one of this step (`h'`), one from outside."""

    name: str

    @property
    def key(self) -> str:
        return self.name


@dataclass(frozen=True)
class Applied:
    """A function of forms."""

    function: str
    arguments: tuple[Form, ...]
    settings: tuple[float, ...] = ()

    @cached_property
    def key(self) -> str:
        given = ", ".join(argument.key for argument in self.arguments)
        return f"{self.function}{self.settings}({given})"


Factor = Named | Applied


@dataclass(frozen=True)
class Term:
    """`factors` are sorted; without any the term is its weight."""

    factors: tuple[Factor, ...]
    weight: Array

    @cached_property
    def kind(self) -> tuple[str, ...]:
        """Terms of one kind can be added."""
        product = "@" if self.weight.ndim == 2 else ""
        return (product, *(factor.key for factor in self.factors))

    @property
    def number(self) -> float | None:
        """The weight, if it is a number."""
        return float(self.weight) if self.weight.ndim == 0 else None


@dataclass(frozen=True)
class Form:
    """A sum; no two terms are of one kind, and they are sorted by it."""

    terms: tuple[Term, ...]

    @staticmethod
    def of(terms: Iterable[Term]) -> Form:
        found: dict[tuple[str, ...], Term] = {}
        for term in terms:
            same = found.get(term.kind)
            weight = term.weight if same is None else np.add(same.weight, term.weight)
            found[term.kind] = Term(term.factors, np.asarray(weight))
        kept = (term for _, term in sorted(found.items()) if term.number != 0)
        return Form(tuple(kept))

    @staticmethod
    def constant(array: Array) -> Form:
        return Form.of([Term((), array)])

    @staticmethod
    def factor(factor: Factor) -> Form:
        return Form((Term((factor,), np.asarray(1.0)),))

    @cached_property
    def key(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for term in self.terms:
            digest.update(repr((term.kind, term.weight.shape)).encode())
            digest.update(np.ascontiguousarray(term.weight).tobytes())
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Form) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __add__(self, other: Form) -> Form:
        return Form.of((*self.terms, *other.terms))

    def __sub__(self, other: Form) -> Form:
        return self + other * Form.constant(np.asarray(-1.0))

    def __mul__(self, other: Form) -> Form:
        return Form.of(_product(left, right) for left in self.terms for right in other.terms)

    def multiplied(self, matrix: Array) -> Form:
        """`matrix @ self`."""
        return Form.of(Term(term.factors, _composed(matrix, term)) for term in self.terms)

    @property
    def single(self) -> Factor | None:
        """The factor that this form is."""
        if len(self.terms) == 1 and len(self.terms[0].factors) == 1 and self.terms[0].number == 1:
            return self.terms[0].factors[0]
        return None


def _composed(matrix: Array, term: Term) -> Array:
    if not term.factors:
        return matrix @ np.broadcast_to(term.weight, matrix.shape[1:])
    return matrix @ term.weight if term.weight.ndim == 2 else matrix * term.weight


def _product(left: Term, right: Term) -> Term:
    if not left.factors or not right.factors:
        constant, other = (left, right) if not left.factors else (right, left)
        weight = constant.weight
        if other.weight.ndim == 2 and weight.ndim == 1:
            weight = weight[:, None]
        return Term(other.factors, np.multiply(weight, other.weight))
    left, right = _apart(left), _apart(right)
    factors = sorted((*left.factors, *right.factors), key=lambda factor: factor.key)
    return Term(tuple(factors), np.multiply(left.weight, right.weight))


def _apart(term: Term) -> Term:
    """A term that others can multiply: a product with a matrix is a factor."""
    if term.weight.ndim < 2:
        return term
    return Term((Applied("product", (Form((term,)),)),), np.asarray(1.0))
