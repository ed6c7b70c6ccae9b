"""Systems of uniform recurrences made up by hypothesis, as text of the IR.

Variables over a grid of one to three dims, each a sum of reads at constant distances; some lack a
dim, some are given on a border. A system either has a hidden linear order, by which its reads were
drawn, or any reads at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hypothesis import strategies as st

# How a value takes part in the sum: as it is, as a product with a matrix, or as the half of one
# whose other half is an input.
Form = Literal["light", "product", "gate"]


@dataclass(frozen=True, slots=True)
class Dimension:
    """A run-time dim, or a static one of a few points."""

    name: str
    points: int | None = None

    @property
    def extent(self) -> str:
        return f"N{self.name}" if self.points is None else str(self.points)

    def __str__(self) -> str:
        return f"{'' if self.points is None else 'static '}{self.name} in 0..{self.extent}"


@dataclass(frozen=True, slots=True)
class Variable:
    """`border`: how many points are given before the grid along the first dim."""

    name: str
    dims: tuple[Dimension, ...]
    border: int = 0

    @property
    def grid(self) -> str:
        return f"[{', '.join(map(str, self.dims))}]"

    @property
    def here(self) -> str:
        return f"[{', '.join(dim.name for dim in self.dims)}]"


@dataclass(frozen=True, slots=True)
class Read:
    """`reader` reads `source` at a distance; `last`: where the reader lacks a dim, at its end."""

    source: Variable
    reader: Variable
    distance: tuple[tuple[str, int], ...]
    form: Form
    last: bool

    @property
    def access(self) -> str:
        steps = dict(self.distance)
        indices: list[str] = []
        for dim in self.source.dims:
            if dim in self.reader.dims:
                step = steps[dim.name]
                indices.append(dim.name + (f" {'-+'[step < 0]} {abs(step)}" if step else ""))
            else:
                indices.append(_end(dim) if self.last else "0")
        return f"{self.source.name}[{', '.join(indices)}]"


def _end(dim: Dimension) -> str:
    return f"{dim.extent} - 1" if dim.points is None else str(dim.points - 1)


@dataclass(frozen=True)
class System:
    """`str()` is the text of the IR."""

    dims: tuple[Dimension, ...]
    variables: tuple[Variable, ...]
    reads: tuple[Read, ...]
    extents: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = tuple(dim.extent for dim in self.dims if dim.points is None)
        object.__setattr__(self, "extents", names)

    def __str__(self) -> str:
        lines = ["graph system", *(f"extent {name}" for name in self.extents)]
        lines += [f"output {v.name}{v.grid} = {v.name}" for v in self.variables]
        lines += [
            'given: real[2] = input{name="given", default=none}',
            'U: real[2, 2] = param{path="U", initial=""}',
            'W: real[4, 4] = param{path="W", initial=""}',
        ]
        for variable in self.variables:
            lines += self._equations(variable)
        return "\n".join(lines) + "\n"

    def _equations(self, own: Variable) -> list[str]:
        name = own.name
        head = f"{own.grid}: real[2]"
        lines = [f'{name}.x{head} = input{{name="{name}.x", default=none}}']
        total = f"{name}.x{own.here}"
        reads = [read for read in self.reads if read.reader == own]
        for number, read in enumerate(reads):
            term = f"{name}.{number}"
            match read.form:
                case "light":
                    total_operand = read.access
                case "product":
                    lines.append(f"{term}.product{head} = matmul(U, {read.access})")
                    total_operand = f"{term}.product{own.here}"
                case "gate":
                    both = f"{read.access}, {name}.x{own.here}"
                    lines += [
                        f"{term}.both{own.grid}: real[4] = concat{{axis=0}}({both})",
                        f"{term}.gates{own.grid}: real[4] = matmul(W, {term}.both{own.here})",
                        f"{term}.gate{head} = "
                        f"slice{{axis=0, start={number % 2}, stop={number % 2 + 2}}}"
                        f"({term}.gates{own.here})",
                    ]
                    total_operand = f"{term}.gate{own.here}"
            lines.append(f"{term}.sum{head} = add({total}, {total_operand})")
            total = f"{term}.sum{own.here}"
        lines.append(f"{name}.new{head} = tanh({total})")
        cases = f"{name}.new{own.here} if {{}}"
        if own.border:
            cases += f", given if {{{own.dims[0].name} in {-own.border}..0}}"
        lines.append(f"{name}{head} = merge({cases})")
        return lines


@st.composite
def systems(
    draw: st.DrawFn, most_dims: int = 3, statics: bool = True, whole: bool = False
) -> System:
    """Systems that some order computes: each read goes against a hidden linear one.

    Up to three dims, three variables, five reads with components of at most 3. `whole`: every
    variable has all dims, so that the hidden order is one of the whole system.
    """
    dims = draw(_dims(most_dims, statics))
    variables = draw(_variables(dims, whole))
    slopes = {dim.name: draw(st.sampled_from((1, -1, 2, -2, 3))) for dim in dims}
    starts = {variable: draw(st.integers(0, 3)) for variable in variables}
    reads: list[Read] = []
    for _ in range(draw(st.integers(1, 5))):
        source, reader = draw(st.sampled_from(variables)), draw(st.sampled_from(variables))
        shared = [dim.name for dim in source.dims if dim in reader.dims]
        steps = {name: draw(st.integers(-2, 2)) for name in shared}

        def lag(steps: dict[str, int], reader: Variable, source: Variable) -> int:
            slope = sum(slopes[name] * step for name, step in steps.items())
            return slope + starts[reader] - starts[source]

        if lag(steps, reader, source) < 1:
            steps = {name: -step for name, step in steps.items()}
        while shared and lag(steps, reader, source) < 1:
            steps[shared[0]] += 1 if slopes[shared[0]] > 0 else -1
        if lag(steps, reader, source) >= 1:
            reads.append(draw(_read(source, reader, steps)))
    return System(dims, variables, tuple(reads))


@st.composite
def any_systems(draw: st.DrawFn, statics: bool = True, whole: bool = False) -> System:
    """Systems of any reads: for many there is no order, or a point that needs itself."""
    dims = draw(_dims(3, statics))
    variables = draw(_variables(dims, whole))
    reads: list[Read] = []
    for _ in range(draw(st.integers(1, 5))):
        source, reader = draw(st.sampled_from(variables)), draw(st.sampled_from(variables))
        steps = {dim.name: draw(st.integers(-2, 2)) for dim in source.dims}
        reads.append(draw(_read(source, reader, steps)))
    return System(dims, variables, tuple(reads))


@st.composite
def _dims(draw: st.DrawFn, most: int, statics: bool) -> tuple[Dimension, ...]:
    names = "ijk"[: draw(st.integers(1, most))]
    points = [draw(st.sampled_from((None, None, 3))) if statics else None for _ in names]
    return tuple(Dimension(name, count) for name, count in zip(names, points, strict=True))


@st.composite
def _variables(draw: st.DrawFn, dims: tuple[Dimension, ...], whole: bool) -> tuple[Variable, ...]:
    found: list[Variable] = []
    for name in "abc"[: draw(st.integers(1, 3))]:
        lacking = None if whole else draw(st.sampled_from((None, None, *dims)))
        own = tuple(dim for dim in dims if dim != lacking) if len(dims) > 1 else dims
        found.append(Variable(name, own, draw(st.integers(0, 2))))
    return tuple(found)


def _read(source: Variable, reader: Variable, steps: dict[str, int]) -> st.SearchStrategy[Read]:
    forms: st.SearchStrategy[Form] = st.sampled_from(("light", "product", "product", "gate"))
    distance = st.just(tuple(sorted(steps.items())))
    return st.builds(Read, st.just(source), st.just(reader), distance, forms, st.booleans())
