"""Integer sets: is a domain empty, is one inside another, for all sizes at once.

A `Domain` becomes an isl set whose parameters are the sizes. What is known of a size is an
`Assumptions`; without any, a size may be any integer >= 0. Products of sizes (`L*H`) are not
affine: each stands for a parameter of its own, so that answers stay on the safe side (a set may
be taken for non-empty, never for empty).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import islpy as isl

from rnnc.ir.domain import Constraint, Dim, Domain
from rnnc.ir.graph import Size
from rnnc.ir.poly import Atom, Floor, Monomial, Poly

# Words of isl's notation that a dim or size could be called.
_RESERVED = frozenset(
    (
        *("and", "or", "not", "exists", "mod", "floor", "ceil", "floord", "ceild", "min", "max"),
        *("true", "false", "infty", "int", "im", "implies"),
    )
)


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What holds of sizes: `values` are known; `positive` are at least 1; others at least 0."""

    positive: frozenset[str] = frozenset()
    values: tuple[tuple[str, int], ...] = ()

    @staticmethod
    def of(sizes: Iterable[Size]) -> Assumptions:
        """A static size without a value is at least 1, a run-time extent may be 0."""
        rows = tuple(sizes)
        return Assumptions(
            frozenset(row.name for row in rows if row.kind == "static" and row.value is None),
            tuple((row.name, row.value) for row in rows if row.value is not None),
        )


NOTHING = Assumptions()


def is_empty(domain: Domain, known: Assumptions = NOTHING) -> bool:
    """Whether the domain has no point, whatever the sizes."""
    return _is_empty(domain, known)


@lru_cache(maxsize=1 << 15)
def _is_empty(domain: Domain, known: Assumptions) -> bool:
    values = dict(known.values)
    constraints: list[Constraint] = []
    for constraint in (*_bounds(domain.dims), *domain.constraints):
        constraint = constraint.substitute(values)
        if constraint.poly.constant is None:
            constraints.append(constraint)
        elif not constraint.holds({}):
            return True
    if _contradict(constraints):
        return True
    # What has no name in common is independent, and one empty part makes the whole empty.
    return any(
        _part_is_empty(tuple(name for name in domain.names if name in names), part, known)
        for names, part in _parts(constraints)
    )


def _contradict(constraints: Iterable[Constraint]) -> bool:
    """Whether two lines say that there is nothing: `l >= 1` and `0 >= l`."""
    offsets: dict[tuple[tuple[Monomial, int], ...], int] = {}  # what `terms` at least must be
    for constraint in constraints:
        terms, offset = constraint.poly.terms, constraint.poly.offset
        if terms[-1][0] == ():
            terms = terms[:-1]
        opposite = tuple((monomial, -value) for monomial, value in terms)
        if offset + offsets.get(opposite, -offset) < 0:
            return True
        offsets[terms] = min(offset, offsets.get(terms, offset))
        if constraint.relation == "==":
            if -offset + offsets.get(terms, offset) < 0:
                return True
            offsets[opposite] = min(-offset, offsets.get(opposite, -offset))
    return False


def _parts(
    constraints: Iterable[Constraint],
) -> Iterable[tuple[frozenset[str], tuple[Constraint, ...]]]:
    """The constraints in groups that have no name in common, with their names."""
    parts: list[tuple[frozenset[str], tuple[Constraint, ...]]] = []
    for constraint in dict.fromkeys(constraints):
        names = frozenset(constraint.poly.names)
        part: tuple[Constraint, ...] = (constraint,)
        apart = []
        for other, others in parts:
            if names.isdisjoint(other):
                apart.append((other, others))
            else:
                names, part = names | other, (*others, *part)
        parts = [*apart, (names, part)]
    return parts


@lru_cache(maxsize=1 << 15)
def _part_is_empty(
    names: tuple[str, ...], constraints: tuple[Constraint, ...], known: Assumptions
) -> bool:
    found = {name for constraint in constraints for name in constraint.poly.names}
    if len(found) == 1:
        [name] = found
        bare = {((name, 1),), ()}
        if all(term in bare for c in constraints for term, _ in c.poly.terms):
            least = None if name in names else int(name in known.positive)
            return _interval_is_empty(constraints, least)
    return bool(_set(names, constraints, known).is_empty())


