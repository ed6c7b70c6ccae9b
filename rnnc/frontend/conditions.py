"""Conditions on grid indices and sizes, kept exact: they cut domains, they select no values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rnnc.ir.domain import Constraint
from rnnc.ir.poly import Poly


@dataclass(frozen=True, slots=True)
class Negation:
    operand: Formula


@dataclass(frozen=True, slots=True)
class Conjunction:
    left: Formula
    right: Formula


@dataclass(frozen=True, slots=True)
class Disjunction:
    left: Formula
    right: Formula


Formula = bool | Constraint | Negation | Conjunction | Disjunction
Part = tuple[Constraint, ...]


def comparison(operator: str, left: Poly, right: Poly) -> Formula:
    """`left operator right` as a formula; decided where both are numbers."""
    difference = left - right
    match operator:
        case "==":
            return _decided(Constraint(difference, "=="))
        case "!=":
            return negation(_decided(Constraint(difference, "==")))
        case "<":
            return _decided(Constraint(-difference - 1, ">="))
        case "<=":
            return _decided(Constraint(-difference, ">="))
        case ">":
            return _decided(Constraint(difference - 1, ">="))
        case ">=":
            return _decided(Constraint(difference, ">="))
    raise ValueError(f"no comparison: {operator}")


def _decided(constraint: Constraint) -> Formula:
    return constraint if constraint.poly.constant is None else constraint.holds({})


def negation(operand: Formula) -> Formula:
    if isinstance(operand, bool):
        return not operand
    return operand.operand if isinstance(operand, Negation) else Negation(operand)


def conjunction(left: Formula, right: Formula) -> Formula:
    if left is False or right is True:
        return left
    return right if left is True or right is False else Conjunction(left, right)


def disjunction(left: Formula, right: Formula) -> Formula:
    if left is True or right is False:
        return left
    return right if left is False or right is True else Disjunction(left, right)


def cut(formula: Formula) -> tuple[list[Part], list[Part]]:
    """Where the formula holds and where it does not, each as disjoint conjunctions."""
    match formula:
        case bool():
            return ([()], []) if formula else ([], [()])
        case Constraint():
            return [(formula,)], [(part,) for part in formula.negated()]
        case Negation():
            holds, fails = cut(formula.operand)
            return fails, holds
        case Conjunction():
            holds, fails = cut(formula.left)
            more, less = cut(formula.right)
            return _both(holds, more), fails + _both(holds, less)
        case Disjunction():
            holds, fails = cut(formula.left)
            more, less = cut(formula.right)
            return holds + _both(fails, more), _both(fails, less)


def _both(left: Iterable[Part], right: Iterable[Part]) -> list[Part]:
    others = list(right)
    return [first + second for first in left for second in others]


def constraints(formula: Formula) -> tuple[Constraint, ...]:
    """Every constraint that occurs, from left to right."""
    match formula:
        case bool():
            return ()
        case Constraint():
            return (formula,)
        case Negation():
            return constraints(formula.operand)
        case Conjunction() | Disjunction():
            return constraints(formula.left) + constraints(formula.right)