def _interval_is_empty(constraints: Iterable[Constraint], least: int | None) -> bool:
    """Whether no number from `least` on satisfies constraints `factor * number + offset`."""
    lower, upper = ([] if least is None else [least]), []
    for constraint in constraints:
        factor, offset = constraint.poly.terms[0][1], constraint.poly.offset
        if constraint.relation == "==" and offset % factor:
            return True
        if factor > 0 or constraint.relation == "==":
            lower.append(-(offset // factor))
        if factor < 0 or constraint.relation == "==":
            upper.append(offset // -factor)
    return bool(lower and upper) and max(lower) > min(upper)


@lru_cache(maxsize=1 << 12)
def _bounds(dims: tuple[Dim, ...]) -> tuple[Constraint, ...]:
    return Domain(dims).bounds


@lru_cache(maxsize=1 << 15)
def _facts(domain: Domain) -> frozenset[Constraint]:
    return frozenset((*_bounds(domain.dims), *domain.constraints))


def implies(domain: Domain, constraint: Constraint, known: Assumptions = NOTHING) -> bool:
    """Whether the constraint holds at every point of the domain."""
    if constraint.poly.constant is not None:
        return constraint.holds({}) or is_empty(domain, known)
    if constraint in _facts(domain):
        return True
    return all(is_empty(domain.restrict(part), known) for part in constraint.negated())


def is_subset(part: Domain, whole: Domain, known: Assumptions = NOTHING) -> bool:
    """Whether every point of `part` is one of `whole`; the dims are matched by name."""
    return all(
        implies(part, constraint, known)
        for constraint in (*_bounds(whole.dims), *whole.constraints)
    )


def are_disjoint(left: Domain, right: Domain, known: Assumptions = NOTHING) -> bool:
    """Whether no point is in both; the dims are matched by name."""
    return is_empty(left.restrict(*_bounds(right.dims), *right.constraints), known)


def sample(domain: Domain, known: Assumptions = NOTHING) -> dict[str, int] | None:
    """Some point of the domain with sizes that make it one (by name), or None if it is empty."""
    points = to_set(domain, known).sample_point()
    if points.is_void():
        return None
    found: dict[str, int] = {}
    for kind, names in (
        (isl.dim_type.param, None),
        (isl.dim_type.set, domain.names),
    ):
        space = points.get_space()
        for position in range(space.dim(kind)):
            name = names[position] if names else space.get_dim_name(kind, position)
            found[str(name)] = points.get_coordinate_val(kind, position).to_python()
    return found


# ---- isl --------------------------------------------------------------------------------------


def to_set(domain: Domain, known: Assumptions = NOTHING) -> isl.Set:
    """The domain as an isl set over its dims in order; parameters are called `identifier(size)`."""
    return _set(domain.names, (*domain.bounds, *domain.constraints), known)


@lru_cache(maxsize=1 << 14)
def _set(
    names: tuple[str, ...], constraints: tuple[Constraint, ...], known: Assumptions
) -> isl.Set:
    values = dict(known.values)
    parts = [text for text in (_text(constraint, values) for constraint in constraints) if text]
    inside = set(names)
    sizes = sorted({n for c in constraints for n in c.poly.names if n not in inside} - set(values))
    products = sorted({text for c in constraints for text in _products(c.poly, values)})
    parts += [f"{identifier(size)} >= {int(size in known.positive)}" for size in sizes]
    parameters = ", ".join([*(identifier(size) for size in sizes), *products])
    dims = ", ".join(identifier(name) for name in names)
    condition = " and ".join(parts) or "true"
    return isl.Set(f"[{parameters}] -> {{ [{dims}] : {condition} }}")


def identifier(name: str) -> str:
    """A name that isl accepts; different for different names."""
    if name.isascii() and name.isidentifier() and name not in _RESERVED:
        return name
    return "n_" + "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in name)


def _text(constraint: Constraint, values: Mapping[str, int]) -> str:
    poly = constraint.poly.substitute(values)
    if poly.constant is not None:
        return "" if Constraint(poly, constraint.relation).holds({}) else "false"
    relation = "=" if constraint.relation == "==" else ">="
    return f"{affine_text(poly)} {relation} 0"


def affine_text(poly: Poly) -> str:
    """The polynomial in isl's notation; a product is a parameter of its own."""
    parts: list[str] = []
    for monomial, coefficient in poly.terms:
        if not monomial:
            parts.append(str(coefficient))
        elif len(monomial) == 1 and monomial[0][1] == 1:
            parts.append(f"{coefficient} * {_atom(monomial[0][0])}")
        else:
            parts.append(f"{coefficient} * {_product(monomial)}")
    return " + ".join(parts) or "0"


def _atom(atom: Atom) -> str:
    if isinstance(atom, Floor):
        return f"floor(({affine_text(atom.numerator)})/{atom.denominator})"
    return identifier(atom)


def _product(monomial: Monomial) -> str:
    return identifier("*".join(f"{atom}^{power}" for atom, power in monomial))


def _products(poly: Poly, values: Mapping[str, int]) -> Iterable[str]:
    for monomial, _ in poly.substitute(values).terms:
        if sum(power for _, power in monomial) > 1:
            yield _product(monomial)
        for atom, _ in monomial:
            if isinstance(atom, Floor):
                yield from _products(atom.numerator, values)
